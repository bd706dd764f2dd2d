//! The measured server processes: started, read from `/proc`, ended on every path.

pub mod redis;
pub mod testbed;
mod tls;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

/// Limit for a server to report its address.
const START: Duration = Duration::from_secs(20);

/// Limit for a server to stop, in intervals of [`POLL_EVERY`].
const ENDING: u32 = 200;

/// Poll interval.
pub const POLL_EVERY: Duration = Duration::from_millis(50);

/// Most log lines of a server that are shown; a storm may cause one per device.
const LINES: usize = 20;

/// Ticks of `utime` and `stime` per second; fixed for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Size of a page.
const PAGE: u64 = 4096;

/// A running server.
pub struct Server {
    child: Child,
    /// Its address.
    pub address: SocketAddr,
    /// Address of the broker's metrics.
    ops: Option<SocketAddr>,
}

impl Server {
    /// Starts the broker with this configuration file, overridden by these variables.
    pub fn broker(program: &Path, config: &Path, variables: &[(String, String)]) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(config)
            // The load process plays Users itself.
            .env("PROVBROKER__SERVER__ROLES", "directory,devices")
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; build it, or give its path with --broker", program.display()))?;
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), ops: None };
        let stderr = server.child.stderr.take().context("no standard error")?;
        let (tell, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut shown = 0;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said = serde_json::from_str::<Value>(&line).unwrap_or_default();
                if said["message"] == "serving" {
                    let address = |key: &str| said[key].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
                    let _ = tell.send(address("listen").zip(address("ops")));
                } else if said["level"] != "INFO" && shown < LINES {
                    shown += 1;
                    eprintln!("broker: {line}");
                }
            }
        });
        let (address, ops) =
            ready.recv_timeout(START).ok().flatten().ok_or_else(|| anyhow!("the broker did not start"))?;
        server.address = address;
        server.ops = Some(ops);
        Ok(server)
    }

    /// Starts the floor server, a subcommand of this program.
    pub fn floor(workers: usize, address: IpAddr) -> anyhow::Result<Self> {
        let listen = SocketAddr::from((address, 0)).to_string();
        let child = Command::new(std::env::current_exe()?)
            .args(["floor", "--with-parent", "--listen", &listen, "--workers", &workers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the floor server")?;
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), ops: None };
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        server.address = line.trim().parse().context("the floor server did not print its address")?;
        Ok(server)
    }

    /// Resident memory in bytes. `smaps_rollup` is exact; `VmRSS` may lag behind by dozens of pages per thread.
    pub fn rss(&self) -> anyhow::Result<u64> {
        let text = read_proc(self.child.id(), "smaps_rollup")?;
        let kib =
            text.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib * 1024).context("no Rss in smaps_rollup")
    }

    /// Approximate resident memory, cheap enough for use during a run.
    pub fn rss_now(&self) -> anyhow::Result<u64> {
        let text = read_proc(self.child.id(), "statm")?;
        let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.context("no pages in statm")? * PAGE)
    }

    /// Processor time used so far in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        cpu(self.child.id())
    }

    /// The sum of a metric over its labels; `None` if the server has no metrics.
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

    /// Waits until the metric has this value, checking this many times, twenty times a second.
    pub fn wait_for(&self, name: &str, value: f64, attempts: u32) -> anyhow::Result<()> {
        for _ in 0..attempts {
            if self.metric(name)?.is_none_or(|now| (now - value).abs() < 0.5) {
                return Ok(());
            }
            std::thread::sleep(POLL_EVERY);
        }
        bail!("{name} is not {value}")
    }

    /// Stops it as an operator does, so that it releases its state in the store.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        for _ in 0..ENDING {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL_EVERY);
        }
        bail!("the broker does not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process so far, `utime + stime`, in seconds.
pub fn cpu(process: u32) -> anyhow::Result<f64> {
    let text = read_proc(process, "stat")?;
    // The name in parentheses may contain anything.
    let rest = text.rsplit_once(')').context("no name in stat")?.1;
    let field = |n: usize| rest.split_whitespace().nth(n).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = field(11).zip(field(12)).context("no times in stat")?;
    Ok((user + system) / TICKS_PER_SECOND)
}

fn read_proc(process: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("{path}: the process has ended"))
}
