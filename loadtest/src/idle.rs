//! `loadtest idle`: what an idle member costs, in memory and for its registration, beside the floor server.

pub mod client;
pub mod process;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use client::Device;
use process::Server;

/// Connections are made by so many threads at once.
const HANDS: usize = 8;

/// Devices that register and leave again before anything is measured, so that the allocator has grown.
const WARM_UP: usize = 500;

/// Idle devices are looked after this often; the server pings them every [`PING_EVERY`].
const ATTEND_EVERY: Duration = Duration::from_secs(2);

/// More often than by default, so that an idle member has been pinged when it is measured.
const PING_EVERY: Duration = Duration::from_secs(10);

const MEMBERS: &str = "provbroker_members";

#[derive(Args)]
pub struct Arguments {
    /// How many devices
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Measure the floor server too, in the same run
    #[arg(long, value_enum)]
    against: Option<Against>,
    #[arg(long, help = "Store, such as redis://127.0.0.1:6379 [default: an embedded one in a temporary folder]")]
    store: Option<String>,
    /// The broker's program [default: the one beside this program]
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Worker threads of each server
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Seconds between the last registration and the measurement
    #[arg(long, default_value_t = 15)]
    settle: u64,
    /// Write the figures to this file too
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// An empty actor on `ws::start`
    Floor,
}

/// What one pass over all devices has cost the server.
struct Cost {
    before: u64,
    after: u64,
    cpu: f64,
    devices: usize,
}

impl Cost {
    // Both numbers are far below what a float holds exactly.
    #[allow(clippy::cast_precision_loss)]
    fn kib_per_device(&self) -> f64 {
        (self.after as f64 - self.before as f64) / 1024.0 / self.devices as f64
    }

    #[allow(clippy::cast_precision_loss)]
    fn cpu_micros(&self) -> f64 {
        self.cpu * 1e6 / self.devices as f64
    }

    fn print(&self, what: &str) {
        let (rss, cpu) = (self.kib_per_device(), self.cpu_micros());
        let [before, after] = [self.before, self.after].map(|bytes| bytes / 1024);
        println!("{what:<34} {rss:6.2} KiB each (RSS {before} -> {after} KiB), {cpu:6.1} us CPU per registration");
    }

    fn json(&self) -> Value {
        json!({
            "devices": self.devices,
            "rss_before": self.before,
            "rss_after": self.after,
            "kib_per_device": self.kib_per_device(),
            "cpu_us_per_registration": self.cpu_micros(),
        })
    }
}

/// Measures, prints, and ends every server that it has started.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("broker.toml");
    let token = format!("{:x}", std::process::id());
    // A domain of its own in every run, because a store that was given is not emptied.
    let run = made(folder.path())?;
    let domain = format!("idle-{run}-{token}.example");
    std::fs::write(&config, configuration(arguments, folder.path(), &domain, &token))?;
    let program = match &arguments.broker {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("provbroker"),
    };
    let path = format!("/example.com/devices/sysclients?domain={domain}&token={token}&category=phones");
    let mut devices = devices(run, 0, arguments.devices)?;
    let mut warm_up = self::devices(run, arguments.devices, WARM_UP.min(arguments.devices))?;

    // Two processes on one store: what entering leaves in the allocator must not hide what a member needs.
    let mut passes = Vec::new();
    for what in ["broker, members just entered", "broker, members registered again"] {
        let server = Server::broker(&program, &config)?;
        let pass = Pass { path: &path, floor: false, settle: Duration::from_secs(arguments.settle) };
        let cost = pass.measure(&server, &mut warm_up, &mut devices)?;
        cost.print(what);
        passes.push(cost);
    }
    let [entered, again] = passes.try_into().map_err(|_| anyhow!("a pass is missing"))?;
    let mut report = json!({ "entered": entered.json(), "registered_again": again.json() });
    if arguments.against == Some(Against::Floor) {
        let server = Server::floor(arguments.workers)?;
        let pass = Pass { path: &path, floor: true, settle: Duration::from_secs(arguments.settle) };
        let floor = pass.measure(&server, &mut warm_up, &mut devices)?;
        floor.print("floor, empty actors");
        let rss = again.kib_per_device() / floor.kib_per_device();
        let cpu = again.cpu_micros() / floor.cpu_micros();
        println!("{:<34} RSS {rss:.2} (at most 0.35), CPU {cpu:.2} (at most 1.5)", "registered again : floor");
        report["floor"] = floor.json();
        report["rss_ratio"] = rss.into();
        report["cpu_ratio"] = cpu.into();
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

struct Pass<'a> {
    path: &'a str,
    floor: bool,
    settle: Duration,
}

impl Pass<'_> {
    fn measure(&self, server: &Server, warm_up: &mut [Device], devices: &mut [Device]) -> anyhow::Result<Cost> {
        self.register(server.address, warm_up)?;
        warm_up.iter_mut().for_each(Device::disconnect);
        server.wait_for(MEMBERS, 0.0, 600)?;
        // Past the end of what lingers after a close.
        std::thread::sleep(Duration::from_secs(3));
        let (before, cpu) = (server.rss()?, server.cpu()?);
        self.register(server.address, devices)?;
        let cpu = server.cpu()? - cpu;
        for _ in 0..self.settle.as_secs().div_ceil(ATTEND_EVERY.as_secs()) {
            std::thread::sleep(ATTEND_EVERY);
            devices.iter_mut().try_for_each(Device::attend)?;
        }
        // All of them are counted as members, or this would measure something else.
        #[allow(clippy::cast_precision_loss)]
        server.wait_for(MEMBERS, devices.len() as f64, 1)?;
        let after = server.rss()?;
        devices.iter_mut().for_each(Device::disconnect);
        Ok(Cost { before, after, cpu, devices: devices.len() })
    }

    fn register(&self, server: SocketAddr, devices: &mut [Device]) -> anyhow::Result<()> {
        let failed = AtomicBool::new(false);
        let share = devices.len().div_ceil(HANDS).max(1);
        std::thread::scope(|scope| {
            let hands: Vec<_> = devices
                .chunks_mut(share)
                .map(|some| scope.spawn(|| self.register_some(server, some, &failed)))
                .collect();
            let results = hands.into_iter().map(|hand| hand.join().unwrap_or_else(|_| bail!("a thread panicked")));
            // All are joined; the first error is the cause.
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn register_some(&self, server: SocketAddr, devices: &mut [Device], failed: &AtomicBool) -> anyhow::Result<()> {
        for device in devices {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            device.register(server, self.path, self.floor).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }
}

fn devices(run: u64, first: usize, how_many: usize) -> anyhow::Result<Vec<Device>> {
    (first..first + how_many).map(|number| Device::new(run, number)).collect()
}

fn configuration(arguments: &Arguments, folder: &std::path::Path, domain: &str, token: &str) -> String {
    let store = arguments.store.clone().unwrap_or_else(|| format!("embedded:{}", folder.join("broker.redb").display()));
    let (workers, ping) = (arguments.workers, PING_EVERY.as_secs());
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\nworkers = {workers}\n\
         [store]\nurl = {store:?}\ndeadline = \"5s\"\n\
         [devices]\nping_every = \"{ping}s\"\n\
         [log]\nformat = \"json\"\nfilter = \"warn,provbroker::app=info\"\n\
         [[domains]]\nname = \"{domain}\"\npassword = \"not used\"\nauto_token = \"{token}\"\n\
         [[domains.categories]]\nname = \"phones\"\nprovisioning = true\n"
    )
}

/// When this run made its folder, in seconds.
fn made(folder: &std::path::Path) -> anyhow::Result<u64> {
    Ok(folder.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs())
}
