//! Limits failed log-ins of apps on this node (`docs/protocol/appwebsocket.md` 9).
//!
//! The counts are kept in memory only: source addresses must never be stored or logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::core::policy::limits::{Attempts, Quota, SourceKey};
use crate::metrics::{self, Attempt, Counter};

/// How many failed log-ins are allowed.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// They are counted within this time.
    pub window: Duration,
    /// Failed log-ins of apps per source address.
    pub logins: u32,
    /// How long they block it.
    pub login_block: Duration,
    /// Addresses that are remembered.
    pub max_tracked: usize,
}

/// The failed log-ins that this node has seen.
pub struct AttemptLimiter(Mutex<Attempts<SourceKey>>);

impl AttemptLimiter {
    /// No attempts yet.
    pub fn new(limits: &AttemptLimits) -> Self {
        let AttemptLimits { window, logins: attempts, login_block: block, max_tracked } = *limits;
        Self(Mutex::new(Attempts::new(Quota { attempts, window, block }, max_tracked)))
    }

    /// A log-in of an app failed.
    pub fn count_failed_login(&self, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Attempt::LogIn));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count(&source, clock::now());
    }

    /// How long new app connections of an address are refused; `None`: they are not.
    pub fn apps_blocked_for(&self, source: SourceKey) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocked(&source, clock::now())
    }
}
