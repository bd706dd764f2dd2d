//! The store in one file, for a single process: rows in `redb`, and in memory whatever ends with the process.
//!
//! Keys are those of Redis without the prefix. Presence, leases and signals are in memory: there is only one process,
//! so a node of an earlier run is dead. Not here: sharing the file between processes; a second one is refused.

mod accounts;
mod audit_log;
mod bus;
mod codes;
mod devices;
mod directory;
mod domains;
mod entry;
mod figures;
mod jobs;
mod keys;
mod kv;
mod locks;
mod mailbox;
mod offers;
mod presence;
mod rollouts;
mod rows;
mod strangers;
mod timelines;
mod tls_ticket_keys;
mod unassigned;
mod users_role;
mod web_sessions;
mod writer;

use std::path::Path;

use async_trait::async_trait;

use self::presence::Memory;
use self::writer::Kv;
use super::fanout::Fanout;
use super::record::key_check;
use super::seal::Sealer;
use super::{Limits, Result, Store};
use crate::core::model::time::UnixMillis;
use crate::store::options::{OpenError, reason};
pub use crate::store::options::{StoreClock, system_clock};

/// Bytes that [`Store::ping`] writes after a failed write.
const PROBE: usize = 16 * 1024;

/// All of the store in one file.
pub struct Embedded {
    kv: Kv,
    sealer: Sealer,
    memory: Memory,
    held: locks::Held,
    limits: Limits,
    fanout: Fanout,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded(…)")
    }
}

impl Embedded {
    /// Opens the file, or creates it and its folder, and checks the master key. Up to `cache` bytes of it are cached
    /// in memory. Blocks while the file is repaired.
    pub fn open(path: &Path, sealer: Sealer, cache: usize, clock: StoreClock) -> std::result::Result<Self, OpenError> {
        let kv = Kv::open(path, cache, clock)?;
        let place = path.display().to_string();
        let ours = key_check(&sealer);
        let refused = |e| OpenError::File { path: place.clone(), why: reason(e) };
        let theirs: Option<String> = kv.read(|snapshot| snapshot.get(keys::KEY_CHECK)).map_err(refused)?;
        match theirs {
            Some(theirs) if theirs == ours => {}
            Some(_) => return Err(OpenError::WrongKey { place }),
            None => kv.write_now(move |tx| tx.put(keys::KEY_CHECK, &ours, None)).map_err(refused)?,
        }
        let (memory, held, fanout) = (Memory::default(), locks::Held::default(), Fanout::default());
        Ok(Self { kv, sealer, memory, held, limits: Limits::default(), fanout })
    }

    /// Keeps at most this.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

#[async_trait]
impl Store for Embedded {
    async fn ping(&self) -> Result<()> {
        if self.kv.is_well() {
            return Ok(());
        }
        // The last write failed: see whether one works now that is not smaller than a record.
        self.kv.write(move |tx| tx.put(keys::PING, &"0".repeat(PROBE), None)).await
    }

    async fn now(&self) -> Result<UnixMillis> {
        Ok(self.kv.now())
    }
}
