//! The commands `jobs`, `builds` and `outcomes`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::CtlError;
use super::call::{Body, Call, Column, Files, Limit, List, Show, text};
use crate::core::policy::jobs::config::Kind;

const JOBS: &[Column] = &[
    ("id", "id"),
    ("created", "created"),
    ("category", "category"),
    ("desc", "desc"),
    ("products", "update.products"),
    ("hours", "update.hours.allow"),
    ("kind", "config.kind"),
    ("values", "config.values"),
];

const OUTCOMES: &[Column] = &[
    ("hwId", "hwId"),
    ("online", "online"),
    ("what", "work.what"),
    ("job", "work.job"),
    ("state", "work.state"),
    ("attempts", "work.attempts"),
    ("at", "work.at"),
    ("reason", "work.reason"),
];

/// Jobs of a domain.
#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// List jobs, oldest first
    List,
    /// Show a job
    Get(Job),
    /// Make an update job
    Update {
        #[command(flatten)]
        target: Target,
        /// File with a build list (JSON) [default: the build list of the domain]
        #[arg(long, value_name = "FILE")]
        builds: Option<PathBuf>,
        /// Hours of the day in which devices may be updated, separated by commas [default: always]
        #[arg(long, value_name = "HOURS", value_delimiter = ',')]
        hours: Vec<u8>,
        /// Offset of these hours from UTC, in minutes
        #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, default_value_t = 0, requires = "hours")]
        utc_offset: i16,
    },
    /// Make a configuration job
    Config {
        #[command(flatten)]
        target: Target,
        /// Description, for people
        #[arg(long, value_name = "TEXT")]
        desc: Option<String>,
        /// Kind of configuration: ntp, sip, …
        kind: String,
        /// Parameters: NAME=TEXT, or NAME:=VALUE for numbers, true and false
        #[arg(value_name = "PARAMETER")]
        parameters: Vec<String>,
        /// File with a JSON object of parameters, for secrets and long texts; -: standard input
        #[arg(long, value_name = "FILE")]
        values: Option<PathBuf>,
    },
    /// Delete a job; the job before it applies again
    Delete(Job),
}

/// Argument that selects a job.
#[derive(Debug, Args)]
pub struct Job {
    /// Number
    id: u64,
}

/// Devices that a job applies to.
#[derive(Debug, Args)]
pub struct Target {
    /// Only devices of this category (number) [default: every device of the domain]
    #[arg(long, value_name = "ID")]
    category: Option<u64>,
}

impl Jobs {
    pub(super) fn call(&self, files: &dyn Files) -> Result<Call, CtlError> {
        let one = |method, job: &Job, show| Call::new(method, "/domains/{domain}/jobs/{job}", show).at("job", &job.id);
        Ok(match self {
            Self::List => Call::new("GET", "/domains/{domain}/jobs", List::whole("jobs", JOBS)),
            Self::Get(job) => one("GET", job, Show::Thing),
            Self::Update { target, builds, hours, utc_offset } => {
                let builds = builds.as_deref().map(|file| {
                    let text = text(files, file)?;
                    serde_json::from_str::<Value>(&text)
                        .map_err(|error| CtlError::Arguments(format!("{}: {error}", file.display())))
                });
                let hours = (!hours.is_empty()).then(|| json!({"allow": hours, "utcOffset": utc_offset}));
                Call::new("POST", "/domains/{domain}/update-jobs", Show::Thing).json([
                    ("category", target.category.map(Into::into)),
                    ("builds", builds.transpose()?),
                    ("hours", hours),
                ])
            }
            Self::Config { target, desc, kind, parameters, values } => {
                let mut all = match values {
                    None => Map::new(),
                    Some(file) => serde_json::from_str(&text(files, file)?).map_err(|error| {
                        CtlError::Arguments(format!("{}: no JSON object of parameters: {error}", file.display()))
                    })?,
                };
                for parameter in parameters {
                    let (name, value) = read(kind, parameter)?;
                    all.insert(name, value);
                }
                Call::new("POST", "/domains/{domain}/config-jobs", Show::Thing).json([
                    ("category", target.category.map(Into::into)),
                    ("desc", desc.as_deref().map(Into::into)),
                    ("kind", Some(kind.as_str().into())),
                    ("values", Some(all.into())),
                ])
            }
            Self::Delete(job) => one("DELETE", job, Show::Nothing),
        })
    }
}

/// `NAME=TEXT` or `NAME:=JSON`.
fn read(kind: &str, parameter: &str) -> Result<(String, Value), CtlError> {
    let wrong = |why: String| Err(CtlError::Arguments(why));
    // Not repeated in the error: the text may be a secret without its name.
    let Some((name, value)) = parameter.split_once('=') else {
        return wrong("write a parameter as NAME=TEXT or NAME:=VALUE".into());
    };
    let (name, value) = match name.strip_suffix(':') {
        None => (name, value.into()),
        Some(name) => match serde_json::from_str(value) {
            Ok(value) => (name, value),
            Err(_) => return wrong(format!("{name}: the value after := must be a number, true or false")),
        },
    };
    let schema = kind.parse::<Kind>().ok().map(Kind::schema);
    if schema.is_some_and(|schema| schema.fields().any(|field| field.secret && field.name == name)) {
        let why = "is a secret, and other users of this machine can read arguments: put it into a file for --values";
        return wrong(format!("{name}: {why}"));
    }
    Ok((name.to_owned(), value))
}

/// The build list of a domain.
#[derive(Debug, Subcommand)]
pub enum Builds {
    /// Show the build list
    Show,
    /// Replace the build list
    Import {
        /// File with the build list (JSON); -: standard input
        file: PathBuf,
    },
}

impl Builds {
    pub(super) fn call(&self, files: &dyn Files) -> Result<Call, CtlError> {
        const PATH: &str = "/domains/{domain}/builds";
        Ok(match self {
            Self::Show => Call::new("GET", PATH, Show::Thing),
            Self::Import { file } => Call::new("PUT", PATH, Show::Nothing).body(Body::Text(text(files, file)?)),
        })
    }
}

/// Outcomes of jobs.
#[derive(Debug, Args)]
pub struct Outcomes {
    /// Only outcomes of the job with this number
    #[arg(long, value_name = "ID")]
    job: Option<u64>,
    /// Stop after this many devices [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Outcomes {
    pub(super) fn call(&self) -> Call {
        let pages = Some(Limit { limit: self.limit });
        let list = List { member: "devices", columns: OUTCOMES, each: Some("work"), pages, below: None };
        Call::new("GET", "/domains/{domain}/outcomes", Show::List(list)).query("job", self.job.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_texts_unless_they_say_otherwise() {
        assert_eq!(read("ntp", "server=a=b").unwrap(), ("server".into(), json!("a=b")));
        assert_eq!(read("ntp", "interval:=60").unwrap(), ("interval".into(), json!(60)));
        assert_eq!(read("device-name", "name=7").unwrap(), ("name".into(), json!("7")));
        for (kind, wrong) in [("ntp", "server"), ("ntp", "interval:=x"), ("sip", "password=hush"), ("sip", "hush")] {
            let error = read(kind, wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
