//! How far the work for one device has come. It is kept with the device, so it goes on where it stopped after a restart of
//! either side.

use serde::{Deserialize, Serialize};

use super::config::Kind;
use crate::core::ids::JobId;
use crate::core::time::UnixMillis;

/// The progress of one device since its last entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The entry that it belongs to ([`crate::core::device::Device::entered`]); progress of an earlier entry says nothing.
    pub entry: UnixMillis,
    /// The latest software update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Progress>,
    /// The configurations that the device has had, by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<Configured>,
    /// The clean-up after an entry by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_up: Option<Progress>,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The job that it is done for; `None` for the clean-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// How often it was tried.
    pub attempts: u8,
    /// When it was last tried, or done.
    pub at: UnixMillis,
    /// What has come of it.
    pub state: State,
}

/// What has come of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ordered; whether it has worked is not known yet.
    Ordered,
    /// Done.
    Done,
    /// The last attempt failed, for this reason.
    Failed(Box<str>),
}

/// A configuration that was brought to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Its kind.
    pub kind: Kind,
    /// What was sent last, in short; empty as long as nothing was.
    pub fingerprint: Box<str>,
    /// How far it has come.
    #[serde(flatten)]
    pub progress: Progress,
}
