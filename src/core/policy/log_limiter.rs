//! Rate-limits a log line to one per second and reports how many were suppressed. Does not log itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::model::time::Tick;

/// Minimum interval between two lines, in milliseconds.
const INTERVAL: u64 = 1_000;

/// The limiter of one log line, shared by all threads. Of several threads that are due at the same time, one logs.
#[derive(Debug, Default)]
pub struct LogLimiter {
    /// The first millisecond of the process at which the line may be logged again.
    next_allowed: AtomicU64,
    suppressed: AtomicU64,
}

impl LogLimiter {
    /// Nothing logged yet.
    pub const fn new() -> Self {
        Self { next_allowed: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether to log the line now; if so, how many were suppressed before.
    pub fn due(&self, now: Tick) -> Option<u64> {
        let next_allowed = self.next_allowed.load(Ordering::Relaxed);
        let mine = now.0 >= next_allowed
            && self
                .next_allowed
                .compare_exchange(next_allowed, now.0 + INTERVAL, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_second_with_the_number_suppressed() {
        let limiter = LogLimiter::new();
        assert_eq!(limiter.due(Tick(0)), Some(0));
        for now in [0, 1, 999] {
            assert_eq!(limiter.due(Tick(now)), None);
        }
        assert_eq!(limiter.due(Tick(1_000)), Some(3));
        assert_eq!(limiter.due(Tick(1_999)), None);
        assert_eq!(limiter.due(Tick(60_000)), Some(1));
        assert_eq!(limiter.due(Tick(61_000)), Some(0));
    }
}
