//! The report of a run: JSON for programs and for the page, a few lines for the terminal.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::report;
use crate::settings::Settings;
use crate::trial::{GroupTotals, Measured};
use crate::worker_commands::Group;

/// Budget of processor time per registration, as a multiple of the floor.
const CPU_BUDGET: f64 = 1.5;
/// Budget of memory per idle device, as a multiple of the floor.
const RSS_BUDGET: f64 = 0.35;

/// A condition that must hold on any machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

impl Check {
    /// A check with its outcome.
    pub fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

/// Everything that is reported.
pub struct Figures<'a> {
    /// Name of the scenario.
    pub scenario: String,
    /// The requested groups.
    pub groups: &'a [Group],
    /// The run against the brokers.
    pub broker: &'a Measured,
    /// The run against the floor.
    pub floor: Option<&'a Measured>,
    /// Checks.
    pub checks: Vec<Check>,
    /// Members specific to this subcommand.
    pub more: Value,
}

/// Prints and writes the report; an error if a check fails.
pub fn report(figures: &Figures<'_>, settings: &Settings) -> anyhow::Result<()> {
    let report = figures.json();
    figures.print();
    if let Some(file) = &settings.json {
        std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &settings.html {
        std::fs::write(file, report::page(&report)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed: Vec<&str> = figures.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    if !failed.is_empty() {
        bail!("does not hold: {}", failed.join("; "));
    }
    Ok(())
}

impl Figures<'_> {
    fn devices(&self) -> u64 {
        self.groups.iter().map(|group| group.devices as u64).sum()
    }

    /// The whole report.
    pub fn json(&self) -> Value {
        let mut report = measured(self.broker, self.devices());
        let floor = self.floor.map(|floor| measured(floor, self.devices()));
        if let Some(floor) = floor {
            let ratio = |name: &str| Some(report[name].as_f64()? / floor[name].as_f64()?);
            let ratio = json!({
                "cpu": ratio("server_cpu_us_per_registration"),
                "rss": ratio("rss_per_device_kib"),
            });
            report["ratio"] = ratio;
            report["floor"] = floor;
        }
        // Secrets of the command line must not reach the report.
        let command: Vec<String> = std::env::args().collect();
        report["command"] = hidden(&command).into();
        report["scenario"] = self.scenario.as_str().into();
        report["samples"] = self.broker.samples();
        let curve = self.broker.total.latencies.curve();
        report["percentiles"] =
            curve.into_iter().map(|(percentile, ms)| json!({"percentile": percentile, "ms": ms})).collect();
        report["checks"] = self
            .checks
            .iter()
            .map(|check| json!({"name": check.name, "ok": check.ok, "detail": check.detail}))
            .collect();
        report["groups"] =
            self.groups.iter().zip(&self.broker.groups).map(|(group, sum)| self::group(group, sum)).collect();
        if let (Value::Object(report), Value::Object(more)) = (&mut report, &self.more) {
            report.extend(more.clone());
        }
        report
    }

    fn print(&self) {
        self.print_one("broker", self.broker);
        if let Some(floor) = self.floor {
            self.print_one("floor", floor);
            let report = self.json();
            let ratio = |name: &str| report["ratio"][name].as_f64().unwrap_or(f64::NAN);
            let (cpu, rss) = (ratio("cpu"), ratio("rss"));
            println!("ratio   CPU {cpu:.2} (at most {CPU_BUDGET}), RSS {rss:.2} (at most {RSS_BUDGET})");
        }
        if self.groups.len() > 1 {
            for (group, sum) in self.groups.iter().zip(&self.broker.groups) {
                let [p50, p99] = [50.0, 99.0].map(|percent| sum.latencies.percentile(percent).unwrap_or(f64::NAN));
                let (name, registered) = (&group.name, sum.counts.registered);
                println!(
                    "group   {name}: {registered} registered, p50 {p50:.1} ms, p99 {p99:.1} ms, {} lost",
                    sum.lost
                );
            }
        }
        for check in &self.checks {
            let Check { name, ok, detail } = check;
            println!("{}  {name}: {detail}", if *ok { "ok    " } else { "FAILED" });
        }
    }

    fn print_one(&self, what: &str, run: &Measured) {
        let one = measured(run, self.devices());
        let figure = |name: &str| one[name].as_f64().map_or("-".to_owned(), |figure| format!("{figure:.1}"));
        println!(
            "{what:<7} {} of {} registered in {:.2} s: {}/s, p50 {} ms, p99 {} ms, max {} ms; {} attempts",
            run.total.counts.registered,
            run.total.counts.arrivals,
            run.seconds,
            figure("registrations_per_s"),
            figure("p50_ms"),
            figure("p99_ms"),
            figure("max_ms"),
            run.total.counts.attempts,
        );
        println!(
            "        {} us CPU per registration ({} us of the load), {} KiB per device, {} Redis commands",
            figure("server_cpu_us_per_registration"),
            figure("load_cpu_us_per_registration"),
            figure("rss_per_device_kib"),
            figure("redis_commands_per_registration"),
        );
        if run.total.counts.arrivals > self.devices() {
            println!(
                "        offered {} attempts/s, goodput {}/s over {:.1} s, p99 of those let in {} ms; {} came while busy",
                figure("offered_per_s"),
                figure("goodput_per_s"),
                run.lasted,
                figure("admitted_p99_ms"),
                run.total.counts.busy,
            );
        }
        for (failure, count) in run.total.failures.iter().chain(&run.total.wrong) {
            println!("        {count} x {failure}");
        }
    }
}

/// The command line without passwords and tokens.
fn hidden(arguments: &[String]) -> String {
    let mut shown = Vec::new();
    let mut secret = false;
    for argument in arguments {
        let name = argument.split('=').next().unwrap_or_default();
        let is_secret = matches!(name, "--password" | "--token" | "--store" | "--set");
        shown.push(match (secret, is_secret) {
            (true, _) => "…".to_owned(),
            (false, true) if argument.contains('=') => format!("{name}=…"),
            _ => argument.clone(),
        });
        secret = is_secret && !secret && !argument.contains('=');
    }
    if let Some(program) = shown.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    shown.join(" ")
}

// Exact: far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn measured(run: &Measured, devices: u64) -> Value {
    let (total, registered) = (&run.total, run.total.counts.registered as f64);
    let each = |sum: f64| if registered > 0.0 { Some(sum / registered) } else { None };
    let rate = if run.seconds > 0.0 { Some(registered / run.seconds) } else { None };
    json!({
        "devices": devices,
        "arrivals": total.counts.arrivals,
        "registered": total.counts.registered,
        "registered_again": total.counts.again,
        "lost": total.lost,
        "attempts": total.counts.attempts,
        "failed": total.counts.failed,
        "dropped": total.counts.dropped,
        "busy": total.counts.busy,
        "resumed": total.counts.resumed,
        "failures": total.failures,
        "seconds": run.seconds,
        "registrations_per_s": rate,
        "offered_per_s": if run.lasted > 0.0 { Some(total.counts.attempts as f64 / run.lasted) } else { None },
        "goodput_per_s": if run.lasted > 0.0 { Some(registered / run.lasted) } else { None },
        "p50_ms": total.latencies.percentile(50.0),
        "p90_ms": total.latencies.percentile(90.0),
        "p99_ms": total.latencies.percentile(99.0),
        "max_ms": total.latencies.longest(),
        "admitted_p50_ms": total.admitted.percentile(50.0),
        "admitted_p99_ms": total.admitted.percentile(99.0),
        "server_cpu_us_per_registration": run.cpu.and_then(|cpu| each(cpu * 1e6)),
        "load_cpu_us_per_registration": each(run.load_cpu * 1e6),
        "rss_per_device_kib": run.rss.map(|(before, after)| (after as f64 - before as f64) / 1024.0 / devices as f64),
        "rss_before_kib": run.rss.map(|(before, _)| before / 1024),
        "rss_after_kib": run.rss.map(|(_, after)| after / 1024),
        "redis_commands_per_registration": run.commands.and_then(|commands| each(commands as f64)),
    })
}

fn group(group: &Group, sum: &GroupTotals) -> Value {
    json!({
        "name": group.name,
        "devices": group.devices,
        "domains": group.paths.len(),
        "arrival": group.arrival.to_string(),
        "arrivals": sum.counts.arrivals,
        "registered": sum.counts.registered,
        "lost": sum.lost,
        "attempts": sum.counts.attempts,
        "failed": sum.counts.failed,
        "dropped": sum.counts.dropped,
        "p50_ms": sum.latencies.percentile(50.0),
        "p90_ms": sum.latencies.percentile(90.0),
        "p99_ms": sum.latencies.percentile(99.0),
        "max_ms": sum.latencies.longest(),
        "admitted_p99_ms": sum.admitted.percentile(99.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_no_secrets_of_the_command_line() {
        let arguments = ["/a/b/loadtest", "storm", "--token", "s3cret", "--password=s3cret", "--devices", "5"];
        let arguments = arguments.map(ToOwned::to_owned);
        assert_eq!(hidden(&arguments), "loadtest storm --token … --password=… --devices 5");
    }
}
