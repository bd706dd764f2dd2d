//! Jobs: the target state of the devices of a domain (`docs/protocol/sysclient.md` 5.2, `docs/concept.md` sections 6
//! and 7).
//!
//! A job applies to one category of a domain or to all its devices. Of the update jobs that match a device only the
//! latest counts; of the configuration jobs the latest of each kind. [`plan::plan`] compares them with the device and
//! returns what to do next; [`Work`](crate::core::model::work::Work) records the progress.

pub mod builds;
pub mod config;
pub mod device_config;
mod joined;
mod orders;
pub mod plan;
mod record;
pub mod retry;
mod update;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::builds::{BuildList, BuildsError};
use self::config::{ConfigError, Configuration};
use crate::core::model::ids::{CategoryId, ConfigId, JobId};
use crate::core::model::time::UnixMillis;

/// A job with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Number; the latest job has the greatest.
    pub id: JobId,
    /// When it was made.
    pub created: UnixMillis,
    /// Its scope, and what is to be done.
    #[serde(flatten)]
    pub order: JobSpec,
    /// The device configuration that it belongs to (`docs/protocol/devices-api.md` 4.11). `None` for updates, for kinds
    /// without a published type, and for jobs of the time before there were device configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigId>,
}

impl Job {
    /// Its configuration, if it is a configuration job.
    pub fn configuration(&self) -> Option<&Configuration> {
        match &self.order.task {
            Task::Config(configuration) => Some(configuration),
            Task::Update(_) => None,
        }
    }
}

/// The scope of a job, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The category; `None`: every device of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryId>,
    /// Description of a configuration, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desc: Option<Box<str>>,
    /// What is to be done.
    pub task: Task,
}

impl JobSpec {
    /// Checks that the job can be done. The error names the member.
    pub fn check(&self) -> Result<(), OrderError> {
        match &self.task {
            Task::Update(update) => {
                update.builds.check()?;
                update.hours.check()
            }
            Task::Config(configuration) => {
                if self.desc.as_ref().is_some_and(|desc| !is_description(desc)) {
                    return Err(OrderError::Description);
                }
                Ok(configuration.check()?)
            }
        }
    }

    /// Whether it applies to devices of this category.
    pub fn matches(&self, category: CategoryId) -> bool {
        self.category.is_none_or(|c| c == category)
    }
}

/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 128;

fn is_description(text: &str) -> bool {
    (1..=DESCRIPTION_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Why a job cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The build list is wrong.
    #[error(transparent)]
    Builds(#[from] BuildsError),
    /// The maintenance hours are wrong.
    #[error("hours.{0}")]
    Hours(&'static str),
    /// The description is wrong.
    #[error("desc: must be 1 to {DESCRIPTION_MAX} characters without control characters")]
    Description,
    /// A parameter of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Bring firmware and boot code to the builds of a list.
    Update(Update),
    /// Bring one kind of configuration to the device.
    Config(Configuration),
}

/// An update job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The build list that was current when the job was made.
    pub builds: Arc<BuildList>,
    /// Maintenance hours.
    #[serde(default)]
    pub hours: Hours,
}

/// Hours in which devices may be updated; none: always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hours {
    /// Hours of the day, 0 to 23.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<u8>,
    /// Offset of the clock of these hours from UTC, in minutes.
    #[serde(default)]
    pub utc_offset: i16,
}

impl Hours {
    /// The earliest time from `time` on that lies within the hours.
    fn from(&self, time: UnixMillis) -> UnixMillis {
        const HOUR: i64 = 3_600_000;
        let ahead = i64::from(self.utc_offset) * 60_000;
        let local = i64::try_from(time.0).unwrap_or(i64::MAX).saturating_add(ahead);
        let is_allowed = |hour: i64| self.allow.iter().any(|allowed| i64::from(*allowed) == hour.rem_euclid(24));
        let hour = local.div_euclid(HOUR);
        if self.allow.is_empty() || is_allowed(hour) {
            return time;
        }
        let next = (hour + 1..=hour + 24).find(|hour| is_allowed(*hour)).unwrap_or(hour);
        UnixMillis(u64::try_from(next * HOUR - ahead).unwrap_or(time.0)).max(time)
    }

    /// No time zone is further from UTC.
    const OFFSET_MAX: u16 = 14 * 60;

    /// Checks the hours and the offset. The error names the member.
    pub fn check(&self) -> Result<(), OrderError> {
        if self.allow.iter().any(|hour| *hour > 23) {
            return Err(OrderError::Hours("allow: an hour is 0 to 23"));
        }
        if (1..self.allow.len()).any(|at| self.allow[..at].contains(&self.allow[at])) {
            return Err(OrderError::Hours("allow: an hour is named twice"));
        }
        if self.utc_offset.unsigned_abs() > Self::OFFSET_MAX {
            return Err(OrderError::Hours("utcOffset: more than 14 hours"));
        }
        Ok(())
    }
}
