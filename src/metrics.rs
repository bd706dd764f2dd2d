//! Every metric that the broker has, in one table; nothing else in the crate knows a name.
//!
//! What is counted is a value of [`Counter`], [`Gauge`] or [`Timer`], its labels are enums (`labels.rs`). So the number of
//! series is known when the program is compiled, and no hardware id, code or address can become a label.

mod labels;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{KeyName, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::core::protocol::close::Close;

pub use self::labels::{
    Admission, Attempt, CodeEvent, CodeKind, Direction, EntryStage, GateName, Handshake, InitAnswer, JobKind,
    JobOutcome, Label, ListingEvent, NoticeEvent, OrderEvent, Peer, Refusal, Registration, RequestEvent, StoreOp,
    TunnelEnd, TunnelUse,
};

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How a metric is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution in buckets.
    Histogram,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name as it stands in `/metrics`.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// What it says.
    pub help: &'static str,
    /// Label and its values.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

/// Declares one enum of events and its part of the table: variant, up to two label enums, name, unit, description.
///
/// Every series has a slot, counted through the table; [`Handles`] holds what records under that slot.
macro_rules! table {
    ($(#[$of:meta])* $name:ident $kind:ident $make:ident $field:ident {
        $($variant:ident $(($($label:ident),+))? = $metric:literal $unit:ident $help:literal,)*
    }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $(#[doc = $help] $variant $(($($label),+))?,)* }

        impl $name {
            /// This part of the table.
            pub const TABLE: &'static [Metric] = &[$(Metric {
                name: concat!("provbroker_", $metric),
                kind: Kind::$kind,
                unit: Unit::$unit,
                help: $help,
                labels: &[$($(($label::KEY, $label::VALUES)),+)?],
            },)*];

            /// The slot of the first series of each metric.
            const FIRST: [usize; Self::TABLE.len()] = first_slots(Self::TABLE);

            /// Every series in the order of the slots, so that each is there with 0 from the start.
            fn series() -> Vec<Self> {
                let mut all = Vec::new();
                $(table!(@series all $variant $($($label)+)?);)*
                all
            }

            fn slot(self) -> usize {
                enum Row { $($variant,)* }
                match self {
                    $(table!(@pattern $variant a b $($($label)+)?) =>
                        Self::FIRST[Row::$variant as usize] + table!(@within a b $($($label)+)?),)*
                }
            }

            /// The handle of the recorder that is in force now.
            fn make(self) -> metrics::$kind {
                match self {
                    $(table!(@pattern $variant a b $($($label)+)?) =>
                        table!(@metric $make $metric a b $($($label)+)?),)*
                }
            }

            /// Does something with the handle: that of the process if it records, else that of the recorder in force.
            fn with(self, act: impl FnOnce(&metrics::$kind)) {
                match HANDLES.get() {
                    Some(handles) => act(&handles.$field[self.slot()]),
                    None => act(&self.make()),
                }
            }
        }
    };
    (@series $all:ident $variant:ident) => { $all.push(Self::$variant) };
    (@series $all:ident $variant:ident $label:ident) => {
        $all.extend($label::ALL.iter().copied().map(Self::$variant))
    };
    (@series $all:ident $variant:ident $first:ident $second:ident) => {
        for first in $first::ALL {
            $all.extend($second::ALL.iter().map(|second| Self::$variant(*first, *second)));
        }
    };
    (@pattern $variant:ident $a:ident $b:ident) => { Self::$variant };
    (@pattern $variant:ident $a:ident $b:ident $label:ident) => { Self::$variant($a) };
    (@pattern $variant:ident $a:ident $b:ident $first:ident $second:ident) => { Self::$variant($a, $b) };
    (@within $a:ident $b:ident) => { 0 };
    (@within $a:ident $b:ident $label:ident) => { $a.index() };
    (@within $a:ident $b:ident $first:ident $second:ident) => { $a.index() * $second::ALL.len() + $b.index() };
    (@metric $make:ident $metric:literal $a:ident $b:ident) => { metrics::$make!(concat!("provbroker_", $metric)) };
    (@metric $make:ident $metric:literal $a:ident $b:ident $label:ident) => {
        metrics::$make!(concat!("provbroker_", $metric), $label::KEY => $a.as_str())
    };
    (@metric $make:ident $metric:literal $a:ident $b:ident $first:ident $second:ident) => {
        metrics::$make!(concat!("provbroker_", $metric), $first::KEY => $a.as_str(), $second::KEY => $b.as_str())
    };
}

/// Where the series of each metric begin.
const fn first_slots<const N: usize>(table: &[Metric]) -> [usize; N] {
    let mut first = [0; N];
    let (mut row, mut slot) = (0, 0);
    while row < N {
        first[row] = slot;
        let (labels, mut label, mut series) = (table[row].labels, 0, 1);
        while label < labels.len() {
            series *= labels[label].1.len();
            label += 1;
        }
        slot += series;
        row += 1;
    }
    first
}

