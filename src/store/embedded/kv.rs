//! Rows and ordered indexes of the file: JSON values with an expiry.
//!
//! An expired row is invisible at once; it is removed together with later writes. This module does not know what the
//! rows mean, nor when a transaction is committed (`writer.rs`).

use std::ops::Bound;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, StorageError, Table, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::model::time::UnixMillis;
use crate::store::StoreError;
use crate::store::record::{corrupt, to_json};

type TableOf<K, V> = redb::TableDefinition<'static, K, V>;

/// Key → time of expiry (8 bytes, most significant first; 0: never) and JSON.
const ROWS: TableOf<&str, &[u8]> = TableOf::new("rows");
/// Time of expiry and key of each row that has one.
const EXPIRY: TableOf<(u64, &str), ()> = TableOf::new("expiry");
/// Index, score, member.
const RANKS: TableOf<(&str, u64, &str), ()> = TableOf::new("ranks");
/// Index, member → score.
const SCORES: TableOf<(&str, &str), u64> = TableOf::new("scores");
/// Index → how many members it has.
const COUNTS: TableOf<&str, u64> = TableOf::new("counts");

/// Expired rows that are removed together with one group.
const PURGE: usize = 256;

const EXPIRY_BYTES: usize = 8;

/// Why an access failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file: the whole group fails.
    File(String),
    /// One record cannot be read: only the job that wants it fails.
    Corrupt(StoreError),
}

/// Result of an access.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<StorageError> for Fault {
    fn from(e: StorageError) -> Self {
        Self::File(e.to_string())
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        Self::Corrupt(e)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::File(why) => Self::Unavailable(format!("store file: {why}")),
            Fault::Corrupt(e) => e,
        }
    }
}

pub(super) fn file(e: impl Into<redb::Error>) -> Fault {
    Fault::File(e.into().to_string())
}

/// A record and when it ends.
pub(super) struct Row<T> {
    pub value: T,
    pub ends: Option<UnixMillis>,
}

/// Reads a row that has not expired.
fn read_row<T: DeserializeOwned>(
    rows: &impl ReadableTable<&'static str, &'static [u8]>,
    now: UnixMillis,
    key: &str,
) -> Outcome<Option<Row<T>>> {
    let Some(bytes) = rows.get(key)? else { return Ok(None) };
    let bytes = bytes.value();
    let ends = expiry_of(bytes);
    if ends.is_some_and(|ends| ends <= now) {
        return Ok(None);
    }
    // The key of a store before version 1 may contain a code, so the error names only its kind.
    let place = || key.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let value =
        serde_json::from_slice(bytes.get(EXPIRY_BYTES..).unwrap_or_default()).map_err(|e| corrupt(&place(), &e))?;
    Ok(Some(Row { value, ends }))
}

fn expiry_of(bytes: &[u8]) -> Option<UnixMillis> {
    let ends = bytes.first_chunk().map_or(0, |ends| u64::from_be_bytes(*ends));
    (ends != 0).then_some(UnixMillis(ends))
}

/// Calls `see` with each row whose key begins with `prefix`, and with the rest of the key, until it returns false.
fn each_row<T: DeserializeOwned>(
    rows: &impl ReadableTable<&'static str, &'static [u8]>,
    now: UnixMillis,
    prefix: &str,
    mut see: impl FnMut(&str, T) -> bool,
) -> Outcome<()> {
    for row in rows.range(prefix..)? {
        let key = row?.0.value().to_owned();
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let row = read_row(rows, now, &key)?;
        if row.is_some_and(|row| !see(rest, row.value)) {
            break;
        }
    }
    Ok(())
}

/// The tables that are read, as of one commit.
pub(super) struct Committed {
    rows: ReadOnlyTable<&'static str, &'static [u8]>,
    ranks: ReadOnlyTable<(&'static str, u64, &'static str), ()>,
    counts: ReadOnlyTable<&'static str, u64>,
}

