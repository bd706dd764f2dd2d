//! Every metric that the broker has, in one table; nothing else in the crate knows a name.
//!
//! What is counted is a value of [`Counter`], [`Gauge`] or [`Timer`], its labels are enums (`labels.rs`). So the number of
//! series is known when the program is compiled, and no hardware id, code or address can become a label.

mod labels;

use std::time::Duration;

use metrics::{KeyName, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::core::close::Close;

pub use self::labels::{
    Admission, Attempt, CodeEvent, GateName, Handshake, InitAnswer, Label, ListingEvent, NoticeEvent, Peer, Refusal, Registration, StoreOp,
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

/// Declares one enum of events and its part of the table: variant, optional label enum, name, unit, description.
macro_rules! table {
    ($(#[$of:meta])* $name:ident $kind:ident $make:ident {
        $($variant:ident $(($label:ident))? = $metric:literal $unit:ident $help:literal,)*
    }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $(#[doc = $help] $variant $(($label))?,)* }

        impl $name {
            /// This part of the table.
            pub const TABLE: &'static [Metric] = &[$(Metric {
                name: concat!("provbroker_", $metric),
                kind: Kind::$kind,
                unit: Unit::$unit,
                help: $help,
                labels: &[$(($label::KEY, $label::VALUES))?],
            },)*];

            /// Every series, so that each is there with 0 from the start.
            fn series() -> Vec<Self> {
                let mut all = Vec::new();
                $(table!(@series all $variant $($label)?);)*
                all
            }

            fn handle(self) -> metrics::$kind {
                match self {
                    $(table!(@pattern $variant label $($label)?) => table!(@metric $make $metric label $($label)?),)*
                }
            }
        }
    };
    (@series $all:ident $variant:ident) => { $all.push(Self::$variant) };
    (@series $all:ident $variant:ident $label:ident) => { $all.extend($label::ALL.iter().copied().map(Self::$variant)) };
    (@pattern $variant:ident $bound:ident) => { Self::$variant };
    (@pattern $variant:ident $bound:ident $label:ident) => { Self::$variant($bound) };
    (@metric $make:ident $metric:literal $bound:ident) => { metrics::$make!(concat!("provbroker_", $metric)) };
    (@metric $make:ident $metric:literal $bound:ident $label:ident) => {
        metrics::$make!(concat!("provbroker_", $metric), $label::KEY => $bound.as_str())
    };
}

table! {
    /// What is counted.
    Counter Counter counter {
        Accepted(Peer) = "connections_accepted_total" Count "WebSocket connections accepted.",
        Refused(Refusal) = "connections_refused_total" Count "Connections refused before or instead of the upgrade.",
        TlsHandshake(Handshake) = "tls_handshakes_total" Count "TLS handshakes on the public listener, by how they ended.",
        Registered(Registration) = "registrations_total" Count "What became of identify messages and challenges.",
        DeviceClosed(Close) = "device_closes_total" Count "Device connections ended, by reason.",
        AppClosed(Close) = "app_closes_total" Count "App connections ended, by reason.",
        Dropped = "messages_dropped_total" Count "Messages of devices that were dropped: unknown type, event or tunnel session.",
        WrongAttempt(Attempt) = "wrong_attempts_total" Count "Wrong digests, codes, tokens and log-ins that count against a limit.",
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
    }
}

table! {
    /// What goes up and down.
    Gauge Gauge gauge {
        Connections(Peer) = "connections" Count "WebSocket connections open.",
        Members = "members" Count "Devices that are members and connected to this node.",
        Unassigned = "unassigned" Count "Devices without a domain that are connected to this node.",
        UsersConnections = "users_connections" Count "Connections to this node that act as Users.",
        DomainActors = "domain_actors" Count "Domain actors alive on this node.",
        MailboxDepth = "mailbox_depth" Count "Notices that wait, over all domains of this node.",
        ListingsOpen = "directory_codes_open" Count "Open codes of the own directory; guessing gets easier with their number.",
        Waiting(GateName) = "admission_waiting" Count "Those who wait at a gate now.",
        UnderWay(GateName) = "admission_under_way" Count "Those who have passed a gate and are not done yet.",
        AdmissionLimit(GateName) = "admission_limit" Count "How many a gate lets be under way at present.",
        StoreUp = "store_up" Count "1 if the store answered the last time it was asked, else 0.",
        Ready = "ready" Count "1 if /readyz says yes, else 0.",
        StartTime = "start_time_seconds" Seconds "Unix time of the start of this process.",
    }
}

table! {
    /// What is timed.
    Timer Histogram histogram {
        Registration = "registration_seconds" Seconds "From the upgrade of a device connection to membership.",
        CodeIssue = "code_issue_seconds" Seconds "From `GetProvisioningCode` to its result.",
        Store(StoreOp) = "store_seconds" Seconds "Store operations, waiting for a connection included.",
        Waited(GateName) = "admission_wait_seconds" Seconds "How long those waited who were admitted after waiting.",
        Init = "directory_init_seconds" Seconds "From a request at /init to its answer.",
    }
}

