//! Decides which entries may start now, which wait, and which are rejected.
//!
//! A [`Gate`] counts what is under way and queues those who wait; it must not know what they are, and reads no clock.
//! An admission is never revoked. Waiting is not admission: an entry that has waited too long, or has to make room for
//! a shorter lane, is rejected with a time to come back after ([`retry_after`]).

pub mod limit;
pub mod queue;
pub mod registration;

use std::hash::Hash;
use std::time::Duration;

use self::limit::{Bounds, Limit};
use self::queue::{FairQueue, QueuePosition, Rank};
use crate::core::model::time::Tick;

/// The service rate is measured over at least this time.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// After this long without a grant, the measured rate no longer counts on its own.
const STALL: Duration = Duration::from_secs(2);

/// The shortest and the longest time after which a rejected peer is told to come back.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// Bounds of one gate.
#[derive(Debug, Clone, Copy)]
pub struct GateBounds {
    /// Limits of how many may be under way.
    pub limit: Bounds,
    /// How many may wait.
    pub waiting: usize,
    /// How long an entry may wait.
    pub longest: Duration,
}

/// Why an entry is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full, and no entry of it has to make room.
    Full,
    /// The expected wait is longer than [`GateBounds::longest`].
    TooLong,
}

/// The rate at which waiting entries are admitted, in grants per 1000 seconds; unknown until entries have waited for
/// [`RATE_WINDOW`].
#[derive(Debug, Default)]
struct Rate {
    since: Option<Tick>,
    served: u64,
    known: Option<u64>,
}

impl Rate {
    fn over(served: u64, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        served.saturating_mul(1_000_000) / millis
    }

    fn serve(&mut self, now: Tick) {
        let since = *self.since.get_or_insert(now);
        self.served += 1;
        if now.since(since) >= RATE_WINDOW {
            let fresh = Self::over(self.served, now.since(since));
            self.known = Some(self.known.map_or(fresh, |before| before.midpoint(fresh)));
            (self.since, self.served) = (Some(now), 0);
        }
    }

    /// How long `ahead` grants take. Zero while the rate is unknown, so that no entry is rejected on a guess.
    fn time_for(&self, ahead: usize, now: Tick) -> Duration {
        let Some(since) = self.since else { return Duration::ZERO };
        let running = now.since(since);
        // During a stall no grant ends the window, so the unfinished window counts as well.
        let slow = (running >= STALL).then(|| Self::over(self.served + 1, running));
        let rate = match (self.known, slow) {
            (Some(known), Some(slow)) => known.min(slow),
            (Some(rate), None) | (None, Some(rate)) => rate,
            (None, None) => return Duration::ZERO,
        };
        Duration::from_millis((ahead as u64).saturating_mul(1_000_000) / rate.max(1))
    }
}

/// A bounded admission queue with ranks and lanes.
#[derive(Debug)]
pub struct Gate<L, T> {
    bounds: GateBounds,
    limit: Limit,
    /// Set from outside: an upper bound on top of the adaptive limit.
    cap: usize,
    /// Set from outside: resources are exhausted, so a new entry needs the place of a waiting one.
    exhausted: bool,
    under_way: usize,
    queue: FairQueue<L, T>,
    rate: Rate,
}

impl<L: Clone + Eq + Hash, T> Gate<L, T> {
    /// An empty gate.
    pub fn new(bounds: GateBounds) -> Self {
        Self {
            bounds,
            limit: Limit::new(bounds.limit),
            cap: usize::MAX,
            exhausted: false,
            under_way: 0,
            queue: FairQueue::default(),
            rate: Rate::default(),
        }
    }

    /// How many entries wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many are under way.
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many may be under way now: the smaller of the adaptive limit and the cap.
    pub fn limit(&self) -> usize {
        self.limit.get().min(self.cap)
    }

    /// Caps the limit from now on; what is under way already stays.
    pub const fn set_cap(&mut self, most: usize) {
        self.cap = most;
    }

