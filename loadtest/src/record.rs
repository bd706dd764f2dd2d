//! Counters and latencies of a run, and merging those of several processes. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest recorded time, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Counters of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Arrivals that were due.
    pub arrivals: u64,
    /// Of these, arrivals whose device was still busy with an earlier one.
    pub busy: u64,
    /// Started connections.
    pub attempts: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Registrations, at most one per arrival.
    pub registered: u64,
    /// Re-registrations of members that were cut.
    pub again: u64,
    /// Members whose connection ended although they had not left.
    pub dropped: u64,
    /// Registrations on a resumed TLS session.
    pub resumed: u64,
    /// Time of the last registration, in microseconds since the start.
    pub last_us: u64,
}

impl Counts {
    /// Adds another set of counters.
    pub fn add(&mut self, other: &Self) {
        self.arrivals += other.arrivals;
        self.busy += other.busy;
        self.attempts += other.attempts;
        self.failed += other.failed;
        self.registered += other.registered;
        self.again += other.again;
        self.dropped += other.dropped;
        self.resumed += other.resumed;
        self.last_us = self.last_us.max(other.last_us);
    }
}

/// Values with how often they were recorded.
pub type Sparse = Vec<(u64, u64)>;

/// Latencies in microseconds, with three significant digits.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// An empty set.
    pub fn new() -> Self {
        // The bounds are valid; otherwise a histogram that resizes itself does as well.
        let bounded = Histogram::new_with_bounds(1, LONGEST, 3);
        #[allow(clippy::unwrap_used)] // 3 digits are allowed.
        Self(bounded.unwrap_or_else(|_| Histogram::new(3).unwrap()))
    }

    /// Records a latency; more than an hour counts as an hour.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    /// Adds those of another process.
    pub fn add(&mut self, sparse: &Sparse) {
        for &(value, count) in sparse {
            self.0.saturating_record_n(value, count);
        }
    }

    /// In the form sent through a pipe.
    pub fn sparse(&self) -> Sparse {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    #[cfg(test)]
    fn len(&self) -> u64 {
        self.0.len()
    }

    /// Clears the set.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The percentile in milliseconds; `None` if empty.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| millis(self.0.value_at_percentile(percent)))
    }

    /// The maximum in milliseconds; `None` if empty.
    pub fn longest(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| millis(self.0.max()))
    }

    /// Pairs of percentile and milliseconds of the full curve.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        self.0.iter_quantiles(4).map(|step| (step.percentile(), millis(step.value_iterated_to()))).collect()
    }
}

// Exact: far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_several_processes_make_one_whole() {
        let (mut one, mut other, mut all) = (Latencies::new(), Latencies::new(), Latencies::new());
        for micros in 1..=1000 {
            one.record(micros * 1000);
            other.record(micros * 2000);
        }
        all.add(&one.sparse());
        all.add(&other.sparse());
        assert_eq!(all.len(), 2000);
        let near = |percent, expected: f64| {
            let found = all.percentile(percent).unwrap();
            assert!((found - expected).abs() <= expected / 500.0, "{percent}: {found}, not {expected}");
        };
        near(50.0, 667.0);
        near(99.0, 1960.0);
        near(100.0, 2000.0);
        assert!(all.curve().is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        all.clear();
        assert_eq!((all.percentile(50.0), all.longest()), (None, None));
    }

    #[test]
    fn a_time_out_of_bounds_counts_at_the_bound() {
        let mut latencies = Latencies::new();
        latencies.record(0);
        latencies.record(u64::MAX);
        assert_eq!(latencies.len(), 2);
    }
}
