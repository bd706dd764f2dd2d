//! Orders under way: one after the other for the same device and for the same user, one at a time in the write slot.
//!
//! What a round does stands in [`crate::core::session::exchange::client::order_steps`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::Exchange;
use crate::core::model::time::Tick;
use crate::core::session::exchange::entry::{DeviceEntry, hardware_key};
use crate::core::session::exchange::event::{Action, Change, Ended, ExchangeOrder, Lock, OrderTag, Outcome, Why};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::settings::MAX_ORDERS;

/// A number of an order under way.
pub(super) type JobId = u64;

/// How long whoever orders is to wait before the next attempt.
pub(super) const SOON: Duration = Duration::from_secs(1);
const UNTIL_CONNECTED: Duration = Duration::from_secs(2);
/// The write slot goes back to the other nodes after so long, even if orders wait for it here.
const SLOT_KEPT: Duration = Duration::from_secs(2);
/// Users and devices whose failures are remembered; the count of some is lost beyond that.
const MAX_REMEMBERED: usize = 10_000;

/// Where an order stands.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Stage {
    /// Behind another order for the same device.
    Queued,
    /// Waits for the lock of its user.
    Locking,
    /// Waits for the list of apps, for the mirror, or to know which interfaces there are.
    Preparing,
    /// Waits for the write slot.
    Waiting,
    /// Has asked for the object; holds the slot.
    Reading,
    /// Has sent the change; holds the slot.
    Writing,
    /// Waits before it compares, until this time.
    Settling(Tick),
    /// Has asked for the object again.
    Comparing,
    /// Waits before the next round, until this time.
    Pausing(Tick),
    /// Has written through the table, and waits until this time to see it.
    ThroughTable(Tick),
}

/// An order under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: OrderTag,
    pub(super) order: ExchangeOrder,
    pub(super) stage: Stage,
    /// The user of the current rounds: first everybody else who has the device.
    pub(super) target: Guid,
    /// Others it has been taken out of.
    pub(super) cleared: BTreeSet<Guid>,
    pub(super) rounds: u8,
    pub(super) restored: Vec<DeviceEntry>,
    /// What was read in this round, and the last row since then that does not show our change.
    pub(super) read: Vec<DeviceEntry>,
    pub(super) window: Option<Vec<DeviceEntry>>,
    pub(super) written: Vec<DeviceEntry>,
    pub(super) wrote: bool,
    pub(super) mirror_until: Option<Tick>,
    pub(super) superseded: bool,
}

impl Job {
    /// What is to become of the device at the current target.
    pub(super) fn change(&self) -> &Change {
        if self.target == self.order.user { &self.order.change } else { &Change::TakeOut }
    }

    /// Whether rows that come now may show what somebody else does meanwhile.
    pub(super) const fn is_in_window(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Writing | Stage::Settling(_) | Stage::Comparing)
    }
}

#[derive(Debug, Default)]
struct UserLock {
    held: bool,
    queue: VecDeque<JobId>,
}

#[derive(Debug, Default)]
struct Slot {
    asked: bool,
    /// Since when it is held.
    held: Option<Tick>,
    by: Option<JobId>,
    queue: VecDeque<JobId>,
}

/// Failures of one user and device so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Troubles {
    pub(super) refused: usize,
    pub(super) unrest: u8,
}

