//! An adaptive limit of concurrent work: it rises while the work is done within a target time, and falls when it is
//! not.
//!
//! The target is a fixed time, not the best time ever measured: a store that is slow without being overloaded must not
//! be throttled, and what the operator is promised is a time.

use std::time::Duration;

use crate::core::model::time::Tick;

/// The shortest time between two adjustments, so that each takes effect before the next.
const MIN_ROUND: Duration = Duration::from_millis(50);

/// Fewer samples are not evaluated, unless gathering them took [`MAX_ROUND`].
const MIN_SAMPLES: u32 = 8;

const MAX_ROUND: Duration = Duration::from_secs(1);

/// Range, start and target of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Lower bound (at least 1).
    pub floor: usize,
    /// Upper bound.
    pub ceiling: usize,
    /// Initial value.
    pub start: usize,
    /// Work should be done within this time, on average.
    pub target: Duration,
}

/// An adaptive limit of concurrent work.
#[derive(Debug)]
pub struct Limit {
    bounds: Bounds,
    now: usize,
    since: Tick,
    samples: u32,
    failed: u32,
    took: Duration,
    most: usize,
}

impl Limit {
    /// Starts with [`Bounds::start`].
    pub fn new(bounds: Bounds) -> Self {
        let floor = bounds.floor.max(1);
        let bounds = Bounds { floor, ceiling: bounds.ceiling.max(floor), ..bounds };
        let now = bounds.start.clamp(bounds.floor, bounds.ceiling);
        Self { bounds, now, since: Tick(0), samples: 0, failed: 0, took: Duration::ZERO, most: 0 }
    }

    /// The current limit.
    pub const fn get(&self) -> usize {
        self.now
    }

    /// Records that work was done after `took` (or has failed) while `under_way` were under way.
    pub fn sample(&mut self, took: Duration, failed: bool, under_way: usize, now: Tick) {
        self.samples += 1;
        self.failed += u32::from(failed);
        self.took = self.took.saturating_add(took);
        self.most = self.most.max(under_way);
        let round = now.since(self.since);
        if round < MIN_ROUND || (self.samples < MIN_SAMPLES && round < MAX_ROUND) {
            return;
        }
        let slow = self.took / self.samples > self.bounds.target || self.failed.saturating_mul(4) > self.samples;
        if slow {
            self.now -= self.now / 8 + 1;
        } else if self.most >= self.now {
            // Only a limit that was reached has shown that it may be too low.
            self.now += self.now / 8 + 1;
        }
        self.now = self.now.clamp(self.bounds.floor, self.bounds.ceiling);
        (self.since, self.samples, self.failed, self.took, self.most) = (now, 0, 0, Duration::ZERO, 0);
    }
}
