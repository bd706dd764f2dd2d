//! How fast records of strangers are written: a bound for each source, and one over all.
//!
//! What is not written is not lost: the stranger is answered as one that was never seen. Memory is bounded; sources
//! beyond the bound share one allowance.

use std::collections::HashMap;
use std::time::Duration;

use super::limits::SourceKey;
use crate::core::model::time::Tick;

/// Records per second and source, and how many of them may come at once.
const OF_SOURCE: (f64, f64) = (100.0, 1000.0);

/// The same over all sources of a node.
const OVER_ALL: (f64, f64) = (2000.0, 10_000.0);

/// Sources that are told apart.
const SOURCES: usize = 10_000;

/// The sources are looked through for those to be forgotten at most this often.
const TIDIED: Duration = Duration::from_secs(1);

/// An allowance that refills.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: f64,
    at: Tick,
}

impl Allowance {
    const fn full((_, most): (f64, f64), at: Tick) -> Self {
        Self { left: most, at }
    }

    fn refill(&mut self, (per_second, most): (f64, f64), now: Tick) {
        self.left = (self.left + now.since(self.at).as_secs_f64() * per_second).min(most);
        self.at = now;
    }
}

/// The pace of one kind of record.
#[derive(Debug, Default)]
pub struct RecordPace {
    sources: HashMap<SourceKey, Allowance>,
    others: Option<Allowance>,
    over_all: Option<Allowance>,
    tidied: Option<Tick>,
}

impl RecordPace {
    /// Whether a record from this source may be written now; it is counted then.
    pub fn take(&mut self, source: Option<SourceKey>, now: Tick) -> bool {
        self.make_room(now);
        let over_all = self.over_all.get_or_insert(Allowance::full(OVER_ALL, now));
        over_all.refill(OVER_ALL, now);
        if over_all.left < 1.0 {
            return false;
        }
        let room = self.sources.len() < SOURCES;
        let own = match source {
            Some(source) if room || self.sources.contains_key(&source) => {
                self.sources.entry(source).or_insert(Allowance::full(OF_SOURCE, now))
            }
            _ => self.others.get_or_insert(Allowance::full(OF_SOURCE, now)),
        };
        own.refill(OF_SOURCE, now);
        if own.left < 1.0 {
            return false;
        }
        own.left -= 1.0;
        over_all.left -= 1.0;
        true
    }

    /// What was taken was not needed.
    pub fn give_back(&mut self, source: Option<SourceKey>) {
        let own = source.and_then(|source| self.sources.get_mut(&source)).or(self.others.as_mut());
        for allowance in own.into_iter().chain(&mut self.over_all) {
            allowance.left += 1.0;
        }
    }

    /// Forgets sources with a full allowance if there are too many.
    fn make_room(&mut self, now: Tick) {
        if self.sources.len() < SOURCES || self.tidied.is_some_and(|at| now.since(at) < TIDIED) {
            return;
        }
        self.tidied = Some(now);
        self.sources.retain(|_, allowance| {
            allowance.refill(OF_SOURCE, now);
            allowance.left < OF_SOURCE.1
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the pace is asked")]
    fn source(number: u32) -> Option<SourceKey> {
        Some(IpAddr::from(Ipv4Addr::from(number)).into())
    }

    fn taken(pace: &mut RecordPace, source: Option<SourceKey>, now: Tick, tries: usize) -> usize {
        (0..tries).filter(|_| pace.take(source, now)).count()
    }

    #[test]
    fn a_source_has_a_burst_and_a_rate_of_its_own() {
        let (mut pace, start) = (RecordPace::default(), Tick::default());
        assert_eq!(taken(&mut pace, source(1), start, 5000), 1000);
        assert_eq!(taken(&mut pace, source(2), start, 10), 10);
        assert_eq!(taken(&mut pace, source(1), start + Duration::from_secs(2), 5000), 200);
        // What was not needed does not count.
        assert!(!pace.take(source(1), start + Duration::from_secs(2)));
        pace.give_back(source(1));
        assert!(pace.take(source(1), start + Duration::from_secs(2)));
    }

    #[test]
    fn many_sources_are_bounded_over_all_and_in_memory() {
        let (mut pace, start) = (RecordPace::default(), Tick::default());
        let all: usize = (0..30_000).map(|number| taken(&mut pace, source(number), start, 1)).sum();
        assert_eq!(all, 10_000);
        let later = start + Duration::from_secs(10);
        let all: usize = (30_000..60_000).map(|number| taken(&mut pace, source(number), later, 1)).sum();
        assert_eq!(all, 10_000);
        assert!(pace.sources.len() <= SOURCES);
    }
}
