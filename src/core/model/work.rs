//! The progress of the work for one device. It is stored with the device, so that the work continues where it stopped
//! after a restart of the device or of the broker. The rules by which it changes are in `policy::jobs::record`.

use serde::{Deserialize, Serialize};

use crate::core::model::config_kind::Kind;
use crate::core::model::ids::{ConfigId, JobId};
use crate::core::model::time::UnixMillis;

/// Progress for one device since its last entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The entry that it belongs to ([`crate::core::model::device::Device::entered`]); progress of an earlier entry is
    /// ignored.
    pub entry: UnixMillis,
    /// The latest software update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Progress>,
    /// The configurations that were sent to the device, by kind.
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

    /// The progress of one kind of configuration.
    pub fn config(&self, kind: Kind) -> Option<&Configured> {
        self.configs.iter().find(|configured| configured.kind == kind)
    }
}

/// Progress of one piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The job; `None` for the clean-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Number of attempts.
    pub attempts: u8,
    /// Time of the last attempt, or of the success.
    pub at: UnixMillis,
    /// The result so far.
    pub state: State,
}

/// The result of a piece of work so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ordered; the result is not known yet.
    Ordered,
    /// Done.
    Done,
    /// The last attempt failed, for this reason.
    Failed(Box<str>),
}

/// A configuration that was sent to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Its kind.
    pub kind: Kind,
    /// Hash of what was sent last; empty if nothing was accepted yet.
    pub fingerprint: Box<str>,
    /// Number of the device configuration that a device of another maker was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigId>,
    /// Its progress.
    #[serde(flatten)]
    pub progress: Progress,
}
