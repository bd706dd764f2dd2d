//! Makes the plan for a device: compares the latest matching jobs with the state of the device.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Job;
use super::config::{Configuration, Kind};
use super::device_config;
pub use super::orders::{ConfigOrder, ItemOrder, Occasion, UpdateOrder};
use super::retry::{Next, RetryPolicy};
use super::update::{self, Step};
use crate::core::model::device::{Device, Domain, Facts, Way};
use crate::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use crate::core::model::hex;
use crate::core::model::ids::{ConfigId, JobId};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::{Configured, State, Work};
use crate::core::protocol::script::Script;

/// What to do for one device now. The order is update, configuration, notice, clean-up (`docs/protocol/sysclient.md`
/// 5.2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The progress that this plan is based on, limited to the present entry.
    pub work: Work,
    /// Update to be ordered; everything else follows after the restart, and `update_open` is set too.
    pub update: Option<UpdateOrder>,
    /// An update is under way or will be retried: configuration and notice wait for it.
    pub update_open: bool,
    /// A configuration has failed and will be retried: the notice waits for it.
    pub config_open: bool,
    /// Configurations that the device does not have yet, sorted by kind. Empty for a device with `other`.
    pub configs: Vec<ConfigOrder>,
    /// For a device with `other`: every device configuration that applies, and the removals of the types that no longer
    /// do, sorted by type.
    pub items: Vec<ItemOrder>,
    /// The clean-up lines have to be sent.
    pub clean_up: bool,
    /// Make a new plan after this time. With an update to be ordered it is the time after which the device must be
    /// back. After a failed piece of work make a new plan at once: it computes the back-off.
    pub recheck_after: Option<Duration>,
}

/// Makes the plan for `device`. `jobs` are those of its `domain`, in any order; `now` is the time of day.
///
/// It starts from the progress that is kept with the device and returns it, corrected, in [`Plan::work`]; the caller
/// stores that if it differs.
pub fn plan(
    device: &Device,
    domain: &Domain,
    jobs: &[Job],
    occasion: Occasion,
    now: UnixMillis,
    retry: &RetryPolicy,
) -> Plan {
    let mut plan = Plan { work: Work::of(device), ..Plan::default() };
    match update::step(&mut plan.work, device, jobs, occasion, now, retry) {
        Step::Nothing => {}
        Step::Later(wait) => plan.schedule_recheck(wait),
        Step::Wait(wait) => {
            plan.update_open = true;
            plan.schedule_recheck(wait);
            return plan;
        }
        Step::Order(order) => {
            plan.update = Some(order);
            plan.update_open = true;
            plan.schedule_recheck(retry.restart_within);
            return plan;
        }
    }
    if device.facts.mini {
        // The emergency firmware only loads software. Nothing else waits for a device that cannot be updated.
        return plan;
    }
    if device.facts.other {
        plan.items(device, domain, jobs);
    } else {
        plan.configs(device, &latest(device, jobs), now, retry);
        plan.clean_up(device, now, retry);
    }
    plan
}

/// The latest configuration of every kind, by its place in [`Kind::ALL`].
type Latest<'a> = [Option<(&'a Job, &'a Configuration)>; Kind::ALL.len()];

fn latest<'a>(device: &Device, jobs: &'a [Job]) -> Latest<'a> {
    let mut latest: Latest<'a> = [None; Kind::ALL.len()];
    let Facts { platform, fxs, other, .. } = &device.facts;
    for job in jobs.iter().filter(|job| job.order.matches(device.category)) {
        let Some(configuration) = job.configuration() else { continue };
        let kind = configuration.kind;
        let place = &mut latest[kind as usize];
        let suits = if *other {
            kind.config_type().is_some_and(|kind| kind.suits(platform, *fxs))
        } else {
            kind.suits(platform, *fxs)
        };
        if suits && place.is_none_or(|(before, _)| before.id < job.id) {
            *place = Some((job, configuration));
        }
    }
    latest
}

/// The latest jobs that amount to a type.
fn parts<'a>(kind: ConfigType, latest: &Latest<'a>) -> Vec<(&'a Job, &'a Configuration)> {
    latest
        .iter()
        .flatten()
        .filter(|(_, configuration)| configuration.kind.config_type() == Some(kind))
        .copied()
        .collect()
}

impl Plan {
    fn schedule_recheck(&mut self, wait: Duration) {
        self.recheck_after = Some(self.recheck_after.map_or(wait, |before| before.min(wait)));
    }

    fn configs(&mut self, device: &Device, latest: &Latest<'_>, now: UnixMillis, retry: &RetryPolicy) {
        for (job, configuration) in latest.iter().flatten() {
            let (job, kind) = (job.id, configuration.kind);
            let lines = configuration.lines(device);
            let fingerprint = fingerprint(device, lines.iter().map(String::as_str));
            let progress = match self.work.configs.iter_mut().find(|configured| configured.kind == kind) {
                Some(configured) if configured.fingerprint == fingerprint => {
                    // Another job has the same content: done without sending it again.
                    configured.progress.job = Some(job);
                    continue;
                }
                Some(configured) => Some(&configured.progress).filter(|progress| progress.job == Some(job)),
                None => None,
            };
            match retry.config().next(progress, now) {
                Next::Now => self.configs.push(ConfigOrder { job, kind, fingerprint, lines }),
                Next::In(wait) => {
                    self.config_open = true;
                    self.schedule_recheck(wait);
                }
                Next::Never => {}
            }
        }
    }

