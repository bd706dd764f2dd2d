//! How much may be under way at once: more while what is admitted is done soon, less when it is not.
//!
//! The measure is one fixed time, not the best time ever seen: a slow store that is not overloaded must not be throttled, and
//! the figure that the operator is promised is a time.

use std::time::Duration;

use crate::core::model::time::Tick;

/// The shortest time between two adjustments, so that one has effect before the next.
const ROUND: Duration = Duration::from_millis(50);

/// Fewer samples say nothing, unless they took [`LONG_ROUND`] to gather.
const ENOUGH: u32 = 8;

const LONG_ROUND: Duration = Duration::from_secs(1);

/// Between what and by what measure a limit moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never less (at least 1).
    pub floor: usize,
    /// Never more.
    pub ceiling: usize,
    /// At the beginning.
    pub start: usize,
    /// What is admitted should be done within this time, on average.
    pub target: Duration,
}

/// The limit of work under way.
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
    /// Begins with [`Bounds::start`].
    pub fn new(bounds: Bounds) -> Self {
        let floor = bounds.floor.max(1);
        let bounds = Bounds { floor, ceiling: bounds.ceiling.max(floor), ..bounds };
        let now = bounds.start.clamp(bounds.floor, bounds.ceiling);
        Self { bounds, now, since: Tick(0), samples: 0, failed: 0, took: Duration::ZERO, most: 0 }
    }

    /// The limit.
    pub const fn get(&self) -> usize {
        self.now
    }

    /// Something was done after `took` (or has failed), while `under_way` were under way.
    pub fn sample(&mut self, took: Duration, failed: bool, under_way: usize, now: Tick) {
        self.samples += 1;
        self.failed += u32::from(failed);
        self.took = self.took.saturating_add(took);
        self.most = self.most.max(under_way);
        let round = now.since(self.since);
        if round < ROUND || (self.samples < ENOUGH && round < LONG_ROUND) {
            return;
        }
        let slow = self.took / self.samples > self.bounds.target || self.failed.saturating_mul(4) > self.samples;
        if slow {
            self.now -= self.now / 8 + 1;
        } else if self.most >= self.now {
            // What was not used up has not shown that more would do.
            self.now += self.now / 8 + 1;
        }
        self.now = self.now.clamp(self.bounds.floor, self.bounds.ceiling);
        (self.since, self.samples, self.failed, self.took, self.most) = (now, 0, 0, Duration::ZERO, 0);
    }
}
