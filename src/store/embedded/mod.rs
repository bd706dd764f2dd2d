//! The store in one file, for a single process: rows in `redb`, and in memory whatever ends with the process.
//!
//! Keys are those of Redis without the prefix. Presence, leases and signals are in memory: there is only one process,
//! so a node of an earlier run is dead. Not here: sharing the file between processes; a second one is refused.

mod accounts;
mod attempts;
mod audit_log;
mod bundles;
mod bus;
mod codes;
mod devices;
mod directory;
mod domains;
mod entry;
mod figures;
mod jobs;
mod keyring;
mod keys;
mod kv;
mod lift_codes;
mod locks;
mod mailbox;
mod misdirected;
mod offers;
mod presence;
mod rollouts;
mod rows;
mod schema;
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
use super::keyring::MasterKeys;
use super::schema::Stage;
use super::seal::Sealer;
use super::{Limits, MigrationOptions, Result, Store, StoreError};
use crate::core::model::time::UnixMillis;
use crate::store::options::{OpenError, Options};
pub use crate::store::options::{StoreClock, system_clock};

/// Bytes that [`Store::ping`] writes after a failed write.
const PROBE: usize = 16 * 1024;

/// All of the store in one file.
pub struct Embedded {
    kv: Kv,
    sealer: Sealer,
    ring: keyring::Ring,
    migration: MigrationOptions,
    memory: Memory,
    held: locks::Held,
    limits: Limits,
    taken: attempts::Taken,
    fanout: Fanout,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded(…)")
    }
}

impl Embedded {
    /// Opens the file, or creates it and its folder, opens its key ring, and migrates a file of an earlier version.
    /// Blocks while the file is repaired or migrated.
    pub fn open(path: &Path, keys: &MasterKeys, options: &Options) -> std::result::Result<Self, OpenError> {
        let mut kv = Kv::open(path, options.cache, options.clock.clone())?;
        let ring = keyring::open(&kv, path, keys.clone())?;
        let sealer = Sealer::new(ring.keyring().keys(), Stage::NEWEST);
        let migration = options.migration.clone();
        let place = path.display().to_string();
        if schema::open(&kv, &sealer, &place, &migration)? {
            drop(kv);
            let rewritten = writer::rewrite(path, options.cache);
            kv = Kv::open(path, options.cache, options.clock.clone())?;
            match rewritten {
                Ok(()) => schema::rewritten(&kv, &place)?,
                Err(fault) => {
                    let why = StoreError::from(fault);
                    tracing::warn!(%place, %why, "codes of before may be left in unused parts of the store file");
                }
            }
        }
        let (memory, held, fanout) = (Memory::default(), locks::Held::default(), Fanout::default());
        let taken = attempts::Taken::default();
        Ok(Self { kv, sealer, ring, migration, memory, held, limits: options.limits, taken, fanout })
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
