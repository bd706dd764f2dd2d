//! Wrong attempts of devices and apps, counted for the whole node (`docs/protocol/sysclient.md` 9,
//! `docs/protocol/appwebsocket.md` 9).
//!
//! In memory only: source addresses are never stored or logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::core::model::ids::DeviceKey;
use crate::core::policy::limits::{Attempts, Quota, SourceKey};
use crate::metrics::{self, Attempt, Counter};

/// How much is let pass.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Wrong digests per device.
    pub device_digests: u32,
    /// Bad codes per device.
    pub device_codes: u32,
    /// Wrong digests, bad codes and wrong tokens, each, per source address.
    pub address: u32,
    /// The window in which they are counted, and the time for which a block lasts.
    pub window: Duration,
    /// Failed log-ins of apps per source address.
    pub logins: u32,
    /// For how long they block it.
    pub login_block: Duration,
    /// Keys that are remembered.
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

/// The ledger of one node.
pub struct AttemptLimiter(Mutex<Tables>);

impl AttemptLimiter {
    /// An empty ledger.
    pub fn new(allowance: &Allowance) -> Self {
        let Allowance { window, max_tracked: max, .. } = *allowance;
        let device = |attempts| Attempts::new(Quota::new(attempts, window), max);
        let source = || Attempts::new(Quota::new(allowance.address, window), max);
        let logins = Quota { attempts: allowance.logins, window, block: allowance.login_block };
        Self(Mutex::new(Tables {
            digests: device(allowance.device_digests),
            codes: device(allowance.device_codes),
            source_digests: source(),
            source_codes: source(),
            source_tokens: source(),
            source_logins: Attempts::new(logins, max),
        }))
    }

    fn with<R>(&self, act: impl FnOnce(&mut Tables) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A device answered its challenge wrongly.
    pub fn wrong_digest(&self, key: &DeviceKey, source: SourceKey) {
        let now = clock::now();
        metrics::count(Counter::WrongAttempt(Attempt::DeviceDigest));
        self.with(|t| {
            t.digests.count(key, now);
            t.source_digests.count(&source, now);
        });
    }

    /// A device brought a code that is none.
    pub fn bad_code(&self, key: &DeviceKey, source: SourceKey) {
        let now = clock::now();
        metrics::count(Counter::WrongAttempt(Attempt::DeviceCode));
        self.with(|t| {
            t.codes.count(key, now);
            t.source_codes.count(&source, now);
        });
    }

    /// An unknown device came with a wrong query.
    pub fn wrong_token(&self, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Attempt::Token));
        self.with(|t| t.source_tokens.count(&source, clock::now()));
    }

    /// A log-in of an app failed.
    pub fn failed_login(&self, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Attempt::LogIn));
        self.with(|t| t.source_logins.count(&source, clock::now()));
    }

    /// Whether a device has used up its attempts.
    pub fn device_blocked(&self, key: &DeviceKey) -> bool {
        let now = clock::now();
        self.with(|t| t.digests.blocked(key, now).is_some() || t.codes.blocked(key, now).is_some())
    }

    /// How long new device connections of an address are refused.
    pub fn devices_blocked(&self, source: SourceKey) -> Option<Duration> {
        let now = clock::now();
        self.with(|t| {
            let tables = [&t.source_digests, &t.source_codes, &t.source_tokens];
            tables.into_iter().filter_map(|table| table.blocked(&source, now)).max()
        })
    }

    /// How long new app connections of an address are refused.
    pub fn apps_blocked(&self, source: SourceKey) -> Option<Duration> {
        self.with(|t| t.source_logins.blocked(&source, clock::now()))
    }
}
