//! Settings with which a store is opened, and why it could not be opened. The backends use this file, so it must not
//! name one of them.

use std::sync::Arc;
use std::time::Duration;

use super::{Limits, StoreError};
use crate::core::model::time::UnixMillis;

/// The clock of a store.
pub type StoreClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The clock of this machine.
pub fn system_clock() -> StoreClock {
    Arc::new(|| {
        // The clock of this store decides about validity; there is no other node that depends on it.
        #[allow(clippy::disallowed_methods)]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    })
}

/// Settings of a store that have defaults.
#[derive(Clone)]
pub struct Options {
    /// All commands of one operation on Redis must be answered within this time.
    pub deadline: Duration,
    /// Connections to Redis that commands share.
    pub lanes: usize,
    /// Bytes of an embedded file that are kept in memory.
    pub cache: usize,
    /// The clock of the embedded store; Redis has its own.
    pub clock: StoreClock,
    /// What is kept at most.
    pub limits: Limits,
    /// How a store of an earlier version is migrated.
    pub migration: MigrationOptions,
}

/// How a store of an earlier version is migrated.
#[derive(Clone)]
pub struct MigrationOptions {
    /// Records of a page.
    pub page: usize,
    /// For how long programs of before are refused, on Redis, until anything is changed: as long as one needs between
    /// the check of its key and its first lease.
    pub closing: Duration,
    /// For how long earlier generations of the instance key are kept when everything is sealed with the new one: what
    /// they have signed and is handed out is good for as long.
    pub retire: Duration,
    /// Is told the number of each page when it is stored. Tests end the process there.
    pub after_page: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl Default for MigrationOptions {
    fn default() -> Self {
        Self { page: 500, closing: Duration::from_secs(20), retire: Duration::from_secs(24 * 3600), after_page: None }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(300),
            lanes: 2,
            cache: 8 << 20,
            clock: system_clock(),
            limits: Limits::default(),
            migration: MigrationOptions::default(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("deadline", &self.deadline).field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// Why a store could not be opened: what, where, and what to do. Never shows a password of the address.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is of no known form.
    #[error(
        "store address not understood: {why}; use embedded:PATH, redis://HOST:PORT, rediss://HOST:PORT or redis+unix:///PATH"
    )]
    Address {
        /// What is wrong; never the address itself, which may carry a password.
        why: String,
    },
    /// Redis does not answer.
    #[error("no usable answer from the store at {place}: {why}; check that it runs and takes connections from here")]
    Unreachable {
        /// Host and port, or path of the socket.
        place: String,
        /// What happened.
        why: String,
    },
    /// Another process has the file open.
    #[error("store file {path} is in use by another process; stop that process or name another file")]
    InUse {
        /// The file.
        path: String,
    },
    /// The file cannot be opened or made.
    #[error("store file {path} cannot be opened: {why}; check path, permissions and free space")]
    File {
        /// The file.
        path: String,
        /// What happened.
        why: String,
    },
    /// Its secrets were sealed with another master key.
    #[error(
        "store at {place} was made with another master key; set the key that it was made with, or add it (without a \
         master key: the instance password of then) to security.previous_keys"
    )]
    WrongKey {
        /// Which store.
        place: String,
    },
    /// The key file of an embedded store does not open it.
    #[error("key file {path} {why}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// It was written by a newer program.
    #[error("store at {place} has version {theirs}, and this program knows versions up to {ours}; start a newer one")]
    Newer {
        /// Which store.
        place: String,
        /// Its version.
        theirs: u32,
        /// The newest version that this program knows.
        ours: u32,
    },
}

/// The short reason of a store error, for an error text that names the place itself.
pub(super) fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) => why,
        other @ (StoreError::Corrupt { .. } | StoreError::OverQuota(_)) => other.to_string(),
    }
}
