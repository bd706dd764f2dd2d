//! A broker as a separate process, and its store.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tempfile::TempDir;

use super::redis_server::RedisServer;

pub const DOMAIN: &str = "example.com";
pub const PASSWORD: &str = "password-of-example-com";
pub const CATEGORY: &str = "Desk phones";

/// Lines of the log shown by a failure.
const SHOWN: usize = 60;

const CONFIG: &str = r#"
[server]
roles = ["directory", "devices"]
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:0"
workers = 1

[instance]
password = "password-of-the-instance"

[devices]
challenge_timeout = "1s"

[codes]
codes_per_second = 100000
[directory]
codes_per_second = 100000
[apps]
requests_per_second = 100000

[limits]
address = 1000000

[[domains]]
name = "example.com"
password = "password-of-example-com"
admin_password = "administrative of example"

[[domains.categories]]
name = "Desk phones"
provisioning = true
"#;

/// The store of a broker; deleted when dropped.
pub enum Keep {
    Embedded(TempDir),
    Redis(RedisServer, TempDir),
}

impl Keep {
    pub fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    /// Acknowledged writes survive a kill of the server.
    pub fn redis() -> Self {
        Self::Redis(RedisServer::durable(), tempfile::tempdir().unwrap())
    }

    pub fn server(&self) -> &RedisServer {
        match self {
            Self::Embedded(_) => panic!("no Redis"),
            Self::Redis(server, _) => server,
        }
    }

    /// Starts a broker on it; further settings are given as `section.key` and value.
    pub fn start(&self, settings: &[(&str, &str)]) -> Process {
        self.start_under(&[], settings)
    }

    /// Starts it through another program that executes the broker.
    pub fn start_under(&self, through: &[&str], settings: &[(&str, &str)]) -> Process {
        let (dir, url) = match self {
            Self::Embedded(dir) => (dir, format!("embedded:{}", dir.path().join("store.redb").display())),
            Self::Redis(server, dir) => (dir, server.url()),
        };
        Process::start(dir, &url, through, settings)
    }

    /// Starts it with a store address that leads through an observer.
    // Not used by every test that includes this.
    #[allow(dead_code)]
    pub fn start_by(&self, store: &str, settings: &[(&str, &str)]) -> Process {
        let (Self::Embedded(dir) | Self::Redis(_, dir)) = self;
        Process::start(dir, store, &[], settings)
    }

    /// Ends the leases of killed nodes at once, as 15 seconds without a renewal would.
    pub async fn end_leases(&self) {
        if let Self::Redis(server, _) = self {
            let mut redis = server.connection().await;
            let leases: Vec<String> = redis::cmd("KEYS").arg("pb:node:*").query_async(&mut redis).await.unwrap();
            for lease in leases {
                let _: u64 = redis::cmd("DEL").arg(lease).query_async(&mut redis).await.unwrap();
            }
        }
    }

    /// Asserts that the mailbox is empty, as far as that is visible from outside.
    pub async fn no_mail(&self) {
        if let Self::Redis(server, _) = self {
            let mut redis = server.connection().await;
            let mailbox = format!("pb:{{{DOMAIN}}}:mailbox");
            let left: u64 = redis::cmd("ZCARD").arg(mailbox).query_async(&mut redis).await.unwrap();
            assert_eq!(left, 0);
        }
    }

    /// Also kills the store by SIGKILL, and starts a new one on the same data. False if it has no process of its own.
    pub fn kill_store(&mut self) -> bool {
        let Self::Redis(server, _) = self else { return false };
        server.kill();
        server.start_again();
        true
    }
}

/// A running broker; killed when dropped.
pub struct Process {
    child: Child,
    /// The public listener.
    pub addr: SocketAddr,
    /// The operations listener.
    pub ops: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(dir: &TempDir, store: &str, through: &[&str], settings: &[(&str, &str)]) -> Self {
        let file = dir.path().join("provbroker.toml");
        std::fs::File::create(&file).and_then(|mut f| f.write_all(CONFIG.as_bytes())).unwrap();
        let variable = |key: &str| format!("PROVBROKER__{}", key.replace('.', "__").to_uppercase());
        let words = [through, &[env!("CARGO_BIN_EXE_provbroker")]].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--store", store, "--config"])
            .arg(&file)
            .env("PROVBROKER__LOG__FORMAT", "json")
            // Two cores run several brokers at once; slowness is not tested here.
            .env("PROVBROKER__STORE__DEADLINE", "2s")
            .envs(settings.iter().map(|(key, value)| (variable(key), value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (tell, told) = mpsc::channel();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let its = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if said["message"] == "serving" {
                    let address = |name: &str| said[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
                    let _ = tell.send((address("listen"), address("ops")));
                }
                its.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let Ok((addr, ops)) = told.recv() else {
            let _ = child.wait();
            panic!("the broker does not start: {:?}", log.lock());
        };
        Self { child, addr, ops, log }
    }

    /// Its process id.
    // Not used by every test that includes this.
    #[allow(dead_code)]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines that it has logged so far.
    #[allow(dead_code)]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGTERM.
    #[allow(dead_code)]
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Its exit code, if it has ended.
    #[allow(dead_code)]
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().expect("no signal has killed it"))
    }

    /// SIGKILL. The process has ended when this returns.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if std::thread::panicking() {
            log.iter().rev().take(SHOWN).rev().for_each(|line| eprintln!("{line}"));
        } else if let Some(panic) = log.iter().find(|line| line.contains("panicked")) {
            panic!("the broker has panicked: {panic}");
        }
    }
}
