//! The records of a bundle, and which contents are acceptable (`docs/offline.md`).
//!
//! A bundle is checked as a whole before anything of it is applied: [`Check`] sees every record, in order, and keeps only
//! what is needed to decide about the bundle: settings, categories and jobs, but neither codes nor devices.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::core::model::device::{Category, Facts, Requester, Way};
use crate::core::model::ids::{Code, DeviceKey, JobId, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{MAX_STEPS, Step};
use crate::core::model::work::Work;
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{JobSpec, Task};
use crate::core::protocol::bundle::Kind;

/// Most codes of a bundle.
pub const CODES_MAX: u64 = 50_000;

/// Most devices in the results of a site, and most codes that they have used.
pub const DEVICES_MAX: u64 = 100_000;

/// Most jobs of a bundle.
pub const JOBS_MAX: usize = 1000;

/// Most categories of a bundle.
pub const CATEGORIES_MAX: usize = 1000;

/// Most bytes of all settings, categories and jobs of a bundle: they are kept in memory.
pub const OUTLINE_MAX: usize = 16 * 1024 * 1024;

/// Longest text of a name, in characters.
const TEXT_MAX: usize = 256;

/// A record of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is", content = "of")]
pub enum Record {
    /// The settings of the domain; the first record for a site.
    Domain(Settings),
    /// A category.
    Category(CarriedCategory),
    /// A job.
    Job(CarriedJob),
    /// The build list.
    Builds(BuildList),
    /// A code that is lent to the site.
    Code(CarriedCode),
    /// A device of the site.
    Device(Box<CarriedDevice>),
    /// A code that a device of the site has used.
    Used(UsedCode),
    /// The timeline of a device.
    Timeline(CarriedTimeline),
    /// The last record of all: how many there were before it.
    End(u64),
}

/// The settings of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Password for app connections.
    pub password: Secret,
    /// Administrative password; empty: none.
    pub admin_password: Secret,
    /// Token of automatic provisioning; empty: off.
    pub auto_token: Secret,
}

/// A category, known by its name: the two brokers give it different numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedCategory {
    /// Name.
    pub name: Box<str>,
    /// Marked for provisioning.
    pub provisioning: bool,
}

/// A job of the centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedJob {
    /// Number at the centre.
    pub id: JobId,
    /// Name of the category; `None`: every device of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Box<str>>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desc: Option<Box<str>>,
    /// What is to be done.
    pub task: Task,
}

/// A code that is lent to a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedCode {
    /// The code.
    pub code: Code,
    /// Name of the category that a device enters with it.
    pub category: Box<str>,
    /// SIP name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip: Option<Box<str>>,
    /// Who asked for it.
    pub requester: Requester,
    /// Long validity.
    pub rollout: bool,
    /// The device gets the administrative password of the domain.
    pub administrative: bool,
    /// End of validity.
    pub valid_until: UnixMillis,
}

/// A device of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedDevice {
    /// Its key.
    pub key: DeviceKey,
    /// Name of its category.
    pub category: Box<str>,
    /// How it entered.
    pub way: Way,
    /// The device password, by which the centre knows it should it come there.
    pub password: Secret,
    /// Its own administrative password, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<Secret>,
    /// When it entered, on the clock of the site.
    pub entered: UnixMillis,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Outcomes of the jobs, with the numbers that they have at the centre.
    pub work: Work,
    /// What it has said of itself.
    pub facts: Facts,
}

/// A code that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsedCode {
    /// The code.
    pub code: Code,
    /// The device that used it.
    pub device: DeviceKey,
    /// The analogue port that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Box<str>>,
}

/// The timeline of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedTimeline {
    /// The device.
    pub device: DeviceKey,
    /// Its steps, oldest first.
    pub steps: Vec<Step>,
}

impl Record {
    /// As bytes.
    pub fn write(&self) -> Vec<u8> {
        // Plain members can always be serialized.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From its bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Unacceptable> {
        // What serde says may quote a secret.
        serde_json::from_slice(bytes).map_err(|_| Unacceptable::Unreadable)
    }
}

/// Why the contents of a bundle are not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// A record cannot be read.
    #[error("a record of the bundle cannot be read; it was made by a program of another version")]
    Unreadable,
    /// A record stands where it must not.
    #[error("the records of the bundle are not in order; it was not made by this program")]
    Order,
    /// The number of records is not the one at the end.
    #[error("the bundle has {0} records and says {1}; make it again")]
    Count(u64, u64),
    /// There is too much of something.
    #[error("the bundle has more than {1} {0}; make it smaller")]
    TooMany(&'static str, u64),
    /// A category is named that is not in it.
    #[error("the bundle names a category that is not in it; it was not made by this program")]
    NoCategory,
    /// A value is not acceptable.
    #[error("{0} in the bundle is not acceptable; it was not made by this program")]
    Value(&'static str),
}

/// What is known of a bundle once all of it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The settings of the domain.
    pub settings: Option<Settings>,
    /// The categories.
    pub categories: Vec<CarriedCategory>,
    /// The jobs, oldest first.
    pub jobs: Vec<CarriedJob>,
    /// The build list.
    pub builds: Option<BuildList>,
    /// How many codes there are.
    pub codes: u64,
    /// How many devices there are.
    pub devices: u64,
    /// How many used codes there are.
    pub used: u64,
}

