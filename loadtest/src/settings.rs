//! Settings of a run: command line over scenario file over defaults, with the same keys.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;

#[cfg(test)]
mod tests;

/// A time such as `2s` or `500ms`; a number alone is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse() {
            return Duration::try_from_secs_f64(seconds).map(Self).map_err(|error| error.to_string());
        }
        humantime::parse_duration(text).map(Self).map_err(|error| error.to_string())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// The subcommand that a scenario file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `loadtest storm`
    Storm,
    /// `loadtest steady`
    Steady,
    /// `loadtest mixed`
    Mixed,
    /// `loadtest rollout`
    Rollout,
}

/// What a broker is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// An empty actor on `ws::start`
    Floor,
}

/// All settings; no subcommand needs every one.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Number of devices [default: 1000]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<usize>,
    #[arg(
        long,
        help = "at-once, constant:RATE, poisson:RATE or ramp:FROM-TO:SECONDS, in devices per second \
                        [default: at-once]"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival: Option<Arrival>,
    /// Delay before a refused or closed device comes back [default: 2s]
    #[arg(long = "return", value_name = "TIME")]
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub return_after: Option<Span>,
    /// Number of domains [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<usize>,
    /// Brokers on one Redis [default: as many as the descriptor limit requires]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<usize>,
    /// Load processes [default: as many as the descriptor limit requires]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// Worker threads of each server [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Measure the floor server too, in the same run
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// Pause between last registration and memory measurement [default: 15s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<Span>,
    /// Longest time of the run after the last arrival [default: 120s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Span>,
    /// steady: arrivals per second [default: 500]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// steady: duration [default: 30s]
    #[arg(long = "for", value_name = "TIME")]
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Span>,
    #[arg(
        long,
        value_name = "TIME",
        help = "steady: a device leaves this long after it has registered \
                                             [default: half the time until its next turn]"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stay: Option<Span>,
    /// rollout: number of codes [default: 100]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// rollout: devices that type each code [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub race: Option<usize>,
    /// Seed of arrivals [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[arg(long, help = "embedded, redis://… or another store of provbroker [default: a redis-server of its own]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Program of the broker [default: the one beside this program]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<PathBuf>,
    /// Further configuration of the brokers, such as store.deadline=1s; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    #[arg(long, help = "A broker that runs already, such as 127.0.0.1:8080; nothing is started [default: none]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Use TLS; our own brokers get a certificate created at start
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Resume the TLS sessions of the entry
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_resume: bool,
    /// With --url and --tls: PEM file with the certificate to trust
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// With --url: domain to enter
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// With --url: token of automatic provisioning of that domain
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// With --url: password of that domain, to ask for codes
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// With --url: category to enter [default: phones]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<PathBuf>,
    /// Write an HTML page with the figures to this file
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<PathBuf>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSettings>,
}

/// A group of `loadtest mixed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupSettings {
    /// Name in the report.
    pub name: String,
    /// Number of devices.
    pub devices: usize,
    /// Number of its own domains.
    #[serde(default = "one")]
    pub domains: usize,
    /// Arrival of its devices.
    pub arrival: Arrival,
    /// Number of arrivals; if more than devices, they take turns.
    pub arrivals: Option<usize>,
    /// Delay of the first arrival.
    pub after: Option<Span>,
    /// Time between registering and leaving.
    pub stay: Option<Span>,
    /// Last octet of the first and last source address 127.0.0.x.
    pub sources: Option<(u8, u8)>,
}

const fn one() -> usize {
    1
}

/// The command line of a subcommand.
#[derive(Debug, Args)]
pub struct Arguments {
    /// File with the same settings; the command line takes precedence
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

impl Arguments {
    /// Command line over scenario file.
    pub fn settings(&self, kind: Kind) -> anyhow::Result<Settings> {
        let Some(file) = &self.scenario else { return Ok(self.settings.clone()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        overlay(&text, &self.settings, kind).with_context(|| file.display().to_string())
    }
}

fn overlay(text: &str, over: &Settings, kind: Kind) -> anyhow::Result<Settings> {
    let scenario: Settings = toml::from_str(text)?;
    if scenario.kind.is_some_and(|its| its != kind) {
        bail!("it is for another subcommand");
    }
    let mut table: toml::Table = toml::from_str(text)?;
    table.extend(toml::Table::try_from(over)?);
    Ok(table.try_into()?)
}

impl Settings {
    /// The configured devices, or the default.
    pub fn devices(&self) -> usize {
        self.devices.unwrap_or(1000)
    }

    /// The broker's program.
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        match &self.broker {
            Some(program) => Ok(program.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("provbroker")),
        }
    }

    /// A time, or its default in seconds.
    pub fn time(of: Option<Span>, default: u64) -> Duration {
        of.map_or(Duration::from_secs(default), |span| span.0)
    }

    /// The name of the scenario in the report.
    pub fn title(scenario: Option<&Path>, kind: &str) -> String {
        scenario.and_then(Path::file_stem).map_or_else(|| kind.to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}