impl Committed {
    pub fn of(tx: &ReadTransaction) -> Outcome<Self> {
        Ok(Self {
            rows: tx.open_table(ROWS).map_err(file)?,
            ranks: tx.open_table(RANKS).map_err(file)?,
            counts: tx.open_table(COUNTS).map_err(file)?,
        })
    }
}

/// A consistent view of the file at one moment.
pub(super) struct Snapshot {
    pub tables: Arc<Committed>,
    pub now: UnixMillis,
}

impl Snapshot {
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Outcome<Option<T>> {
        Ok(read_row(&self.tables.rows, self.now, key)?.map(|row| row.value))
    }

    pub fn row<T: DeserializeOwned>(&self, key: &str) -> Outcome<Option<Row<T>>> {
        read_row(&self.tables.rows, self.now, key)
    }

    /// How many members an index has.
    pub fn count(&self, index: &str) -> Outcome<u64> {
        Ok(self.tables.counts.get(index)?.map_or(0, |count| count.value()))
    }

    /// How many members of an index have a score after now.
    pub fn count_open(&self, index: &str) -> Outcome<u64> {
        let all = self.count(index)?;
        let over = self.tables.ranks.range((index, 0, "")..(index, self.now.0 + 1, ""))?.count() as u64;
        Ok(all.saturating_sub(over))
    }

    /// The members of an index with a score of at least `from`, in order.
    pub fn members(&self, index: &str, from: u64) -> Members {
        let range = self.tables.ranks.range((index, from, "")..=(index, u64::MAX, "\u{10ffff}"));
        match range {
            Ok(rows) => Box::new(rows.map(|row| Ok(row?.0.value().2.to_owned()))),
            Err(e) => Box::new(std::iter::once(Err(e.into()))),
        }
    }

    /// Scores and members of an index with a score of at least `from`, in order.
    pub fn scored(&self, index: &str, from: u64) -> Ranked {
        match self.tables.ranks.range((index, from, "")..=(index, u64::MAX, "\u{10ffff}")) {
            Ok(rows) => Box::new(rows.map(|row| {
                let row = row?.0;
                let (_, score, member) = row.value();
                Ok((score, member.to_owned()))
            })),
            Err(e) => Box::new(std::iter::once(Err(e.into()))),
        }
    }

    /// The least score of an index that is at least `from`.
    pub fn first_score(&self, index: &str, from: u64) -> Outcome<Option<u64>> {
        let first = self.tables.ranks.range((index, from, "")..=(index, u64::MAX, "\u{10ffff}"))?.next().transpose()?;
        Ok(first.map(|(key, _)| key.value().1))
    }

    /// Scores and members of an index, from the greatest on; only those below `before`.
    pub fn members_before(&self, index: &str, before: Option<(u64, &str)>) -> Ranked {
        let range = match before {
            Some((score, member)) => self.tables.ranks.range((index, 0, "")..(index, score, member)),
            None => self.tables.ranks.range((index, 0, "")..=(index, u64::MAX, "\u{10ffff}")),
        };
        match range {
            Ok(rows) => Box::new(rows.rev().map(|row| {
                let row = row?.0;
                let (_, score, member) = row.value();
                Ok((score, member.to_owned()))
            })),
            Err(e) => Box::new(std::iter::once(Err(e.into()))),
        }
    }

    /// The values of all rows whose key begins with `prefix`, with the rest of the key.
    pub fn with_prefix<T: DeserializeOwned>(&self, prefix: &str) -> Outcome<Vec<(String, T)>> {
        let mut found = Vec::new();
        each_row(&self.tables.rows, self.now, prefix, |rest, value| {
            found.push((rest.to_owned(), value));
            true
        })?;
        Ok(found)
    }
}

/// Members of an index.
pub(super) type Members = Box<dyn Iterator<Item = Outcome<String>>>;

/// Scores and members of an index.
pub(super) type Ranked = Box<dyn Iterator<Item = Outcome<(u64, String)>>>;

/// A write transaction that several jobs share.
pub(super) struct Tx<'t> {
    rows: Table<'t, &'static str, &'static [u8]>,
    expiry: Table<'t, (u64, &'static str), ()>,
    ranks: Table<'t, (&'static str, u64, &'static str), ()>,
    scores: Table<'t, (&'static str, &'static str), u64>,
    counts: Table<'t, &'static str, u64>,
    pub now: UnixMillis,
}