    fn items(&mut self, device: &Device, domain: &Domain, jobs: &[Job]) {
        let latest = latest(device, jobs);
        // Of other types nothing is sent; what was sent of them in earlier versions is forgotten.
        self.work.configs.retain(|had| had.kind.config_type().is_some_and(|kind| ConfigType::SENT.contains(&kind)));
        for kind in ConfigType::SENT {
            let had: Vec<&Configured> =
                self.work.configs.iter().filter(|had| had.kind.config_type() == Some(kind)).collect();
            let parts = parts(kind, &latest);
            let order = if let Some(config) = device_config::for_device(kind, &parts, jobs, domain, device) {
                let fingerprint = fingerprint(device, [&*canonical(&config)]);
                let jobs: Vec<_> = parts.iter().map(|(job, configuration)| (configuration.kind, job.id)).collect();
                let same = had.len() == jobs.len() && had.iter().all(|had| had.fingerprint == fingerprint);
                ItemOrder { jobs, fingerprint, config, changed: !same }
            } else if let Some(first) = had.first() {
                // Earlier versions have not kept the number.
                let config = device_config::removed(kind, first.config.unwrap_or(ConfigId(0)), domain);
                ItemOrder { jobs: Vec::new(), fingerprint: Box::default(), config, changed: true }
            } else {
                continue;
            };
            self.items.push(order);
        }
    }

    fn clean_up(&mut self, device: &Device, now: UnixMillis, retry: &RetryPolicy) {
        let done = self.work.clean_up.as_ref().is_some_and(|progress| progress.state == State::Done);
        if device.way != Way::Code || done {
            return;
        }
        match retry.config().next(self.work.clean_up.as_ref(), now) {
            Next::Now => self.clean_up = true,
            Next::In(wait) => self.schedule_recheck(wait),
            Next::Never => {}
        }
    }
}

/// A hash of what was sent, kept instead of it. Keyed with the password of the device, so that the progress cannot be
/// used to guess passwords that may be in it.
fn fingerprint<'a>(device: &Device, texts: impl IntoIterator<Item = &'a str>) -> Box<str> {
    /// Bytes of the hash that are kept.
    const KEPT: usize = 16;
    let mut hash = Sha256::new();
    hash.update(device.password.expose());
    for text in texts {
        hash.update(b"\n");
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..KEPT]).into()
}

/// Everything in a device configuration, secrets in clear.
fn canonical(config: &DeviceConfig) -> String {
    let DeviceConfig { id, domain, desc, kind, categories, members } = config;
    let mut lines = vec![format!("{} {} {}", kind.name(), id.0, domain.0), Value::from(desc.as_deref()).to_string()];
    lines.extend(categories.iter().map(|c| format!("{} {} {}", c.id.0, c.provisioning, Value::from(&*c.name))));
    lines.extend(members.iter().map(|(name, value)| match value {
        MemberValue::Plain(value) => format!("{name} {value}"),
        MemberValue::Secret(secret) => format!("{name} {}", Value::from(secret.expose())),
    }));
    lines.join("\n")
}

/// What would be sent to a device, for display: secrets in lines are [hidden](super::config::HIDDEN).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The lines of the update; empty if the right builds are running.
    pub update: Vec<String>,
    /// The lines of each kind of configuration, without `config write` and `config activate`, even if the device has
    /// it already.
    pub configs: Vec<(Kind, JobId, Vec<String>)>,
    /// For a device with `other`: its device configurations.
    pub items: Vec<DeviceConfig>,
    /// The clean-up lines; empty if the device owes none.
    pub clean_up: Vec<String>,
}

/// What the jobs of its domain mean for a device, regardless of what it was sent already.
pub fn preview(device: &Device, domain: &Domain, jobs: &[Job]) -> Preview {
    let mut preview = Preview { update: update::preview(device, jobs), ..Preview::default() };
    let latest = latest(device, jobs);
    if device.facts.other {
        let items = ConfigType::SENT
            .into_iter()
            .filter_map(|kind| device_config::for_device(kind, &parts(kind, &latest), jobs, domain, device));
        preview.items = items.collect();
        return preview;
    }
    for (job, configuration) in latest.into_iter().flatten() {
        let configuration = configuration.masked();
        preview.configs.push((configuration.kind, job.id, configuration.lines(device)));
    }
    if device.way == Way::Code {
        preview.clean_up = Script::clean_up().0.iter().map(ToString::to_string).collect();
    }
    preview
}

#[cfg(test)]
pub(super) mod tests;
