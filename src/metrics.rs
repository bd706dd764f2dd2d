//! All metrics of the broker in one table. No other module knows the name of a metric.
//!
//! A metric is a value of [`Counter`], [`Gauge`] or [`Timer`]; its labels are enums (`labels.rs`). The number of series
//! is therefore fixed at compile time, and no hardware id, code or address can become a label. `docs/metrics.md` shows
//! the table.

mod labels;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{KeyName, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::core::protocol::close::Close;

pub use self::labels::{
    Admission, Attempt, CodeEvent, CodeKind, Direction, EntryStage, GateName, Handshake, InitAnswer, JobKind,
    JobOutcome, Label, LatePart, ListingEvent, NoticeEvent, OrderEvent, Peer, PlaceKind, ProxyHeaderOutcome, Quota,
    Refusal, Registration, RequestEvent, Shortage, StoreOp, StrangerRecord, Strangers, TunnelEnd, TunnelUse,
};

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Kind of a metric.
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
    /// Help text.
    pub help: &'static str,
    /// Labels, each with its values.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

/// Declares one enum of metrics and its part of the table: variant, up to two label enums, name, unit, help text.
///
/// Every series has a slot, numbered through the table; [`Handles`] has the handle of each slot.
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
            const FIRST_SLOTS: [usize; Self::TABLE.len()] = first_slots(Self::TABLE);

            /// Every series in the order of the slots, so that each can be created with 0 at the start.
            fn series() -> Vec<Self> {
                let mut all = Vec::new();
                $(table!(@series all $variant $($($label)+)?);)*
                all
            }

            fn slot(self) -> usize {
                enum Row { $($variant,)* }
                match self {
                    $(table!(@pattern $variant a b $($($label)+)?) =>
                        Self::FIRST_SLOTS[Row::$variant as usize] + table!(@within a b $($($label)+)?),)*
                }
            }

            /// A handle of the current recorder.
            fn make(self) -> metrics::$kind {
                match self {
                    $(table!(@pattern $variant a b $($($label)+)?) =>
                        table!(@metric $make $metric a b $($($label)+)?),)*
                }
            }

            /// Calls `act` with the kept handle of the process, or with one of the current recorder if nothing is
            /// installed.
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

/// The first slot of each metric.
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

/// The handle of each series, by slot. A look-up by name and labels costs ten times the addition, so it is done once. A
/// recorder that is set later, or for one thread, does not affect these handles.
struct Handles {
    counters: Vec<metrics::Counter>,
    gauges: Vec<metrics::Gauge>,
    timers: Vec<metrics::Histogram>,
}

/// The handles of the process, set by [`install`].
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
    /// Counters.
    Counter Counter counter counters {
        Accepted(Peer) = "connections_accepted_total" Count "WebSocket connections accepted.",
        Refused(Refusal) = "connections_refused_total" Count "Connections refused before the upgrade to WebSocket, or with an error instead of it.",
        ProxyHeader(ProxyHeaderOutcome) = "proxy_headers_total" Count "Connections while the PROXY protocol is on, by how they began.",
        Evicted(PlaceKind, Shortage) = "connections_evicted_total" Count
            "Connections without proof that were closed because others needed what they held.",
        RequestLate(LatePart) = "http_requests_late_total" Count
            "HTTP connections closed because a request did not arrive in time.",
        LinesSuppressed = "log_lines_suppressed_total" Count "Log lines left out because the same line was written too often.",
        TlsHandshake(Handshake) = "tls_handshakes_total" Count "TLS handshakes on the public listener, by outcome.",
        Registered(Registration) = "registrations_total" Count "Results of identify messages and challenges.",
        DeviceClosed(Close) = "device_closes_total" Count "Device connections ended, by reason.",
        AppClosed(Close) = "app_closes_total" Count "App connections ended, by reason.",
        Dropped = "messages_dropped_total" Count
            "Messages from devices that were dropped: unknown type, event or tunnel session.",
        WrongAttempt(Attempt) = "wrong_attempts_total" Count
            "Wrong digests, codes, tokens and log-ins that were checked and count against a limit.",
        ReplacedAttempt(Attempt) = "attempts_replaced_total" Count
            "Codes that were replaced by another one while they waited: not checked, counted against device and source.",
        Delayed(Attempt) = "attempts_delayed_total" Count
            "Attempts at secrets whose decision had to wait, because of wrong ones before.",
        TriedTooOften(Attempt) = "attempts_refused_total" Count
            "Attempts at secrets that were not decided, because they would have had to wait too long or were one too many.",
        WrongCategory = "wrong_categories_total" Count
            "Devices that came with a right token of automatic provisioning and a category that is not there for it.",
        Code(CodeEvent) = "codes_total" Count "Events of provisioning codes at Devices.",
        Notice(NoticeEvent) = "notices_total" Count "Events of notices to Users.",
        LogIn = "app_logins_total" Count "App connections that logged in.",
        DomainRecreated = "domain_actors_recreated_total" Count "Domain actors restarted after a panic.",
        DeviceRejoined = "members_rejoined_total" Count "Members that joined a restarted domain actor.",
        StoreFailed(StoreOp) = "store_errors_total" Count "Failed store operations.",
        Init(InitAnswer) = "directory_init_total" Count "Answers to /init.",
        Listing(ListingEvent) = "directory_codes_total" Count "Events of provisioning codes at the directory of this process.",
        ConnectionGate(Admission) = "admission_connections_total" Count "Decisions of the connection gate, before TLS and HTTP.",
        RegistrationGate(Admission) = "admission_registrations_total" Count "Decisions of the registration gate on identify messages, before the store is asked.",
        Joined = "members_joined_total" Count "Devices that became members on this node; a device that reconnects counts again.",
        Job(JobKind, JobOutcome) = "jobs_total" Count
            "Attempts to apply a job to a device.",
        TunnelEnded(TunnelUse, TunnelEnd) = "tunnel_sessions_total" Count "Ended tunnel sessions.",
        Request(RequestEvent) = "people_requests_total" Count "Events of phone requests at the Users role.",
        StrangerRecord(Strangers, StrangerRecord) = "stranger_records_total" Count
            "Records of unassigned devices and of contacts without a valid code, by what became of them.",
        QuotaRefused(Quota) = "quota_refusals_total" Count "What was refused because a domain has as much as it may have.",
        Order(OrderEvent) = "people_orders_total" Count "Attempts at entry orders at the backend.",
        TenantRecreated = "people_tenants_recreated_total" Count "Tenants of the Users role restarted after a panic.",
        ObjectCreated = "exchange_objects_created_total" Count
            "Answers of an exchange that say that it has created an object instead of changing a user; it must stay 0.",
        TunnelBytes(Direction) = "tunnel_bytes_total" Bytes
            "Bytes through tunnels: requests to devices, response bodies from them.",
    }
}