/// What records each series, by slot. Looking a handle up by name and labels costs ten times the addition, so it is done once;
/// a recorder that is set later, or for one thread, is not seen by them.
struct Handles {
    counters: Vec<metrics::Counter>,
    gauges: Vec<metrics::Gauge>,
    timers: Vec<metrics::Histogram>,
}

/// Those of the process, from [`install`] on.
static HANDLES: OnceLock<Handles> = OnceLock::new();

impl Handles {
    fn make() -> Self {
        Self {
            counters: Counter::series().into_iter().map(Counter::make).collect(),
            gauges: Gauge::series().into_iter().map(Gauge::make).collect(),
            timers: Timer::series().into_iter().map(Timer::make).collect(),
        }
    }
}

table! {
    /// What is counted.
    Counter Counter counter counters {
        Accepted(Peer) = "connections_accepted_total" Count "WebSocket connections accepted.",
        Refused(Refusal) = "connections_refused_total" Count "Connections refused before or instead of the upgrade.",
        TlsHandshake(Handshake) = "tls_handshakes_total" Count "TLS handshakes on the public listener, by how they ended.",
        Registered(Registration) = "registrations_total" Count "What became of identify messages and challenges.",
        DeviceClosed(Close) = "device_closes_total" Count "Device connections ended, by reason.",
        AppClosed(Close) = "app_closes_total" Count "App connections ended, by reason.",
        Dropped = "messages_dropped_total" Count
            "Messages of devices that were dropped: unknown type, event or tunnel session.",
        WrongAttempt(Attempt) = "wrong_attempts_total" Count
            "Wrong digests, codes, tokens and log-ins that count against a limit.",
        Code(CodeEvent) = "codes_total" Count "Provisioning codes at Devices.",
        Notice(NoticeEvent) = "notices_total" Count "Notices to Users.",
        LogIn = "app_logins_total" Count "App connections that logged in.",
        DomainRecreated = "domain_actors_recreated_total" Count "Domain actors made anew after they died.",
        DeviceRejoined = "members_rejoined_total" Count "Members that joined a domain actor made anew.",
        StoreFailed(StoreOp) = "store_errors_total" Count "Store operations that failed, by operation.",
        Init(InitAnswer) = "directory_init_total" Count "Answers to /init.",
        Listing(ListingEvent) = "directory_codes_total" Count "Provisioning codes at the own directory.",
        ConnectionGate(Admission) = "admission_connections_total" Count "Connections at the gate before TLS and HTTP.",
        RegistrationGate(Admission) = "admission_registrations_total" Count "Identify messages at the gate before the store.",
        Joined = "members_joined_total" Count "Devices that became members on this node; who comes back counts again.",
        Job(JobKind, JobOutcome) = "jobs_total" Count
            "Attempts at work for a device, by kind of job and what came of it.",
        TunnelEnded(TunnelUse, TunnelEnd) = "tunnel_sessions_total" Count "Tunnel sessions that have ended.",
        Request(RequestEvent) = "people_requests_total" Count "Requests for phones at the Users role, by what has become of them.",
        Order(OrderEvent) = "people_orders_total" Count "Attempts to enter a phone at the backend, by what has come of it.",
        TenantRecreated = "people_tenants_recreated_total" Count "Tenants of the Users role made anew after they died.",
        TunnelBytes(Direction) = "tunnel_bytes_total" Bytes
            "Bytes through the tunnel: requests and pieces for devices, bodies from them.",
    }
}

table! {
    /// What goes up and down.
    Gauge Gauge gauge gauges {
        Connections(Peer) = "connections" Count "WebSocket connections open.",
        Members = "members" Count "Devices that are members and connected to this node.",
        Unassigned = "unassigned" Count "Devices without a domain that are connected to this node.",
        UsersConnections = "users_connections" Count "Connections to this node that act as Users.",
        DomainActors = "domain_actors" Count "Domain actors alive on this node.",
        TunnelSessions(TunnelUse) = "tunnel_sessions" Count "Tunnel sessions open on this node.",
        DevicesKnown = "devices_known" Count
            "Devices that belong to a domain. A figure of the store: the same on each node.",
        DevicesOnline = "devices_online" Count "Members connected to any node that is alive. A figure of the store.",
        DevicesMissing = "devices_missing" Count "Known devices that are connected to no node. A figure of the store.",
        CodesOpen(CodeKind) = "codes_open" Count "Codes that are valid and not used. A figure of the store.",
        MailboxDepth = "mailbox_depth" Count "Notices that wait, over all domains. A figure of the store.",
        MailboxAge = "mailbox_age_seconds" Seconds
            "Since the use of the code of the oldest notice that waits; 0 if none does. A figure of the store.",
        Waiting(GateName) = "admission_waiting" Count "Those who wait at a gate now.",
        UnderWay(GateName) = "admission_under_way" Count "Those who have passed a gate and are not done yet.",
        AdmissionLimit(GateName) = "admission_limit" Count "How many a gate lets be under way at present.",
        ListingsOpen = "directory_codes_open" Count
            "Open codes of the own directory; guessing gets easier with their number.",
        UsersLinks = "people_links" Count "Tenants of the Users role that are logged in to Devices from this node.",
        OrdersWaiting = "people_orders_waiting" Count
            "Phones that have to be entered at the backend. A figure of the store.",
        OrdersFailed = "people_orders_failed" Count
            "Phones that could not be entered and wait for an operator. A figure of the store.",
        StoreUp = "store_up" Count "1 if the store answered the last time it was asked, else 0.",
        Ready = "ready" Count "1 if /readyz says yes, else 0.",
    }
}