/// The name of the metric that carries the version as a label, with the value 1.
const BUILD_INFO: Metric = Metric {
    name: "provbroker_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    help: "Always 1; the label says which version runs.",
    labels: &[("version", &[env!("CARGO_PKG_VERSION")])],
};

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    Counter::TABLE.iter().chain(Gauge::TABLE).chain(Timer::TABLE).chain(std::iter::once(&BUILD_INFO))
}

/// Adds one.
pub fn count(what: Counter) {
    what.handle().increment(1);
}

/// Adds `many`.
pub fn count_many(what: Counter, many: u64) {
    what.handle().increment(many);
}

/// Sets a gauge. Numbers above 2^53 lose their last digits.
#[allow(clippy::cast_precision_loss)]
pub fn set(what: Gauge, value: u64) {
    what.handle().set(value as f64);
}

/// Moves a gauge up or down.
#[allow(clippy::cast_precision_loss)]
pub fn shift(what: Gauge, by: i64) {
    what.handle().increment(by as f64);
}

/// Records a time.
pub fn observe(what: Timer, took: Duration) {
    what.handle().record(took);
}

/// Counts something into a gauge for as long as this value lives, panics included.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Held(Gauge);

/// Counts one more of `what` until the returned value is dropped.
pub fn hold(what: Gauge) -> Held {
    what.handle().increment(1.0);
    Held(what)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.handle().decrement(1.0);
    }
}

/// Makes this process record, and returns what renders `/metrics`. Once per process; without it everything above is a no-op.
/// `started` is the Unix time of the start in seconds.
///
/// [`PrometheusHandle::run_upkeep`] has to be called every few seconds, or what histograms buffer grows without end.
pub fn install(started: u64) -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?
        .install_recorder()?;
    describe_all();
    start_at_zero(started);
    Ok(handle)
}

/// Gives the recorder unit and description of every metric.
pub fn describe_all() {
    for metric in all() {
        let name = KeyName::from_const_str(metric.name);
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(name, metric.unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(name, metric.unit, metric.help),
        }
    }
}

fn start_at_zero(started: u64) {
    // A rate over a counter that appears with its first event misses that event.
    for counter in Counter::series() {
        counter.handle().absolute(0);
    }
    for gauge in Gauge::series() {
        gauge.handle().set(0.0);
    }
    for timer in Timer::series() {
        // Registered by being asked for; nothing is recorded.
        drop(timer.handle());
    }
    set(Gauge::StartTime, started);
    metrics::gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    use std::fmt::Write as _;

    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in all() {
        let labels: Vec<_> =
            metric.labels.iter().map(|(key, values)| format!("`{key}`: {}", values.join(", "))).collect();
        let labels = if metric.name == BUILD_INFO.name { "`version`".into() } else { labels.join("; ") };
        let kind = format!("{:?}", metric.kind).to_lowercase();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let mut names: Vec<_> = all().map(|metric| metric.name).collect();
        names.sort_unstable();
        let many = names.len();
        names.dedup();
        assert_eq!(names.len(), many);
        for metric in all() {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn every_series_is_there_from_the_start_and_no_more_appear() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
            .unwrap()
            .build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_all();
            start_at_zero(1_767_225_600);
            let before = handle.render();
            for metric in all().filter(|metric| metric.kind != Kind::Histogram) {
                assert!(before.contains(&format!("\n# TYPE {} ", metric.name)), "{}: {before}", metric.name);
            }
            assert!(before.contains("provbroker_start_time_seconds 1767225600"), "{before}");

            count(Counter::Refused(Refusal::TooMany));
            let held = hold(Gauge::Connections(Peer::Device));
            observe(Timer::Store(StoreOp::Enter), Duration::from_millis(3));
            handle.run_upkeep();
            let after = handle.render();
            assert!(after.contains("provbroker_connections_refused_total{reason=\"too_many\"} 1"), "{after}");
            assert!(after.contains("provbroker_connections{peer=\"device\"} 1"), "{after}");
            assert!(after.contains("provbroker_store_seconds_bucket{operation=\"enter\",le=\"0.005\"} 1"), "{after}");
            drop(held);
            assert!(handle.render().contains("provbroker_connections{peer=\"device\"} 0"));
        });
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = include_str!("../README.md");
        let (_, rest) = readme.split_once("<!-- metrics:").unwrap();
        let table = rest.split_once("-->\n").unwrap().1.split_once("<!-- /metrics -->").unwrap().0;
        assert_eq!(table, markdown(), "put the output of `provbroker metrics-table` into README.md");
    }
}
