//! What there is to do for a device now: the latest matching jobs held against what it has.

use std::time::Duration;

use super::Job;
use super::config::Kind;
use super::work::Work;
use crate::core::device::Device;
use crate::core::ids::JobId;
use crate::core::sysclient::admin::ConfigItem;
use crate::core::time::UnixMillis;

/// What there is to do for one device now. Its order is update, configuration, notice, clean-up (`sysclient.md` 5.2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The progress that this plan goes on from; already bound to the present entry.
    pub work: Work,
    /// Software to be ordered; everything else comes after the restart.
    pub update: Option<UpdateOrder>,
    /// An update is under way or will be tried again: configuration and notice wait for it.
    pub update_open: bool,
    /// Configurations that the device has not got yet, sorted by kind. Empty for a device with `other`.
    pub configs: Vec<ConfigOrder>,
    /// For a device with `other`: every item that applies, and those that no longer do.
    pub items: Vec<ItemOrder>,
    /// The clean-up lines are owed.
    pub clean_up: bool,
    /// Something may be done after this time: look again then.
    pub again_in: Option<Duration>,
}

/// Software to be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateOrder {
    /// For this job.
    pub job: JobId,
    /// The lines, in order (`update-script.md` section 4).
    pub lines: Vec<String>,
}

/// A configuration to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// An item for a device with `other`.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemOrder {
    /// For this job; `None` if the item no longer applies.
    pub job: Option<JobId>,
    /// Its kind.
    pub kind: Kind,
    /// What is remembered once it is there.
    pub fingerprint: Box<str>,
    /// The item.
    pub item: ConfigItem,
    /// It differs from what the device has.
    pub changed: bool,
}

/// What there is to do for `device`. `jobs` are those of its domain, oldest first; `now` is the time of day.
pub fn plan(device: &Device, _jobs: &[Job], _now: UnixMillis) -> Plan {
    // No kind of job is known yet.
    Plan { work: Work { entry: device.entered, ..Work::default() }, ..Plan::default() }
}
