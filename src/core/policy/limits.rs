//! Limits of how often something may happen: attempts at a secret, requests per key, requests per second.
//!
//! Nothing here reads a clock or knows what it counts. Memory is bounded. A limiter belongs to one process; what is
//! limited over all nodes is shared through the store by whoever uses [`decisions`].
//!
//! * [`source_key`]: where an attempt comes from.
//! * [`wrong_counts`]: wrong attempts of the last minutes, per key, each secret once.
//! * [`rules`]: how many wrong attempts are free, and what waits from then on.
//! * [`decisions`]: which attempt is decided now, which waits, and which is refused.
//! * [`challenges`]: how long a challenge waits.

pub mod challenges;
pub mod decisions;
pub mod rules;
pub mod source_key;
pub mod wrong_counts;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

pub use self::source_key::SourceKey;

use crate::core::model::time::Tick;

/// Default number of keys that a table remembers.
pub const MAX_KEYS: usize = 100_000;

/// How many attempts are allowed, and for how long they are blocked after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// This many attempts within `window` block the key. At least 1; 0 counts as 1.
    pub attempts: u32,
    /// Time over which attempts are counted; it starts with the first of them.
    pub window: Duration,
    /// How long a key stays blocked, from the attempt that used up the quota.
    pub block: Duration,
}

impl Quota {
    /// `attempts` in `window`, then blocked for the same time.
    pub const fn new(attempts: u32, window: Duration) -> Self {
        Self { attempts, window, block: window }
    }
}

/// Counts attempts per key. A key that has used up its [`Quota`] is blocked; when the block ends, it starts anew.
///
/// The window is fixed, not sliding: a key that spreads its attempts over the end of a window gets less than twice the
/// quota through within the length of one window. In return a key costs two numbers instead of a list of times.
///
/// At most `max_keys` keys are remembered. A further key replaces the one whose window or block ends soonest; with the
/// same quota for all, the oldest. An attacker with that many sources gains fresh attempts, but a limit per source
/// does not stop such an attacker anyway; the limit over all ([`Window`]) does.
#[derive(Debug)]
pub struct Attempts<K> {
    quota: Quota,
    max_keys: usize,
    keys: HashMap<K, Entry>,
    /// By end of window or block; the number distinguishes those that end at the same time.
    ends: BTreeMap<(Tick, u64), K>,
    entries: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    count: u32,
    end: (Tick, u64),
}

impl<K: Clone + Eq + Hash> Attempts<K> {
    /// Nothing counted yet; remembers at most `max_keys` keys (at least 1).
    pub fn new(quota: Quota, max_keys: usize) -> Self {
        let quota = Quota { attempts: quota.attempts.max(1), ..quota };
        Self { quota, max_keys: max_keys.max(1), keys: HashMap::new(), ends: BTreeMap::new(), entries: 0 }
    }

    /// Counts an attempt. An attempt of a blocked key does not prolong the block.
    pub fn count(&mut self, key: &K, now: Tick) {
        self.forget_ended(now);
        let (count, end) = match self.keys.get(key) {
            Some(entry) if entry.count >= self.quota.attempts => return,
            Some(entry) => (entry.count + 1, entry.end.0),
            None => (1, now + self.quota.window),
        };
        let end = if count >= self.quota.attempts { now + self.quota.block } else { end };
        self.forget(key);
        if self.keys.len() >= self.max_keys {
            self.forget_soonest();
        }
        self.entries += 1;
        let end = (end, self.entries);
        self.keys.insert(key.clone(), Entry { count, end });
        self.ends.insert(end, key.clone());
    }

    /// How long the key stays blocked; `None` if it is not. At the tick at which the time is over it is no longer
    /// blocked.
    pub fn blocked(&self, key: &K, now: Tick) -> Option<Duration> {
        let entry = self.keys.get(key).filter(|entry| entry.count >= self.quota.attempts)?;
        Some(entry.end.0.since(now)).filter(|left| !left.is_zero())
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.keys.remove(key) {
            self.ends.remove(&entry.end);
        }
    }

    fn forget_soonest(&mut self) {
        if let Some((_, key)) = self.ends.pop_first() {
            self.keys.remove(&key);
        }
    }

    fn forget_ended(&mut self, now: Tick) {
        while self.ends.first_key_value().is_some_and(|((end, _), _)| *end <= now) {
            self.forget_soonest();
        }
    }
}

/// A rate over all: the number of events in the last `window`.
///
/// It counts in two halves, the running window and the one before; of the latter it takes the share that still lies
/// within the last `window`, as if its events were evenly spread. So the figure does not drop to zero when a window
/// begins.
#[derive(Debug)]
pub struct Window {
    limit: u64,
    millis: u64,
    number: u64,
    running: u64,
    before: u64,
}

impl Window {
    /// `exceeded` means more than `limit` events within `window` (at least a millisecond).
    pub fn new(limit: u64, window: Duration) -> Self {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { limit, millis, number: 0, running: 0, before: 0 }
    }

    /// Counts an event.
    pub fn count(&mut self, now: Tick) {
        let number = now.0 / self.millis;
        if number > self.number {
            self.before = if number == self.number + 1 { self.running } else { 0 };
            self.running = 0;
            self.number = number;
        }
        self.running = self.running.saturating_add(1);
    }

    /// Events within the last `window`.
    pub fn events(&self, now: Tick) -> u64 {
        let (running, before) = match (now.0 / self.millis).saturating_sub(self.number) {
            0 => (self.running, self.before),
            1 => (0, self.running),
            _ => (0, 0),
        };
        let left = self.millis - now.0 % self.millis;
        let share = u128::from(before) * u128::from(left) / u128::from(self.millis);
        running.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Whether there are more than `limit`.
    pub fn exceeded(&self, now: Tick) -> bool {
        self.events(now) > self.limit
    }
}

/// A number of requests per second of the clock.
#[derive(Debug)]
pub struct PerSecond {
    limit: u32,
    second: u64,
    taken: u32,
}

impl PerSecond {
    /// At most `limit` requests in a second.
    pub const fn new(limit: u32) -> Self {
        Self { limit, second: 0, taken: 0 }
    }

    /// Takes one request of this second. If none is left, returns the time until the next second.
    pub fn take(&mut self, now: Tick) -> Result<(), Duration> {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.taken = 0;
        }
        if self.taken >= self.limit {
            return Err(Duration::from_millis(1000 - now.0 % 1000));
        }
        self.taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
