//! Back-off of the work for a device: how often it is tried, and at what intervals.

use std::time::Duration;

use crate::core::model::time::UnixMillis;
use crate::core::model::work::{Progress, State};

/// A bounded back-off.
pub(crate) struct Retry {
    /// Wait after the first failure.
    first: Duration,
    /// Each further wait is the one before times this.
    factor: u32,
    /// Number of attempts.
    attempts: u8,
}

/// Timeouts and waits of the work for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A device that was ordered to load software must be back within this time, or the attempt has failed.
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
        Retry { first: self.update_again, factor: 2, attempts: 5 }
    }

    pub(crate) const fn config(&self) -> Retry {
        Retry { first: self.config_again, factor: 4, attempts: 4 }
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
    /// Whether no attempt is left. The number of attempts is fixed, only the waits are settings.
    pub(crate) const fn is_over(&self, progress: &Progress) -> bool {
        matches!(progress.state, State::Failed(_)) && progress.attempts >= self.attempts
    }

    /// When to try next, given the progress so far.
    pub(super) fn next(&self, progress: Option<&Progress>, now: UnixMillis) -> Next {
        let Some(Progress { attempts, at, state: State::Failed(_), .. }) = progress else { return Next::Now };
        if *attempts >= self.attempts {
            return Next::Never;
        }
        let factor = self.factor.saturating_pow(u32::from(attempts.saturating_sub(1)));
        let left = self.first.saturating_mul(factor).saturating_sub(since(*at, now));
        if left.is_zero() { Next::Now } else { Next::In(left) }
    }
}

/// How long ago `at` was.
pub(super) const fn since(at: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(now.0.saturating_sub(at.0))
}
