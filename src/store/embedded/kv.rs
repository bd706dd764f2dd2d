//! Rows and ordered indexes in one file: JSON values with an expiry, written in groups.
//!
//! One thread writes. It takes the jobs that wait, applies them all in one transaction, commits with one fsync, and only then
//! answers them. A job must read and check before its first write, because what it has written is committed with the others
//! even if it answers with an error. A row whose time is over is invisible at once and is removed along with later writes.
//!
//! Nothing here knows what the rows mean.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, DatabaseError, ReadOnlyTable, ReadableDatabase as _, ReadableTable, StorageError, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::StoreClock;
use crate::core::time::UnixMillis;
use crate::store::open::OpenError;
use crate::store::record::to_json;
use crate::store::{Result, StoreError};

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

/// Jobs that may wait for the writer.
const QUEUE: usize = 4096;
/// Jobs that are committed together.
const GROUP: usize = 1024;
/// Expired rows that are removed along with one group.
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

fn file(e: impl Into<redb::Error>) -> Fault {
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
) -> std::result::Result<Option<Row<T>>, Fault> {
    let Some(bytes) = rows.get(key)? else { return Ok(None) };
    let bytes = bytes.value();
    let ends = expiry_of(bytes);
    if ends.is_some_and(|ends| ends <= now) {
        return Ok(None);
    }
    // The name of a key may contain a code, so the error says only of which kind it is.
    let place = || key.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let value = serde_json::from_slice(bytes.get(EXPIRY_BYTES..).unwrap_or_default())
        .map_err(|e| StoreError::Corrupt { key: place(), why: e.to_string() })?;
    Ok(Some(Row { value, ends }))
}

fn expiry_of(bytes: &[u8]) -> Option<UnixMillis> {
    let ends = bytes.first_chunk().map_or(0, |ends| u64::from_be_bytes(*ends));
    (ends != 0).then_some(UnixMillis(ends))
}

/// Everything as it was at one moment.
pub(super) struct Snapshot {
    rows: ReadOnlyTable<&'static str, &'static [u8]>,
    ranks: ReadOnlyTable<(&'static str, u64, &'static str), ()>,
    counts: ReadOnlyTable<&'static str, u64>,
    pub now: UnixMillis,
}

impl Snapshot {
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<Option<T>, Fault> {
        Ok(read_row(&self.rows, self.now, key)?.map(|row| row.value))
    }

    /// How many members of an index have a score after now.
    pub fn count_open(&self, index: &str) -> std::result::Result<u64, Fault> {
        let all = self.counts.get(index)?.map_or(0, |count| count.value());
        let over = self.ranks.range((index, 0, "")..(index, self.now.0 + 1, ""))?.count() as u64;
        Ok(all.saturating_sub(over))
    }

    /// The members of an index with a score of at least `from`, in order.
    pub fn members(&self, index: &str, from: u64) -> Members {
        let range = self.ranks.range((index, from, "")..=(index, u64::MAX, "\u{10ffff}"));
        match range {
            Ok(rows) => Box::new(rows.map(|row| Ok(row?.0.value().2.to_owned()))),
            Err(e) => Box::new(std::iter::once(Err(e.into()))),
        }
    }

    /// The values of all rows whose key begins with `prefix`, with what follows it.
    pub fn with_prefix<T: DeserializeOwned>(&self, prefix: &str) -> std::result::Result<Vec<(String, T)>, Fault> {
        let mut found = Vec::new();
        for row in self.rows.range(prefix..)? {
            let key = row?.0.value().to_owned();
            let Some(rest) = key.strip_prefix(prefix) else { break };
            if let Some(row) = read_row(&self.rows, self.now, &key)? {
                found.push((rest.to_owned(), row.value));
            }
        }
        Ok(found)
    }
}

