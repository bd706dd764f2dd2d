//! How the progress of the work for a device changes with each step of a plan.
//!
//! Whoever performs a [`Plan`](super::plan::Plan) reports each step to the [`Work`] of that plan and stores the result.
//! An update is reported **before** it is sent ([`Work::update_ordered`]), because the device may restart before it
//! answers.

use super::orders::{ConfigOrder, ItemOrder, UpdateOrder};
use super::retry::RetryPolicy;
use crate::core::model::config_kind::Kind;
use crate::core::model::device::Device;
use crate::core::model::ids::JobId;
use crate::core::model::time::UnixMillis;
use crate::core::model::work::{Configured, Progress, State, Work};

impl Work {
    /// The progress since the present entry of a device: that of an earlier entry is forgotten.
    pub fn of(device: &Device) -> Self {
        if device.work.entry == device.entered {
            device.work.clone()
        } else {
            Self { entry: device.entered, ..Self::default() }
        }
    }

    /// An update is about to be sent.
    pub fn update_ordered(&mut self, order: &UpdateOrder, now: UnixMillis) {
        let before = self.update.take().filter(|before| before.job == Some(order.job));
        self.update = Some(Progress::next(before.as_ref(), Some(order.job), now, State::Ordered));
    }

    /// The update that was ordered last did not reach the device, or was refused by it.
    pub fn update_failed(&mut self, reason: &str, now: UnixMillis) {
        if let Some(progress) = &mut self.update {
            progress.at = now;
            progress.state = State::Failed(reason.into());
        }
    }

    /// The device has a configuration; for its lines that includes that they are saved and active.
    pub fn configured(&mut self, order: &ConfigOrder, now: UnixMillis) {
        self.put(order.kind, Some(order.job), &order.fingerprint, now, State::Done);
    }

    /// A configuration was not accepted as a whole. Which part of it was is unknown, so the next one is sent in any
    /// case.
    pub fn config_failed(&mut self, order: &ConfigOrder, reason: &str, now: UnixMillis) {
        self.put(order.kind, Some(order.job), "", now, State::Failed(reason.into()));
    }

    /// A device configuration has been sent to a device of another maker. Of a type that no longer applies nothing is
    /// kept.
    pub fn item_sent(&mut self, order: &ItemOrder, now: UnixMillis) {
        let config = &order.config;
        let comes_from = |kind: Kind| order.jobs.iter().any(|(of, _)| *of == kind);
        self.configs.retain(|before| before.kind.config_type() != Some(config.kind) || comes_from(before.kind));
        for (kind, job) in &order.jobs {
            self.put(*kind, Some(*job), &order.fingerprint, now, State::Done);
        }
        for sent in self.configs.iter_mut().filter(|sent| comes_from(sent.kind)) {
            sent.config = Some(config.id);
        }
    }

    /// The device has run the clean-up lines.
    pub fn cleaned(&mut self, now: UnixMillis) {
        self.clean_up = Some(Progress::next(self.clean_up.as_ref(), None, now, State::Done));
    }

    /// The device has not run the clean-up lines.
    pub fn clean_up_failed(&mut self, reason: &str, now: UnixMillis) {
        self.clean_up = Some(Progress::next(self.clean_up.as_ref(), None, now, State::Failed(reason.into())));
    }

    /// Whether the update has no attempts left.
    pub fn update_given_up(&self) -> bool {
        self.update.as_ref().is_some_and(|progress| RetryPolicy::default().update().is_over(progress))
    }

    /// Whether a kind of configuration has no attempts left.
    pub fn config_given_up(&self, kind: Kind) -> bool {
        self.config(kind).is_some_and(|configured| RetryPolicy::default().config().is_over(&configured.progress))
    }

    fn put(&mut self, kind: Kind, job: Option<JobId>, fingerprint: &str, now: UnixMillis, state: State) {
        let place = self.configs.binary_search_by_key(&kind, |configured| configured.kind);
        let before = place.ok().and_then(|at| self.configs.get(at));
        // Attempts count towards giving up on a job; after a success they begin anew.
        let before = before.map(|configured| &configured.progress);
        let before = before.filter(|before| before.job == job && before.state != State::Done);
        let progress = Progress::next(before, job, now, state);
        let configured = Configured { kind, fingerprint: fingerprint.into(), config: None, progress };
        match place {
            Ok(at) => self.configs[at] = configured,
            Err(at) => self.configs.insert(at, configured),
        }
    }
}

impl Progress {
    /// The attempt that follows `before`.
    fn next(before: Option<&Self>, job: Option<JobId>, now: UnixMillis, state: State) -> Self {
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        Self { job, attempts, at: now, state }
    }
}
