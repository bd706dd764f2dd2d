//! Makes the plan for a device: compares the latest matching jobs with the state of the device.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::config::{Configuration, Kind};
pub use super::orders::{ConfigOrder, ItemOrder, Occasion, UpdateOrder};
use super::retry::{Next, RetryPolicy};
use super::update::{self, Step};
use super::{Job, Task};
use crate::core::model::device::{Device, Way};
use crate::core::model::hex;
use crate::core::model::ids::JobId;
use crate::core::model::time::UnixMillis;
use crate::core::model::work::{State, Work};
use crate::core::protocol::script::Script;
use crate::core::protocol::sysclient::admin::ConfigItem;

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
    /// For a device with `other`: every item that applies, and the removals of those that no longer do.
    pub items: Vec<ItemOrder>,
    /// The clean-up lines have to be sent.
    pub clean_up: bool,
    /// Make a new plan after this time. With an update to be ordered it is the time after which the device must be
    /// back. After a failed piece of work make a new plan at once: it computes the back-off.
    pub recheck_after: Option<Duration>,
}

/// Makes the plan for `device`. `jobs` are those of its domain, in any order; `now` is the time of day.
///
/// It starts from the progress that is kept with the device and returns it, corrected, in [`Plan::work`]; the caller
/// stores that if it differs.
pub fn plan(device: &Device, jobs: &[Job], occasion: Occasion, now: UnixMillis, retry: &RetryPolicy) -> Plan {
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
        plan.items(device, &latest(device, jobs));
    } else {
        plan.configs(device, &latest(device, jobs), now, retry);
        plan.clean_up(device, now, retry);
    }
    plan
}

/// The latest configuration of every kind, by its place in [`Kind::ALL`].
type Latest<'a> = [Option<(JobId, &'a Configuration)>; Kind::ALL.len()];

fn latest<'a>(device: &Device, jobs: &'a [Job]) -> Latest<'a> {
    let mut latest: Latest<'a> = [None; Kind::ALL.len()];
    for job in jobs.iter().filter(|job| job.order.matches(device.category)) {
        let Task::Config(configuration) = &job.order.task else { continue };
        let place = &mut latest[configuration.kind as usize];
        let suits = configuration.kind.suits(&device.facts.platform, device.facts.fxs);
        if suits && place.is_none_or(|(id, _)| id < job.id) {
            *place = Some((job.id, configuration));
        }
    }
    latest
}

impl Plan {
    fn schedule_recheck(&mut self, wait: Duration) {
        self.recheck_after = Some(self.recheck_after.map_or(wait, |before| before.min(wait)));
    }

    fn configs(&mut self, device: &Device, latest: &Latest<'_>, now: UnixMillis, retry: &RetryPolicy) {
        for (job, configuration) in latest.iter().flatten() {
            let kind = configuration.kind;
            let lines = configuration.lines(device);
            let fingerprint = fingerprint(device, lines.iter().map(String::as_str));
            let progress = match self.work.configs.iter_mut().find(|configured| configured.kind == kind) {
                Some(configured) if configured.fingerprint == fingerprint => {
                    // Another job has the same content: done without sending it again.
                    configured.progress.job = Some(*job);
                    continue;
                }
                Some(configured) => Some(&configured.progress).filter(|progress| progress.job == Some(*job)),
                None => None,
            };
            match retry.config().next(progress, now) {
                Next::Now => self.configs.push(ConfigOrder { job: *job, kind, fingerprint, lines }),
                Next::In(wait) => {
                    self.config_open = true;
                    self.schedule_recheck(wait);
                }
                Next::Never => {}
            }
        }
    }

    fn items(&mut self, device: &Device, latest: &Latest<'_>) {
        for (kind, latest) in Kind::ALL.into_iter().zip(latest) {
            let had = self.work.config(kind).map(|configured| &*configured.fingerprint);
            if let Some((job, configuration)) = latest {
                let item = configuration.item(device);
                let fingerprint = fingerprint(device, [&*canonical(&item)]);
                let changed = had != Some(&*fingerprint);
                self.items.push(ItemOrder { job: Some(*job), kind, fingerprint, item, changed });
            } else if had.is_some() {
                let item = ConfigItem { kind: kind.name().into(), values: serde_json::Map::new(), removed: true };
                self.items.push(ItemOrder { job: None, kind, fingerprint: Box::default(), item, changed: true });
            }
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

/// The parameters sorted by name, in whatever order they are kept.
fn canonical(item: &ConfigItem) -> String {
    let mut members: Vec<(&str, String)> =
        item.values.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
    members.sort_unstable();
    members.iter().flat_map(|(name, value)| [*name, "\n", value, "\n"]).collect()
}

/// What would be sent to a device, for display: secrets are [hidden](super::config::HIDDEN).
#[derive(Clone, Default, PartialEq)]
pub struct Preview {
    /// The lines of the update; empty if the right builds are running.
    pub update: Vec<String>,
    /// The lines of each kind of configuration, without `config write` and `config activate`, even if the device has
    /// it already.
    pub configs: Vec<(Kind, JobId, Vec<String>)>,
    /// For a device with `other`: its items.
    pub items: Vec<ConfigItem>,
    /// The clean-up lines; empty if the device owes none.
    pub clean_up: Vec<String>,
}

/// What the jobs mean for a device, regardless of what it was sent already.
pub fn preview(device: &Device, jobs: &[Job]) -> Preview {
    let mut preview = Preview { update: update::preview(device, jobs), ..Preview::default() };
    for (job, configuration) in latest(device, jobs).into_iter().flatten() {
        let configuration = configuration.masked();
        if device.facts.other {
            preview.items.push(configuration.item(device));
        } else {
            preview.configs.push((configuration.kind, job, configuration.lines(device)));
        }
    }
    if device.way == Way::Code && !device.facts.other {
        preview.clean_up = Script::clean_up().0.iter().map(ToString::to_string).collect();
    }
    preview
}

#[cfg(test)]
pub(super) mod tests;
