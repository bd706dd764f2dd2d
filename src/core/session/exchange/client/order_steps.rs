//! The steps of an order (`docs/protocol/pbx.md` sections 4 and 5).

use std::time::Duration;

use super::orders::{JobId, SOON, Stage};
use super::{Exchange, Grant, Owner};
use crate::core::model::time::Tick;
use crate::core::protocol::json::Object;
use crate::core::session::exchange::entry::DeviceEntry;
use crate::core::session::exchange::event::{Action, Change, Ended, Failed, Outcome, Report, Why};
use crate::core::session::exchange::message::failure;
use crate::core::session::exchange::mirror::{Row, State as Trust};
use crate::core::session::exchange::object::{NoUser, Unsendable, UserObject};
use crate::core::session::exchange::request::Request;
use crate::core::session::exchange::settings::{
    APPS_KEPT, Conflict, MAX_ROUNDS, MIRROR_WAIT, NO_PEACE, REFUSED, SETTLE,
};
use crate::core::session::exchange::write_round::{Aim, Plan};

/// After so many waits for peace somebody should look.
const ALARM: u8 = 3;

impl Exchange {
    /// Steps 2 and 3: is the phone app there, is the user there, has somebody else the device?
    pub(super) fn prepare(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        job.stage = Stage::Preparing;
        if job.superseded {
            return self.finish(id, Outcome::Ended(Ended::Superseded), now, actions);
        }
        if job.target != job.order.user {
            return self.want_slot(id, now, actions);
        }
        let (user, hw, change) = (job.order.user.clone(), job.order.hw.clone(), job.order.change.clone());
        match (self.admin, self.table) {
            (Grant::Unknown, _) | (Grant::No, Grant::Unknown) => return,
            (Grant::No, Grant::No) => {
                return self.finish(id, Outcome::Later(Why::NotGranted, APPS_KEPT), now, actions);
            }
            (Grant::No, Grant::Yes) => {}
            (Grant::Yes, _) => {
                if let Change::Put { app, .. } = &change {
                    if !self.apps.are_known(now) {
                        return self.ask_for_apps();
                    }
                    if !self.apps.has(app) {
                        return self.finish(id, Outcome::Later(Why::UnknownApp, APPS_KEPT), now, actions);
                    }
                }
            }
        }
        if self.table != Grant::No && self.mirror.state() != Trust::Complete {
            let until = self.jobs.get(id).map_or(now, |job| *job.mirror_until.get_or_insert(now + MIRROR_WAIT));
            if now < until {
                return self.jobs.set_timer(until, id);
            }
        } else if self.table == Grant::Yes && self.mirror.row(&user).is_none() {
            return self.finish(id, Outcome::Ended(Ended::UserDeleted), now, actions);
        }
        if matches!(change, Change::Put { .. }) && self.clear_others(id, &hw, now, actions) {
            return;
        }
        if self.admin == Grant::Yes { self.want_slot(id, now, actions) } else { self.write_table(id, now, actions) }
    }

    /// Step 3. `true`: somebody else has the device, which comes first.
    fn clear_others(&mut self, id: JobId, hw: &str, now: Tick, actions: &mut Vec<Action>) -> bool {
        let Some(job) = self.jobs.get(id) else { return true };
        let (user, cleared) = (job.order.user.clone(), job.cleared.clone());
        let other = self.mirror.holders(hw).find(|guid| **guid != user && !cleared.contains(*guid)).cloned();
        let Some(other) = other else { return false };
        // Without the interface for single objects there is no round that could take it out safely.
        if self.settings.conflict == Conflict::Refuse || self.admin != Grant::Yes {
            self.finish(id, Outcome::Failed(Failed::AtOtherUser), now, actions);
            return true;
        }
        // Not both locks at once: two orders that swap their devices would wait for each other.
        self.unlock(id, now, actions);
        if let Some(job) = self.jobs.get(id) {
            job.target = other;
            (job.rounds, job.restored) = (0, Vec::new());
        }
        self.lock(id, now, actions);
        true
    }

    /// Something that orders wait for may have come.
    pub(super) fn look_again(&mut self, now: Tick, actions: &mut Vec<Action>) {
        for id in self.jobs.in_stage(Stage::Preparing) {
            self.prepare(id, now, actions);
        }
    }