/// All orders under way.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, Job>,
    last: JobId,
    by_device: HashMap<Box<str>, VecDeque<JobId>>,
    locks: BTreeMap<Guid, UserLock>,
    slot: Slot,
    timers: BTreeSet<(Tick, JobId)>,
    troubles: HashMap<(Guid, Box<str>), Troubles>,
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn wake(&self) -> Option<Tick> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn get(&mut self, id: JobId) -> Option<&mut Job> {
        self.by_id.get_mut(&id)
    }

    /// Sets the stage, and a timer if the stage has one.
    pub(super) fn set(&mut self, id: JobId, stage: Stage) {
        let Some(job) = self.by_id.get_mut(&id) else { return };
        job.stage = stage;
        if let Stage::Settling(at) | Stage::Pausing(at) | Stage::ThroughTable(at) = stage {
            self.timers.insert((at, id));
        }
    }

    pub(super) fn set_timer(&mut self, at: Tick, id: JobId) {
        self.timers.insert((at, id));
    }

    /// A timer that has run out.
    pub(super) fn due(&mut self, now: Tick) -> Option<JobId> {
        self.timers.first().filter(|(at, _)| *at <= now)?;
        self.timers.pop_first().map(|(_, id)| id)
    }

    /// The orders in a stage.
    pub(super) fn in_stage(&self, stage: Stage) -> Vec<JobId> {
        self.by_id.iter().filter(|(_, job)| job.stage == stage).map(|(id, _)| *id).collect()
    }

    /// The order that works on a user.
    pub(super) fn at(&mut self, user: &Guid) -> Option<(JobId, &mut Job)> {
        let id = *self.locks.get(user).filter(|lock| lock.held)?.queue.front()?;
        self.by_id.get_mut(&id).filter(|job| job.target == *user).map(|job| (id, job))
    }

    pub(super) fn troubles(&mut self, user: &Guid, hw: &str) -> &mut Troubles {
        if self.troubles.len() >= MAX_REMEMBERED {
            self.troubles.clear();
        }
        self.troubles.entry((user.clone(), hardware_key(hw))).or_default()
    }

    fn forget_troubles(&mut self, user: &Guid, hw: &str) {
        self.troubles.remove(&(user.clone(), hardware_key(hw)));
    }

    pub(super) fn has_slot(&self, id: JobId) -> bool {
        self.slot.by == Some(id)
    }
}

