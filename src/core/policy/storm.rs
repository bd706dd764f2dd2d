//! How a storm stands: many of the known devices are connected nowhere and come back. Some are always switched off, so it is not how
//! many are missing that makes a storm, but that they have just become many more, or many fewer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::time::Tick;

/// What has happened within this time counts: as long as the dashboards look back for the same figures.
const WINDOW: Duration = Duration::from_secs(120);

/// Figures that are kept, at most; they come every few seconds.
const MOST: usize = 128;

/// So many more or fewer are a storm, unless a hundredth of the known devices is more.
const LEAST: u64 = 10;

/// At a rate at which it would take longer, nobody can say how long it takes.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// Known devices that are not back yet.
    pub missing: u64,
    /// How long it takes until all are, if they go on coming back as they do. `None`: they do not come back.
    pub left: Option<Duration>,
}

/// What was seen of the missing devices lately.
#[derive(Debug, Default)]
pub struct StormDetector {
    known: u64,
    missing: VecDeque<(Tick, u64)>,
}

impl StormDetector {
    /// So many devices are known now, and so many of them are missing.
    pub fn saw(&mut self, known: u64, missing: u64, now: Tick) {
        self.known = known;
        self.missing.push_back((now, missing));
        while self.missing.len() > MOST || self.missing.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.missing.pop_front();
        }
    }

    /// The storm that is on.
    pub fn storm(&self) -> Option<Storm> {
        let (now, missing) = self.missing.back().copied().filter(|(_, missing)| *missing > 0)?;
        // Of several equal ones the last: before it nobody came back.
        let (began, most) = self.missing.iter().copied().max_by_key(|(_, missing)| *missing)?;
        let least = self.missing.iter().map(|(_, missing)| *missing).min()?;
        let (back, gone) = (most - missing, missing - least);
        if back.max(gone) < LEAST.max(self.known / 100) {
            return None;
        }
        let millis = u128::from(missing) * now.since(began).as_millis() / u128::from(back.max(1));
        let left = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        Some(Storm { missing, left: Some(left).filter(|left| back > 0 && *left <= LONGEST) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looked at every five seconds.
    fn after(known: u64, missing: &[u64]) -> Option<Storm> {
        let mut lookout = StormDetector::default();
        for (number, missing) in (0..).zip(missing) {
            lookout.saw(known, *missing, Tick(number * 5_000));
        }
        lookout.storm()
    }

    #[test]
    fn a_storm_ends_when_all_are_back() {
        let seconds = |left| Some(Duration::from_secs(left));
        assert_eq!(after(10_000, &[20, 9_000]), Some(Storm { missing: 9_000, left: None }), "nobody is back yet");
        assert_eq!(after(10_000, &[20, 9_000, 8_000]), Some(Storm { missing: 8_000, left: seconds(40) }));
        assert_eq!(after(10_000, &[9_000, 9_000, 8_000]), Some(Storm { missing: 8_000, left: seconds(40) }));
        // Those who have joined and dropped out again bring the end no nearer.
        assert_eq!(after(10_000, &[9_000, 8_000, 8_500]), Some(Storm { missing: 8_500, left: seconds(170) }));
        assert_eq!(after(10_000, &[9_000, 5_000, 0]), None);
    }

    #[test]
    fn those_that_are_always_switched_off_are_no_storm() {
        assert_eq!(after(10_000, &[]), None);
        assert_eq!(after(10_000, &[500; 30]), None);
        assert_eq!(after(10_000, &[500, 599, 520]), None, "less than a hundredth");
        assert_eq!(after(100, &[20, 29]), None);
        assert_eq!(after(100, &[20, 30]), Some(Storm { missing: 30, left: None }));
        // What was two minutes ago is over.
        let long: Vec<u64> = std::iter::once(9_000).chain([500; 25]).collect();
        assert_eq!(after(10_000, &long), None);
        assert!(after(10_000, &long[..25]).is_some());
    }

    #[test]
    fn at_some_rates_it_does_not_end() {
        let known = 1_000_000_000;
        let found = after(known, &[known, known - 10_000_000, known - 10_000_000]).unwrap();
        assert_eq!(found.left, Some(Duration::from_secs(990)));
        assert_eq!(after(1_000, &[1_000_000_000, 999_999_990]).unwrap().left, None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut lookout = StormDetector::default();
        for at in 0..10_000 {
            lookout.saw(1, 1, Tick(at));
        }
        assert_eq!(lookout.missing.len(), MOST);
    }
}
