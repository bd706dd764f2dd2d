//! The process metrics of the kernel, under the names that all Prometheus client libraries use.
//!
//! Read from `/proc` at each scrape instead of being recorded, so they cost nothing between scrapes. A value that
//! cannot be read is left out.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use metrics::Unit;
use procfs::process::{LimitValue, Process};

use super::{Kind, Metric};

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
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let stat = stat.as_ref();
    let ticks_per_second = float(procfs::ticks_per_second());
    let started = stat.map(|stat| float(stat.starttime) / ticks_per_second);
    [
        stat.map(|stat| float(stat.utime.saturating_add(stat.stime)) / ticks_per_second),
        stat.map(|stat| float(stat.rss.saturating_mul(procfs::page_size()))),
        stat.map(|stat| float(stat.vsize)),
        stat.and_then(|stat| u64::try_from(stat.num_threads).ok()).map(float),
        open_descriptors(),
        process.as_ref().and_then(descriptor_limit).map(float),
        started.zip(procfs::boot_time_secs().ok()).map(|(started, booted)| float(booted) + started),
    ]
}

/// Processor ticks, bytes and numbers of descriptors stay far below 2^53, up to which this is exact.
#[allow(clippy::cast_precision_loss)]
const fn float(number: u64) -> f64 {
    number as f64
}

fn descriptor_limit(process: &Process) -> Option<u64> {
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

/// Not `Process::fd_count`: on kernels before 6.2 it also counts `.`, `..` and the descriptor that it reads the folder
/// with.
fn open_descriptors() -> Option<f64> {
    let folder = Path::new("/proc/self/fd");
    // Newer kernels report the number as the size of the folder; with 100 000 connections, reading it takes a while.
    let number = match fs::metadata(folder).ok()?.len() {
        0 => u64::try_from(fs::read_dir(folder).ok()?.count()).ok()?.saturating_sub(1),
        size => size,
    };
    Some(float(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_of_it() {
        let figures = read().map(|figure| figure.expect("the kernel reports it"));
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
}
