//! What may be true of thousands at once is said once in a second, with how many times it was not said.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::model::time::Tick;

/// Between two that are said, in milliseconds.
const APART: u64 = 1_000;

/// One thing to say. Threads may share it; if two are due at the same moment, one of them speaks.
#[derive(Debug, Default)]
pub struct LogLimiter {
    /// The first millisecond of the process at which it may be said again.
    again: AtomicU64,
    unsaid: AtomicU64,
}

impl LogLimiter {
    /// Not said yet.
    pub const fn new() -> Self {
        Self { again: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// Whether to say it now: then how many times it was left unsaid before.
    pub fn due(&self, now: Tick) -> Option<u64> {
        let again = self.again.load(Ordering::Relaxed);
        let mine = now.0 >= again
            && self.again.compare_exchange(again, now.0 + APART, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_in_a_second_and_counts_the_others() {
        let seldom = LogLimiter::new();
        assert_eq!(seldom.due(Tick(0)), Some(0));
        for now in [0, 1, 999] {
            assert_eq!(seldom.due(Tick(now)), None);
        }
        assert_eq!(seldom.due(Tick(1_000)), Some(3));
        assert_eq!(seldom.due(Tick(1_999)), None);
        assert_eq!(seldom.due(Tick(60_000)), Some(1));
        assert_eq!(seldom.due(Tick(61_000)), Some(0));
    }
}