table! {
    /// What is timed.
    Timer Histogram histogram timers {
        Registration = "registration_seconds" Seconds
            "From the upgrade of a device connection to membership; of a device that waits, from its next identify.",
        Stage(EntryStage) = "registration_stage_seconds" Seconds "The same, stage by stage.",
        CodeIssue = "code_issue_seconds" Seconds "From `GetProvisioningCode` to its result.",
        Store(StoreOp) = "store_seconds" Seconds "Store operations, waiting for a connection included.",
        Waited(GateName) = "admission_wait_seconds" Seconds "How long those waited who were admitted after waiting.",
        Init = "directory_init_seconds" Seconds "From a request at /init to its answer.",
    }
}

/// What is built in, as labels of a metric that is always 1.
const BUILD: [(&str, &str); 3] = [
    ("version", env!("CARGO_PKG_VERSION")),
    (
        "commit",
        match option_env!("PROVBROKER_COMMIT") {
            Some(commit) => commit,
            None => "unknown",
        },
    ),
    ("rustc", env!("PROVBROKER_RUSTC")),
];

const BUILD_INFO: Metric = Metric {
    name: "provbroker_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    help: "Always 1; the labels say what runs. `commit` is that of the environment variable `PROVBROKER_COMMIT` of the build.",
    labels: &[(BUILD[0].0, &[BUILD[0].1]), (BUILD[1].0, &[BUILD[1].1]), (BUILD[2].0, &[BUILD[2].1])],
};

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    recorded().chain(process::TABLE)
}

/// Every metric that the recorder has; those of the process are read when they are asked for.
fn recorded() -> impl Iterator<Item = &'static Metric> {
    Counter::TABLE.iter().chain(Gauge::TABLE).chain(Timer::TABLE).chain(std::iter::once(&BUILD_INFO))
}

/// Adds one.
pub fn count(what: Counter) {
    what.with(|handle| handle.increment(1));
}

/// Adds `many`.
pub fn count_many(what: Counter, many: u64) {
    what.with(|handle| handle.increment(many));
}

/// Sets a gauge. Numbers above 2^53 lose their last digits.
#[allow(clippy::cast_precision_loss)]
pub fn set(what: Gauge, value: u64) {
    what.with(|handle| handle.set(value as f64));
}

/// Moves a gauge up or down.
#[allow(clippy::cast_precision_loss)]
pub fn shift(what: Gauge, by: i64) {
    what.with(|handle| handle.increment(by as f64));
}

/// Records a time.
pub fn observe(what: Timer, took: Duration) {
    what.with(|handle| handle.record(took));
}

/// Counts something into a gauge for as long as this value lives, panics included.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Held(Gauge);

/// Counts one more of `what` until the returned value is dropped.
pub fn hold(what: Gauge) -> Held {
    what.with(|handle| handle.increment(1.0));
    Held(what)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.with(|handle| handle.decrement(1.0));
    }
}

/// Makes this process record, and returns what renders `/metrics`. Once per process; without it everything above is a no-op.
///
/// [`PrometheusHandle::run_upkeep`] has to be called every few seconds, or what histograms buffer grows without end.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?
        .install_recorder()?;
    describe_all();
    start_at_zero();
    // A second call fails above.
    let _ = HANDLES.set(Handles::make());
    Ok(handle)
}

/// Gives the recorder unit and description of every metric.
pub fn describe_all() {
    for metric in recorded() {
        let name = KeyName::from_const_str(metric.name);
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(name, metric.unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(name, metric.unit, metric.help),
        }
    }
}

/// What `/metrics` answers: what was recorded, and what the kernel says of this process now.
pub fn render(recorded: &PrometheusHandle) -> String {
    let mut text = recorded.render();
    process::render(&mut text);
    text
}

fn start_at_zero() {
    let handles = Handles::make();
    // A rate over a counter that appears with its first event misses that event.
    handles.counters.iter().for_each(|counter| counter.absolute(0));
    handles.gauges.iter().for_each(|gauge| gauge.set(0.0));
    metrics::gauge!(BUILD_INFO.name, &BUILD).set(1.0);
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    use std::fmt::Write as _;

    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in all() {
        let labels: Vec<_> =
            metric.labels.iter().map(|(key, values)| format!("`{key}`: {}", values.join(", "))).collect();
        let labels =
            if metric.name == BUILD_INFO.name { BUILD.map(|(key, _)| format!("`{key}`")).to_vec() } else { labels };
        let labels = labels.join("; ");
        let kind = format!("{:?}", metric.kind).to_lowercase();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
    }
    text
}

#[cfg(test)]
mod tests;