table! {
    /// Gauges.
    Gauge Gauge gauge gauges {
        Connections(Peer) = "connections" Count "Open WebSocket connections.",
        Unproven(PlaceKind) = "connections_unproven" Count "Open connections that have not proved who they are.",
        UnprovenBytes(PlaceKind) = "connections_unproven_bytes" Bytes
            "Memory for messages and requests that such connections have not completed.",
        Members = "members" Count "Members connected to this node.",
        Unassigned = "unassigned" Count "Unassigned devices connected to this node.",
        UsersConnections = "users_connections" Count "App connections to this node that act as Users.",
        DomainActors = "domain_actors" Count "Running domain actors on this node.",
        TunnelSessions(TunnelUse) = "tunnel_sessions" Count "Open tunnel sessions on this node.",
        DevicesKnown = "devices_known" Count
            "Devices that belong to a domain. A figure of the store: the same on each node.",
        DevicesOnline = "devices_online" Count "Members connected to any live node. A figure of the store.",
        DevicesMissing = "devices_missing" Count "Known devices that are not connected to any node. A figure of the store.",
        CodesOpen(CodeKind) = "codes_open" Count "Codes that are valid and unused. A figure of the store.",
        MailboxDepth = "mailbox_depth" Count "Notices in the mailboxes of all domains. A figure of the store.",
        MailboxAge = "mailbox_age_seconds" Seconds
            "Age of the oldest notice in a mailbox, counted from the use of its code; 0 without one. A figure of the store.",
        Waiting(GateName) = "admission_waiting" Count "Connections or devices in the queue of a gate.",
        UnderWay(GateName) = "admission_under_way" Count "Connections or devices that a gate has admitted and that are not done yet.",
        AdmissionLimit(GateName) = "admission_limit" Count "Current limit of a gate for connections or devices under way.",
        StrangerRecords(Strangers) = "stranger_records" Count
            "Records of unassigned devices and of contacts without a valid code. A figure of the store.",
        QuotaDevices = "quota_devices_ratio" Count
            "Devices of the domain that has the most, divided by `quotas.devices`; 0 without that quota. A figure of the store.",
        ListingsOpen = "directory_codes_open" Count
            "Open codes of the directory of this process; the more there are, the easier one is guessed.",
        UsersLinks = "people_links" Count "Tenants of the Users role that are logged in to Devices from this node.",
        OrdersWaiting = "people_orders_waiting" Count
            "Entry orders that are not done yet. A figure of the store.",
        OrdersFailed = "people_orders_failed" Count
            "Entry orders that have failed and need an operator. A figure of the store.",
        AttemptsWaiting(Attempt) = "attempts_waiting" Count "Attempts at secrets whose decision waits on this node.",
        GuessingSources(Attempt) = "guessing_sources" Count
            "Source addresses that have used up their free wrong attempts within ten minutes on this node.",
        DecisionsBraked(Attempt) = "attempts_braked" Count
            "1 if there were so many wrong attempts over all that decisions are limited, else 0.",
        StoreVersion = "store_version" Count "Version of the store. A figure of the store.",
        StoreMigrating = "store_migrating" Count
            "1 while the store does not have the newest version that this node knows, else 0. A figure of the store.",
        StoreMigrated = "store_migrated_records" Count
            "Records that the migration under way, or the last one, has changed. A figure of the store.",
        StoreNodesBehind = "store_nodes_behind" Count
            "Live nodes for which the migration of the store waits. A figure of the store.",
        StoreResealed = "store_resealed_records" Count
            "Records that the rotation of the instance key under way, or the last one, has sealed anew. A figure of the store.",
        KeyGenerations = "store_key_generations" Count
            "Generations of the instance key that are kept; more than 1 during a rotation. A figure of the store.",
        StoreUp = "store_up" Count "1 if the last probe of the store was answered, else 0.",
        Ready = "ready" Count "1 if /readyz reports ready, else 0.",
    }
}

