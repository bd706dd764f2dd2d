//! How often the mirror may be begun anew (`docs/protocol/pbx.md` section 3): once a minute, and with every further
//! start that follows at once, half as often, down to once in 15 min. A PBX that was calm and reconnects once is not
//! made to wait.

use std::time::Duration;

use crate::core::model::time::Tick;

const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(900);

/// See the module.
#[derive(Debug)]
pub struct ResyncBackoff {
    last: Option<Tick>,
    gap: Duration,
    /// One reconnection may still be answered at once, if the pass before it was whole.
    spare: bool,
    full_row: bool,
}

impl Default for ResyncBackoff {
    fn default() -> Self {
        Self { last: None, gap: SHORTEST, spare: true, full_row: false }
    }
}

impl ResyncBackoff {
    /// When the next start may be.
    pub fn free_at(&self) -> Tick {
        self.last.map_or(Tick(0), |last| last + self.gap)
    }

    /// The same after a reconnection.
    pub fn free_for_a_new_connection(&self) -> Tick {
        if self.spare && self.full_row { Tick(0) } else { self.free_at() }
    }

    /// The pass was whole.
    pub fn passed(&mut self) {
        self.full_row = true;
    }

    /// A start.
    pub fn note(&mut self, now: Tick) {
        self.full_row = false;
        if let Some(last) = self.last.replace(now) {
            if now.since(last) < self.gap {
                self.spare = false;
            } else if now.since(last) < self.gap * 2 {
                self.gap = (self.gap * 2).min(LONGEST);
            } else {
                // One that comes long after the last shows that things are calm.
                (self.gap, self.spare) = (SHORTEST, true);
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
        assert_eq!(backoff.free_for_a_new_connection(), now + SHORTEST, "not before the pass is whole");
        backoff.passed();
        assert_eq!(
            (backoff.free_at(), backoff.free_for_a_new_connection()),
            (now + SHORTEST, Tick(0)),
            "calm for long"
        );
    }
}
