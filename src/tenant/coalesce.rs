//! Tells something to all nodes at most once a second, however often it happens: at once what happens after a quiet second,
//! with the next beat what happens before it is over.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

/// Between two tellings.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What has to be told.
#[derive(Debug)]
pub(super) struct Coalescer<T> {
    waiting: HashSet<T>,
    beating: bool,
}

impl<T> Default for Coalescer<T> {
    fn default() -> Self {
        Self { waiting: HashSet::new(), beating: false }
    }
}

impl<T: Eq + Hash> Coalescer<T> {
    /// Something has happened. True if it has to be told now, and the next beat comes after [`BEAT`].
    pub fn happened(&mut self, what: impl IntoIterator<Item = T>) -> bool {
        self.waiting.extend(what);
        let now = !self.beating && !self.waiting.is_empty();
        self.beating |= now;
        now
    }

    /// A beat: true if there is something to tell, and then another beat has to follow.
    pub fn beat(&mut self) -> bool {
        self.beating = !self.waiting.is_empty();
        self.beating
    }

    /// What has to be told; it is told then.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_telling_per_beat() {
        let mut pace = Coalescer::default();
        assert!(!pace.happened([]));
        assert!(pace.happened([1]), "after quiet, at once");
        assert_eq!(pace.take(), [1]);
        assert!(!pace.happened([2]));
        assert!(!pace.happened([2, 3]));
        assert!(pace.beat());
        let mut told = pace.take();
        told.sort_unstable();
        assert_eq!(told, [2, 3]);
        assert!(!pace.beat(), "a quiet second ends the beats");
        assert!(pace.happened([4]));
    }
}
