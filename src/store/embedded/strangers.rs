//! Devices that belong to no domain, in the file. Where they are is in memory (`presence.rs`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row, Snapshot, Tx};
use super::{domains, keys};
use crate::core::device::{Facts, Stranger};
use crate::core::ids::{DeviceId, DeviceKey};
use crate::core::time::UnixMillis;

/// Ended ones that leave the indexes along with a new one.
const PURGE: usize = 100;

#[derive(Clone, Serialize, Deserialize)]
struct StrangerRow {
    id: DeviceId,
    facts: Facts,
    seen: UnixMillis,
}

impl StrangerRow {
    fn stranger(self, key: DeviceKey) -> Stranger {
        Stranger { id: self.id, key, facts: self.facts, seen: self.seen }
    }
}

pub(super) fn record(tx: &mut Tx<'_>, key: &DeviceKey, facts: Facts, keep: Duration) -> Outcome<()> {
    let known: Option<StrangerRow> = tx.get(&keys::stranger(key))?;
    for over in tx.members_until(keys::STRANGER_ENDS, tx.now.0, PURGE)? {
        tx.unrank(keys::STRANGERS, &over)?;
        tx.unrank(keys::STRANGER_ENDS, &over)?;
    }
    let id = match known {
        Some(known) => known.id,
        None => DeviceId(domains::next(tx, keys::SEQ_DEVICE)?),
    };
    let row = StrangerRow { id, facts, seen: tx.now };
    put(tx, key, &row, keep)
}

fn put(tx: &mut Tx<'_>, key: &DeviceKey, row: &StrangerRow, keep: Duration) -> Outcome<()> {
    let ends = tx.now + keep;
    tx.rank(keys::STRANGERS, row.id.0, key.as_str())?;
    tx.rank(keys::STRANGER_ENDS, ends.0, key.as_str())?;
    tx.put(&keys::stranger(key), row, Some(ends))
}

/// Keeps the record for `keep` from now on. False if there is none.
pub(super) fn keep_on(tx: &mut Tx<'_>, key: &DeviceKey, keep: Duration) -> Outcome<bool> {
    let Some(row) = tx.get::<StrangerRow>(&keys::stranger(key))? else { return Ok(false) };
    let row = StrangerRow { seen: tx.now, ..row };
    put(tx, key, &row, keep)?;
    Ok(true)
}

/// False if there is none.
pub(super) fn forget(tx: &mut Tx<'_>, key: &DeviceKey) -> Outcome<bool> {
    let there: Option<Row<serde::de::IgnoredAny>> = tx.row(&keys::stranger(key))?;
    tx.remove(&keys::stranger(key))?;
    tx.unrank(keys::STRANGERS, key.as_str())?;
    tx.unrank(keys::STRANGER_ENDS, key.as_str())?;
    Ok(there.is_some())
}

pub(super) fn find(snapshot: &Snapshot, key: &DeviceKey) -> Outcome<Option<Stranger>> {
    let row: Option<StrangerRow> = snapshot.get(&keys::stranger(key))?;
    Ok(row.map(|row| row.stranger(key.clone())))
}
