//! A rate limit over a sliding window of one second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::time::Tick;

const SECOND: Duration = Duration::from_secs(1);

/// Times of the events of the last second.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    sent: VecDeque<Tick>,
}

impl RateWindow {
    /// Earliest time of the next event.
    pub(super) fn free_at(&self, limit: usize) -> Tick {
        let oldest = self.sent.len().checked_sub(limit.max(1)).and_then(|at| self.sent.get(at));
        oldest.map_or(Tick(0), |&sent| sent + SECOND)
    }

    pub(super) fn note(&mut self, now: Tick) {
        while self.sent.front().is_some_and(|&sent| sent + SECOND <= now) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_second_no_more_than_allowed() {
        let mut rate = RateWindow::default();
        let mut sent: Vec<Tick> = Vec::new();
        for now in (0..5_000).map(Tick) {
            if rate.free_at(5) <= now {
                rate.note(now);
                sent.push(now);
            }
        }
        assert_eq!(sent.len(), 25);
        for window in sent.windows(6) {
            assert!(window[5].since(window[0]) >= SECOND, "{window:?}");
        }
    }
}
