//! Merges frequent changes, so that they are published to all nodes at most once a second: a change after a quiet
//! second at once, further ones together at the next tick.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

/// Between two publications.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// What has to be published.
#[derive(Debug)]
pub(super) struct Coalescer<T> {
    waiting: HashSet<T>,
    ticking: bool,
}

impl<T> Default for Coalescer<T> {
    fn default() -> Self {
        Self { waiting: HashSet::new(), ticking: false }
    }
}

impl<T: Eq + Hash> Coalescer<T> {
    /// Something has happened. True if it has to be published now, and the next tick comes after [`INTERVAL`].
    pub fn add(&mut self, what: impl IntoIterator<Item = T>) -> bool {
        self.waiting.extend(what);
        let now = !self.ticking && !self.waiting.is_empty();
        self.ticking |= now;
        now
    }

    /// A tick: true if there is something to publish, and then another tick has to follow.
    pub fn tick(&mut self) -> bool {
        self.ticking = !self.waiting.is_empty();
        self.ticking
    }

    /// Takes what has to be published.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_publication_per_tick() {
        let mut coalescer = Coalescer::default();
        assert!(!coalescer.add([]));
        assert!(coalescer.add([1]), "after quiet, at once");
        assert_eq!(coalescer.take(), [1]);
        assert!(!coalescer.add([2]));
        assert!(!coalescer.add([2, 3]));
        assert!(coalescer.tick());
        let mut taken = coalescer.take();
        taken.sort_unstable();
        assert_eq!(taken, [2, 3]);
        assert!(!coalescer.tick(), "a quiet second ends the ticks");
        assert!(coalescer.add([4]));
    }
}
