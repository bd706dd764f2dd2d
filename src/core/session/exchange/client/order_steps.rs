//! The steps of an order under way (`docs/protocol/pbx.md` sections 4 and 5).

use std::time::Duration;

use super::orders::{ActiveOrderId, RETRY_SOON, Stage};
use super::{ExchangeClient, Grant, Owner};
use crate::core::model::time::Tick;
use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::entry::DeviceEntry;
use crate::core::session::exchange::event::{
    Action, Change, ObsoleteReason, OrderFailure, Outcome, Report, RetryReason,
};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::message::failure;
use crate::core::session::exchange::mirror::{Row, State as Trust};
use crate::core::session::exchange::object::{NoUser, Unsendable, UserObject};
use crate::core::session::exchange::request::Request;
use crate::core::session::exchange::settings::{
    APPS_KEPT, CONCURRENT_EDITS_WAIT, Conflict, MAX_ROUNDS, MIRROR_WAIT, REFUSED, SETTLE,
};
use crate::core::session::exchange::write_round::{Plan, RoundGoal};

/// After this many waits because of concurrent edits, a report is made.
const ALARM: u8 = 3;

impl ExchangeClient {
    /// Steps 2 and 3: checks that the phone app and the user exist and that no other user has the device.
    pub(super) fn prepare(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        active.stage = Stage::Preparing;
        if active.superseded {
            return self.finish(id, Outcome::Obsolete(ObsoleteReason::Superseded), now, actions);
        }
        if active.target != active.order.user {
            return self.want_slot(id, now, actions);
        }
        let (user, hw, change) = (active.order.user.clone(), active.order.hw.clone(), active.order.change.clone());
        match (self.admin, self.table) {
            (Grant::Unknown, _) | (Grant::No, Grant::Unknown) => return,
            (Grant::No, Grant::No) => {
                return self.finish(id, Outcome::Later(RetryReason::NotGranted, APPS_KEPT), now, actions);
            }
            (Grant::No, Grant::Yes) => {}
            (Grant::Yes, _) => {
                if let Change::Put { app, .. } = &change {
                    if !self.apps.are_known(now) {
                        return self.ask_for_apps();
                    }
                    if !self.apps.has(app) {
                        return self.finish(id, Outcome::Later(RetryReason::UnknownApp, APPS_KEPT), now, actions);
                    }
                }
            }
        }
        if self.table != Grant::No && self.mirror.state() != Trust::Complete {
            let until =
                self.active_orders.get(id).map_or(now, |active| *active.mirror_until.get_or_insert(now + MIRROR_WAIT));
            if now < until {
                return self.active_orders.set_timer(until, id);
            }
        } else if self.table == Grant::Yes && self.mirror.row(&user).is_none() {
            return self.finish(id, Outcome::Obsolete(ObsoleteReason::UserDeleted), now, actions);
        }
        if matches!(change, Change::Put { .. }) && self.clear_others(id, &hw, now, actions) {
            return;
        }
        if self.admin == Grant::Yes { self.want_slot(id, now, actions) } else { self.write_table(id, now, actions) }
    }

    /// Step 3. `true`: another user has the device, which is handled first.
    fn clear_others(&mut self, id: ActiveOrderId, hw: &str, now: Tick, actions: &mut Vec<Action>) -> bool {
        let Some(active) = self.active_orders.get(id) else { return true };
        let (user, cleared) = (active.order.user.clone(), active.cleared.clone());
        let other = self.mirror.holders(hw).find(|guid| **guid != user && !cleared.contains(*guid)).cloned();
        let Some(other) = other else { return false };
        // Without the interface for single objects it cannot be removed safely.
        if self.settings.conflict == Conflict::Refuse || self.admin != Grant::Yes {
            self.finish(id, Outcome::Failed(OrderFailure::AtOtherUser), now, actions);
            return true;
        }
        // Release before taking the other lock: two orders that swap devices would deadlock.
        self.unlock(id, now, actions);
        if let Some(active) = self.active_orders.get(id) {
            active.target = other;
            (active.rounds, active.restored) = (0, Vec::new());
        }
        self.lock(id, now, actions);
        true
    }

    /// Continues orders whose preconditions may hold now.
    pub(super) fn retry_waiting(&mut self, now: Tick, actions: &mut Vec<Action>) {
        for id in self.active_orders.in_stage(Stage::Preparing) {
            self.prepare(id, now, actions);
        }
    }

    /// Step 4, while holding the write slot.
    pub(super) fn read_object(&mut self, id: ActiveOrderId) {
        let Some(active) = self.active_orders.get(id) else { return };
        active.window = None;
        active.stage = Stage::Reading;
        let target = active.target.clone();
        self.requests.ask(Request::Object(target), Owner::Round(id), true);
    }