    /// Says whether memory or descriptors are exhausted. While they are, a new entry is queued only in the place of
    /// one of a longer lane.
    pub const fn set_exhausted(&mut self, exhausted: bool) {
        self.exhausted = exhausted;
    }

    /// Admits at once if there is room and no entry waits. An admitted entry counts as under way until [`Gate::leave`].
    pub fn enter(&mut self) -> bool {
        let free = !self.exhausted && self.queue.is_empty() && self.under_way < self.limit();
        self.under_way += usize::from(free);
        free
    }

    /// Counts one that was admitted before as under way again, whatever the limit says, until [`Gate::leave`].
    pub const fn resume(&mut self) {
        self.under_way += 1;
    }

    /// Queues an entry. An entry that has to make room for it is returned.
    pub fn wait(&mut self, rank: Rank, lane: &L, entry: T, now: Tick) -> Result<(QueuePosition, Option<T>), Refused> {
        if self.rate.time_for(self.queue.ahead(rank, lane), now) > self.bounds.longest {
            return Err(Refused::TooLong);
        }
        let mut displaced = None;
        if self.exhausted || self.queue.len() >= self.bounds.waiting {
            displaced = Some(self.queue.evict(rank, lane).ok_or(Refused::Full)?);
        }
        if self.rate.since.is_none() {
            self.rate.since = Some(now);
        }
        Ok((self.queue.push(rank, lane, entry, now), displaced))
    }

    /// Admits the next waiting entry; returns it with its wait. It counts as under way until [`Gate::leave`].
    pub fn admit(&mut self, now: Tick) -> Option<(T, Duration)> {
        if self.under_way >= self.limit() {
            return None;
        }
        let (entry, arrived) = self.queue.pop()?;
        self.under_way += 1;
        self.rate.serve(now);
        self.reset_rate_if_empty();
        Some((entry, now.since(arrived)))
    }

    /// Removes a waiting entry; `None` if it was admitted or rejected before.
    pub fn withdraw(&mut self, position: QueuePosition) -> Option<T> {
        let (entry, _) = self.queue.remove(position)?;
        self.reset_rate_if_empty();
        Some(entry)
    }

    /// Removes the oldest entry that has waited too long, if there is one.
    pub fn expire(&mut self, now: Tick) -> Option<T> {
        let longest = u64::try_from(self.bounds.longest.as_millis()).unwrap_or(u64::MAX);
        let (entry, _) = self.queue.pop_arrived(Tick(now.0.checked_sub(longest)?))?;
        self.reset_rate_if_empty();
        Some(entry)
    }

    /// One that was under way is done.
    pub const fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Reports how long something under way took, or that it failed, to the adaptive limit.
    pub fn measure(&mut self, took: Duration, failed: bool, now: Tick) {
        self.limit.sample(took, failed, self.under_way, now);
    }

    /// How many entries are admitted within `time` at the measured rate; `None` while the rate is unknown.
    pub fn served_within(&self, time: Duration) -> Option<usize> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.rate.known.map(|rate| usize::try_from(rate.saturating_mul(millis) / 1_000_000).unwrap_or(usize::MAX))
    }

    /// How long it takes until all waiting entries are admitted; zero while the rate is unknown.
    pub fn backlog(&self, now: Tick) -> Duration {
        self.rate.time_for(self.queue.len(), now)
    }

    fn reset_rate_if_empty(&mut self) {
        if self.queue.is_empty() {
            self.rate = Rate::default();
        }
    }
}

/// When rejected peers should come back: the earliest time, and the time span to spread over from then on, if admitting
/// all waiting entries takes `backlog`. The spread grows with the backlog, so that they do not return as one wave.
pub fn retry_after(backlog: Duration) -> (Duration, Duration) {
    let (least, most) = RETRY_AFTER;
    let from = backlog.clamp(least, most / 2);
    (from, (from + least * 4).min(most / 2))
}

#[cfg(test)]
mod tests;
