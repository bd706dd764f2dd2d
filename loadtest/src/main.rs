//! Simulated phones and service clients on the command line.
//!
//! The exit code is 0 when what was asked for has come about, 1 when it has not, 2 for a wrong command line.

mod floor;
mod idle;
mod phone;
mod report;
mod timeline;
mod tunnel;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// A simulated Users service: asks for codes and prints which phone took them.
    Users(users::Arguments),
    /// What an idle member costs a broker: starts one, registers devices, reads its memory and processor time.
    Idle(idle::Arguments),
    /// How fast one tunnel to a device is, and what it costs a broker that it starts.
    Tunnel(tunnel::Arguments),
    /// The server that the broker is held against: empty actors on plain actix-web. Prints its address.
    Floor(floor::Arguments),
    /// Shows how a storm went: makes a page of HTML from the JSON that it has left.
    Report(report::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Phone(arguments) => phone::run(*arguments).await,
        Command::Users(arguments) => users::run(arguments).await,
        // These block: nothing else runs in this process.
        Command::Idle(arguments) => idle::run(&arguments),
        Command::Tunnel(arguments) => tunnel::run(&arguments),
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
