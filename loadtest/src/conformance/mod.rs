//! `loadtest conformance`: plays devices and apps against any server and says which rules of `docs/protocol` hold.
//!
//! What is expected stands in these files and in `docs/protocol/rules.md`. Nothing of the broker judges: messages,
//! digests and ciphers are written here again, from the texts.

mod app;
mod app_login;
mod appwebsocket;
mod crypto;
mod device;
mod devices_api;
mod directory;
mod finding;
mod kit;
mod report;
mod rules;
mod socket;
mod sysclient;
mod target;
mod tunnel;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout};

use finding::{Findings, Unexpected, Verdict};
use kit::{Check, Given, Kit};
use report::{NOT_OBSERVED, Report};

/// Checks that run at the same time.
const AT_ONCE: usize = 12;

/// Longest time of one check.
const CHECK_TIME: Duration = Duration::from_secs(50);

/// Longest time of the whole run.
const RUN_TIME: Duration = Duration::from_secs(110);

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    given: Given,
    /// Only rules whose id begins like this, such as sysclient-3.2; may be repeated
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Print the rules and how each is checked, and do nothing else
    #[arg(long)]
    list: bool,
    /// Write the verdicts to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All checks; the slow ones first, so that the others run meanwhile.
fn checks() -> impl Iterator<Item = &'static Check> {
    let parts = [
        sysclient::SLOW,
        appwebsocket::SLOW,
        sysclient::CHECKS,
        tunnel::CHECKS,
        app_login::CHECKS,
        appwebsocket::CHECKS,
        devices_api::CHECKS,
        directory::CHECKS,
    ];
    parts.into_iter().flatten()
}

/// Runs the checks and prints the verdicts. The exit code is that of [`Report::exit_code`].
pub async fn run(arguments: &Arguments) -> ExitCode {
    match judge(arguments).await {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            NOT_OBSERVED.into()
        }
    }
}

async fn judge(arguments: &Arguments) -> anyhow::Result<u8> {
    let wanted =
        |id: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| id.starts_with(only.as_str()));
    let mut rules = rules::rules();
    rules.retain(|rule| wanted(rule.id));
    anyhow::ensure!(!rules.is_empty(), "no rule has an id that begins with {}", arguments.only.join(" or "));
    if arguments.list {
        for rule in &rules {
            let how = if rule.is_checked() { "conformance".into() } else { rule.tests.replace('`', "") };
            println!("{:<20} {:<6} {} ({how})", rule.id, rule.mark, rule.sentence.replace('`', ""));
        }
        return Ok(0);
    }
    let start = Instant::now();
    let kit = Kit::new(&arguments.given).await.context("nothing can be judged")?;
    let chosen = checks().filter(|check| check.rules.iter().any(|id| wanted(id)));
    let mut verdicts = BTreeMap::new();
    let mut running = futures_util::stream::iter(chosen.map(|check| one(&kit, check))).buffer_unordered(AT_ONCE);
    let until = start + RUN_TIME;
    while let Ok(Some(found)) = tokio::time::timeout_at(until, running.next()).await {
        verdicts.extend(found.into_iter().filter(|(id, _)| wanted(id)));
    }
    drop(running);
    for rule in rules.iter().filter(|rule| rule.is_checked()) {
        let late = || Verdict::NotObserved(format!("the run has taken {} s", RUN_TIME.as_secs()));
        verdicts.entry(rule.id).or_insert_with(late);
    }
    let report = Report::new(rules, verdicts, start.elapsed().as_secs_f64());
    print!("{}", report.text());
    println!("devices that were made in {}: {}", kit.domain, kit.made.borrow().join(" "));
    if let Some(file) = &arguments.json {
        let text = format!("{:#}\n", report.json());
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report.exit_code())
}

/// The verdicts of one check.
async fn one(kit: &Kit, check: &'static Check) -> BTreeMap<&'static str, Verdict> {
    if let Some(reason) = check.needs.iter().find_map(|&need| kit.missing(need)) {
        return check.rules.iter().map(|&id| (id, Verdict::Skipped(reason.into()))).collect();
    }
    let mut findings = Findings::default();
    let end = timeout(CHECK_TIME, (check.run)(kit, &mut findings)).await;
    let end = end.unwrap_or_else(|_| Err(Unexpected(format!("the check has taken {} s", CHECK_TIME.as_secs()))));
    findings.finish(check.rules, end)
}