table! {
    /// Histograms of durations.
    Timer Histogram histogram timers {
        Registration = "registration_seconds" Seconds
            "Time from the upgrade of a device connection to membership; for a device that was unassigned, from its next identify.",
        Stage(EntryStage) = "registration_stage_seconds" Seconds "The same time, by stage.",
        CodeIssue = "code_issue_seconds" Seconds "Time from `GetProvisioningCode` to its result.",
        Store(StoreOp) = "store_seconds" Seconds "Duration of store operations, including the wait for a connection.",
        Waited(GateName) = "admission_wait_seconds" Seconds "Time in the queue of a gate, for those that were admitted after waiting.",
        DecisionWait = "attempt_wait_seconds" Seconds
            "Time that the decision on a code or a token of a device waited because of wrong attempts.",
        Init = "directory_init_seconds" Seconds "Time from a request at /init to its answer.",
    }
}

/// Build information, as labels of a metric that is always 1.
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
    help: "Always 1; the labels identify the build. `commit` is the value of `PROVBROKER_COMMIT` at build time.",
    labels: &[(BUILD[0].0, &[BUILD[0].1]), (BUILD[1].0, &[BUILD[1].1]), (BUILD[2].0, &[BUILD[2].1])],
};

/// All metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    recorded().chain(process::TABLE)
}

/// The metrics of the recorder; those of the process are read from the kernel at each scrape.
fn recorded() -> impl Iterator<Item = &'static Metric> {
    Counter::TABLE.iter().chain(Gauge::TABLE).chain(Timer::TABLE).chain(std::iter::once(&BUILD_INFO))
}

/// Adds 1 to a counter.
pub fn count(what: Counter) {
    what.with(|handle| handle.increment(1));
}

/// Adds `many` to a counter.
pub fn count_many(what: Counter, many: u64) {
    what.with(|handle| handle.increment(many));
}

/// Counts what became of a record of a stranger: whether it is new, whether it was kept, and how many gave way to it.
pub fn count_stranger(of: Strangers, first: bool, kept: bool, evicted: u64) {
    if first && kept {
        count(Counter::StrangerRecord(of, StrangerRecord::Recorded));
    }
    if !kept {
        count(Counter::StrangerRecord(of, StrangerRecord::Skipped));
    }
    if evicted > 0 {
        count_many(Counter::StrangerRecord(of, StrangerRecord::Evicted), evicted);
    }
}

/// Sets a gauge to the part that `used` is of `most`.
#[allow(clippy::cast_precision_loss)]
pub fn set_part(what: Gauge, used: u64, most: u64) {
    what.with(|handle| handle.set(used as f64 / most.max(1) as f64));
}

/// Sets a gauge. Numbers above 2^53 are rounded.
#[allow(clippy::cast_precision_loss)]
pub fn set(what: Gauge, value: u64) {
    what.with(|handle| handle.set(value as f64));
}

/// Adds to a gauge; a negative `by` subtracts.
#[allow(clippy::cast_precision_loss)]
pub fn shift(what: Gauge, by: i64) {
    what.with(|handle| handle.increment(by as f64));
}

/// Records a duration in a histogram.
pub fn observe(what: Timer, took: Duration) {
    what.with(|handle| handle.record(took));
}

/// Holds a gauge up by 1 until it is dropped, also by a panic.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Held(Gauge);

/// Adds 1 to a gauge until the returned value is dropped.
pub fn hold(what: Gauge) -> Held {
    what.with(|handle| handle.increment(1.0));
    Held(what)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.with(|handle| handle.decrement(1.0));
    }
}

/// Installs the recorder of this process and returns the handle that renders `/metrics`. Can be called once per
/// process; without it the functions above do nothing.
///
/// [`PrometheusHandle::run_upkeep`] must be called every few seconds, or the buffers of the histograms grow without
/// bound.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?
        .install_recorder()?;
    describe_all();
    start_at_zero();
    // A second call has failed above already.
    let _ = HANDLES.set(Handles::make());
    Ok(handle)
}

/// Registers unit and help text of every metric with the recorder.
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

/// The text of `/metrics`: the recorded metrics and those of the process.
pub fn render(recorded: &PrometheusHandle) -> String {
    let mut text = recorded.render();
    process::render(&mut text);
    text
}

fn start_at_zero() {
    let handles = Handles::make();
    // If a counter appeared with its first event, `rate` would miss that event.
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
