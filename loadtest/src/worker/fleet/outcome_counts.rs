//! Results of one group in one load process.

use std::collections::BTreeMap;

use crate::device::Failure;
use crate::record::{Counts, Latencies};
use crate::worker_commands::Outcome;

/// Counts of the results of one group.
pub struct OutcomeCounts {
    pub counts: Counts,
    pub failures: BTreeMap<Failure, u64>,
    pub latencies: Latencies,
    pub admitted: Latencies,
}

impl Default for OutcomeCounts {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            failures: BTreeMap::new(),
            latencies: Latencies::new(),
            admitted: Latencies::new(),
        }
    }
}

impl OutcomeCounts {
    /// Counts a failed attempt or a cut member.
    pub fn failed(&mut self, failure: Failure, member: bool) {
        *self.failures.entry(failure).or_default() += 1;
        let count = if member { &mut self.counts.dropped } else { &mut self.counts.failed };
        *count += 1;
    }

    /// In the form sent through a pipe, without what the devices know.
    pub fn outcome(&self) -> Outcome {
        let named = |wrong: bool| {
            let some = self.failures.iter().filter(move |(failure, _)| matches!(failure, Failure::Wrong(_)) == wrong);
            some.map(|(failure, count)| (failure.to_string(), *count)).collect()
        };
        Outcome {
            counts: self.counts,
            failures: named(false),
            wrong: named(true),
            latencies: self.latencies.sparse(),
            admitted: self.admitted.sparse(),
            ..Outcome::default()
        }
    }
}