/// Members of an index.
pub(super) type Members = Box<dyn Iterator<Item = std::result::Result<String, Fault>>>;

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
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<Option<T>, Fault> {
        Ok(self.row(key)?.map(|row| row.value))
    }

    pub fn row<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<Option<Row<T>>, Fault> {
        read_row(&self.rows, self.now, key)
    }

    pub fn has(&self, key: &str) -> std::result::Result<bool, Fault> {
        Ok(self.row::<serde::de::IgnoredAny>(key)?.is_some())
    }

    /// Writes a row that ends at `ends`.
    pub fn put(
        &mut self,
        key: &str,
        value: &impl Serialize,
        ends: Option<UnixMillis>,
    ) -> std::result::Result<(), Fault> {
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

    pub fn remove(&mut self, key: &str) -> std::result::Result<(), Fault> {
        let before = self.rows.remove(key)?.and_then(|bytes| expiry_of(bytes.value()));
        if let Some(before) = before {
            self.expiry.remove((before.0, key))?;
        }
        Ok(())
    }

    /// Puts a member into an index, or gives it a new score.
    pub fn rank(&mut self, index: &str, score: u64, member: &str) -> std::result::Result<(), Fault> {
        let before = self.scores.insert((index, member), score)?.map(|score| score.value());
        match before {
            Some(before) => drop(self.ranks.remove((index, before, member))?),
            None => self.count(index, 1)?,
        }
        self.ranks.insert((index, score, member), ())?;
        Ok(())
    }

    /// Takes a member out of an index.
    pub fn unrank(&mut self, index: &str, member: &str) -> std::result::Result<(), Fault> {
        let before = self.scores.remove((index, member))?.map(|score| score.value());
        if let Some(before) = before {
            self.ranks.remove((index, before, member))?;
            self.count(index, -1)?;
        }
        Ok(())
    }

    /// How many members of an index have a score after now; the others are taken out, which nobody can see.
    pub fn count_open(&mut self, index: &str) -> std::result::Result<u64, Fault> {
        for member in self.members_until(index, self.now.0, usize::MAX)? {
            self.unrank(index, &member)?;
        }
        Ok(self.counts.get(index)?.map_or(0, |count| count.value()))
    }

    /// Up to `limit` members with a score of at most `until`, in order.
    pub fn members_until(&self, index: &str, until: u64, limit: usize) -> std::result::Result<Vec<String>, Fault> {
        let range = self.ranks.range((index, 0, "")..=(index, until, "\u{10ffff}"))?;
        range.take(limit).map(|row| Ok(row?.0.value().2.to_owned())).collect()
    }

    fn count(&mut self, index: &str, change: i64) -> std::result::Result<(), Fault> {
        let count = self.counts.get(index)?.map_or(0, |count| count.value()).saturating_add_signed(change);
        if count == 0 {
            self.counts.remove(index)?;
        } else {
            self.counts.insert(index, count)?;
        }
        Ok(())
    }

    fn purge(&mut self) -> std::result::Result<(), Fault> {
        let over = self.expiry.range(..=(self.now.0, "\u{10ffff}"))?.take(PURGE);
        let keys = over.map(|row| Ok(row?.0.value().1.to_owned())).collect::<std::result::Result<Vec<_>, Fault>>()?;
        keys.iter().try_for_each(|key| self.remove(key))
    }
}

