//! How often the mirror may be begun anew (`pbx.md` section 3): once a minute, and with every further start that follows at
//! once, half as often, down to once in 15 min.

use std::time::Duration;

use crate::core::time::Tick;

const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(900);

/// See the module.
#[derive(Debug)]
pub struct Brake {
    last: Option<Tick>,
    gap: Duration,
}

impl Default for Brake {
    fn default() -> Self {
        Self { last: None, gap: SHORTEST }
    }
}

impl Brake {
    /// When the next start may be.
    pub fn free_at(&self) -> Tick {
        self.last.map_or(Tick(0), |last| last + self.gap)
    }

    /// A start.
    pub fn note(&mut self, now: Tick) {
        if let Some(last) = self.last {
            // One that comes long after the last shows that things are calm.
            self.gap = if now.since(last) < self.gap * 2 { (self.gap * 2).min(LONGEST) } else { SHORTEST };
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_again_and_again_is_slowed_down() {
        let mut brake = Brake::default();
        let mut starts = Vec::new();
        for second in 0..4_000 {
            let now = Tick(second * 1_000);
            if brake.free_at() <= now {
                brake.note(now);
                starts.push(second);
            }
        }
        assert_eq!(starts, [0, 60, 180, 420, 900, 1_800, 2_700, 3_600]);
        let now = Tick(3_600_000 + 1_800_000);
        brake.note(now);
        assert_eq!(brake.free_at(), now + SHORTEST, "calm for long");
    }
}