impl Tx<'_> {
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Outcome<Option<T>> {
        Ok(self.row(key)?.map(|row| row.value))
    }

    pub fn row<T: DeserializeOwned>(&self, key: &str) -> Outcome<Option<Row<T>>> {
        read_row(&self.rows, self.now, key)
    }

    pub fn has(&self, key: &str) -> Outcome<bool> {
        Ok(self.row::<serde::de::IgnoredAny>(key)?.is_some())
    }

    /// Whether any row whose key begins with `prefix` is `wanted`.
    pub fn any<T: DeserializeOwned>(&self, prefix: &str, wanted: impl Fn(&T) -> bool) -> Outcome<bool> {
        let mut any = false;
        each_row(&self.rows, self.now, prefix, |_, value| {
            any = wanted(&value);
            !any
        })?;
        Ok(any)
    }

    /// The values of all rows whose key begins with `prefix`, with the rest of the key.
    pub fn with_prefix<T: DeserializeOwned>(&self, prefix: &str) -> Outcome<Vec<(String, T)>> {
        let mut found = Vec::new();
        each_row(&self.rows, self.now, prefix, |rest, value| {
            found.push((rest.to_owned(), value));
            true
        })?;
        Ok(found)
    }

    /// Removes all rows and indexes whose name begins with `prefix`.
    pub fn remove_all(&mut self, prefix: &str) -> Outcome<()> {
        let mut rows = Vec::new();
        for row in self.rows.range(prefix..)? {
            let key = row?.0.value().to_owned();
            if !key.starts_with(prefix) {
                break;
            }
            rows.push(key);
        }
        rows.iter().try_for_each(|key| self.remove(key))?;
        let mut members = Vec::new();
        for row in self.ranks.range((prefix, 0, "")..)? {
            let row = row?;
            let (index, _, member) = row.0.value();
            if !index.starts_with(prefix) {
                break;
            }
            members.push((index.to_owned(), member.to_owned()));
        }
        members.iter().try_for_each(|(index, member)| self.unrank(index, member))
    }

    /// Writes a row that ends at `ends`.
    pub fn put(&mut self, key: &str, value: &impl Serialize, ends: Option<UnixMillis>) -> Outcome<()> {
        let score = ends.map_or(0, |ends| ends.0);
        let bytes = [&score.to_be_bytes()[..], to_json(value).as_bytes()].concat();
        let before = self.rows.insert(key, &*bytes)?.and_then(|bytes| expiry_of(bytes.value()));
        if before != ends {
            if let Some(before) = before {
                self.expiry.remove((before.0, key))?;
            }
            if ends.is_some() {
                self.expiry.insert((score, key), ())?;
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, key: &str) -> Outcome<()> {
        let before = self.rows.remove(key)?.and_then(|bytes| expiry_of(bytes.value()));
        if let Some(before) = before {
            self.expiry.remove((before.0, key))?;
        }
        Ok(())
    }

    /// Puts a member into an index, or gives it a new score.
    pub fn rank(&mut self, index: &str, score: u64, member: &str) -> Outcome<()> {
        let before = self.scores.insert((index, member), score)?.map(|score| score.value());
        match before {
            Some(before) => drop(self.ranks.remove((index, before, member))?),
            None => self.count(index, 1)?,
        }
        self.ranks.insert((index, score, member), ())?;
        Ok(())
    }

    /// Takes a member out of an index.
    pub fn unrank(&mut self, index: &str, member: &str) -> Outcome<()> {
        let before = self.scores.remove((index, member))?.map(|score| score.value());
        if let Some(before) = before {
            self.ranks.remove((index, before, member))?;
            self.count(index, -1)?;
        }
        Ok(())
    }

    /// Whether an index has this member.
    pub fn is_member(&self, index: &str, member: &str) -> Outcome<bool> {
        Ok(self.scores.get((index, member))?.is_some())
    }

    /// How many members an index has.
    pub fn size(&self, index: &str) -> Outcome<u64> {
        Ok(self.counts.get(index)?.map_or(0, |count| count.value()))
    }

    /// The member of an index with the greatest score.
    pub fn last(&self, index: &str) -> Outcome<Option<(u64, String)>> {
        let last = self.ranks.range((index, 0, "")..=(index, u64::MAX, "\u{10ffff}"))?.next_back().transpose()?;
        Ok(last.map(|(key, _)| {
            let (_, score, member) = key.value();
            (score, member.to_owned())
        }))
    }

    /// How many members of an index have a score after now; the others are removed.
    pub fn count_open(&mut self, index: &str) -> Outcome<u64> {
        for member in self.members_until(index, self.now.0, usize::MAX)? {
            self.unrank(index, &member)?;
        }
        self.size(index)
    }

    /// Up to `limit` members with a score of at most `until`, in order.
    pub fn members_until(&self, index: &str, until: u64, limit: usize) -> Outcome<Vec<String>> {
        let range = self.ranks.range((index, 0, "")..=(index, until, "\u{10ffff}"))?;
        range.take(limit).map(|row| Ok(row?.0.value().2.to_owned())).collect()
    }

    fn count(&mut self, index: &str, change: i64) -> Outcome<()> {
        let count = self.counts.get(index)?.map_or(0, |count| count.value()).saturating_add_signed(change);
        if count == 0 {
            self.counts.remove(index)?;
        } else {
            self.counts.insert(index, count)?;
        }
        Ok(())
    }

    /// Up to `limit` keys of rows behind `key`, in order, including those of expired rows.
    pub fn keys_after(&self, key: &str, limit: usize) -> Outcome<Vec<String>> {
        let behind = (Bound::Excluded(key), Bound::Unbounded);
        self.rows.range::<&str>(behind)?.take(limit).map(|row| Ok(row?.0.value().to_owned())).collect()
    }

    /// Up to `limit` indexes and members behind `(index, member)`, in order, with their scores.
    pub fn ranked_after(&self, index: &str, member: &str, limit: usize) -> Outcome<Vec<(String, String, u64)>> {
        let behind = (Bound::Excluded((index, member)), Bound::Unbounded);
        let found = self.scores.range::<(&str, &str)>(behind)?.take(limit).map(|row| {
            let (key, score) = row?;
            let (index, member) = key.value();
            Ok((index.to_owned(), member.to_owned(), score.value()))
        });
        found.collect()
    }

    /// Removes some of the expired rows.
    pub fn purge(&mut self) -> Outcome<()> {
        let over = self.expiry.range(..=(self.now.0, "\u{10ffff}"))?.take(PURGE);
        let keys = over.map(|row| Ok(row?.0.value().1.to_owned())).collect::<Outcome<Vec<_>>>()?;
        keys.iter().try_for_each(|key| self.remove(key))
    }
}

/// Copies all tables.
pub(super) fn copy_tables(from: &ReadTransaction, to: &WriteTransaction) -> Outcome<()> {
    copy(from, to, ROWS)?;
    copy(from, to, EXPIRY)?;
    copy(from, to, RANKS)?;
    copy(from, to, SCORES)?;
    copy(from, to, COUNTS)
}

fn copy<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableOf<K, V>,
) -> Outcome<()> {
    let mut target = to.open_table(table).map_err(file)?;
    for row in from.open_table(table).map_err(file)?.iter()? {
        let (key, value) = row?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Opens all tables, and creates missing ones.
pub(super) fn tables(tx: &WriteTransaction, now: UnixMillis) -> Outcome<Tx<'_>> {
    Ok(Tx {
        rows: tx.open_table(ROWS).map_err(file)?,
        expiry: tx.open_table(EXPIRY).map_err(file)?,
        ranks: tx.open_table(RANKS).map_err(file)?,
        scores: tx.open_table(SCORES).map_err(file)?,
        counts: tx.open_table(COUNTS).map_err(file)?,
        now,
    })
}
