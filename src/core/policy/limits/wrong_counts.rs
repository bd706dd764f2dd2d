//! Wrong attempts of the last minutes, per key, each secret once.
//!
//! The window slides: an attempt counts for exactly the length of the window. Memory is bounded twice. A key keeps only
//! its newest attempts, as many as make a difference. A table keeps only so many keys; a further one replaces the key
//! with the fewest attempts, of several the oldest. So nobody clears his own count by filling the table: that takes more
//! wrong attempts than he has counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::core::model::time::Tick;

/// A keyed hash of a secret; whoever makes it keeps the key in memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// Counts of wrong attempts.
#[derive(Debug)]
pub struct WrongCounts<K> {
    window: Duration,
    per_key: usize,
    max_keys: usize,
    keys: HashMap<K, Entry>,
    /// By number of attempts, then by age of the entry.
    by_count: BTreeMap<(usize, u64), K>,
    /// By the newest attempt.
    by_time: BTreeMap<(Tick, u64), K>,
    entries: u64,
}

#[derive(Debug)]
struct Entry {
    wrong: VecDeque<(Tick, Option<Fingerprint>)>,
    count: (usize, u64),
    newest: (Tick, u64),
}

impl<K: Copy + Eq + Hash> WrongCounts<K> {
    /// Nothing counted yet. Each key keeps its newest `per_key` attempts (at least 1), the table `max_keys` keys (at
    /// least 1).
    pub fn new(window: Duration, per_key: usize, max_keys: usize) -> Self {
        Self {
            window,
            per_key: per_key.max(1),
            max_keys: max_keys.max(1),
            keys: HashMap::new(),
            by_count: BTreeMap::new(),
            by_time: BTreeMap::new(),
            entries: 0,
        }
    }

    /// Counts a wrong attempt. False: the same secret was counted within the window already.
    pub fn count(&mut self, key: K, secret: Option<Fingerprint>, now: Tick) -> bool {
        self.forget_old(now);
        let mut wrong = match self.keys.remove(&key) {
            Some(entry) => {
                self.by_count.remove(&entry.count);
                self.by_time.remove(&entry.newest);
                entry.wrong
            }
            None => VecDeque::new(),
        };
        wrong.retain(|(at, _)| now.since(*at) < self.window);
        let counts = secret.is_none() || wrong.iter().all(|(_, known)| *known != secret);
        if counts {
            wrong.push_back((now, secret));
            if wrong.len() > self.per_key {
                wrong.pop_front();
            }
        }
        if self.keys.len() >= self.max_keys
            && let Some((_, evicted)) = self.by_count.pop_first()
            && let Some(entry) = self.keys.remove(&evicted)
        {
            self.by_time.remove(&entry.newest);
        }
        self.entries += 1;
        let count = (wrong.len(), self.entries);
        let newest = (wrong.back().map_or(now, |(at, _)| *at), self.entries);
        self.by_count.insert(count, key);
        self.by_time.insert(newest, key);
        self.keys.insert(key, Entry { wrong, count, newest });
        counts
    }

    /// How many wrong attempts of a key are within the window; at most as many as are kept.
    pub fn wrong(&self, key: &K, now: Tick) -> u32 {
        let entry = if self.keys.is_empty() { None } else { self.keys.get(key) };
        let count =
            entry.map_or(0, |e| e.wrong.iter().rev().take_while(|(at, _)| now.since(*at) < self.window).count());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// When the newest wrong attempt of a key was made.
    pub fn newest(&self, key: &K) -> Option<Tick> {
        self.keys.get(key).map(|entry| entry.newest.0)
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: &K) {
        if let Some(entry) = self.keys.remove(key) {
            self.by_count.remove(&entry.count);
            self.by_time.remove(&entry.newest);
        }
    }

    /// Keys with at least `least` wrong attempts and their number, the highest number first.
    pub fn at_least(&self, least: u32, now: Tick) -> impl Iterator<Item = (K, u32)> {
        let candidates = self.by_count.range((usize::try_from(least).unwrap_or(usize::MAX), 0)..).rev();
        candidates.map(move |(_, key)| (*key, self.wrong(key, now))).filter(move |(_, wrong)| *wrong >= least)
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Forgets the keys without an attempt within the window.
    pub fn forget_old(&mut self, now: Tick) {
        while let Some(((newest, _), key)) = self.by_time.first_key_value().map(|(at, key)| (*at, *key)) {
            if now.since(newest) < self.window {
                return;
            }
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1000)
    }

    #[test]
    fn an_attempt_counts_for_the_window() {
        let mut counts = WrongCounts::new(WINDOW, 60, 10);
        for second in 0..5 {
            assert!(counts.count("a", None, at(100 + second)));
        }
        assert_eq!(counts.wrong(&"a", at(699)), 5);
        assert_eq!(counts.wrong(&"a", at(700)), 4);
        assert_eq!(counts.wrong(&"a", at(704)), 0);
        assert_eq!(counts.wrong(&"b", at(104)), 0);
    }

    #[test]
    fn a_secret_counts_once() {
        let mut counts = WrongCounts::new(WINDOW, 60, 10);
        assert!(counts.count("a", Some(Fingerprint(1)), at(0)));
        assert!(!counts.count("a", Some(Fingerprint(1)), at(599)));
        assert!(counts.count("b", Some(Fingerprint(1)), at(599)), "of another key");
        assert!(counts.count("a", Some(Fingerprint(2)), at(599)));
        assert_eq!(counts.wrong(&"a", at(599)), 2);
        assert!(counts.count("a", Some(Fingerprint(1)), at(600)), "after the window it counts again");
    }

    #[test]
    fn the_key_with_the_fewest_attempts_goes() {
        let mut counts = WrongCounts::new(WINDOW, 60, 3);
        for _ in 0..5 {
            counts.count(0, None, at(0));
        }
        for key in 1..1000 {
            counts.count(key, None, at(1));
        }
        assert_eq!(counts.wrong(&0, at(1)), 5, "nobody clears his own count by filling the table");
        assert_eq!(counts.keys(), 3);
        assert_eq!(counts.at_least(2, at(1)).collect::<Vec<_>>(), [(0, 5)]);
    }

    proptest! {
        /// All indexes agree, and memory is bounded.
        #[test]
        fn the_table_is_bounded(
            steps in proptest::collection::vec((0..9_u8, proptest::option::of(0..4_u64), 0..400_u64), 0..300),
            max in 1..6_usize,
            per_key in 1..5_usize,
        ) {
            let mut counts = WrongCounts::new(Duration::from_secs(1), per_key, max);
            let (mut now, mut newest) = (Tick(0), HashMap::new());
            for (key, secret, pause) in steps {
                now.0 += pause;
                counts.count(key, secret.map(Fingerprint), now);
                newest.insert(key, now);
                prop_assert!(counts.keys() <= max);
                prop_assert_eq!(counts.by_count.len(), counts.keys.len());
                prop_assert_eq!(counts.by_time.len(), counts.keys.len());
                prop_assert!(counts.wrong(&key, now) as usize <= per_key);
            }
            counts.forget_old(now + Duration::from_secs(2));
            prop_assert_eq!(counts.keys(), 0);
        }
    }
}
