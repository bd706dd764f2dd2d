//! How long a challenge waits (`docs/protocol/sysclient.md` 9.1, "Digests").

use std::time::Duration;

use super::SourceKey;
use super::decisions::Name;
use super::rules::delay;
use super::wrong_counts::WrongCounts;
use crate::core::model::time::Tick;

/// Wrong digests of a pair that delay nothing.
const FREE: u32 = 5;
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(30);
/// Wrong digests that make a difference.
const KEPT: usize = 16;

/// The wrong digests of pairs of device and source.
#[derive(Debug)]
pub struct Challenges(WrongCounts<(Name, SourceKey)>);

impl Challenges {
    /// None yet; they count for `window`, of at most `max_keys` pairs.
    pub fn new(window: Duration, max_keys: usize) -> Self {
        Self(WrongCounts::new(window, KEPT, max_keys))
    }

    /// How long the challenge of a pair waits.
    pub fn delay(&self, name: Name, source: SourceKey, now: Tick) -> Duration {
        delay(self.0.wrong(&(name, source), now), FREE, LONGEST)
    }

    /// Counts a wrong digest.
    pub fn wrong(&mut self, name: Name, source: SourceKey, now: Tick) {
        self.0.count((name, source), None, now);
    }

    /// The device has proved itself.
    pub fn right(&mut self, name: Name, source: SourceKey) {
        self.0.forget(&(name, source));
    }

    /// Whether no wrong digest is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.keys() == 0
    }

    /// Forgets what is older than the window.
    pub fn forget_old(&mut self, now: Tick) {
        self.0.forget_old(now);
    }
}
