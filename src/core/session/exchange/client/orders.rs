//! Orders under way: sequential per device and per user, one at a time in the write slot.
//!
//! The steps of an order are in [`crate::core::session::exchange::client::order_steps`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::ExchangeClient;
use crate::core::model::time::Tick;
use crate::core::session::exchange::entry::{DeviceEntry, hardware_key};
use crate::core::session::exchange::event::{
    Action, Change, ExchangeOrder, Lock, ObsoleteReason, OrderTag, Outcome, RetryReason,
};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::settings::MAX_ORDERS;

/// Identifier of an order under way.
pub(super) type ActiveOrderId = u64;

/// Retry delay given to the caller.
pub(super) const RETRY_SOON: Duration = Duration::from_secs(1);
const UNTIL_CONNECTED: Duration = Duration::from_secs(2);
/// Longest time that the write slot is kept while orders wait for it here; then other nodes get a turn.
const SLOT_KEPT: Duration = Duration::from_secs(2);
/// Bound of remembered failure counts; beyond it some are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Stage of an order.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Stage {
    /// Waits for an earlier order for the same device.
    Queued,
    /// Waits for the lock of its user.
    Locking,
    /// Waits for the list of apps, the mirror, or the granted interfaces.
    Preparing,
    /// Waits for the write slot.
    Waiting,
    /// Has asked for the object; holds the slot.
    Reading,
    /// Has sent the change; holds the slot.
    Writing,
    /// Waits until this time before it compares.
    Settling(Tick),
    /// Has asked for the object again.
    Comparing,
    /// Waits until this time before the next round.
    Pausing(Tick),
    /// Has written through the table and waits until this time to see the change.
    ThroughTable(Tick),
}

/// An order under way.
#[derive(Debug)]
pub(super) struct ActiveOrder {
    pub(super) tag: OrderTag,
    pub(super) order: ExchangeOrder,
    pub(super) stage: Stage,
    /// The user being changed: first each other user who has the device, then the user of the order.
    pub(super) target: Guid,
    /// Other users that the device has been removed from.
    pub(super) cleared: BTreeSet<Guid>,
    pub(super) rounds: u8,
    pub(super) restored: Vec<DeviceEntry>,
    /// Entries read in this round, and the last row since then that does not show our change.
    pub(super) read: Vec<DeviceEntry>,
    pub(super) window: Option<Vec<DeviceEntry>>,
    pub(super) written: Vec<DeviceEntry>,
    pub(super) wrote: bool,
    pub(super) mirror_until: Option<Tick>,
    pub(super) superseded: bool,
}

impl ActiveOrder {
    /// The change to be made at the current target.
    pub(super) fn change(&self) -> &Change {
        if self.target == self.order.user { &self.order.change } else { &Change::TakeOut }
    }

    /// Whether incoming rows may show concurrent edits.
    pub(super) const fn is_in_window(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Writing | Stage::Settling(_) | Stage::Comparing)
    }
}

#[derive(Debug, Default)]
struct UserLock {
    held: bool,
    queue: VecDeque<ActiveOrderId>,
}

#[derive(Debug, Default)]
struct Slot {
    asked: bool,
    /// Time of acquisition.
    held: Option<Tick>,
    by: Option<ActiveOrderId>,
    queue: VecDeque<ActiveOrderId>,
}

/// Failure counts of one user and device.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FailureCounts {
    pub(super) refused: usize,
    pub(super) unrest: u8,
}

/// All orders under way.
#[derive(Debug, Default)]
pub(super) struct ActiveOrders {
    by_id: BTreeMap<ActiveOrderId, ActiveOrder>,
    last: ActiveOrderId,
    by_device: HashMap<Box<str>, VecDeque<ActiveOrderId>>,
    locks: BTreeMap<Guid, UserLock>,
    slot: Slot,
    timers: BTreeSet<(Tick, ActiveOrderId)>,
    failures: HashMap<(Guid, Box<str>), FailureCounts>,
}

impl ActiveOrders {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn wake(&self) -> Option<Tick> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn get(&mut self, id: ActiveOrderId) -> Option<&mut ActiveOrder> {
        self.by_id.get_mut(&id)
    }

    /// Sets the stage, and its timer if it has one.
    pub(super) fn set(&mut self, id: ActiveOrderId, stage: Stage) {
        let Some(active) = self.by_id.get_mut(&id) else { return };
        active.stage = stage;
        if let Stage::Settling(at) | Stage::Pausing(at) | Stage::ThroughTable(at) = stage {
            self.timers.insert((at, id));
        }
    }

    pub(super) fn set_timer(&mut self, at: Tick, id: ActiveOrderId) {
        self.timers.insert((at, id));
    }

