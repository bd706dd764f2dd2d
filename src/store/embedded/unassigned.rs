//! Unassigned devices in the file. Where they are online is in memory (`presence.rs`).

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row, Snapshot, Tx};
use super::rows::next;
use super::{Embedded, keys};
use crate::core::model::device::{Facts, UnassignedDevice};
use crate::core::model::ids::{DeviceId, DeviceKey};
use crate::core::model::time::UnixMillis;
use crate::store::record::corrupt;
use crate::store::{Result, UnassignedDevices, UnassignedListing, Whereabouts};

/// Expired devices that are removed from the indexes together with a new one.
const PURGE: usize = 100;

#[derive(Clone, Serialize, Deserialize)]
struct UnassignedRow {
    id: DeviceId,
    facts: Facts,
    seen: UnixMillis,
}

impl UnassignedRow {
    fn unassigned_device(self, key: DeviceKey) -> UnassignedDevice {
        UnassignedDevice { id: self.id, key, facts: self.facts, seen: self.seen }
    }
}

#[async_trait]
impl UnassignedDevices for Embedded {
    async fn record_unassigned(&self, key: &DeviceKey, facts: &Facts, keep: Duration) -> Result<()> {
        let (key, facts) = (key.clone(), facts.clone());
        self.kv.write(move |tx| record(tx, &key, facts, keep)).await
    }

    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        let found = self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for member in snapshot.members(keys::UNASSIGNED, after.0.saturating_add(1)) {
                if found.len() == limit {
                    break;
                }
                let key = DeviceKey::parse(&member?).map_err(|e| corrupt("unassigned", &e))?;
                found.extend(find(snapshot, &key)?);
            }
            Ok(found)
        })?;
        let now = self.kv.now();
        let listing = |device: UnassignedDevice| {
            let at = self.memory.unassigned_device(&device.key, now);
            UnassignedListing { device, at }
        };
        Ok(found.into_iter().map(listing).collect())
    }

    async fn unassigned_count(&self) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count_open(keys::UNASSIGNED_ENDS))
    }

    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool> {
        let device = key.clone();
        let there = self.kv.write(move |tx| keep_on(tx, &device, keep)).await?;
        if there {
            self.memory.attach_unassigned(key, at);
        }
        Ok(there)
    }

    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        self.memory.detach_unassigned(key, at);
        Ok(())
    }

    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> {
        let found = self.kv.read(|snapshot| find(snapshot, key))?;
        let at = self.memory.unassigned_device(key, self.kv.now());
        Ok(found.map(|device| UnassignedListing { device, at }))
    }

    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        let device = key.clone();
        let there = self.kv.write(move |tx| forget(tx, &device)).await?;
        self.memory.forget_unassigned(key);
        Ok(there)
    }
}

fn record(tx: &mut Tx<'_>, key: &DeviceKey, facts: Facts, keep: Duration) -> Outcome<()> {
    let known: Option<UnassignedRow> = tx.get(&keys::unassigned_device(key))?;
    for over in tx.members_until(keys::UNASSIGNED_ENDS, tx.now.0, PURGE)? {
        tx.unrank(keys::UNASSIGNED, &over)?;
        tx.unrank(keys::UNASSIGNED_ENDS, &over)?;
    }
    let id = match known {
        Some(known) => known.id,
        None => DeviceId(next(tx, keys::SEQ_DEVICE)?),
    };
    let row = UnassignedRow { id, facts, seen: tx.now };
    put(tx, key, &row, keep)
}

fn put(tx: &mut Tx<'_>, key: &DeviceKey, row: &UnassignedRow, keep: Duration) -> Outcome<()> {
    let ends = tx.now + keep;
    tx.rank(keys::UNASSIGNED, row.id.0, key.as_str())?;
    tx.rank(keys::UNASSIGNED_ENDS, ends.0, key.as_str())?;
    tx.put(&keys::unassigned_device(key), row, Some(ends))
}

/// Keeps the record for `keep` from now on. False if there is none.
fn keep_on(tx: &mut Tx<'_>, key: &DeviceKey, keep: Duration) -> Outcome<bool> {
    let Some(row) = tx.get::<UnassignedRow>(&keys::unassigned_device(key))? else { return Ok(false) };
    let row = UnassignedRow { seen: tx.now, ..row };
    put(tx, key, &row, keep)?;
    Ok(true)
}

/// False if there is none.
pub(super) fn forget(tx: &mut Tx<'_>, key: &DeviceKey) -> Outcome<bool> {
    let there: Option<Row<serde::de::IgnoredAny>> = tx.row(&keys::unassigned_device(key))?;
    tx.remove(&keys::unassigned_device(key))?;
    tx.unrank(keys::UNASSIGNED, key.as_str())?;
    tx.unrank(keys::UNASSIGNED_ENDS, key.as_str())?;
    Ok(there.is_some())
}

fn find(snapshot: &Snapshot, key: &DeviceKey) -> Outcome<Option<UnassignedDevice>> {
    let row: Option<UnassignedRow> = snapshot.get(&keys::unassigned_device(key))?;
    Ok(row.map(|row| row.unassigned_device(key.clone())))
}
