//! Opens the store at an address. The only module that chooses between the backends.

use std::sync::Arc;
use std::time::Duration;

use super::embedded::{Embedded, StoreClock, system_clock};
use super::observed::Observed;
use super::redis::Redis;
use super::seal::Sealer;
use super::{Store, StoreError};

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
}

impl Default for Options {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(300), lanes: 2, cache: 8 << 20, clock: system_clock() }
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

/// Opens the store at `url`: `embedded:PATH`, or one of the forms of Redis.
pub async fn connect(url: &str, sealer: Sealer, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match url.split_once(':') {
        Some(("embedded", "")) => Err(OpenError::Address { why: "embedded: needs the path of a file".into() }),
        Some(("embedded", path)) => {
            let store = Embedded::open(std::path::Path::new(path), sealer, options.cache, options.clock.clone())?;
            Ok(Arc::new(Observed::new(store)))
        }
        Some(("redis" | "rediss" | "redis+unix" | "unix", _)) => {
            Ok(Arc::new(Observed::new(Redis::connect(url, sealer, options).await?)))
        }
        Some((scheme, _)) => Err(OpenError::Address { why: format!("unknown scheme {scheme:?}") }),
        None => Err(OpenError::Address { why: "it has no scheme".into() }),
    }
}

/// The short reason of a store error, for an error text that names the place itself.
pub(super) fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) => why,
        corrupt @ StoreError::Corrupt { .. } => corrupt.to_string(),
    }
}