    /// Takes an expired timer.
    pub(super) fn due(&mut self, now: Tick) -> Option<ActiveOrderId> {
        self.timers.first().filter(|(at, _)| *at <= now)?;
        self.timers.pop_first().map(|(_, id)| id)
    }

    /// The orders in a stage.
    pub(super) fn in_stage(&self, stage: Stage) -> Vec<ActiveOrderId> {
        self.by_id.iter().filter(|(_, active)| active.stage == stage).map(|(id, _)| *id).collect()
    }

    /// The order that works on this user.
    pub(super) fn at(&mut self, user: &Guid) -> Option<(ActiveOrderId, &mut ActiveOrder)> {
        let id = *self.locks.get(user).filter(|lock| lock.held)?.queue.front()?;
        self.by_id.get_mut(&id).filter(|active| active.target == *user).map(|active| (id, active))
    }

    pub(super) fn failures(&mut self, user: &Guid, hw: &str) -> &mut FailureCounts {
        if self.failures.len() >= MAX_REMEMBERED {
            self.failures.clear();
        }
        self.failures.entry((user.clone(), hardware_key(hw))).or_default()
    }

    fn forget_failures(&mut self, user: &Guid, hw: &str) {
        self.failures.remove(&(user.clone(), hardware_key(hw)));
    }

    pub(super) fn has_slot(&self, id: ActiveOrderId) -> bool {
        self.slot.by == Some(id)
    }
}

impl ExchangeClient {
    pub(super) fn take_order(&mut self, tag: OrderTag, order: ExchangeOrder, now: Tick, actions: &mut Vec<Action>) {
        let wait = if self.is_ready() {
            (self.active_orders.len() >= MAX_ORDERS).then_some((RetryReason::Busy, RETRY_SOON))
        } else {
            Some((RetryReason::NoConnection, UNTIL_CONNECTED))
        };
        if let Some((why, wait)) = wait {
            actions.push(Action::Done(tag, Outcome::Later(why, wait)));
            return;
        }
        let key = hardware_key(&order.hw);
        let others = self.active_orders.by_device.get(&key).cloned().unwrap_or_default();
        for id in &others {
            let Some(other) = self.active_orders.by_id.get_mut(id) else { continue };
            if other.order.number > order.number {
                actions.push(Action::Done(tag, Outcome::Obsolete(ObsoleteReason::Superseded)));
                return;
            }
            other.superseded |= other.order.number < order.number;
        }
        self.active_orders.last += 1;
        let id = self.active_orders.last;
        self.active_orders.by_device.entry(key).or_default().push_back(id);
        let active = ActiveOrder {
            tag,
            target: order.user.clone(),
            order,
            stage: Stage::Queued,
            cleared: BTreeSet::new(),
            rounds: 0,
            restored: Vec::new(),
            read: Vec::new(),
            window: None,
            written: Vec::new(),
            wrote: false,
            mirror_until: None,
            superseded: false,
        };
        self.active_orders.by_id.insert(id, active);
        if others.is_empty() {
            self.lock(id, now, actions);
        }
    }

    /// Step 1: acquires the lock of the current target.
    pub(super) fn lock(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        active.stage = Stage::Locking;
        let target = active.target.clone();
        let lock = self.active_orders.locks.entry(target.clone()).or_default();
        lock.queue.push_back(id);
        if lock.queue.len() > 1 {
            return;
        }
        if lock.held {
            self.prepare(id, now, actions);
        } else {
            actions.push(Action::Acquire(Lock::User(target)));
        }
    }

    /// Releases the lock of the current target.
    pub(super) fn unlock(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let Some(target) = self.active_orders.get(id).map(|active| active.target.clone()) else { return };
        let Some(lock) = self.active_orders.locks.get_mut(&target) else { return };
        let was_first = lock.queue.front() == Some(&id);
        lock.queue.retain(|waiting| *waiting != id);
        match lock.queue.front().copied() {
            None => {
                self.active_orders.locks.remove(&target);
                actions.push(Action::Release(Lock::User(target)));
            }
            Some(next) if was_first && lock.held => self.prepare(next, now, actions),
            Some(_) => {}
        }
    }

    pub(super) fn held(&mut self, lock: Lock, now: Tick, actions: &mut Vec<Action>) {
        match lock {
            Lock::User(user) => match self.active_orders.locks.get_mut(&user) {
                Some(lock) if !lock.held => {
                    lock.held = true;
                    if let Some(first) = lock.queue.front().copied() {
                        self.prepare(first, now, actions);
                    }
                }
                Some(_) => {}
                // No order needs it any more.
                None => actions.push(Action::Release(Lock::User(user))),
            },
            Lock::Slot if self.active_orders.slot.asked => {
                self.active_orders.slot.asked = false;
                self.active_orders.slot.held = Some(now);
                self.next_in_slot(now, actions);
            }
            Lock::Slot => actions.push(Action::Release(Lock::Slot)),
        }
    }

