//! Limits wrong attempts of devices and apps on this node (`docs/protocol/sysclient.md` 9,
//! `docs/protocol/appwebsocket.md` 9).
//!
//! The counts are kept in memory only: source addresses must never be stored or logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::core::model::ids::DeviceKey;
use crate::core::policy::limits::{Attempts, Quota, SourceKey};
use crate::metrics::{self, Attempt, Counter};

/// How many wrong attempts are allowed.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// Wrong digests per device.
    pub device_digests: u32,
    /// Bad codes per device.
    pub device_codes: u32,
    /// Wrong digests, bad codes and wrong tokens, each, per source address.
    pub address: u32,
    /// They are counted within this time, and a block lasts as long.
    pub window: Duration,
    /// Failed log-ins of apps per source address.
    pub logins: u32,
    /// How long they block it.
    pub login_block: Duration,
    /// Keys (devices or addresses) that each table remembers.
    pub max_tracked: usize,
}

struct Tables {
    digests: Attempts<DeviceKey>,
    codes: Attempts<DeviceKey>,
    source_digests: Attempts<SourceKey>,
    source_codes: Attempts<SourceKey>,
    source_tokens: Attempts<SourceKey>,
    source_logins: Attempts<SourceKey>,
}

/// The wrong attempts that this node has seen.
pub struct AttemptLimiter(Mutex<Tables>);

impl AttemptLimiter {
    /// No attempts yet.
    pub fn new(limits: &AttemptLimits) -> Self {
        let AttemptLimits { window, max_tracked: max, .. } = *limits;
        let device = |attempts| Attempts::new(Quota::new(attempts, window), max);
        let source = || Attempts::new(Quota::new(limits.address, window), max);
        let logins = Quota { attempts: limits.logins, window, block: limits.login_block };
        Self(Mutex::new(Tables {
            digests: device(limits.device_digests),
            codes: device(limits.device_codes),
            source_digests: source(),
            source_codes: source(),
            source_tokens: source(),
            source_logins: Attempts::new(logins, max),
        }))
    }

    fn with_tables<R>(&self, act: impl FnOnce(&mut Tables) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A device answered its challenge wrongly.
    pub fn count_wrong_digest(&self, key: &DeviceKey, source: SourceKey) {
        let now = clock::now();
        metrics::count(Counter::WrongAttempt(Attempt::DeviceDigest));
        self.with_tables(|t| {
            t.digests.count(key, now);
            t.source_digests.count(&source, now);
        });
    }

    /// A device sent a code that is not open.
    pub fn count_bad_code(&self, key: &DeviceKey, source: SourceKey) {
        let now = clock::now();
        metrics::count(Counter::WrongAttempt(Attempt::DeviceCode));
        self.with_tables(|t| {
            t.codes.count(key, now);
            t.source_codes.count(&source, now);
        });
    }

    /// An unknown device connected with a wrong query.
    pub fn count_wrong_token(&self, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Attempt::Token));
        self.with_tables(|t| t.source_tokens.count(&source, clock::now()));
    }

    /// A log-in of an app failed.
    pub fn count_failed_login(&self, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Attempt::LogIn));
        self.with_tables(|t| t.source_logins.count(&source, clock::now()));
    }

    /// Whether a device has used up its attempts.
    pub fn device_blocked(&self, key: &DeviceKey) -> bool {
        let now = clock::now();
        self.with_tables(|t| t.digests.blocked(key, now).is_some() || t.codes.blocked(key, now).is_some())
    }

    /// How long new device connections of an address are refused; `None`: they are not.
    pub fn devices_blocked_for(&self, source: SourceKey) -> Option<Duration> {
        let now = clock::now();
        self.with_tables(|t| {
            let tables = [&t.source_digests, &t.source_codes, &t.source_tokens];
            tables.into_iter().filter_map(|table| table.blocked(&source, now)).max()
        })
    }

    /// How long new app connections of an address are refused; `None`: they are not.
    pub fn apps_blocked_for(&self, source: SourceKey) -> Option<Duration> {
        self.with_tables(|t| t.source_logins.blocked(&source, clock::now()))
    }
}
