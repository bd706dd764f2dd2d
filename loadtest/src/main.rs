//! Simulated phones and service clients on the command line.
//!
//! The exit code is 0 when what was asked for has come about, 1 when it has not, 2 for a wrong command line.

mod arrival;
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

/// That of the broker: the floor is held against it.
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
    /// The phones of a roll-out: one for each code of a list, each of which types its own.
    Phones(phones::Arguments),
    /// A simulated Users service: asks for codes and prints which phone took them.
    Users(users::Arguments),
    /// A simulated PBX: connects to a broker, or waits for one, and prints which devices were entered for whom.
    Pbx(Box<exchange::Arguments>),
    /// Devices that are known come back, all at once or otherwise: how long it takes, and what it costs the brokers.
    Storm(Box<settings::Arguments>),
    /// Devices come and go at a constant rate, which may be more than can be served.
    Steady(Box<settings::Arguments>),
    /// Several groups of devices at once, each with an arrival and domains of its own; needs a scenario file.
    Mixed(Box<settings::Arguments>),
    /// Users asks for codes, and new devices race for them: one winner for each code, and every notice seen.
    Rollout(Box<settings::Arguments>),
    /// How fast one tunnel to a device is, and what it costs a broker that it starts.
    Tunnel(tunnel::Arguments),
    /// The server that the broker is held against: empty actors on plain actix-web. Prints its address.
    Floor(floor::Arguments),
    /// Shows how a storm went: makes a page of HTML from the JSON that it has left.
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
        // These block: nothing else runs in this process.
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

/// Runs the coordinator on a thread of its own. It drops what it has started when it ends, by a panic and a signal too.
async fn coordinate(kind: Kind, arguments: Box<settings::Arguments>) -> anyhow::Result<()> {
    let interrupt = Interrupt::default();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, mut told) = oneshot::channel();
    let its = interrupt.clone();
    let thread = std::thread::spawn(move || {
        let result = match kind {
            Kind::Rollout => rollout::run(&arguments, &its),
            Kind::Storm | Kind::Steady | Kind::Mixed => storm::run(kind, &arguments, &its),
        };
        let _ = tell.send(result);
    });
    loop {
        tokio::select! {
            result = &mut told => {
                let _ = thread.join();
                return result.unwrap_or_else(|_| Err(anyhow!("the coordinator panicked")));
            }
            _ = term.recv() => interrupt.set(),
            _ = int.recv() => interrupt.set(),
        }
    }
}
