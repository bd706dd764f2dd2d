//! A rate that holds in every second, not only in those of a clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::time::Tick;

const SECOND: Duration = Duration::from_secs(1);

/// At most so many in any second.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    sent: VecDeque<Tick>,
}

impl RateWindow {
    /// When the next one may go.
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
        let mut pace = RateWindow::default();
        let mut sent: Vec<Tick> = Vec::new();
        for now in (0..5_000).map(Tick) {
            if pace.free_at(5) <= now {
                pace.note(now);
                sent.push(now);
            }
        }
        assert_eq!(sent.len(), 25);
        for window in sent.windows(6) {
            assert!(window[5].since(window[0]) >= SECOND, "{window:?}");
        }
    }
}
