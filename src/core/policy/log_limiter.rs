//! Limits how often one log line is written, and reports how many were suppressed. Does not log itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::model::time::Tick;

/// Length of a window, in milliseconds.
const WINDOW: u64 = 10_000;

/// Lines in a window: two per second on average, twenty at once.
const LINES: u64 = 20;

/// The limiter of one log line, shared by all threads. Threads that begin a window at the same time may write a few
/// lines more.
#[derive(Debug, Default)]
pub struct LogLimiter {
    /// The running window, from 1 on.
    window: AtomicU64,
    /// Lines that were asked for in it.
    asked: AtomicU64,
    suppressed: AtomicU64,
}

impl LogLimiter {
    /// Nothing logged yet.
    pub const fn new() -> Self {
        Self { window: AtomicU64::new(0), asked: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether to log the line now; if so, how many were suppressed before.
    pub fn due(&self, now: Tick) -> Option<u64> {
        let window = now.0 / WINDOW + 1;
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.asked.store(0, Ordering::Relaxed);
        }
        if self.asked.fetch_add(1, Ordering::Relaxed) < LINES {
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
    fn twenty_lines_in_ten_seconds_with_the_number_suppressed() {
        let limiter = LogLimiter::new();
        for now in 0..20 {
            assert_eq!(limiter.due(Tick(now)), Some(0));
        }
        for now in [20, 21, 9_999] {
            assert_eq!(limiter.due(Tick(now)), None);
        }
        assert_eq!(limiter.due(Tick(10_000)), Some(3));
        assert_eq!(limiter.due(Tick(10_000)), Some(0));
        assert_eq!(limiter.due(Tick(60_000)), Some(0));
    }

    #[test]
    fn ten_thousand_lines_in_a_minute_leave_one_hundred_and_twenty() {
        let limiter = LogLimiter::new();
        let written: Vec<u64> = (0..10_000).filter_map(|number| limiter.due(Tick(number * 6))).collect();
        assert_eq!(written.len(), 120);
        assert!(written.iter().sum::<u64>() > 8_000);
    }
}