impl Exchange {
    pub(super) fn take_order(&mut self, ticket: OrderTag, order: ExchangeOrder, now: Tick, actions: &mut Vec<Action>) {
        let wait = if self.is_ready() {
            (self.jobs.len() >= MAX_ORDERS).then_some((Why::Busy, SOON))
        } else {
            Some((Why::NoConnection, UNTIL_CONNECTED))
        };
        if let Some((why, wait)) = wait {
            actions.push(Action::Done(ticket, Outcome::Later(why, wait)));
            return;
        }
        let key = hardware_key(&order.hw);
        let others = self.jobs.by_device.get(&key).cloned().unwrap_or_default();
        for id in &others {
            let Some(other) = self.jobs.by_id.get_mut(id) else { continue };
            if other.order.number > order.number {
                actions.push(Action::Done(ticket, Outcome::Ended(Ended::Superseded)));
                return;
            }
            other.superseded |= other.order.number < order.number;
        }
        self.jobs.last += 1;
        let id = self.jobs.last;
        self.jobs.by_device.entry(key).or_default().push_back(id);
        let job = Job {
            ticket,
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
        self.jobs.by_id.insert(id, job);
        if others.is_empty() {
            self.lock(id, now, actions);
        }
    }

    /// Step 1: the lock of the user whom the order works on.
    pub(super) fn lock(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        job.stage = Stage::Locking;
        let target = job.target.clone();
        let lock = self.jobs.locks.entry(target.clone()).or_default();
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

    /// Gives back the lock of the user whom the order has worked on.
    pub(super) fn unlock(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let Some(target) = self.jobs.get(id).map(|job| job.target.clone()) else { return };
        let Some(lock) = self.jobs.locks.get_mut(&target) else { return };
        let was_first = lock.queue.front() == Some(&id);
        lock.queue.retain(|waiting| *waiting != id);
        match lock.queue.front().copied() {
            None => {
                self.jobs.locks.remove(&target);
                actions.push(Action::Release(Lock::User(target)));
            }
            Some(next) if was_first && lock.held => self.prepare(next, now, actions),
            Some(_) => {}
        }
    }

    pub(super) fn held(&mut self, lock: Lock, now: Tick, actions: &mut Vec<Action>) {
        match lock {
            Lock::User(user) => match self.jobs.locks.get_mut(&user) {
                Some(lock) if !lock.held => {
                    lock.held = true;
                    if let Some(first) = lock.queue.front().copied() {
                        self.prepare(first, now, actions);
                    }
                }
                Some(_) => {}
                // Nobody waits for it any more.
                None => actions.push(Action::Release(Lock::User(user))),
            },
            Lock::Slot if self.jobs.slot.asked => {
                self.jobs.slot.asked = false;
                self.jobs.slot.held = Some(now);
                self.next_in_slot(now, actions);
            }
            Lock::Slot => actions.push(Action::Release(Lock::Slot)),
        }
    }

    pub(super) fn lost(&mut self, lock: &Lock, now: Tick, actions: &mut Vec<Action>) {
        let id = match lock {
            Lock::Slot => {
                self.jobs.slot.held = None;
                let by = self.jobs.slot.by.take();
                self.ask_for_slot(actions);
                by
            }
            Lock::User(user) => {
                let Some(lock) = self.jobs.locks.get_mut(user).filter(|lock| lock.held) else { return };
                lock.held = false;
                let first = lock.queue.pop_front();
                if lock.queue.is_empty() {
                    self.jobs.locks.remove(user);
                } else {
                    actions.push(Action::Acquire(Lock::User(user.clone())));
                }
                first
            }
        };
        if let Some(id) = id {
            self.finish(id, Outcome::Later(Why::LockLost, SOON), now, actions);
        }
    }

    /// Step 4: the write slot.
    pub(super) fn want_slot(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        self.jobs.set(id, Stage::Waiting);
        self.jobs.slot.queue.push_back(id);
        self.next_in_slot(now, actions);
    }

    fn next_in_slot(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let slot = &mut self.jobs.slot;
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
        let slot = &mut self.jobs.slot;
        if !slot.queue.is_empty() && slot.held.is_none() && !std::mem::replace(&mut slot.asked, true) {
            actions.push(Action::Acquire(Lock::Slot));
        }
    }

    /// The end of step 6.
    pub(super) fn free_slot(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let slot = &mut self.jobs.slot;
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

    /// The end of an order, for now or for good.
    pub(super) fn finish(&mut self, id: JobId, outcome: Outcome, now: Tick, actions: &mut Vec<Action>) {
        self.free_slot(id, now, actions);
        self.unlock(id, now, actions);
        let Some(job) = self.jobs.by_id.remove(&id) else { return };
        if !matches!(outcome, Outcome::Later(..)) {
            self.jobs.forget_troubles(&job.order.user, &job.order.hw);
        }
        actions.push(Action::Done(job.ticket, outcome));
        let key = hardware_key(&job.order.hw);
        let Some(queue) = self.jobs.by_device.get_mut(&key) else { return };
        queue.retain(|waiting| *waiting != id);
        match queue.front().copied() {
            None => {
                self.jobs.by_device.remove(&key);
            }
            Some(next) if self.jobs.get(next).is_some_and(|job| job.stage == Stage::Queued) => {
                self.lock(next, now, actions);
            }
            Some(_) => {}
        }
    }

    /// The connection is gone: whoever has ordered orders again.
    pub(super) fn all_interrupted(&mut self, actions: &mut Vec<Action>) {
        let Jobs { by_id, locks, slot, by_device, timers, .. } = &mut self.jobs;
        let waiting = std::mem::take(by_id).into_values();
        let later = Outcome::Later(Why::NoConnection, UNTIL_CONNECTED);
        actions.extend(waiting.map(|job| Action::Done(job.ticket, later.clone())));
        // Also those that were only asked for: the request for a lock is withdrawn by giving it back.
        actions.extend(std::mem::take(locks).into_keys().map(|user| Action::Release(Lock::User(user))));
        let slot = std::mem::take(slot);
        if slot.asked || slot.held.is_some() {
            actions.push(Action::Release(Lock::Slot));
        }
        by_device.clear();
        timers.clear();
    }
}
