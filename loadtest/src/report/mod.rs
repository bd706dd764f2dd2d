//! The report of a storm as one self-contained HTML page: no network, no other file.
//!
//! It shows the figures of a report unchanged, measures nothing, and judges only by the budgets in `tiles`. Any
//! member of a report may be missing; then its part of the page is left out.

mod axis;
mod plot;
mod plots;
mod read;
mod tables;
mod tiles;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::Value;

use read::{joined, number, plain, seconds, text};

#[derive(Args)]
pub struct Arguments {
    /// JSON report of a storm
    report: PathBuf,
    /// Where to write the page
    #[arg(long)]
    html: PathBuf,
}

/// Writes the page of an existing report.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { report, html } = arguments;
    let read = fs::read(report).with_context(|| format!("cannot read {}", report.display()))?;
    let value: Value = serde_json::from_slice(&read).with_context(|| format!("{} is not JSON", report.display()))?;
    ensure!(value.is_object(), "{} is not a report: no object", report.display());
    fs::write(html, page(&value)).with_context(|| format!("cannot write {}", html.display()))
}

/// The page of a report: one HTML document.
pub fn page(report: &Value) -> String {
    let scenario = text(report, "scenario").unwrap_or_else(|| "Load test".to_owned());
    let (class, shape, verdict) = verdict(report);
    let plots = Some(joined(plots::all(report))).filter(|plots| !plots.is_empty());
    let parts = [
        section("How it went", plots.map(|plots| format!("<div class=\"plots\">{plots}</div>"))),
        section("Checks", tables::checks(report)),
        section("Groups", tables::groups(report)),
        section("Beside the floor", tables::floor(report)),
        section("Run it again", text(report, "command").map(|command| format!("<pre><code>{command}</code></pre>"))),
        section("Figures of the plots", data(report)),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src '{}'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{scenario} – provbroker load test</title>\n<style>\n{}</style>\n</head>\n<body>\n{}\n<main>\n\
         <header><p class=\"over\">provbroker load test</p><h1>{scenario}</h1>\n\
         <p class=\"sentence {class}\">{}<span>{verdict}</span></p></header>\n{}{}</main>\n<script>{}</script>\n\
         </body>\n</html>\n",
        script_hash(),
        include_str!("style.css"),
        tiles::SIGNS,
        tiles::sign(shape),
        tiles::section(report),
        joined(parts.into_iter().flatten()),
        SCRIPT,
    )
}

const SCRIPT: &str = include_str!("hover.js");

/// Hash of the page's script for its content security policy: no other script may run.
fn script_hash() -> String {
    use base64::Engine as _;
    use sha2::Digest as _;

    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(SCRIPT)))
}

fn section(title: &str, inside: Option<String>) -> Option<String> {
    inside.map(|inside| format!("<section><h2>{title}</h2>\n{inside}</section>\n"))
}

fn data(report: &Value) -> Option<String> {
    let tables = [("Samples", tables::samples(report)), ("Percentiles", tables::percentiles(report))];
    let tables = tables.into_iter().filter_map(|(name, table)| {
        table.map(|table| format!("<details><summary>{name}</summary>\n{table}</details>\n"))
    });
    Some(joined(tables)).filter(|tables| !tables.is_empty())
}

/// The result in one sentence, with its class and sign.
fn verdict(report: &Value) -> (&'static str, &'static str, String) {
    let figure = |member| number(report, member);
    let (devices, registered, lost) = (figure("devices"), figure("registered"), figure("lost"));
    let time = figure("seconds").map_or_else(String::new, |time| format!(" in {}", seconds(time)));
    let missing = devices.zip(registered).map(|(devices, registered)| devices - registered);
    let of_all = devices.map_or_else(String::new, |devices| format!(" of {}", plain(devices)));
    let all = devices.or(registered).map(plain);
    let (good, devices) = match (lost, missing, all) {
        (Some(lost), ..) if lost > 0.0 => (Some(false), format!("{}{of_all} devices lost{time}", plain(lost))),
        (lost, Some(missing), _) if missing > 0.0 => {
            let none = if lost.is_some() { ", none counted as lost" } else { "" };
            (Some(false), format!("{}{of_all} devices not registered{time}{none}", plain(missing)))
        }
        (Some(_), Some(_), Some(all)) => (Some(true), format!("All {all} devices registered{time}, none lost")),
        (None, Some(_), Some(all)) => (Some(true), format!("All {all} devices registered{time}")),
        (Some(_), None, Some(all)) => (Some(true), format!("No device lost of {all}{time}")),
        (Some(_), ..) => (Some(true), format!("No device lost{time}")),
        (None, None, _) => (None, "The report does not say how many devices came in".to_owned()),
        (None, Some(_), None) => (None, String::new()),
    };
    let (held, budgets) = tiles::held(report);
    let (failed, checks) = tables::failed_checks(report);
    let budgets_held = if budgets > 0 { format!("; {held} of {budgets} budgets held") } else { String::new() };
    let checks_failed = match (checks, failed) {
        (0, _) => String::new(),
        (_, 0) => format!("; none of {checks} checks failed"),
        _ => format!("; {failed} of {checks} checks failed"),
    };
    let (class, sign) = match good {
        Some(_) if failed > 0 => ("wrong", "missed"),
        Some(false) => ("wrong", "missed"),
        None => ("", "unknown"),
        Some(true) if held < budgets => ("near", "near"),
        Some(true) => ("ok", "held"),
    };
    (class, sign, format!("{devices}{budgets_held}{checks_failed}."))
}

#[cfg(test)]
mod tests;
