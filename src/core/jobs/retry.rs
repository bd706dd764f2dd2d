//! How often a piece of work is tried, and how long apart.

use std::time::Duration;

use super::work::{Progress, State};
use crate::core::time::UnixMillis;

/// A bounded back-off.
pub(super) struct Retry {
    /// After the first failure.
    first: Duration,
    /// Each further wait is so many times the one before.
    factor: u32,
    /// After so many failures nothing more is tried.
    attempts: u8,
}

/// Updates: 1, 2, 4, 8 minutes.
pub(super) const UPDATE: Retry = Retry { first: Duration::from_secs(60), factor: 2, attempts: 5 };

/// Configuration and clean-up: 30 seconds, 2 minutes, 8 minutes.
pub(super) const CONFIG: Retry = Retry { first: Duration::from_secs(30), factor: 4, attempts: 4 };

/// When to try.
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
    /// When to try after what has come of it so far.
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
