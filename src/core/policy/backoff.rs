//! Exponential back-off: how long to wait before the next attempt.
//!
//! One type for all retries of the program: connections to exchanges and to Devices, entry orders, jobs, locks and the
//! copies of exchange tables. It neither counts failures nor draws random numbers: callers keep the count, in records
//! too, and pass a draw. That is why it is not a crate: backon's iterator keeps the position itself, can only lengthen
//! a wait by up to its own length, and draws from its own generator.

use std::time::Duration;

/// Waits that grow by a factor up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Each further wait is this many times the previous one.
    pub factor: u32,
    /// No wait is longer, before it is spread.
    pub longest: Duration,
    /// How much a draw changes a wait.
    pub spread: Spread,
}

/// How much a draw changes a wait, so that attempts that failed together are not all repeated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Not at all.
    None,
    /// Shorter by up to this part of it: 4 is a quarter.
    Shorter(u32),
    /// Longer by up to its own length.
    Longer,
}

impl Backoff {
    /// Twice as long each time.
    pub const fn doubling(first: Duration, longest: Duration, spread: Spread) -> Self {
        Self { first, factor: 2, longest, spread }
    }

    /// The wait after this many failures in a row; none counts as one. `draw` is random, over the whole range of its
    /// type.
    pub fn wait(&self, failures: u32, draw: u64) -> Duration {
        let times = self.factor.saturating_pow(failures.saturating_sub(1));
        let whole = self.first.saturating_mul(times).min(self.longest);
        let within = |range: Duration| {
            let millis = u64::try_from(range.as_millis()).unwrap_or(u64::MAX).max(1);
            Duration::from_millis(draw % millis)
        };
        match self.spread {
            Spread::None => whole,
            Spread::Shorter(part) => whole.saturating_sub(within(whole / part)),
            Spread::Longer => whole.saturating_add(within(whole)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn doubling(spread: Spread) -> Backoff {
        Backoff::doubling(5 * SECOND, 600 * SECOND, spread)
    }

    #[test]
    fn waits_grow_up_to_a_bound() {
        let waits = |backoff: Backoff, failures: &[u32]| -> Vec<u64> {
            failures.iter().map(|failures| backoff.wait(*failures, 7).as_secs()).collect()
        };
        let plain = doubling(Spread::None);
        assert_eq!(waits(plain, &[0, 1, 2, 3, 7, 8, 9, 40, u32::MAX]), [5, 5, 10, 20, 320, 600, 600, 600, 600]);
        assert_eq!(waits(Backoff { factor: 4, ..plain }, &[1, 2, 3, 4, 5]), [5, 20, 80, 320, 600]);
        let unbounded = Backoff { longest: Duration::MAX, ..plain };
        assert_eq!(unbounded.wait(u32::MAX, 0), (5 * SECOND).saturating_mul(u32::MAX));
    }

    #[test]
    fn a_draw_shortens_or_lengthens_within_its_range() {
        let range = |spread, millis| {
            let backoff = doubling(spread);
            let waits = [backoff.wait(1, 0), backoff.wait(1, millis - 1), backoff.wait(1, millis)];
            waits.map(|wait| wait.as_millis())
        };
        assert_eq!(range(Spread::Shorter(2), 2_500), [5_000, 2_501, 5_000]);
        assert_eq!(range(Spread::Shorter(4), 1_250), [5_000, 3_751, 5_000]);
        assert_eq!(range(Spread::Longer, 5_000), [5_000, 9_999, 5_000]);
        let tiny = Backoff::doubling(Duration::from_micros(10), SECOND, Spread::Shorter(2));
        assert_eq!(tiny.wait(1, u64::MAX), Duration::from_micros(10), "less than a millisecond is not spread");
    }
}
