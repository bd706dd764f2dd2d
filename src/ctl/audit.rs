//! The command `audit`.

use clap::Args;

use super::call::{Call, Column, Limit, List};

const ENTRIES: &[Column] = &[
    ("at", "at"),
    ("by", "by"),
    ("who", "who"),
    ("from", "from"),
    ("what", "what"),
    ("to", "to"),
    ("domain", "domain"),
];

/// The audit log.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    limit: Limit,
}

impl Audit {
    /// The call; `within` is the domain whose log is asked for.
    pub fn call(&self, within: Option<&str>) -> Call {
        let within = within.map(str::to_owned);
        Call::new("GET", "/audit", List::paged("entries", ENTRIES, self.limit)).query("domain", within.as_ref())
    }
}
