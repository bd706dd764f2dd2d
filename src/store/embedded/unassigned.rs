//! Unassigned devices in the file. Where they are online is in memory (`presence.rs`).

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row, Snapshot, Tx};
use super::rows::next;
use super::strangers::{UNASSIGNED, is_fresh};
use super::{Embedded, keys};
use crate::core::model::device::{Facts, UnassignedDevice};
use crate::core::model::ids::{DeviceId, DeviceKey};
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;
use crate::store::bounds::source_hash;
use crate::store::record::corrupt;
use crate::store::{
    RecordCaps, Recorded, Result, UNASSIGNED_RENEWED, UnassignedDevices, UnassignedListing, Whereabouts,
};

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
    async fn record_unassigned(
        &self,
        key: &DeviceKey,
        facts: &Facts,
        source: Option<SourceKey>,
        keep: Duration,
    ) -> Result<Recorded> {
        let known: Option<Row<UnassignedRow>> = self.kv.read(|snapshot| snapshot.row(&keys::unassigned_device(key)))?;
        let now = self.kv.now();
        if known.is_some_and(|row| row.value.facts == *facts && is_fresh(row.ends, now, keep, UNASSIGNED_RENEWED)) {
            return Ok(Recorded { first: false, kept: true, evicted: 0 });
        }
        let (key, facts, caps) = (key.clone(), facts.clone(), self.limits.unassigned);
        let hash = source_hash(&self.sealer, source);
        self.kv.write(move |tx| record(tx, &key, facts, (hash.as_str(), caps), keep)).await
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

fn record(
    tx: &mut Tx<'_>,
    key: &DeviceKey,
    facts: Facts,
    (hash, caps): (&str, RecordCaps),
    keep: Duration,
) -> Outcome<Recorded> {
    let known: Option<UnassignedRow> = tx.get(&keys::unassigned_device(key))?;
    let first = known.is_none();
    let (id, source, evicted) = match known {
        Some(known) => (known.id, UNASSIGNED.source(tx, key.as_str())?, 0),
        None => {
            let (source, evicted) = UNASSIGNED.make_room(tx, hash, caps)?;
            (DeviceId(next(tx, keys::SEQ_DEVICE)?), Some(source), evicted)
        }
    };
    let row = UnassignedRow { id, facts, seen: tx.now };
    put(tx, key, &row, source.as_deref(), keep)?;
    Ok(Recorded { first, kept: true, evicted })
}

fn put(tx: &mut Tx<'_>, key: &DeviceKey, row: &UnassignedRow, source: Option<&str>, keep: Duration) -> Outcome<()> {
    let ends = tx.now + keep;
    tx.rank(keys::UNASSIGNED, row.id.0, key.as_str())?;
    UNASSIGNED.hold(tx, key.as_str(), source, ends)?;
    tx.put(&keys::unassigned_device(key), row, Some(ends))
}

/// Keeps the record for `keep` from now on. False if there is none.
fn keep_on(tx: &mut Tx<'_>, key: &DeviceKey, keep: Duration) -> Outcome<bool> {
    let Some(row) = tx.get::<UnassignedRow>(&keys::unassigned_device(key))? else { return Ok(false) };
    let row = UnassignedRow { seen: tx.now, ..row };
    let source = UNASSIGNED.source(tx, key.as_str())?;
    put(tx, key, &row, source.as_deref(), keep)?;
    Ok(true)
}

/// False if there is none.
pub(super) fn forget(tx: &mut Tx<'_>, key: &DeviceKey) -> Outcome<bool> {
    let there: Option<Row<serde::de::IgnoredAny>> = tx.row(&keys::unassigned_device(key))?;
    tx.remove(&keys::unassigned_device(key))?;
    tx.unrank(keys::UNASSIGNED, key.as_str())?;
    UNASSIGNED.leave(tx, key.as_str())?;
    Ok(there.is_some())
}

fn find(snapshot: &Snapshot, key: &DeviceKey) -> Outcome<Option<UnassignedDevice>> {
    let row: Option<UnassignedRow> = snapshot.get(&keys::unassigned_device(key))?;
    Ok(row.map(|row| row.unassigned_device(key.clone())))
}
