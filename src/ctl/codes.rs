//! The commands `codes`, `rollouts` and `export`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::call::{Body, Call, Column, Limit, List, Show};
use super::devices::timeline;

const CODES: &[Column] = &[
    ("code", "code"),
    ("category", "category"),
    ("sip", "sip"),
    ("rollout", "rollout"),
    ("administrative", "administrative"),
    ("issued", "issued"),
    ("validUntil", "validUntil"),
    ("state", "state"),
    ("device", "device"),
    ("port", "port"),
    ("site", "site"),
];

const ROLLOUTS: &[Column] = &[
    ("id", "id"),
    ("name", "name"),
    ("category", "category"),
    ("created", "created"),
    ("users", "users"),
    ("rows", "rows"),
    ("complete", "complete"),
];

const ROWS: &[Column] = &[
    ("sip", "sip"),
    ("name", "name"),
    ("code", "code"),
    ("validUntil", "validUntil"),
    ("state", "state"),
    ("device", "device"),
];

/// Provisioning codes.
#[derive(Debug, Subcommand)]
pub enum Codes {
    /// Issue a code
    Issue {
        /// Number or name of the category that a device enters with it
        #[arg(long, value_name = "CATEGORY")]
        category: String,
        /// SIP name of the user who will get the device
        #[arg(long, value_name = "NAME")]
        sip: Option<String>,
        /// Valid for seven days instead of ten minutes
        #[arg(long)]
        rollout: bool,
        /// The device gets the administrative password of the domain, if that hands one out
        #[arg(long, action = ArgAction::Set, value_name = "BOOL", default_value_t = true)]
        administrative: bool,
    },
    /// List codes, newest first
    List {
        /// Only codes in this state
        #[arg(long)]
        state: Option<CodeState>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a code
    Get(Code),
    /// Revoke an unused code
    Revoke(Code),
    /// Show the timeline of a code and its blocked reason
    Timeline(Code),
}

/// State of a code.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CodeState {
    /// No device has used it
    Open,
    /// A device has used it
    Used,
}

/// Argument that selects a code.
#[derive(Debug, Args)]
pub struct Code {
    /// Twelve digits
    code: String,
}

impl Codes {
    pub(super) fn call(&self) -> Call {
        const ALL: &str = "/domains/{domain}/codes";
        let one = |method, code: &Code, show| {
            Call::new(method, "/domains/{domain}/codes/{code}", show).at("code", &code.code)
        };
        match self {
            Self::Issue { category, sip, rollout, administrative } => Call::new("POST", ALL, Show::Thing).json([
                ("category", Some(category.as_str().into())),
                ("sip", sip.as_deref().map(Into::into)),
                ("rollout", rollout.then(|| true.into())),
                ("administrative", (!administrative).then(|| false.into())),
            ]),
            Self::List { state, limit } => {
                let state = state.map(|state| match state {
                    CodeState::Open => "open",
                    CodeState::Used => "used",
                });
                Call::new("GET", ALL, List::paged("codes", CODES, *limit)).query("state", state.as_ref())
            }
            Self::Get(code) => one("GET", code, Show::Thing),
            Self::Revoke(code) => one("DELETE", code, Show::Nothing),
            Self::Timeline(code) => timeline("/domains/{domain}/codes/{code}/timeline").at("code", &code.code),
        }
    }
}

/// Roll-outs.
#[derive(Debug, Subcommand)]
pub enum Rollouts {
    /// Issue a code for each user of a list; the codes are written as CSV to standard output as they are issued
    Create {
        /// List of users as CSV with the header `sip` or `sip,name`; -: standard input
        file: PathBuf,
        /// Name of the roll-out
        #[arg(long)]
        name: String,
        /// Number or name of the category that the devices enter
        #[arg(long, value_name = "CATEGORY")]
        category: String,
        /// The devices get the administrative password of the domain, if that hands one out
        #[arg(long, action = ArgAction::Set, value_name = "BOOL", default_value_t = true)]
        administrative: bool,
    },
    /// List roll-outs, newest first
    List,
    /// Show a roll-out
    Show(Rollout),
    /// List the users and the states of their codes
    Rows {
        #[command(flatten)]
        rollout: Rollout,
        #[command(flatten)]
        limit: Limit,
    },
    /// The same as CSV
    Csv(Rollout),
    /// Delete a roll-out; its codes stay valid unless they are revoked
    Delete {
        #[command(flatten)]
        rollout: Rollout,
        /// Revoke the open codes first
        #[arg(long)]
        revoke: bool,
    },
}

/// Argument that selects a roll-out.
#[derive(Debug, Args)]
pub struct Rollout {
    /// Number
    id: u64,
}

impl Rollouts {
    pub(super) fn call(&self) -> Call {
        const ALL: &str = "/domains/{domain}/rollouts";
        const ONE: &str = "/domains/{domain}/rollouts/{id}";
        match self {
            Self::Create { file, name, category, administrative } => Call::new("POST", ALL, Show::Csv)
                .query("name", Some(name))
                .query("category", Some(category))
                .query("administrative", (!administrative).then_some(false).as_ref())
                .body(Body::Csv(file.clone())),
            Self::List => Call::new("GET", ALL, List::whole("rollouts", ROLLOUTS)),
            Self::Show(rollout) => Call::new("GET", ONE, Show::Thing).at("id", &rollout.id),
            Self::Rows { rollout, limit } => {
                let path = "/domains/{domain}/rollouts/{id}/rows";
                Call::new("GET", path, List::paged("rows", ROWS, *limit)).at("id", &rollout.id)
            }
            Self::Csv(rollout) => {
                Call::new("GET", "/domains/{domain}/rollouts/{id}/rows.csv", Show::Csv).at("id", &rollout.id)
            }
            Self::Delete { rollout, revoke } => Call::new("DELETE", ONE, Show::Thing)
                .at("id", &rollout.id)
                .query("revoke", revoke.then_some(true).as_ref()),
        }
    }
}

/// Whole lists as CSV.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// All codes, newest first
    Codes,
    /// All devices, by number
    Devices,
}

impl Export {
    pub(super) fn call(&self) -> Call {
        match self {
            Self::Codes => Call::new("GET", "/domains/{domain}/codes.csv", Show::Csv),
            Self::Devices => Call::new("GET", "/domains/{domain}/devices.csv", Show::Csv),
        }
    }
}
