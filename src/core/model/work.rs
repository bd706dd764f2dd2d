//! How far the work for one device has come: the record that is kept with the device, so that the work goes on where it
//! stopped after a restart of either side. The rules by which it changes are policy (`policy::jobs::record`).

use serde::{Deserialize, Serialize};

use crate::core::model::config_kind::Kind;
use crate::core::model::ids::JobId;
use crate::core::model::time::UnixMillis;

/// The progress of one device since its last entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The entry that it belongs to ([`crate::core::model::device::Device::entered`]); progress of an earlier entry says nothing.
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

impl Work {
    /// Whether nothing has been done yet.
    pub const fn is_empty(&self) -> bool {
        self.update.is_none() && self.configs.is_empty() && self.clean_up.is_none()
    }

    /// How far a kind of configuration has come.
    pub fn config(&self, kind: Kind) -> Option<&Configured> {
        self.configs.iter().find(|configured| configured.kind == kind)
    }
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
