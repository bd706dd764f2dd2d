//! What the coordinator tells its load processes and what they tell it: one JSON line each, on standard input and output.
//!
//! Lines hold codes and passwords of simulated devices; they go through pipes and nowhere else.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use provbroker::core::model::ids::{Code, Secret};
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;
use crate::record::Counts;

/// Devices that arrive in one way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Name in the report.
    pub name: String,
    /// How many devices.
    pub devices: usize,
    /// So many more that only register before the run, so that the server has warmed up.
    pub warm_up: usize,
    /// Paths of the upgrade, one for each domain; device n takes the n-th of them, over and over.
    pub paths: Vec<String>,
    /// The administrative password of those domains, where it is known.
    pub admin_password: Option<Secret>,
    /// The last numbers of the source addresses 127.0.0.x, both included; `None`: not bound.
    pub sources: Option<(u8, u8)>,
    /// When devices arrive.
    pub arrival: Arrival,
    /// How many arrivals; more than devices: they take turns.
    pub arrivals: usize,
    /// The first arrival is so late, in microseconds.
    pub after_us: u64,
    /// A registered device leaves after so many microseconds.
    pub stay_us: Option<u64>,
    /// Codes to enter by; neighbours share one if there are fewer codes than devices.
    pub codes: Vec<Code>,
}

/// How devices speak TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOrder {
    /// The only certificate that they trust, as DER.
    pub certificate: Vec<u8>,
    /// The name that it has to be for.
    pub name: String,
    /// They resume sessions.
    pub resume: bool,
}

/// Of the devices of a group a process plays number `first`, `first + step` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The first one.
    pub first: usize,
    /// Among how many processes the group is shared; at least one.
    pub step: usize,
}

/// From the coordinator. Each but `Go` is answered when it is done.
#[derive(Debug, Serialize, Deserialize)]
pub enum WorkerCommand {
    /// The first: what there is.
    Play {
        /// Distinguishes the devices of one run from those that an earlier one left in the store.
        run: u64,
        /// The groups, each with what the process plays of it.
        groups: Vec<(Group, Option<Share>)>,
    },
    /// Where the servers listen from now on; device n goes to the n-th of them, over and over.
    SetServers {
        /// The servers.
        servers: Vec<SocketAddr>,
        /// They are floor servers.
        floor: bool,
        /// They are reached over TLS.
        tls: Option<TlsOrder>,
    },
    /// All devices enter, so many at a time, and leave again.
    Enter {
        /// At a time.
        window: usize,
    },
    /// The additional ones register, so many at a time, and leave again.
    WarmUp {
        /// At a time.
        window: usize,
    },
    /// The run begins. Answered with ticks until the devices leave.
    Go {
        /// Who is refused or closed comes back after so many microseconds.
        return_us: u64,
        /// Distance of ticks in microseconds.
        tick_us: u64,
        /// Seed of the arrivals.
        seed: u64,
    },
    /// How things stand.
    ReportOutcome,
    /// All connections are closed, and nobody arrives any more.
    Leave,
}

/// From a load process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The order has been carried out.
    Done,
    /// How things stand, at equal distances in time.
    Tick(Tick),
    /// For each group, in their order.
    Outcome(Vec<Outcome>),
    /// It cannot go on.
    Failed(String),
}

/// Values with how often they were recorded.
pub type Sparse = Vec<(u64, u64)>;

/// One interval of a run in one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tick {
    /// Number of the interval, from 0.
    pub number: u64,
    /// Registrations since the start.
    pub registered: u64,
    /// Failed attempts since the start.
    pub failed: u64,
    /// Connections that are open or being made.
    pub open: u64,
    /// Devices that are registered.
    pub members: u64,
    /// Devices that were refused or cut and will come back.
    pub waiting: u64,
    /// Arrivals that have yet to come.
    pub to_come: u64,
    /// Latencies of the interval in microseconds.
    pub latencies: Sparse,
}

/// What has become of one group in one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// What was counted.
    pub counts: Counts,
    /// Devices that are registered now.
    pub members: u64,
    /// Devices that have arrived and are not registered now, nor have left as they were to.
    pub lost: u64,
    /// How attempts failed.
    pub failures: BTreeMap<String, u64>,
    /// Failures that no load excuses.
    pub wrong: BTreeMap<String, u64>,
    /// From the intended arrival to the registration, in microseconds.
    pub latencies: Sparse,
    /// From the connect that was let in to the registration, in microseconds.
    pub admitted: Sparse,
    /// Which device has entered by which code.
    pub entered: Vec<(Code, String)>,
}
