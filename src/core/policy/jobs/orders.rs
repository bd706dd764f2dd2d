//! The parts of a plan (updates, configurations, items for devices of other makers), and the occasions on which a plan is made.

use std::fmt;

use crate::core::model::config_kind::Kind;
use crate::core::model::device_config::DeviceConfig;
use crate::core::model::ids::JobId;

/// Why a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The device has just registered, after a restart or a reconnect, so its reported builds are current. An update
    /// that has not changed them by now has failed.
    Registered,
    /// Anything else while it stays connected: a job has changed, a piece of work is finished, or
    /// [`Plan::again_in`](super::plan::Plan::again_in) is over.
    Meanwhile,
}

/// An update to be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateOrder {
    /// For this job.
    pub job: JobId,
    /// The lines, in order (`docs/protocol/update-script.md` section 4).
    pub lines: Vec<String>,
}

/// A configuration to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigOrder {
    /// For this job.
    pub job: JobId,
    /// Its kind.
    pub kind: Kind,
    /// What is remembered once it is there.
    pub fingerprint: Box<str>,
    /// The lines, in order, without `config write` and `config activate`.
    pub lines: Vec<String>,
}

impl fmt::Debug for ConfigOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The lines may hold passwords.
        f.debug_struct("ConfigOrder").field("job", &self.job).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A device configuration for a device with `other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemOrder {
    /// The jobs that it comes from; none if its type no longer applies.
    pub jobs: Vec<(Kind, JobId)>,
    /// What is remembered once it is there.
    pub fingerprint: Box<str>,
    /// What is sent.
    pub config: DeviceConfig,
    /// It differs from what the device has.
    pub changed: bool,
}

impl ItemOrder {
    /// Whether the type no longer applies.
    pub const fn is_removal(&self) -> bool {
        self.jobs.is_empty()
    }
}
