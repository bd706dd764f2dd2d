//! Metrics of this process from the kernel, under the names that Prometheus client libraries use.
//!
//! They are read from `/proc` at each scrape, so they cost nothing in between. A figure that cannot be read is left
//! out.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use metrics::Unit;

use super::{Kind, Metric};

/// Ticks per second in `/proc`: 100 on every Linux.
const TICKS: f64 = 100.0;

const fn metric(name: &'static str, kind: Kind, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind, unit, help, labels: &[] }
}

/// This part of the table.
pub(super) const TABLE: &[Metric] = &[
    metric("process_cpu_seconds_total", Kind::Counter, Unit::Seconds, "Processor time used by this process."),
    metric("process_resident_memory_bytes", Kind::Gauge, Unit::Bytes, "Resident memory of this process."),
    metric("process_virtual_memory_bytes", Kind::Gauge, Unit::Bytes, "Virtual memory of this process."),
    metric("process_threads", Kind::Gauge, Unit::Count, "Threads of this process."),
    metric("process_open_fds", Kind::Gauge, Unit::Count, "Open file descriptors; each connection takes one."),
    metric("process_max_fds", Kind::Gauge, Unit::Count, "Limit of open file descriptors."),
    metric("process_start_time_seconds", Kind::Gauge, Unit::Seconds, "Start of this process as Unix time."),
];

/// Appends the figures in the text format of Prometheus.
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

/// Times from `/proc/self/stat`, in ticks.
struct Times {
    /// Used by this process, in user and kernel mode.
    processor: f64,
    /// From the boot of the machine to the start of this process.
    started: f64,
}

impl Times {
    fn read(stat: &str) -> Option<Self> {
        // The name of the program stands in brackets and may contain any characters.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered as in proc(5): the state, after the brackets, is field 3.
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self { processor: ticks(14)? + ticks(15)?, started: ticks(22)? })
    }
}

/// The first number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Unix time of the boot of the machine.
fn booted() -> Option<f64> {
    field(&fs::read_to_string("/proc/stat").ok()?, "btime ")
}

fn open_descriptors() -> Option<f64> {
    let folder = Path::new("/proc/self/fd");
    // Newer kernels give the number as the size of the folder; with 100 000 connections, reading the folder takes a
    // while.
    let number = match fs::metadata(folder).ok()?.len() {
        // Reading the folder takes a descriptor itself.
        0 => fs::read_dir(folder).ok()?.count().saturating_sub(1),
        size => usize::try_from(size).ok()?,
    };
    // The number of descriptors is far below 2^53.
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