/// Checks the records of a bundle.
#[derive(Debug)]
pub struct Check {
    kind: Kind,
    outline: Outline,
    names: HashSet<Box<str>>,
    /// The place of the kind of the last record, in the order in which they come.
    stage: u8,
    seen: u64,
    bytes: usize,
    ended: bool,
}

impl Check {
    /// Of a bundle of this kind.
    pub fn new(kind: Kind) -> Self {
        let (outline, names) = (Outline::default(), HashSet::new());
        Self { kind, outline, names, stage: 0, seen: 0, bytes: 0, ended: false }
    }

    /// Sees the next record.
    pub fn see(&mut self, bytes: &[u8]) -> Result<(), Unacceptable> {
        let record = Record::read(bytes)?;
        let stage = match (self.kind, &record) {
            (Kind::Site, Record::Domain(_)) if self.seen == 0 => 0,
            (Kind::Site, Record::Category(_)) => 1,
            (Kind::Site, Record::Job(_)) => 2,
            (Kind::Site, Record::Builds(_)) if self.outline.builds.is_none() => 3,
            (Kind::Site, Record::Code(_)) => 4,
            (Kind::Results, Record::Device(_)) => 5,
            (Kind::Results, Record::Used(_)) => 6,
            (Kind::Results, Record::Timeline(_)) => 7,
            (_, Record::End(_)) => 8,
            _ => return Err(Unacceptable::Order),
        };
        let begins = self.kind == Kind::Results || self.outline.settings.is_some() || stage == 0;
        if self.ended || stage < self.stage || !begins {
            return Err(Unacceptable::Order);
        }
        self.stage = stage;
        self.admit(record, bytes.len())?;
        self.seen += 1;
        Ok(())
    }

    /// All records were seen.
    pub fn end(self) -> Result<Outline, Unacceptable> {
        if self.ended { Ok(self.outline) } else { Err(Unacceptable::Order) }
    }

    fn admit(&mut self, record: Record, length: usize) -> Result<(), Unacceptable> {
        let outline = &mut self.outline;
        match record {
            Record::Code(code) => {
                count(&mut outline.codes, "codes", CODES_MAX)?;
                self.known(Some(&code.category))?;
                text("a SIP name", code.sip.as_deref())
            }
            Record::Device(device) => {
                count(&mut outline.devices, "devices", DEVICES_MAX)?;
                text("a category", Some(&device.category))?;
                text("a name of a device", device.name.as_deref())
            }
            Record::Used(used) => {
                count(&mut outline.used, "used codes", DEVICES_MAX)?;
                text("a port", used.port.as_deref())
            }
            Record::Timeline(timeline) if timeline.steps.len() <= MAX_STEPS => Ok(()),
            Record::Timeline(_) => Err(Unacceptable::TooMany("steps of a device", MAX_STEPS as u64)),
            Record::End(says) if says == self.seen => {
                self.ended = true;
                Ok(())
            }
            Record::End(says) => Err(Unacceptable::Count(self.seen, says)),
            kept => {
                self.bytes += length;
                if self.bytes > OUTLINE_MAX {
                    return Err(Unacceptable::TooMany("bytes of jobs", OUTLINE_MAX as u64));
                }
                self.keep(kept)
            }
        }
    }

    fn keep(&mut self, record: Record) -> Result<(), Unacceptable> {
        match record {
            Record::Domain(settings) => self.outline.settings = Some(settings),
            Record::Category(category) => {
                text("a category", Some(&category.name))?;
                if category.name.is_empty()
                    || !Category::is_new_name(&category.name)
                    || !self.names.insert(category.name.clone())
                {
                    return Err(Unacceptable::Value("a category"));
                }
                if self.outline.categories.len() == CATEGORIES_MAX {
                    return Err(Unacceptable::TooMany("categories", CATEGORIES_MAX as u64));
                }
                self.outline.categories.push(category);
            }
            Record::Job(job) => {
                self.known(job.category.as_deref())?;
                let spec = JobSpec { category: None, desc: job.desc.clone(), task: job.task.clone() };
                spec.check().map_err(|_| Unacceptable::Value("a job"))?;
                if self.outline.jobs.last().is_some_and(|last| last.id >= job.id) {
                    return Err(Unacceptable::Order);
                }
                if self.outline.jobs.len() == JOBS_MAX {
                    return Err(Unacceptable::TooMany("jobs", JOBS_MAX as u64));
                }
                self.outline.jobs.push(job);
            }
            Record::Builds(builds) => {
                builds.check().map_err(|_| Unacceptable::Value("the build list"))?;
                self.outline.builds = Some(builds);
            }
            _ => return Err(Unacceptable::Order),
        }
        Ok(())
    }

    fn known(&self, category: Option<&str>) -> Result<(), Unacceptable> {
        if category.is_none_or(|name| self.names.contains(name)) { Ok(()) } else { Err(Unacceptable::NoCategory) }
    }
}

fn count(of: &mut u64, what: &'static str, most: u64) -> Result<(), Unacceptable> {
    *of += 1;
    if *of > most { Err(Unacceptable::TooMany(what, most)) } else { Ok(()) }
}

fn text(what: &'static str, text: Option<&str>) -> Result<(), Unacceptable> {
    let good = |text: &str| text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control);
    if text.is_none_or(good) { Ok(()) } else { Err(Unacceptable::Value(what)) }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
