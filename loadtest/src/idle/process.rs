//! Server processes under measurement: started, read from `/proc`, ended on every path.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(20);

/// Ticks of `utime` and `stime` per second; fixed for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server.
pub struct Server {
    child: Child,
    /// Where connections go.
    pub address: SocketAddr,
    /// Where the broker tells its metrics.
    ops: Option<SocketAddr>,
}

impl Server {
    /// Starts the broker with this configuration file.
    pub fn broker(program: &Path, config: &Path) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; build it, or name it with --broker", program.display()))?;
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), ops: None };
        let stderr = server.child.stderr.take().context("no standard error")?;
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said = serde_json::from_str::<Value>(&line).unwrap_or_default();
                if said["message"] == "serving" {
                    let address = |key: &str| said[key].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
                    let _ = tell.send(address("listen").zip(address("ops")));
                } else {
                    eprintln!("broker: {line}");
                }
            }
        });
        let (address, ops) =
            told.recv_timeout(START).ok().flatten().ok_or_else(|| anyhow!("the broker did not start"))?;
        server.address = address;
        server.ops = Some(ops);
        Ok(server)
    }

    /// Starts the floor server: this program once more.
    pub fn floor(workers: usize) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["floor", "--with-parent", "--workers", &workers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the floor server")?;
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), ops: None };
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        server.address = line.trim().parse().context("the floor server did not say its address")?;
        Ok(server)
    }

    /// Resident memory in bytes. `smaps_rollup` counts pages; `VmRSS` may lag behind by some dozens of them for each thread.
    pub fn rss(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(self.proc("smaps_rollup"))?;
        let kib =
            text.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib * 1024).context("no Rss in smaps_rollup")
    }

    /// Processor time used so far, `utime + stime`, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(self.proc("stat"))?;
        // The name in parentheses may hold anything.
        let rest = text.rsplit_once(')').context("no name in stat")?.1;
        let field = |n: usize| rest.split_whitespace().nth(n).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = field(11).zip(field(12)).context("no times in stat")?;
        Ok((user + system) / TICKS_PER_SECOND)
    }

    /// The sum of a metric over its labels; `None` if the server tells none.
    pub fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let Some(ops) = self.ops else { return Ok(None) };
        let mut stream = TcpStream::connect(ops)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        };
        Ok(Some(text.lines().filter_map(of).sum()))
    }

    /// Waits until the metric has this value; looks so many times, ten times a second.
    pub fn wait_for(&self, name: &str, value: f64, looks: u32) -> anyhow::Result<()> {
        for _ in 0..looks {
            if self.metric(name)?.is_none_or(|now| (now - value).abs() < 0.5) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{name} is not {value}")
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.child.id()).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