    /// Step 4, in the slot.
    pub(super) fn read_object(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        job.window = None;
        job.stage = Stage::Reading;
        let target = job.target.clone();
        self.wire.ask(Request::Object(target), Owner::Round(id), true);
    }

    pub(super) fn round_answered(
        &mut self,
        id: JobId,
        answer: Option<&Object<'_>>,
        now: Tick,
        actions: &mut Vec<Action>,
    ) {
        let Some(job) = self.jobs.get(id) else { return };
        match (job.stage, answer) {
            // No answer says nothing; three of them end the connection.
            (Stage::Reading, None) => {
                self.free_slot(id, now, actions);
                self.want_slot(id, now, actions);
            }
            (Stage::Comparing, None) => self.compare_later(id, now),
            (Stage::Writing, None) => {
                self.free_slot(id, now, actions);
                self.compare_later(id, now);
            }
            (Stage::Reading | Stage::Comparing, Some(answer)) => {
                let compares = job.stage == Stage::Comparing;
                match UserObject::read(answer, &job.target, now) {
                    Err(NoUser::Gone) => self.target_gone(id, now, actions),
                    Err(NoUser::Other) => self.finish(id, Outcome::Failed(Failed::NotAUser), now, actions),
                    Ok(object) => {
                        self.shows_hidden |= object.devices().iter().any(DeviceEntry::shows_hidden);
                        if compares {
                            self.compare(id, &object, now, actions);
                        } else {
                            self.plan(id, object, now, actions);
                        }
                    }
                }
            }
            (Stage::Writing, Some(answer)) => {
                self.free_slot(id, now, actions);
                match failure(answer) {
                    None => self.compare_later(id, now),
                    Some(error) => self.refused(id, error, now, actions),
                }
            }
            _ => {}
        }
    }

    fn target_gone(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        if job.target == job.order.user {
            self.finish(id, Outcome::Ended(Ended::UserDeleted), now, actions);
        } else {
            self.met(id, &[], now, actions);
        }
    }

    /// Step 5.
    fn plan(&mut self, id: JobId, object: UserObject, now: Tick, actions: &mut Vec<Action>) {
        let (shows_hidden, flags) = (self.shows_hidden, self.settings.flags.clone());
        let Some(job) = self.jobs.get(id) else { return };
        if job.superseded {
            return self.finish(id, Outcome::Ended(Ended::Superseded), now, actions);
        }
        let (target, hw, change, restored) =
            (job.target.clone(), job.order.hw.clone(), job.change().clone(), job.restored.clone());
        let aim = Aim { hw: &hw, change: &change, restored: &restored };
        let row = self.mirror.row(&target).filter(|_| !shows_hidden);
        match aim.plan(object.devices(), row, &flags) {
            Plan::Nothing => {
                let devices = object.devices().to_vec();
                self.free_slot(id, now, actions);
                self.met(id, &devices, now, actions);
            }
            Plan::TooMany => self.finish(id, Outcome::Failed(Failed::TooManyDevices), now, actions),
            Plan::Write(devices) => {
                if !self.jobs.has_slot(id) || !object.is_fresh(now) {
                    return self.read_object(id);
                }
                let Some(job) = self.jobs.get(id) else { return };
                (job.read, job.written) = (object.devices().to_vec(), devices);
                job.stage = Stage::Writing;
                let update = object.update(&job.written);
                self.wire.ask(Request::Update(update), Owner::Round(id), true);
            }
        }
    }

    /// A change that was not sent: nothing has happened.
    pub(super) fn unsendable(&mut self, owner: Owner, why: Unsendable, now: Tick, actions: &mut Vec<Action>) {
        let Owner::Round(id) = owner else { return };
        match why {
            Unsendable::Stale => self.read_object(id),
            Unsendable::TooLong => self.finish(id, Outcome::Failed(Failed::TooLong), now, actions),
        }
    }

    fn refused(&mut self, id: JobId, error: Box<str>, now: Tick, actions: &mut Vec<Action>) {
        actions.push(Action::Report(Report::Error("UpdateObject", error)));
        let Some(job) = self.jobs.get(id) else { return };
        let (user, hw) = (job.order.user.clone(), job.order.hw.clone());
        let troubles = self.jobs.troubles(&user, &hw);
        let pause = REFUSED.get(troubles.refused).copied();
        troubles.refused += 1;
        let outcome = pause.map_or(Outcome::Failed(Failed::Refused), |pause| Outcome::Later(Why::Refused, pause));
        self.finish(id, outcome, now, actions);
    }

