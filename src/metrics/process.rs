//! What the kernel says of this process, under the names that every Prometheus client library gives it.
//!
//! Read from `/proc` at each scrape, not recorded: a figure that nobody asks for costs nothing. What cannot be read is left out.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use metrics::Unit;

use super::{Kind, Metric};

/// Ticks of the kernel's clock in a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

const fn metric(name: &'static str, kind: Kind, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind, unit, help, labels: &[] }
}

/// This part of the table.
pub(super) const TABLE: &[Metric] = &[
    metric("process_cpu_seconds_total", Kind::Counter, Unit::Seconds, "Processor time of this process."),
    metric("process_resident_memory_bytes", Kind::Gauge, Unit::Bytes, "Memory of this process that is in RAM."),
    metric("process_virtual_memory_bytes", Kind::Gauge, Unit::Bytes, "Addresses that this process has mapped."),
    metric("process_threads", Kind::Gauge, Unit::Count, "Threads of this process."),
    metric("process_open_fds", Kind::Gauge, Unit::Count, "Open file descriptors; each connection is one."),
    metric("process_max_fds", Kind::Gauge, Unit::Count, "File descriptors that this process may have open."),
    metric("process_start_time_seconds", Kind::Gauge, Unit::Seconds, "Unix time of the start of this process."),
];

/// Adds the figures in the text format of Prometheus.
pub(super) fn render(text: &mut String) {
    let figures = read();
    for (metric, value) in TABLE.iter().zip(figures).filter_map(|(metric, value)| Some((metric, value?))) {
        let Metric { name, help, kind, .. } = metric;
        let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    }
}

/// The figures in the order of [`TABLE`].
fn read() -> [Option<f64>; 7] {
    let file = |name: &str| fs::read_to_string(Path::new("/proc/self").join(name)).unwrap_or_default();
    let (stat, status, limits) = (file("stat"), file("status"), file("limits"));
    let times = Times::read(&stat);
    [
        times.as_ref().map(|times| times.processor / TICKS),
        field(&status, "VmRSS:").map(|kib| kib * 1024.0),
        field(&status, "VmSize:").map(|kib| kib * 1024.0),
        field(&status, "Threads:"),
        open_descriptors(),
        field(&limits, "Max open files"),
        times.zip(booted()).map(|(times, booted)| booted + times.started / TICKS),
    ]
}

/// Ticks from `stat`.
struct Times {
    /// Used by this process, in user and kernel mode.
    processor: f64,
    /// From the start of the machine to that of this process.
    started: f64,
}

impl Times {
    fn read(stat: &str) -> Option<Self> {
        // The name of the program, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // As numbered in proc(5): the state, behind the brackets, is field 3.
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self { processor: ticks(14)? + ticks(15)?, started: ticks(22)? })
    }
}

/// The first number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Unix time of the start of the machine.
fn booted() -> Option<f64> {
    field(&fs::read_to_string("/proc/stat").ok()?, "btime ")
}

fn open_descriptors() -> Option<f64> {
    let folder = Path::new("/proc/self/fd");
    // Newer kernels say the number as the size of the folder; with 100 000 connections, reading it takes a while.
    let number = match fs::metadata(folder).ok()?.len() {
        // The one for reading the folder counts itself.
        0 => fs::read_dir(folder).ok()?.count().saturating_sub(1),
        size => usize::try_from(size).ok()?,
    };
    // The greatest number of descriptors is far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    Some(number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_of_it() {
        let figures = read().map(|figure| figure.expect("the kernel says it"));
        let [cpu, resident, virtual_size, threads, open, most, started] = figures;
        assert!(cpu >= 0.0 && resident > 0.0 && virtual_size >= resident && threads >= 1.0);
        assert!(open >= 3.0 && open <= most, "{open} of {most}");
        assert!(started > 1_600_000_000.0);

        let mut text = String::new();
        render(&mut text);
        for metric in TABLE {
            assert!(text.contains(&format!("\n{} ", metric.name)), "{text}");
        }
    }

    #[test]
    fn an_open_file_is_counted() {
        let before = open_descriptors().unwrap();
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests of this process open and close some, too, but not as many.
        assert!(open_descriptors().unwrap() > before + 25.0);
        drop(files);
    }

    #[test]
    fn the_name_of_the_program_may_hold_brackets() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 150 13 14 15 16 17 18 4711 20";
        let times = Times::read(stat).unwrap();
        assert!((times.processor - 400.0).abs() < f64::EPSILON && (times.started - 4711.0).abs() < f64::EPSILON);
        assert!(Times::read("7 (a").is_none());
    }
}
