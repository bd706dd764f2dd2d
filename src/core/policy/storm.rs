//! Detects a storm: many known devices are missing and come back at once. Some devices are always switched off, so the
//! number of missing ones alone means nothing; a storm is a recent rise or fall of that number.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::time::Tick;

/// Time span that counts; the dashboards use the same one.
const WINDOW: Duration = Duration::from_secs(120);

/// Samples kept at most; one is added every few seconds.
const MAX_SAMPLES: usize = 128;

/// Change of the number of missing devices that counts as a storm, unless a hundredth of the known devices is more.
const MIN_CHANGE: u64 = 10;

/// A longer estimate is not reported.
const MAX_ESTIMATE: Duration = Duration::from_secs(24 * 3600);

/// A storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// Known devices that are not back yet.
    pub missing: u64,
    /// Estimated time until all are back, at the present rate. `None`: none come back, or it takes too long.
    pub left: Option<Duration>,
}

/// Collects how many devices were missing lately.
#[derive(Debug, Default)]
pub struct StormDetector {
    known: u64,
    missing: VecDeque<(Tick, u64)>,
}

impl StormDetector {
    /// Records how many devices are known and how many of them are missing.
    pub fn record(&mut self, known: u64, missing: u64, now: Tick) {
        self.known = known;
        self.missing.push_back((now, missing));
        while self.missing.len() > MAX_SAMPLES || self.missing.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.missing.pop_front();
        }
    }

    /// The present storm, if there is one.
    pub fn storm(&self) -> Option<Storm> {
        let (now, missing) = self.missing.back().copied().filter(|(_, missing)| *missing > 0)?;
        // Of several equal maxima the last: no device came back before it.
        let (began, most) = self.missing.iter().copied().max_by_key(|(_, missing)| *missing)?;
        let least = self.missing.iter().map(|(_, missing)| *missing).min()?;
        let (back, gone) = (most - missing, missing - least);
        if back.max(gone) < MIN_CHANGE.max(self.known / 100) {
            return None;
        }
        let millis = u128::from(missing) * now.since(began).as_millis() / u128::from(back.max(1));
        let left = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        Some(Storm { missing, left: Some(left).filter(|left| back > 0 && *left <= MAX_ESTIMATE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample every five seconds.
    fn after(known: u64, missing: &[u64]) -> Option<Storm> {
        let mut detector = StormDetector::default();
        for (number, missing) in (0..).zip(missing) {
            detector.record(known, *missing, Tick(number * 5_000));
        }
        detector.storm()
    }

    #[test]
    fn a_storm_ends_when_all_are_back() {
        let seconds = |left| Some(Duration::from_secs(left));
        assert_eq!(after(10_000, &[20, 9_000]), Some(Storm { missing: 9_000, left: None }), "nobody is back yet");
        assert_eq!(after(10_000, &[20, 9_000, 8_000]), Some(Storm { missing: 8_000, left: seconds(40) }));
        assert_eq!(after(10_000, &[9_000, 9_000, 8_000]), Some(Storm { missing: 8_000, left: seconds(40) }));
        // Devices that came back and dropped out again do not shorten the estimate.
        assert_eq!(after(10_000, &[9_000, 8_000, 8_500]), Some(Storm { missing: 8_500, left: seconds(170) }));
        assert_eq!(after(10_000, &[9_000, 5_000, 0]), None);
    }

    #[test]
    fn devices_that_are_always_off_are_no_storm() {
        assert_eq!(after(10_000, &[]), None);
        assert_eq!(after(10_000, &[500; 30]), None);
        assert_eq!(after(10_000, &[500, 599, 520]), None, "less than a hundredth");
        assert_eq!(after(100, &[20, 29]), None);
        assert_eq!(after(100, &[20, 30]), Some(Storm { missing: 30, left: None }));
        // Samples older than two minutes do not count.
        let long: Vec<u64> = std::iter::once(9_000).chain([500; 25]).collect();
        assert_eq!(after(10_000, &long), None);
        assert!(after(10_000, &long[..25]).is_some());
    }

    #[test]
    fn an_estimate_may_be_missing() {
        let known = 1_000_000_000;
        let found = after(known, &[known, known - 10_000_000, known - 10_000_000]).unwrap();
        assert_eq!(found.left, Some(Duration::from_secs(990)));
        assert_eq!(after(1_000, &[1_000_000_000, 999_999_990]).unwrap().left, None);
    }

    #[test]
    fn the_number_of_samples_is_bounded() {
        let mut detector = StormDetector::default();
        for at in 0..10_000 {
            detector.record(1, 1, Tick(at));
        }
        assert_eq!(detector.missing.len(), MAX_SAMPLES);
    }
}
