//! Back-off for restarting the mirror (`docs/protocol/pbx.md` section 3): at most once a minute; each further restart
//! right after the last doubles the wait, up to 15 min. A single reconnection of an otherwise stable exchange is not
//! delayed.

use std::time::Duration;

use crate::core::model::time::Tick;
use crate::core::policy::backoff::{Backoff, Spread};

const SHORTEST: Duration = Duration::from_secs(60);
const GAPS: Backoff = Backoff::doubling(SHORTEST, Duration::from_secs(900), Spread::None);

/// The starts of the mirror of one exchange.
#[derive(Debug)]
pub struct ResyncBackoff {
    last: Option<Tick>,
    /// Starts in a row that followed the one before as soon as they were free to; counted from 1.
    in_a_row: u32,
    /// One reconnection may restart at once, if the pass before it was complete.
    spare: bool,
    pass_complete: bool,
}

impl Default for ResyncBackoff {
    fn default() -> Self {
        Self { last: None, in_a_row: 1, spare: true, pass_complete: false }
    }
}

impl ResyncBackoff {
    fn gap(&self) -> Duration {
        GAPS.wait(self.in_a_row, 0)
    }

    /// Earliest time of the next start.
    pub fn free_at(&self) -> Tick {
        self.last.map_or(Tick(0), |last| last + self.gap())
    }

    /// Earliest time of the next start after a reconnection.
    pub fn free_for_a_new_connection(&self) -> Tick {
        if self.spare && self.pass_complete { Tick(0) } else { self.free_at() }
    }

    /// A pass is complete.
    pub fn passed(&mut self) {
        self.pass_complete = true;
    }

    /// Records a start.
    pub fn note(&mut self, now: Tick) {
        self.pass_complete = false;
        if let Some(last) = self.last.replace(now) {
            if now.since(last) < self.gap() {
                self.spare = false;
            } else if now.since(last) < self.gap() * 2 {
                self.in_a_row = self.in_a_row.saturating_add(1);
            } else {
                // A long gap since the last start resets the back-off.
                (self.in_a_row, self.spare) = (1, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_again_and_again_is_slowed_down() {
        let mut backoff = ResyncBackoff::default();
        let mut starts = Vec::new();
        for second in 0..4_000 {
            let now = Tick(second * 1_000);
            if backoff.free_for_a_new_connection() <= now {
                backoff.note(now);
                backoff.passed();
                starts.push(second);
            }
        }
        assert_eq!(starts, [0, 1, 61, 181, 421, 901, 1_801, 2_701, 3_601]);
        let now = Tick(3_601_000 + 1_800_000);
        backoff.note(now);
        assert_eq!(backoff.free_for_a_new_connection(), now + SHORTEST, "not before the pass is complete");
        backoff.passed();
        assert_eq!(
            (backoff.free_at(), backoff.free_for_a_new_connection()),
            (now + SHORTEST, Tick(0)),
            "calm for long"
        );
    }
}
