//! `loadtest pbx`: a simulated exchange, which connects to a broker or waits for connections, and prints what it
//! observes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use provbroker::core::model::ids::Secret;
use provbroker::core::model::time::Tick;
use provbroker::sim::exchange::machine::{ExchangeSim, Identity};
use provbroker::sim::exchange::run::{ConnectionSource, Running};
use provbroker::sim::exchange::switches::{Cut, Switches};
use serde_json::json;
use tokio::net::TcpListener;

/// Interval between checks for something new to print.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// When the connection is dropped.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum CutAt {
    Before,
    After,
}

#[derive(Args)]
// Each switch is independent.
#[allow(clippy::struct_excessive_bools)]
pub struct Arguments {
    #[arg(long, help = "Address of the Users instance to connect to, such as ws://127.0.0.1:8080/example.com/users")]
    url: Option<String>,
    #[arg(long, help = "Wait for connections instead, at any path, such as 127.0.0.1:8090", conflicts_with = "url")]
    listen: Option<SocketAddr>,
    /// System name of the exchange
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// PBX name
    #[arg(long, default_value = "hq")]
    pbx: String,
    /// Name of the app object
    #[arg(long, default_value = "users")]
    object: String,
    /// Password of the app object
    #[arg(long)]
    password: String,
    /// Number of users: user1, user2, …
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// App objects; NAME=KIND marks a phone app
    #[arg(long = "app", default_value = "phone")]
    apps: Vec<String>,
    /// Interfaces granted to the app object
    #[arg(long, value_delimiter = ',', default_value = "PbxAdminApi,PbxTableUsers,Services")]
    apis: Vec<String>,
    /// Delay of every message, in milliseconds
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Delay of the answer to an update, in milliseconds
    #[arg(long, default_value_t = 0)]
    update_delay_ms: u64,
    /// Drop the connection at the first update
    #[arg(long)]
    cut: Option<CutAt>,
    /// Answer in fragments of 4096 bytes
    #[arg(long)]
    fragments: bool,
    /// Add unknown members to every message
    #[arg(long)]
    extra_members: bool,
    /// End a pass with an empty row instead of no row
    #[arg(long)]
    end_is_empty_row: bool,
    /// Do not send changes back to the client that made them
    #[arg(long)]
    no_echo: bool,
    /// Answer an unknown object with an empty result instead of an error
    #[arg(long)]
    unknown_is_empty: bool,
    /// Answer interfaces that are not granted with an error instead of not at all
    #[arg(long)]
    not_granted_is_error: bool,
    /// Hide the device members that only the table shows
    #[arg(long)]
    hide: bool,
    /// Entries register after this many seconds
    #[arg(long, default_value_t = 5)]
    registered_after: u64,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn switches(&self) -> Switches {
        Switches {
            apis: self.apis.iter().map(|name| name.as_str().into()).collect(),
            delay: Duration::from_millis(self.delay_ms),
            update_delay: Duration::from_millis(self.update_delay_ms),
            cut: self.cut.map(|cut| match cut {
                CutAt::Before => Cut::Before,
                CutAt::After => Cut::After,
            }),
            fragments: self.fragments,
            extra_members: self.extra_members,
            end_is_empty_row: self.end_is_empty_row,
            echo: !self.no_echo,
            unknown_is_error: !self.unknown_is_empty,
            not_granted_is_error: self.not_granted_is_error,
            hide: self.hide,
            registered_after: Some(Duration::from_secs(self.registered_after)),
            ..Switches::default()
        }
    }

    fn machine(&self) -> ExchangeSim {
        let identity = Identity {
            domain: self.domain.as_str().into(),
            pbx: self.pbx.as_str().into(),
            object: self.object.as_str().into(),
            password: Secret::new(self.password.as_str()),
        };
        let mut sim = ExchangeSim::new(identity, self.switches());
        sim.apps = self
            .apps
            .iter()
            .map(|app| match app.split_once('=') {
                Some((name, kind)) => (name.into(), Some(kind.into())),
                None => (app.as_str().into(), None),
            })
            .collect();
        for n in 1..=self.users {
            sim.add_user(&format!("User {n:05}"), &format!("user{n}"), Tick(0));
        }
        sim
    }
}

/// Runs until interrupted.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let source = match (&arguments.url, arguments.listen) {
        (Some(url), _) => ConnectionSource::Dial { url: url.clone(), again: Duration::from_secs(1) },
        (None, Some(address)) => ConnectionSource::Listen(
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?,
        ),
        (None, None) => anyhow::bail!("use --url to connect to a broker, or --listen to wait for connections"),
    };
    let pbx = Running::start(arguments.machine(), source)?;
    if let Some(address) = pbx.address() {
        println!("listening on {address}");
    }
    let mut printed = Printed::default();
    loop {
        tokio::select! {
            result = tokio::signal::ctrl_c() => {
                result.context("cannot wait for an interrupt")?;
                pbx.stop().await;
                return Ok(());
            }
            () = tokio::time::sleep(POLL_EVERY) => printed.print_changes(&pbx, arguments.json),
        }
    }
}

/// What has been printed already.
#[derive(Default)]
struct Printed {
    logged_in: usize,
    refused: usize,
    entered: BTreeSet<(Box<str>, Box<str>)>,
}

impl Printed {
    fn print_changes(&mut self, pbx: &Running, as_json: bool) {
        let (seen, names) = pbx.with(|sim, _| {
            let mut new = Vec::new();
            for key in sim.observed.entered.keys().filter(|key| !self.entered.contains(*key)) {
                let sip = sim.objects.get(&key.0).map(|object| object.text("h323")).unwrap_or_default();
                new.push((key.clone(), sip));
            }
            ((sim.observed.logged_in, sim.observed.refused), new)
        });
        if seen != (self.logged_in, self.refused) {
            (self.logged_in, self.refused) = seen;
            if as_json {
                println!("{}", json!({"event": "logIns", "right": seen.0, "wrong": seen.1}));
            } else {
                println!("{} log-ins, {} with a wrong password", seen.0, seen.1);
            }
        }
        for (key, sip) in names {
            if as_json {
                println!("{}", json!({"event": "entered", "sip": sip, "hw": key.1}));
            } else {
                println!("{sip} has the device {}", key.1);
            }
            self.entered.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct ConnectionEntry {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_switches_are_those_of_the_command_line() {
        let line = [
            "pbx",
            "--password",
            "p",
            "--listen",
            "127.0.0.1:0",
            "--apis",
            "PbxAdminApi",
            "--no-echo",
            "--cut",
            "after",
        ];
        let arguments = ConnectionEntry::parse_from(line).arguments;
        let switches = arguments.switches();
        assert_eq!(switches.apis.iter().map(|api| &**api).collect::<Vec<_>>(), ["PbxAdminApi"]);
        assert!(!switches.echo && switches.cut == Some(Cut::After) && switches.unknown_is_error);
        let sim = arguments.machine();
        assert_eq!((sim.objects.len(), sim.apps.len()), (100, 1));
        assert!(
            ConnectionEntry::try_parse_from(["pbx", "--password", "p", "--listen", "127.0.0.1:0", "--url", "ws://x"])
                .is_err()
        );
    }
}
