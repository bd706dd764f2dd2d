//! How often the mirror may be begun anew (`docs/protocol/pbx.md` section 3): once a minute, and with every further
//! start that follows at once, half as often, down to once in 15 min. A PBX that was calm and reconnects once is not
//! made to wait.

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
    /// One reconnection may still be answered at once, if the pass before it was whole.
    spare: bool,
    whole: bool,
}

impl Default for ResyncBackoff {
    fn default() -> Self {
        Self { last: None, in_a_row: 1, spare: true, whole: false }
    }
}

impl ResyncBackoff {
    fn gap(&self) -> Duration {
        GAPS.wait(self.in_a_row, 0)
    }

    /// When the next start may be.
    pub fn free_at(&self) -> Tick {
        self.last.map_or(Tick(0), |last| last + self.gap())
    }

    /// The same after a reconnection.
    pub fn free_for_a_new_connection(&self) -> Tick {
        if self.spare && self.whole { Tick(0) } else { self.free_at() }
    }

    /// The pass was whole.
    pub fn passed(&mut self) {
        self.whole = true;
    }

    /// A start.
    pub fn note(&mut self, now: Tick) {
        self.whole = false;
        if let Some(last) = self.last.replace(now) {
            if now.since(last) < self.gap() {
                self.spare = false;
            } else if now.since(last) < self.gap() * 2 {
                self.in_a_row = self.in_a_row.saturating_add(1);
            } else {
                // One that comes long after the last shows that things are calm.
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
        let mut brake = ResyncBackoff::default();
        let mut starts = Vec::new();
        for second in 0..4_000 {
            let now = Tick(second * 1_000);
            if brake.free_for_a_new_connection() <= now {
                brake.note(now);
                brake.passed();
                starts.push(second);
            }
        }
        assert_eq!(starts, [0, 1, 61, 181, 421, 901, 1_801, 2_701, 3_601]);
        let now = Tick(3_601_000 + 1_800_000);
        brake.note(now);
        assert_eq!(brake.free_for_a_new_connection(), now + SHORTEST, "not before the pass is whole");
        brake.passed();
        assert_eq!((brake.free_at(), brake.free_for_a_new_connection()), (now + SHORTEST, Tick(0)), "calm for long");
    }
}
