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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(300),
            lanes: 2,
            cache: 8 << 20,
            clock: system_clock(),
            limits: Limits::default(),
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
        "store at {place} was made with another master key; set the key that it was made with, or name an empty store"
    )]
    WrongKey {
        /// Which store.
        place: String,
    },
}

/// The short reason of a store error, for an error text that names the place itself.
pub(super) fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) => why,
        other @ (StoreError::Corrupt { .. } | StoreError::OverQuota(_)) => other.to_string(),
    }
}
