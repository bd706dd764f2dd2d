//! Devices that belong to no domain, in the file. Where they are is in memory (`presence.rs`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row, Snapshot, Tx};
use super::{domains, keys};
use crate::core::model::device::{Facts, UnassignedDevice};
use crate::core::model::ids::{DeviceId, DeviceKey};
use crate::core::model::time::UnixMillis;

/// Ended ones that leave the indexes along with a new one.
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

pub(super) fn record(tx: &mut Tx<'_>, key: &DeviceKey, facts: Facts, keep: Duration) -> Outcome<()> {
    let known: Option<UnassignedRow> = tx.get(&keys::unassigned_device(key))?;
    for over in tx.members_until(keys::UNASSIGNED_ENDS, tx.now.0, PURGE)? {
        tx.unrank(keys::UNASSIGNED, &over)?;
        tx.unrank(keys::UNASSIGNED_ENDS, &over)?;
    }
    let id = match known {
        Some(known) => known.id,
        None => DeviceId(domains::next(tx, keys::SEQ_DEVICE)?),
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
pub(super) fn keep_on(tx: &mut Tx<'_>, key: &DeviceKey, keep: Duration) -> Outcome<bool> {
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

pub(super) fn find(snapshot: &Snapshot, key: &DeviceKey) -> Outcome<Option<UnassignedDevice>> {
    let row: Option<UnassignedRow> = snapshot.get(&keys::unassigned_device(key))?;
    Ok(row.map(|row| row.unassigned_device(key.clone())))
}
