//! Progress of the work for one device. It is stored with the device, so that work continues after a restart of either
//! side.
//!
//! Whoever carries out a [`Plan`](crate::core::policy::jobs::plan::Plan) reports each step to the [`Work`] of that
//! plan and stores it. An update is reported **before** it is sent ([`Work::update_ordered`]), because its answer may
//! be lost in the restart.

use serde::{Deserialize, Serialize};

use crate::core::model::device::Device;
use crate::core::model::ids::JobId;
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::config::Kind;
use crate::core::policy::jobs::plan::{ConfigOrder, ItemOrder, UpdateOrder};
use crate::core::policy::jobs::retry::RetryPolicy;

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
    /// The progress since the present entry of a device; that of an earlier entry is dropped.
    pub fn of(device: &Device) -> Self {
        if device.work.entry == device.entered {
            device.work.clone()
        } else {
            Self { entry: device.entered, ..Self::default() }
        }
    }

    /// Whether nothing has been done yet.
    pub const fn is_empty(&self) -> bool {
        self.update.is_none() && self.configs.is_empty() && self.clean_up.is_none()
    }

    /// An update is about to be sent.
    pub fn update_ordered(&mut self, order: &UpdateOrder, now: UnixMillis) {
        let before = self.update.take().filter(|before| before.job == Some(order.job));
        self.update = Some(Progress::next(before.as_ref(), Some(order.job), now, State::Ordered));
    }

    /// The last update ordered did not reach the device, or was refused.
    pub fn update_failed(&mut self, reason: &str, now: UnixMillis) {
        if let Some(progress) = &mut self.update {
            progress.at = now;
            progress.state = State::Failed(reason.into());
        }
    }

    /// The device has a configuration, including that its lines are saved and active.
    pub fn configured(&mut self, order: &ConfigOrder, now: UnixMillis) {
        self.put(order.kind, Some(order.job), &order.fingerprint, now, State::Done);
    }

    /// A configuration has failed. It is unknown which lines have arrived, so the next one is sent in any case.
    pub fn config_failed(&mut self, order: &ConfigOrder, reason: &str, now: UnixMillis) {
        self.put(order.kind, Some(order.job), "", now, State::Failed(reason.into()));
    }

    /// An item was sent. One that was removed is forgotten.
    pub fn item_sent(&mut self, order: &ItemOrder, now: UnixMillis) {
        if order.item.removed {
            self.configs.retain(|configured| configured.kind != order.kind);
        } else {
            self.put(order.kind, order.job, &order.fingerprint, now, State::Done);
        }
    }

    /// The clean-up lines were accepted.
    pub fn cleaned(&mut self, now: UnixMillis) {
        self.clean_up = Some(Progress::next(self.clean_up.as_ref(), None, now, State::Done));
    }

    /// The clean-up lines have failed.
    pub fn clean_up_failed(&mut self, reason: &str, now: UnixMillis) {
        self.clean_up = Some(Progress::next(self.clean_up.as_ref(), None, now, State::Failed(reason.into())));
    }

    /// Whether all attempts at the update have failed.
    pub fn update_given_up(&self) -> bool {
        self.update.as_ref().is_some_and(|progress| RetryPolicy::default().update().is_over(progress))
    }

    /// Whether all attempts at this kind of configuration have failed.
    pub fn config_given_up(&self, kind: Kind) -> bool {
        self.config(kind).is_some_and(|configured| RetryPolicy::default().config().is_over(&configured.progress))
    }

    /// Progress of a kind of configuration.
    pub fn config(&self, kind: Kind) -> Option<&Configured> {
        self.configs.iter().find(|configured| configured.kind == kind)
    }

    fn put(&mut self, kind: Kind, job: Option<JobId>, fingerprint: &str, now: UnixMillis, state: State) {
        let place = self.configs.binary_search_by_key(&kind, |configured| configured.kind);
        let before = place.ok().and_then(|at| self.configs.get(at));
        // Attempts count towards giving up on a job; after a success they start anew.
        let before = before.map(|configured| &configured.progress);
        let before = before.filter(|before| before.job == job && before.state != State::Done);
        let progress = Progress::next(before, job, now, state);
        let configured = Configured { kind, fingerprint: fingerprint.into(), progress };
        match place {
            Ok(at) => self.configs[at] = configured,
            Err(at) => self.configs.insert(at, configured),
        }
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

impl Progress {
    /// The attempt that follows `before`.
    fn next(before: Option<&Self>, job: Option<JobId>, now: UnixMillis, state: State) -> Self {
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        Self { job, attempts, at: now, state }
    }
}

/// The result of a piece of work.
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
    /// Its progress.
    #[serde(flatten)]
    pub progress: Progress,
}