/// Tells a caller what became of its job, once it is on disk.
type Answer = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce(&mut Tx<'_>) -> std::result::Result<Answer, Fault> + Send>;

/// The file, and the thread that writes it.
pub(super) struct Kv {
    db: Arc<Database>,
    clock: StoreClock,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<std::thread::JoinHandle<()>>,
    broken: Arc<AtomicBool>,
}

impl Drop for Kv {
    fn drop(&mut self) {
        // The writer ends when nobody can send any more; waiting for it means that the file is free afterwards.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Kv {
    pub fn open(path: &Path, clock: StoreClock) -> std::result::Result<Self, OpenError> {
        let name = || path.display().to_string();
        let refused = |why: &dyn std::fmt::Display| OpenError::File { path: name(), why: why.to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| refused(&e))?;
        }
        let db = Database::create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: name() },
            e => refused(&e),
        })?;
        // Reading a table that was never written is an error, so all of them are made here.
        let made = db.begin_write().map_err(file).and_then(|tx| {
            tables(&tx, UnixMillis(0))?;
            tx.commit().map_err(file)
        });
        made.map_err(|fault| refused(&StoreError::from(fault)))?;

        let db = Arc::new(db);
        let broken = Arc::<AtomicBool>::default();
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let shared = (db.clone(), clock.clone(), broken.clone());
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_groups(waiting, &shared.0, &shared.1, &shared.2))
            .map_err(|e| refused(&e))?;
        Ok(Self { db, clock, jobs: Some(jobs), writer: Some(writer), broken })
    }

    pub fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Whether the last group was committed.
    pub fn is_well(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Reads on the thread of the caller; short, and never behind the writer.
    pub fn read<T>(&self, f: impl FnOnce(&Snapshot) -> std::result::Result<T, Fault>) -> Result<T> {
        let snapshot = || {
            let tx = self.db.begin_read().map_err(file)?;
            Ok::<_, Fault>(Snapshot {
                rows: tx.open_table(ROWS).map_err(file)?,
                ranks: tx.open_table(RANKS).map_err(file)?,
                counts: tx.open_table(COUNTS).map_err(file)?,
                now: self.now(),
            })
        };
        Ok(snapshot().and_then(|snapshot| f(&snapshot))?)
    }

    /// Writes, and waits until it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        // Without an answer the group was not committed.
        let lost = |_| Err(StoreError::Unavailable("the store file could not be written".into()));
        self.send(job)?.await.unwrap_or_else(lost)
    }

    /// The same for a thread that may wait.
    pub fn write_now<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let tx = self.db.begin_write().map_err(file)?;
        let outcome = job(&mut tables(&tx, self.now())?)?;
        tx.commit().map_err(file)?;
        Ok(outcome)
    }

    fn send<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let outcome = match job(tx) {
                Ok(value) => Ok(value),
                Err(Fault::Corrupt(e)) => Err(e),
                Err(fault) => return Err(fault),
            };
            Ok(Box::new(move || drop(answer.send(outcome))))
        });
        let unavailable = |why: &str| StoreError::Unavailable(why.into());
        let jobs = self.jobs.as_ref().ok_or_else(|| unavailable("closed"))?;
        jobs.try_send(job).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too busy"),
            mpsc::error::TrySendError::Closed(_) => unavailable("the writer has ended"),
        })?;
        Ok(answered)
    }
}

fn tables(tx: &redb::WriteTransaction, now: UnixMillis) -> std::result::Result<Tx<'_>, Fault> {
    Ok(Tx {
        rows: tx.open_table(ROWS).map_err(file)?,
        expiry: tx.open_table(EXPIRY).map_err(file)?,
        ranks: tx.open_table(RANKS).map_err(file)?,
        scores: tx.open_table(SCORES).map_err(file)?,
        counts: tx.open_table(COUNTS).map_err(file)?,
        now,
    })
}

fn write_groups(mut waiting: mpsc::Receiver<Job>, db: &Database, clock: &StoreClock, broken: &AtomicBool) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let jobs = std::mem::take(&mut group);
        // A panic in one job must not end the writer; its transaction is dropped, and with it the answers of its group.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write_group(jobs, db, clock)));
        let why = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(StoreError::from(fault).to_string()),
            Err(_) => Some("a job panicked".into()),
        };
        broken.store(why.is_some(), Ordering::Relaxed);
        if let Some(why) = why {
            tracing::error!(%why, "a group of writes was not committed");
        }
    }
}

fn write_group(jobs: Vec<Job>, db: &Database, clock: &StoreClock) -> std::result::Result<(), Fault> {
    let tx = db.begin_write().map_err(file)?;
    let mut open = tables(&tx, clock())?;
    let answers = jobs.into_iter().map(|job| job(&mut open)).collect::<std::result::Result<Vec<Answer>, Fault>>()?;
    open.purge()?;
    drop(open);
    tx.commit().map_err(file)?;
    for answer in answers {
        answer();
    }
    Ok(())
}