    pub(super) fn lost(&mut self, lock: &Lock, now: Tick, actions: &mut Vec<Action>) {
        let id = match lock {
            Lock::Slot => {
                self.active_orders.slot.held = None;
                let by = self.active_orders.slot.by.take();
                self.ask_for_slot(actions);
                by
            }
            Lock::User(user) => {
                let Some(lock) = self.active_orders.locks.get_mut(user).filter(|lock| lock.held) else { return };
                lock.held = false;
                let first = lock.queue.pop_front();
                if lock.queue.is_empty() {
                    self.active_orders.locks.remove(user);
                } else {
                    actions.push(Action::Acquire(Lock::User(user.clone())));
                }
                first
            }
        };
        if let Some(id) = id {
            self.finish(id, Outcome::Later(RetryReason::LockLost, RETRY_SOON), now, actions);
        }
    }

    /// Step 4: requests the write slot.
    pub(super) fn want_slot(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        self.active_orders.set(id, Stage::Waiting);
        self.active_orders.slot.queue.push_back(id);
        self.next_in_slot(now, actions);
    }

    fn next_in_slot(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let slot = &mut self.active_orders.slot;
        if slot.by.is_some() || slot.queue.is_empty() {
            return;
        }
        let Some(since) = slot.held else { return self.ask_for_slot(actions) };
        if now.since(since) >= SLOT_KEPT {
            slot.held = None;
            actions.push(Action::Release(Lock::Slot));
            return self.ask_for_slot(actions);
        }
        slot.by = slot.queue.pop_front();
        if let Some(id) = slot.by {
            self.read_object(id);
        }
    }

    fn ask_for_slot(&mut self, actions: &mut Vec<Action>) {
        let slot = &mut self.active_orders.slot;
        if !slot.queue.is_empty() && slot.held.is_none() && !std::mem::replace(&mut slot.asked, true) {
            actions.push(Action::Acquire(Lock::Slot));
        }
    }

    /// End of step 6: releases the write slot.
    pub(super) fn free_slot(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let slot = &mut self.active_orders.slot;
        slot.queue.retain(|waiting| *waiting != id);
        if slot.by != Some(id) {
            return;
        }
        slot.by = None;
        if slot.queue.is_empty() {
            if slot.held.take().is_some() {
                actions.push(Action::Release(Lock::Slot));
            }
        } else {
            self.next_in_slot(now, actions);
        }
    }

    /// Finishes an order, for now or for good.
    pub(super) fn finish(&mut self, id: ActiveOrderId, outcome: Outcome, now: Tick, actions: &mut Vec<Action>) {
        self.free_slot(id, now, actions);
        self.unlock(id, now, actions);
        let Some(active) = self.active_orders.by_id.remove(&id) else { return };
        if !matches!(outcome, Outcome::Later(..)) {
            self.active_orders.forget_failures(&active.order.user, &active.order.hw);
        }
        actions.push(Action::Done(active.tag, outcome));
        let key = hardware_key(&active.order.hw);
        let Some(queue) = self.active_orders.by_device.get_mut(&key) else { return };
        queue.retain(|waiting| *waiting != id);
        match queue.front().copied() {
            None => {
                self.active_orders.by_device.remove(&key);
            }
            Some(next) if self.active_orders.get(next).is_some_and(|active| active.stage == Stage::Queued) => {
                self.lock(next, now, actions);
            }
            Some(_) => {}
        }
    }

    /// Finishes all orders because the connection has ended; callers retry.
    pub(super) fn all_interrupted(&mut self, actions: &mut Vec<Action>) {
        let ActiveOrders { by_id, locks, slot, by_device, timers, .. } = &mut self.active_orders;
        let waiting = std::mem::take(by_id).into_values();
        let later = Outcome::Later(RetryReason::NoConnection, UNTIL_CONNECTED);
        actions.extend(waiting.map(|active| Action::Done(active.tag, later.clone())));
        // Includes requested locks: releasing withdraws the request.
        actions.extend(std::mem::take(locks).into_keys().map(|user| Action::Release(Lock::User(user))));
        let slot = std::mem::take(slot);
        if slot.asked || slot.held.is_some() {
            actions.push(Action::Release(Lock::Slot));
        }
        by_device.clear();
        timers.clear();
    }
}