    /// Step 7: the wait before it.
    fn compare_later(&mut self, id: JobId, now: Tick) {
        if let Some(job) = self.jobs.get(id) {
            job.wrote = true;
        }
        self.jobs.set(id, Stage::Settling(now + SETTLE));
    }

    /// Step 7.
    fn compare(&mut self, id: JobId, object: &UserObject, now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        let devices = object.devices();
        let (change, target) = (job.change().clone(), job.target.clone());
        let aim = Aim { hw: &job.order.hw, change: &change, restored: &job.restored };
        let removed = aim
            .removed(&job.written, devices)
            .into_iter()
            .map(|entry| Report::RemovedMeanwhile { user: target.clone(), hw: entry.hw().into() });
        actions.extend(removed.map(Action::Report));
        let overwritten = match &job.window {
            Some(window) => aim.overwritten(window, &job.read, devices),
            None => Vec::new(),
        };
        if overwritten.is_empty() && aim.is_met(devices) {
            let devices = devices.to_vec();
            return self.met(id, &devices, now, actions);
        }
        job.restored.extend(overwritten);
        job.rounds += 1;
        if job.rounds < MAX_ROUNDS {
            let pause = Duration::from_millis(500 + self.draw() % 1_500);
            return self.jobs.set(id, Stage::Pausing(now + pause));
        }
        let (user, hw) = (job.order.user.clone(), job.order.hw.clone());
        let troubles = self.jobs.troubles(&user, &hw);
        troubles.unrest += 1;
        if troubles.unrest.is_multiple_of(ALARM) {
            actions.push(Action::Report(Report::NoPeace(user)));
        }
        self.finish(id, Outcome::Later(Why::NoPeace, NO_PEACE), now, actions);
    }

    /// The target is as it should be. Then either the user's own turn comes, or the order is done.
    fn met(&mut self, id: JobId, devices: &[DeviceEntry], now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        let (target, hw, wrote) = (job.target.clone(), job.order.hw.clone(), job.wrote);
        self.mirror.note_device(&target, &hw, devices.iter().find(|entry| entry.is(&hw)));
        let Some(job) = self.jobs.get(id) else { return };
        if target != job.order.user {
            job.cleared.insert(target);
            self.free_slot(id, now, actions);
            self.unlock(id, now, actions);
            if let Some(job) = self.jobs.get(id) {
                job.target = job.order.user.clone();
                (job.rounds, job.restored) = (0, Vec::new());
            }
            return self.lock(id, now, actions);
        }
        if matches!(job.order.change, Change::Put { .. }) {
            self.registrations.watch(&target, &hw, now);
        }
        self.finish(id, Outcome::Done { wrote }, now, actions);
    }

    /// A row for a user whom an order works on (`docs/protocol/pbx.md` section 5, rule 4).
    pub(super) fn row_for_rounds(&mut self, row: &Row, now: Tick, actions: &mut Vec<Action>) {
        let Some((id, job)) = self.jobs.at(&row.guid) else { return };
        let change = job.change().clone();
        let is_met = Aim { hw: &job.order.hw, change: &change, restored: &job.restored }.is_met(&row.devices);
        if matches!(job.stage, Stage::ThroughTable(_)) {
            if is_met {
                job.wrote = true;
                let devices = row.devices.clone();
                self.met(id, &devices, now, actions);
            }
        } else if job.is_in_window() && !is_met {
            job.window = Some(row.devices.clone());
        }
    }

    pub(super) fn jobs_timer(&mut self, now: Tick, actions: &mut Vec<Action>) {
        while let Some(id) = self.jobs.due(now) {
            let Some(job) = self.jobs.get(id) else { continue };
            match job.stage {
                Stage::Settling(at) if at <= now => {
                    job.stage = Stage::Comparing;
                    let target = job.target.clone();
                    self.wire.ask(Request::Object(target), Owner::Round(id), false);
                }
                Stage::Pausing(at) if at <= now => self.want_slot(id, now, actions),
                Stage::ThroughTable(at) if at <= now => self.not_seen(id, now, actions),
                Stage::Preparing => self.prepare(id, now, actions),
                _ => {}
            }
        }
    }
}

/// For whoever cannot go on at once.
pub(super) const fn soon(why: Why) -> Outcome {
    Outcome::Later(why, SOON)
}
