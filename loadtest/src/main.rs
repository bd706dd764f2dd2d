//! Simulated devices, Users clients and exchanges on the command line, and the load test.
//!
//! Exit code: 0 on success, 1 on failure, 2 for a wrong command line. `conformance` has two more.

mod arrival;
mod conformance;
mod device;
mod exchange;
mod figures;
mod floor;
mod phone;
mod phones;
mod progress;
mod record;
mod report;
mod rollout;
mod servers;
mod settings;
mod storm;
mod terminal;
mod timeline;
mod trial;
mod tunnel;
mod users;
mod worker;
mod worker_commands;
mod worker_pool;
mod ws;

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use settings::Kind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use worker_pool::Interrupt;

/// The allocator of the broker, so that the floor is comparable.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A simulated desk phone: polls, shows the form, types the code, connects, keeps its password.
    Phone(Box<phone::Arguments>),
    /// The phones of a roll-out: one per code of a list, each types its own code.
    Phones(phones::Arguments),
    /// A simulated Users service: asks for codes and prints which phone took them.
    Users(users::Arguments),
    /// A simulated exchange: connects to a broker or waits for connections, and prints which devices were entered for
    /// which user.
    Pbx(Box<exchange::Arguments>),
    /// Known devices come back, all at once or spread: measures time and cost at the brokers.
    Storm(Box<settings::Arguments>),
    /// Devices come and go at a constant rate, which may exceed what can be served.
    Steady(Box<settings::Arguments>),
    /// Several groups of devices at once, each with its own arrival and domains; needs a scenario file.
    Mixed(Box<settings::Arguments>),
    /// Users asks for codes, and new devices race for them: one winner per code, and every notice received.
    Rollout(Box<settings::Arguments>),
    /// Throughput of one tunnel to a device, and its cost at a broker that this starts.
    Tunnel(tunnel::Arguments),
    /// The server that the broker is compared with: echo actors on plain actix-web. Prints its address.
    Floor(floor::Arguments),
    /// Holds any server against the rules of `docs/protocol`, as a device and as an app.
    ///
    /// Exit code: 0 if every rule that was observed holds, 1 if a published one fails, 3 if only rules of ours fail,
    /// 4 if nothing fails but not everything could be observed.
    Conformance(Box<conformance::Arguments>),
    /// Makes an HTML page of the JSON report of a storm.
    Report(report::Arguments),
    /// A load process of the coordinator.
    #[command(hide = true)]
    Worker,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Phone(arguments) => phone::run(*arguments).await,
        Command::Phones(arguments) => phones::run(arguments).await,
        Command::Users(arguments) => users::run(arguments).await,
        Command::Pbx(arguments) => exchange::run(*arguments).await,
        Command::Storm(arguments) => coordinate(Kind::Storm, arguments).await,
        Command::Steady(arguments) => coordinate(Kind::Steady, arguments).await,
        Command::Mixed(arguments) => coordinate(Kind::Mixed, arguments).await,
        Command::Rollout(arguments) => coordinate(Kind::Rollout, arguments).await,
        Command::Conformance(arguments) => return conformance::run(&arguments).await,
        // These block; nothing else runs in this process.
        Command::Tunnel(arguments) => tunnel::run(&arguments),
        Command::Worker => worker::run(),
        Command::Floor(arguments) => floor::run(arguments),
        Command::Report(arguments) => report::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the coordinator on a thread of its own, so that a signal or a panic still ends the processes it has started.
async fn coordinate(kind: Kind, arguments: Box<settings::Arguments>) -> anyhow::Result<()> {
    let interrupt = Interrupt::default();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, mut receiver) = oneshot::channel();
    let its = interrupt.clone();
    let thread = std::thread::spawn(move || {
        let result = match kind {
            Kind::Rollout => rollout::run(&arguments, &its),
            Kind::Storm | Kind::Steady | Kind::Mixed => storm::run(kind, &arguments, &its),
        };
        let _ = sender.send(result);
    });
    loop {
        tokio::select! {
            result = &mut receiver => {
                let _ = thread.join();
                return result.unwrap_or_else(|_| Err(anyhow!("the coordinator panicked")));
            }
            _ = term.recv() => interrupt.set(),
            _ = int.recv() => interrupt.set(),
        }
    }
}
