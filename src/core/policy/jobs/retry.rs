//! Back-off of the work for a device: number of attempts, and the waits between them.

use std::time::Duration;

use crate::core::model::time::UnixMillis;
use crate::core::model::work::{Progress, State};
use crate::core::policy::backoff::{Backoff, Spread};

/// A back-off with a bounded number of attempts.
pub(crate) struct Retry {
    backoff: Backoff,
    /// After so many failures nothing more is tried.
    attempts: u8,
}

/// Timeouts and waits of the work for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A device must be back within this time after an update was ordered, or the attempt has failed.
    pub restart_within: Duration,
    /// Wait after the first failed update; doubled each time, five attempts in all.
    pub update_again: Duration,
    /// Wait after the first failed configuration; four times as long each time, four attempts in all.
    pub config_again: Duration,
}

impl Default for RetryPolicy {
    /// Updates: 1, 2, 4, 8 minutes. Configuration and clean-up: 30 seconds, 2 minutes, 8 minutes.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { restart_within: seconds(600), update_again: seconds(60), config_again: seconds(30) }
    }
}

impl RetryPolicy {
    pub(crate) const fn update(&self) -> Retry {
        Retry::new(self.update_again, 2, 5)
    }

    pub(crate) const fn config(&self) -> Retry {
        Retry::new(self.config_again, 4, 4)
    }
}

/// When to try next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Now.
    Now,
    /// After this time.
    In(Duration),
    /// Not again.
    Never,
}

impl Retry {
    const fn new(first: Duration, factor: u32, attempts: u8) -> Self {
        Self { backoff: Backoff { first, factor, longest: Duration::MAX, spread: Spread::None }, attempts }
    }

    /// Whether nothing more is tried. The number of attempts is fixed, only the waits are settings.
    pub(crate) const fn is_over(&self, progress: &Progress) -> bool {
        matches!(progress.state, State::Failed(_)) && progress.attempts >= self.attempts
    }

    /// When to try next, given the progress so far.
    pub(super) fn next(&self, progress: Option<&Progress>, now: UnixMillis) -> Next {
        let Some(Progress { attempts, at, state: State::Failed(_), .. }) = progress else { return Next::Now };
        if *attempts >= self.attempts {
            return Next::Never;
        }
        let left = self.backoff.wait(u32::from(*attempts), 0).saturating_sub(since(*at, now));
        if left.is_zero() { Next::Now } else { Next::In(left) }
    }
}

/// How long ago `at` was.
pub(super) const fn since(at: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(now.0.saturating_sub(at.0))
}
