//! A redis-server of the load test, and counting the commands of any Redis.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Attempts to find a port: another process may take it before the server binds.
const PORTS: usize = 5;

/// A running server without persistence; killed when dropped.
pub struct Redis {
    child: Child,
    /// Its address as the `store` setting of brokers.
    pub url: String,
}

impl Redis {
    /// Starts a server on a free loopback port.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        for _ in 0..PORTS {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let mut child = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start redis-server; install it, or give a store with --store")?;
            let output = child.stdout.take();
            // From here on dropping it kills the process.
            let server = Self { child, url: format!("redis://127.0.0.1:{port}") };
            let mut lines = BufReader::new(output.context("no standard output")?).lines().map_while(Result::ok);
            let is_ready = |line: String| line.contains("Ready to accept connections") || line.contains("is now ready");
            if lines.any(is_ready) {
                // Its output has to be drained, or it would block.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(server);
            }
        }
        bail!("redis-server does not start")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the number of processed commands.
pub struct Commands {
    stream: BufReader<TcpStream>,
}

impl Commands {
    /// For a store of the form `redis://[[user]:password@]host[:port]…`; `None` for others.
    pub fn of(store: &str) -> anyhow::Result<Option<Self>> {
        let Some(rest) = store.strip_prefix("redis://") else { return Ok(None) };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:6379") };
        let stream = TcpStream::connect(&host).with_context(|| format!("cannot reach the Redis at {host}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut commands = Self { stream: BufReader::new(stream) };
        if let Some((user, password)) = credentials.split_once(':') {
            let user = if user.is_empty() { "default" } else { user };
            let answer = commands.ask(&["AUTH", user, password])?;
            if answer != "+OK" {
                bail!("the Redis refuses user or password of --store");
            }
        }
        Ok(Some(commands))
    }

    /// Commands since the server was started, without those of this reader.
    pub fn count(&mut self) -> anyhow::Result<u64> {
        let head = self.ask(&["INFO", "commandstats"])?;
        let length = head.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        let mut text = vec![0; length.with_context(|| format!("INFO was answered with {head}"))? + 2];
        self.stream.read_exact(&mut text)?;
        Ok(calls(&String::from_utf8_lossy(&text)))
    }

    /// The first line of the answer.
    fn ask(&mut self, parts: &[&str]) -> anyhow::Result<String> {
        let mut request = format!("*{}\r\n", parts.len());
        for part in parts {
            write!(request, "${}\r\n{part}\r\n", part.len())?;
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

/// The sum over all commands but `INFO`.
fn calls(text: &str) -> u64 {
    let of = |line: &str| -> Option<u64> {
        let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = figures.split(',').find_map(|figure| figure.strip_prefix("calls="))?;
        if name == "info" { None } else { calls.parse().ok() }
    };
    text.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_all_commands_are_summed() {
        let text = "# Commandstats\r\ncmdstat_get:calls=7,usec=5,usec_per_call=1.0\r\n\
                    cmdstat_client|setinfo:calls=2,usec=1\r\ncmdstat_info:calls=900,usec=1\r\n";
        assert_eq!(calls(text), 9);
    }
}
