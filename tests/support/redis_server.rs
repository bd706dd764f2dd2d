//! A real `redis-server` for a test: from `PATH`, on a free port of the loopback, in a temporary directory.
//!
//! Include it with `#[path = "support/redis_server.rs"] mod redis_server;`. Nothing here waits by sleeping: the server
//! reports on its output when it is ready.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Another process may take a free port before the server binds it; then another one is tried.
const PORTS: usize = 5;

/// A running server; killed and cleaned up when it is dropped.
pub struct RedisServer {
    child: Option<Child>,
    dir: TempDir,
    port: u16,
    options: Vec<String>,
}

impl RedisServer {
    /// Starts a server with further command line options, for example `["--appendonly", "yes"]`.
    pub fn start(options: &[&str]) -> Self {
        let options = options.iter().map(ToString::to_string).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self { child: None, dir, port: 0, options };
        for _ in 0..PORTS {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        panic!("redis-server does not start; is it in PATH?");
    }

    /// Starts a server whose acknowledged writes survive a kill.
    pub fn durable() -> Self {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts it again after [`RedisServer::kill`], on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is still running");
        assert!(self.try_start(), "redis-server does not start again");
    }

    fn try_start(&mut self) -> bool {
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &self.port.to_string(), "--unixsocket", "redis.sock"])
            .args(&self.options)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is in PATH");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready =
            lines.any(|line| line.contains("Ready to accept connections") || line.contains("The server is now ready"));
        if !ready {
            let _ = child.wait();
            return false;
        }
        // Its output has to be read all the time.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
        true
    }

    /// Its address over TCP.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address over a Unix socket.
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.dir.path().display())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL: loses what is not on disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it is running").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// A plain connection, to inspect the data of the store.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
