//! Messages between the coordinator and its load processes: one JSON line each, on standard input and output.
//!
//! Lines contain codes and passwords of simulated devices; they go through pipes only.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use provbroker::core::model::ids::{Code, Secret};
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;
use crate::record::{Counts, Sparse};

/// A group of devices with the same arrival.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Name in the report.
    pub name: String,
    /// Number of devices.
    pub devices: usize,
    /// Number of additional devices that only register before the run, to warm up the server.
    pub warm_up: usize,
    /// Paths of the upgrade, one per domain; devices take them in turn.
    pub paths: Vec<String>,
    /// The administrative password of those domains, if known.
    pub admin_password: Option<Secret>,
    /// Last octets of first and last source address 127.0.0.x; `None`: not bound.
    pub sources: Option<(u8, u8)>,
    /// Arrival of its devices.
    pub arrival: Arrival,
    /// Number of arrivals; if more than devices, they take turns.
    pub arrivals: usize,
    /// Delay of the first arrival, in microseconds.
    pub after_us: u64,
    /// Time between registering and leaving, in microseconds.
    pub stay_us: Option<u64>,
    /// Codes to enter with; neighbours share one if there are fewer codes than devices.
    pub codes: Vec<Code>,
}

/// TLS settings of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOrder {
    /// The only trusted certificate, as DER.
    pub certificate: Vec<u8>,
    /// The expected name.
    pub name: String,
    /// Whether sessions are resumed.
    pub resume: bool,
}

/// The share of a process in a group: devices `first`, `first + step` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The first one.
    pub first: usize,
    /// Number of processes that share the group; at least one.
    pub step: usize,
}

/// Commands of the coordinator. Each but `Go` is answered when done.
#[derive(Debug, Serialize, Deserialize)]
pub enum WorkerCommand {
    /// The first command: the devices.
    Play {
        /// Distinguishes the devices of this run from those of earlier runs in the store.
        run: u64,
        /// The groups, each with the share of this process.
        groups: Vec<(Group, Option<Share>)>,
    },
    /// The servers from now on; devices take them in turn.
    SetServers {
        /// Their addresses.
        servers: Vec<SocketAddr>,
        /// Whether they are floor servers.
        floor: bool,
        /// TLS settings, if used.
        tls: Option<TlsOrder>,
    },
    /// All devices enter, at most `window` at a time, and disconnect.
    Enter {
        /// Most at a time.
        window: usize,
    },
    /// The additional devices register, at most `window` at a time, and disconnect.
    WarmUp {
        /// Most at a time.
        window: usize,
    },
    /// Starts the run. Answered with ticks until the devices leave.
    Go {
        /// Delay before a refused or closed device comes back, in microseconds.
        return_us: u64,
        /// Interval of ticks in microseconds.
        tick_us: u64,
        /// Seed of the arrivals.
        seed: u64,
    },
    /// Asks for [`Report::Outcome`].
    ReportOutcome,
    /// Closes all connections; no device arrives any more.
    Leave,
}

/// Reports of a load process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The command is done.
    Done,
    /// Progress, at regular intervals.
    Tick(Tick),
    /// Results of each group, in order.
    Outcome(Vec<Outcome>),
    /// A fatal error.
    Failed(String),
}

/// One interval of a run in one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tick {
    /// Index of the interval, from 0.
    pub number: u64,
    /// Registrations since the start.
    pub registered: u64,
    /// Failed attempts since the start.
    pub failed: u64,
    /// Connections that are open or connecting.
    pub open: u64,
    /// Devices that are registered.
    pub members: u64,
    /// Devices that were refused or cut and will come back.
    pub waiting: u64,
    /// Arrivals still to come.
    pub to_come: u64,
    /// Latencies of the interval in microseconds.
    pub latencies: Sparse,
}

/// Results of one group in one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Counters.
    pub counts: Counts,
    /// Devices that are registered now.
    pub members: u64,
    /// Devices that arrived and are neither registered nor left as planned.
    pub lost: u64,
    /// Failed attempts by kind.
    pub failures: BTreeMap<String, u64>,
    /// Protocol violations by kind.
    pub wrong: BTreeMap<String, u64>,
    /// Latencies from intended arrival to registration, in microseconds.
    pub latencies: Sparse,
    /// Latencies from the successful connect to registration, in microseconds.
    pub admitted: Sparse,
    /// Codes and the devices that entered with them.
    pub entered: Vec<(Code, String)>,
}
