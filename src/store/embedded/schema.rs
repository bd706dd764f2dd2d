//! Version and migration of the file: it is migrated when it is opened, one transaction for each page.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::keyring::reseal_page;
use super::kv::{Outcome, Tx};
use super::writer::Kv;
use super::{Embedded, keys, lift_codes};
use crate::store::options::{MigrationOptions, OpenError, reason};
use crate::store::schema::{MigrationState, Pace, Page, Schema, SchemaStatus, Step, VERSION, VERSIONED};
use crate::store::seal::Sealer;
use crate::store::{Result, StoreError};

/// The row of the schema.
#[derive(Clone, Serialize, Deserialize)]
struct SchemaRow {
    version: u32,
    /// Where the next page of the step under way begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
    /// Records that the last migration has changed.
    #[serde(default)]
    changed: u64,
    /// The file has to be written anew, because codes that were deleted may still be in its bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
}

/// Brings the file to the newest version. A new one gets it at once. True if it has to be written anew.
pub(super) fn open(
    kv: &Kv,
    sealer: &Sealer,
    place: &str,
    options: &MigrationOptions,
) -> std::result::Result<bool, OpenError> {
    let refused = |e: StoreError| OpenError::File { path: place.to_owned(), why: reason(e) };
    let mut row = kv.write_now(read).map_err(refused)?;
    if row.version > VERSION {
        return Err(OpenError::Newer { place: place.to_owned(), theirs: row.version, ours: VERSION });
    }
    let mut pages = 0;
    while let Some(step) = Step::after(row.version) {
        if row.cursor.is_empty() {
            tracing::info!(step = step.as_str(), "migration of the store: step begins");
        }
        row = kv.write_now(|tx| next_page(tx, sealer, step, row, options.page)).map_err(refused)?;
        if row.version == step.version() {
            tracing::info!(version = row.version, records = row.changed, "migration of the store: step done");
        }
        pages += 1;
        if let Some(tell) = &options.after_page {
            tell(pages);
        }
    }
    Ok(row.stale)
}

/// The file was written anew.
pub(super) fn rewritten(kv: &Kv, place: &str) -> std::result::Result<(), OpenError> {
    let done = kv.write_now(|tx| {
        let Some(row) = tx.get::<SchemaRow>(keys::SCHEMA)? else { return Ok(()) };
        tx.put(keys::SCHEMA, &SchemaRow { stale: false, ..row }, None)
    });
    done.map_err(|e| OpenError::File { path: place.to_owned(), why: reason(e) })
}

/// The row of the schema. From here on a program that knows of no version refuses the file.
fn read(tx: &mut Tx<'_>) -> Outcome<SchemaRow> {
    if let Some(row) = tx.get(keys::SCHEMA)? {
        return Ok(row);
    }
    let version = if tx.has(keys::KEY_CHECK)? { 0 } else { VERSION };
    let row = SchemaRow { version, cursor: String::new(), changed: 0, stale: false };
    tx.put(keys::SCHEMA, &row, None)?;
    tx.put(keys::KEY_CHECK, &VERSIONED, None)?;
    Ok(row)
}

/// A page of a step, and the row after it.
fn next_page(tx: &mut Tx<'_>, sealer: &Sealer, step: Step, mut row: SchemaRow, size: usize) -> Outcome<SchemaRow> {
    let page = page(tx, sealer, step, &row.cursor, size)?;
    row.changed += page.changed;
    row.stale |= step == Step::Codes && page.changed > 0;
    match page.next {
        Some(next) => row.cursor = next,
        None => (row.version, row.cursor) = (step.version(), String::new()),
    }
    tx.put(keys::SCHEMA, &row, None)?;
    Ok(row)
}

/// Performs a page of a step, which begins at the cursor (empty: the beginning) and has about `size` records.
fn page(tx: &mut Tx<'_>, sealer: &Sealer, step: Step, cursor: &str, size: usize) -> Outcome<Page> {
    match step {
        Step::Codes => lift_codes::page(tx, sealer, cursor, size),
        Step::Seals => reseal_page(tx, sealer, cursor, size),
    }
}

#[async_trait]
impl Schema for Embedded {
    async fn schema(&self) -> Result<SchemaStatus> {
        let row: Option<SchemaRow> = self.kv.read(|snapshot| snapshot.get(keys::SCHEMA))?;
        let changed = row.map_or(0, |row| row.changed);
        Ok(SchemaStatus { version: VERSION, newest: VERSION, state: MigrationState::Done, changed })
    }

    async fn migrate(&self) -> Result<Pace> {
        self.advance_ring().await
    }
}
