//! The load test as operators use it: the built program, which starts brokers and a redis-server, over real sockets.
//!
//! Uses the broker's program beside the load test; `--workspace` builds both.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

fn broker() -> PathBuf {
    let broker = Path::new(LOADTEST).with_file_name("provbroker");
    assert!(broker.is_file(), "build the whole workspace: {} is missing", broker.display());
    broker
}

fn loadtest(arguments: &[&str]) -> Command {
    let mut command = Command::new(LOADTEST);
    command.args(arguments).arg("--broker").arg(broker()).stdin(Stdio::null());
    command
}

/// Runs it successfully and returns its JSON output.
fn run(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = loadtest(arguments).arg("--json").arg(&file).output().unwrap();
    assert_well(&output);
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
}

fn assert_well(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// Each name is present and a number.
fn assert_numbers(figures: &Value, names: &[&str]) {
    for name in names {
        assert!(figures[name].is_number(), "{name}: {figures:#}");
    }
}

fn assert_checks(figures: &Value, at_least: usize) {
    let checks = figures["checks"].as_array().unwrap();
    assert!(checks.len() >= at_least && checks.iter().all(|check| check["ok"] == true), "{checks:#?}");
}

const FIGURES: &[&str] = &[
    "devices",
    "registered",
    "lost",
    "seconds",
    "registrations_per_s",
    "p50_ms",
    "p99_ms",
    "server_cpu_us_per_registration",
    "load_cpu_us_per_registration",
    "rss_per_device_kib",
];

#[test]
fn a_storm_on_the_embedded_store_is_held_against_the_floor() {
    let figures = run(&["storm", "--devices", "50", "--store", "embedded", "--against", "floor", "--settle", "1s"]);
    assert_numbers(&figures, FIGURES);
    assert_numbers(&figures["floor"], FIGURES);
    // With so few devices processor time and memory may be too small to measure, so ratios may be missing.
    assert!(figures["ratio"].is_object());
    assert_eq!((figures["registered"].as_u64(), figures["lost"].as_u64()), (Some(50), Some(0)));
    assert!(figures["redis_commands_per_registration"].is_null());
    assert_checks(&figures, 5);
    let samples = figures["samples"].as_array().unwrap();
    assert_eq!(samples.last().unwrap()["registered"], 50);
    assert!(!figures["percentiles"].as_array().unwrap().is_empty());
    assert_eq!(figures["scenario"], "storm");
}

#[test]
fn a_storm_over_two_nodes_and_two_load_processes_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("three-domains.toml");
    let text = "kind = \"storm\"\ndevices = 50\narrival = \"poisson:200\"\ndomains = 3\nnodes = 2\nsettle = \"1s\"\n\
                set = [\"store.deadline=10s\"]";
    std::fs::write(&scenario, text).unwrap();
    let figures = run(&["storm", "--scenario", scenario.to_str().unwrap(), "--processes", "2"]);
    assert_numbers(&figures, FIGURES);
    assert_eq!((figures["registered"].as_u64(), figures["lost"].as_u64()), (Some(50), Some(0)));
    assert!(figures["redis_commands_per_registration"].as_f64().unwrap() >= 1.0, "{figures:#}");
    assert_eq!(figures["groups"][0]["domains"], 3);
    assert_eq!(figures["scenario"], "three-domains");
    assert_checks(&figures, 5);
}

#[test]
fn devices_come_and_go() {
    let figures = run(&["steady", "--devices", "20", "--rate", "40", "--for", "1s", "--store", "embedded"]);
    assert_eq!(figures["arrivals"], 40);
    assert_eq!(figures["registered"].as_u64().unwrap() + figures["busy"].as_u64().unwrap(), 40);
    assert_numbers(&figures, &["admitted_p99_ms", "goodput_per_s", "offered_per_s"]);
    assert_checks(&figures, 3);
}

#[test]
fn three_devices_race_for_each_code() {
    let figures = run(&["rollout", "--codes", "20", "--race", "3", "--domains", "2", "--set", "store.deadline=10s"]);
    assert_eq!(figures["devices"], 60);
    assert_eq!((figures["registered"].as_u64(), figures["lost"].as_u64()), (Some(20), Some(0)));
    assert_eq!(figures["notices"], 20);
    assert_checks(&figures, 4);
}

/// A program that is killed if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Process ids of the children.
fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of =
        |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("children")).ok();
    tasks.filter_map(of).flat_map(|list| list.split(' ').filter_map(|n| n.parse().ok()).collect::<Vec<_>>()).collect()
}

#[test]
fn an_interrupt_ends_everything_that_was_started() {
    let program = loadtest(&["steady", "--devices", "20", "--for", "1h", "--rate", "10"]);
    let mut program = { program }.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Running).unwrap();
    let id = program.0.id();
    // A redis-server, a broker and a load process.
    while children(id).len() < 3 {
        assert!(program.0.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let started = children(id);
    assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
    assert_eq!(program.0.wait().unwrap().code(), Some(1));
    let left: Vec<_> = started.iter().filter(|id| Path::new(&format!("/proc/{id}/stat")).exists()).collect();
    assert!(left.is_empty(), "{left:?} of {started:?} are still there");
}