    pub(super) fn round_answered(
        &mut self,
        id: ActiveOrderId,
        answer: Option<&Object<'_>>,
        now: Tick,
        actions: &mut Vec<Action>,
    ) {
        let Some(active) = self.active_orders.get(id) else { return };
        match (active.stage, answer) {
            // A missing answer decides nothing; three of them end the connection.
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
                let compares = active.stage == Stage::Comparing;
                match UserObject::read(answer, &active.target, now) {
                    Err(NoUser::Gone) => self.target_gone(id, now, actions),
                    Err(NoUser::Other) => self.finish(id, Outcome::Failed(OrderFailure::NotAUser), now, actions),
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
                    None => self.written(id, answer, now, actions),
                    Some(error) => self.refused(id, error, now, actions),
                }
            }
            _ => {}
        }
    }

    fn target_gone(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        if active.target == active.order.user {
            self.finish(id, Outcome::Obsolete(ObsoleteReason::UserDeleted), now, actions);
        } else {
            self.met(id, &[], now, actions);
        }
    }

    /// Step 5.
    fn plan(&mut self, id: ActiveOrderId, object: UserObject, now: Tick, actions: &mut Vec<Action>) {
        let (shows_hidden, flags) = (self.shows_hidden, self.settings.flags.clone());
        let Some(active) = self.active_orders.get(id) else { return };
        if active.superseded {
            return self.finish(id, Outcome::Obsolete(ObsoleteReason::Superseded), now, actions);
        }
        let (target, hw, change, restored) =
            (active.target.clone(), active.order.hw.clone(), active.change().clone(), active.restored.clone());
        let goal = RoundGoal { hw: &hw, change: &change, restored: &restored };
        let row = self.mirror.row(&target).filter(|_| !shows_hidden);
        match goal.plan(object.devices(), row, &flags) {
            Plan::Nothing => {
                let devices = object.devices().to_vec();
                self.free_slot(id, now, actions);
                self.met(id, &devices, now, actions);
            }
            Plan::TooMany => self.finish(id, Outcome::Failed(OrderFailure::TooManyDevices), now, actions),
            Plan::Write(devices) => {
                if !self.active_orders.has_slot(id) || !object.is_fresh(now) {
                    return self.read_object(id);
                }
                let Some(active) = self.active_orders.get(id) else { return };
                (active.read, active.written) = (object.devices().to_vec(), devices);
                active.stage = Stage::Writing;
                let update = object.update(&active.written);
                self.requests.ask(Request::Update(update), Owner::Round(id), true);
            }
        }
    }

    /// An update that could not be sent; nothing has been changed.
    pub(super) fn unsendable(&mut self, owner: Owner, why: Unsendable, now: Tick, actions: &mut Vec<Action>) {
        let Owner::Round(id) = owner else { return };
        match why {
            Unsendable::Stale => self.read_object(id),
            Unsendable::TooLong => self.finish(id, Outcome::Failed(OrderFailure::TooLong), now, actions),
        }
    }

    fn refused(&mut self, id: ActiveOrderId, error: Box<str>, now: Tick, actions: &mut Vec<Action>) {
        actions.push(Action::Report(Report::Error("UpdateObject", error)));
        let Some(active) = self.active_orders.get(id) else { return };
        let (user, hw) = (active.order.user.clone(), active.order.hw.clone());
        let failures = self.active_orders.failures(&user, &hw);
        let pause = REFUSED.get(failures.refused).copied();
        failures.refused += 1;
        let outcome =
            pause.map_or(Outcome::Failed(OrderFailure::Refused), |pause| Outcome::Later(RetryReason::Refused, pause));
        self.finish(id, outcome, now, actions);
    }

    /// Step 6 has been answered without an error. An answer with `guid` means that an object was created, which must
    /// never happen (`docs/protocol/pbx.md` 2.3). The order is not repeated then: that would create one more.
    fn written(&mut self, id: ActiveOrderId, answer: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        if !names_object(answer) {
            return self.compare_later(id, now);
        }
        let Some(active) = self.active_orders.get(id) else { return };
        let user = active.target.clone();
        let created = answer.str("guid").and_then(|text| Guid::parse(text).ok());
        let is_user = created.as_ref() == Some(&user);
        actions.push(Action::Report(Report::ObjectCreated { user, created }));
        if is_user {
            self.compare_later(id, now);
        } else {
            self.finish(id, Outcome::Failed(OrderFailure::ObjectCreated), now, actions);
        }
    }

    /// Waits before step 7.
    fn compare_later(&mut self, id: ActiveOrderId, now: Tick) {
        if let Some(active) = self.active_orders.get(id) {
            active.wrote = true;
        }
        self.active_orders.set(id, Stage::Settling(now + SETTLE));
    }

    /// Step 7.
    fn compare(&mut self, id: ActiveOrderId, object: &UserObject, now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        let devices = object.devices();
        let (change, target) = (active.change().clone(), active.target.clone());
        let goal = RoundGoal { hw: &active.order.hw, change: &change, restored: &active.restored };
        let removed = goal
            .removed(&active.written, devices)
            .into_iter()
            .map(|entry| Report::RemovedMeanwhile { user: target.clone(), hw: entry.hw().into() });
        actions.extend(removed.map(Action::Report));
        let overwritten = match &active.window {
            Some(window) => goal.overwritten(window, &active.read, devices),
            None => Vec::new(),
        };
        if overwritten.is_empty() && goal.is_met(devices) {
            let devices = devices.to_vec();
            return self.met(id, &devices, now, actions);
        }
        active.restored.extend(overwritten);
        active.rounds += 1;
        if active.rounds < MAX_ROUNDS {
            let pause = Duration::from_millis(500 + self.draw() % 1_500);
            return self.active_orders.set(id, Stage::Pausing(now + pause));
        }
        let (user, hw) = (active.order.user.clone(), active.order.hw.clone());
        let failures = self.active_orders.failures(&user, &hw);
        failures.unrest += 1;
        if failures.unrest.is_multiple_of(ALARM) {
            actions.push(Action::Report(Report::ConcurrentEdits(user)));
        }
        self.finish(id, Outcome::Later(RetryReason::ConcurrentEdits, CONCURRENT_EDITS_WAIT), now, actions);
    }

    /// The target has the ordered state. Continues with the user of the order, or finishes.
    fn met(&mut self, id: ActiveOrderId, devices: &[DeviceEntry], now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        let (target, hw, wrote) = (active.target.clone(), active.order.hw.clone(), active.wrote);
        self.mirror.note_device(&target, &hw, devices.iter().find(|entry| entry.is(&hw)));
        let Some(active) = self.active_orders.get(id) else { return };
        if target != active.order.user {
            active.cleared.insert(target);
            self.free_slot(id, now, actions);
            self.unlock(id, now, actions);
            if let Some(active) = self.active_orders.get(id) {
                active.target = active.order.user.clone();
                (active.rounds, active.restored) = (0, Vec::new());
            }
            return self.lock(id, now, actions);
        }
        if matches!(active.order.change, Change::Put { .. }) {
            self.registrations.watch(&target, &hw, now);
        }
        self.finish(id, Outcome::Done { wrote }, now, actions);
    }

    /// A row for a user with an order under way (`docs/protocol/pbx.md` section 5, rule 4).
    pub(super) fn note_row(&mut self, row: &Row, now: Tick, actions: &mut Vec<Action>) {
        let Some((id, active)) = self.active_orders.at(&row.guid) else { return };
        let change = active.change().clone();
        let is_met =
            RoundGoal { hw: &active.order.hw, change: &change, restored: &active.restored }.is_met(&row.devices);
        if matches!(active.stage, Stage::ThroughTable(_)) {
            if is_met {
                active.wrote = true;
                let devices = row.devices.clone();
                self.met(id, &devices, now, actions);
            }
        } else if active.is_in_window() && !is_met {
            active.window = Some(row.devices.clone());
        }
    }

    pub(super) fn orders_timer(&mut self, now: Tick, actions: &mut Vec<Action>) {
        while let Some(id) = self.active_orders.due(now) {
            let Some(active) = self.active_orders.get(id) else { continue };
            match active.stage {
                Stage::Settling(at) if at <= now => {
                    active.stage = Stage::Comparing;
                    let target = active.target.clone();
                    self.requests.ask(Request::Object(target), Owner::Round(id), false);
                }
                Stage::Pausing(at) if at <= now => self.want_slot(id, now, actions),
                Stage::ThroughTable(at) if at <= now => self.not_seen(id, now, actions),
                Stage::Preparing => self.prepare(id, now, actions),
                _ => {}
            }
        }
    }
}

/// Whether an answer to `UpdateObject` names an object, in whatever form.
fn names_object(answer: &Object<'_>) -> bool {
    match answer.get("guid") {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// Outcome of an order that cannot continue now.
pub(super) const fn retry_soon(why: RetryReason) -> Outcome {
    Outcome::Later(why, RETRY_SOON)
}
