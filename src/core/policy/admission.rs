//! Who may begin now, who waits, and who is sent away (issue of the storm: nobody who was admitted is shed).
//!
//! A [`Gate`] knows how many are under way and who waits; it knows neither what they are nor a clock. What is admitted is never
//! taken back. Waiting is not admission: whoever waits too long, or stands in the way of a shorter lane, is sent away.

pub mod limit;
pub mod queue;
pub mod registration;

use std::hash::Hash;
use std::time::Duration;

use self::limit::{Bounds, Limit};
use self::queue::{FairQueue, QueuePosition, Rank};
use crate::core::model::time::Tick;

/// The rate of service is taken over at least this time.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// If nobody is served for so long, the rate that was seen before does not count any more.
const STALL: Duration = Duration::from_secs(2);

/// The least and the longest time that anybody is asked to stay away.
const AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// Bounds of one gate.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many may be under way.
    pub limit: Bounds,
    /// How many may wait.
    pub waiting: usize,
    /// How long one may wait.
    pub longest: Duration,
}

/// Why somebody is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All places to wait are taken, and by nobody who would have to stand back.
    Full,
    /// It would take too long, or it did.
    TooLong,
}

/// How fast those who wait are served, in grants per 1000 seconds; unknown until somebody has waited for a while.
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

    /// How long `ahead` grants take. Zero while the rate is unknown: nobody is sent away on a guess.
    fn time_for(&self, ahead: usize, now: Tick) -> Duration {
        let Some(since) = self.since else { return Duration::ZERO };
        let running = now.since(since);
        // When nothing moves, the window does not end either; then what it has so far counts.
        let slow = (running >= STALL).then(|| Self::over(self.served + 1, running));
        let rate = match (self.known, slow) {
            (Some(known), Some(slow)) => known.min(slow),
            (Some(rate), None) | (None, Some(rate)) => rate,
            (None, None) => return Duration::ZERO,
        };
        Duration::from_millis((ahead as u64).saturating_mul(1_000_000) / rate.max(1))
    }
}

/// A gate with a waiting room.
#[derive(Debug)]
pub struct Gate<L, T> {
    room: Room,
    limit: Limit,
    /// From outside: how many may be under way, whatever the limit says.
    narrowed: usize,
    /// From outside: whoever comes needs the place of somebody else.
    short: bool,
    under_way: usize,
    queue: FairQueue<L, T>,
    rate: Rate,
}

impl<L: Clone + Eq + Hash, T> Gate<L, T> {
    /// Nobody is there.
    pub fn new(room: Room) -> Self {
        Self {
            room,
            limit: Limit::new(room.limit),
            narrowed: usize::MAX,
            short: false,
            under_way: 0,
            queue: FairQueue::default(),
            rate: Rate::default(),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many are under way.
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many may be under way now.
    pub fn limit(&self) -> usize {
        self.limit.get().min(self.narrowed)
    }

    /// Lets at most so many be under way from now on; who is under way stays.
    pub const fn narrow(&mut self, most: usize) {
        self.narrowed = most;
    }

    /// From now on there is no place for anybody new (memory or descriptors are short), or there is again. Whoever comes may
    /// still take the place of one of a longer lane.
    pub const fn be_short(&mut self, short: bool) {
        self.short = short;
    }

    /// Whether one may begin at once. It is under way then, until [`Gate::leave`].
    pub fn enter(&mut self) -> bool {
        let free = !self.short && self.queue.is_empty() && self.under_way < self.limit();
        self.under_way += usize::from(free);
        free
    }

    /// One who was admitted before goes on. It is under way, until [`Gate::leave`].
    pub const fn go_on(&mut self) {
        self.under_way += 1;
    }

    /// Lets one wait. Another one may have to make room for it, and is returned.
    pub fn wait(&mut self, rank: Rank, lane: &L, entry: T, now: Tick) -> Result<(QueuePosition, Option<T>), Refused> {
        if self.rate.time_for(self.queue.ahead(rank, lane), now) > self.room.longest {
            return Err(Refused::TooLong);
        }
        let mut displaced = None;
        if self.short || self.queue.len() >= self.room.waiting {
            displaced = Some(self.queue.push_out(rank, lane).ok_or(Refused::Full)?);
        }
        if self.rate.since.is_none() {
            self.rate.since = Some(now);
        }
        Ok((self.queue.push(rank, lane, entry, now), displaced))
    }

    /// The next one who may begin, and how long it has waited. It is under way then, until [`Gate::leave`].
    pub fn admit(&mut self, now: Tick) -> Option<(T, Duration)> {
        if self.under_way >= self.limit() {
            return None;
        }
        let (entry, arrived) = self.queue.pop()?;
        self.under_way += 1;
        self.rate.serve(now);
        self.rest_if_empty();
        Some((entry, now.since(arrived)))
    }

    /// One who waited does not wait any more; `None` if it was admitted or sent away before.
    pub fn withdraw(&mut self, ticket: QueuePosition) -> Option<T> {
        let (entry, _) = self.queue.remove(ticket)?;
        self.rest_if_empty();
        Some(entry)
    }

    /// The next one who has waited too long.
    pub fn expire(&mut self, now: Tick) -> Option<T> {
        let longest = u64::try_from(self.room.longest.as_millis()).unwrap_or(u64::MAX);
        let (entry, _) = self.queue.pop_arrived(Tick(now.0.checked_sub(longest)?))?;
        self.rest_if_empty();
        Some(entry)
    }

    /// One who was under way is done.
    pub const fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// What is under way takes so long, or has failed.
    pub fn measure(&mut self, took: Duration, failed: bool, now: Tick) {
        self.limit.sample(took, failed, self.under_way, now);
    }

    /// How many are served within `time` at the present rate; `None` while it is unknown.
    pub fn served_within(&self, time: Duration) -> Option<usize> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.rate.known.map(|rate| usize::try_from(rate.saturating_mul(millis) / 1_000_000).unwrap_or(usize::MAX))
    }

    /// How long it takes until all who wait are served, as far as is known.
    pub fn backlog(&self, now: Tick) -> Duration {
        self.rate.time_for(self.queue.len(), now)
    }

    fn rest_if_empty(&mut self) {
        if self.queue.is_empty() {
            self.rate = Rate::default();
        }
    }
}

/// When one who is sent away should come back at the earliest, and within which time from then on, when serving all who wait
/// takes `backlog`. The spread grows with it, so that they do not come back as one wave.
pub fn stay_away(backlog: Duration) -> (Duration, Duration) {
    let (least, most) = AWAY;
    let from = backlog.clamp(least, most / 2);
    (from, (from + least * 4).min(most / 2))
}

#[cfg(test)]
mod tests;
