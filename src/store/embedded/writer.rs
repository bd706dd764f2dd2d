//! The file, and the thread that writes it: many jobs, one transaction, one fsync.
//!
//! The thread takes all waiting jobs, applies them, commits, and only then answers them. A job must read and check
//! before its first write, because its writes are committed with the others even if it answers with an error.
//!
//! Reading does not begin a transaction of its own: the first reader after a commit opens the tables, and all readers
//! share them until the next commit. A storm of reconnecting devices, which only read, opens them once.
//!
//! Not here: operations within a transaction (`kv.rs`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, DatabaseError, ReadableDatabase as _};
use tokio::sync::{mpsc, oneshot};

use super::StoreClock;
use super::kv::{Committed, Fault, Outcome, Snapshot, Tx, copy_tables, file, tables};
use crate::core::model::time::UnixMillis;
use crate::store::options::OpenError;
use crate::store::{Result, StoreError};

/// Jobs that may wait for the writer.
const QUEUE: usize = 4096;
/// Jobs that are committed together.
const GROUP: usize = 1024;

/// Sends a caller the result of its job, once it is on disk.
type Answer = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce(&mut Tx<'_>) -> Outcome<Answer> + Send>;

/// The tables as of the last commit, shared by all readers. Empty: the next reader opens them.
#[derive(Default)]
struct Latest(Mutex<Option<Arc<Committed>>>);

impl Latest {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<Committed>>> {
        // The slot is replaced in one piece.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self, db: &Database) -> Outcome<Arc<Committed>> {
        let mut slot = self.slot();
        if let Some(tables) = &*slot {
            return Ok(tables.clone());
        }
        // Under the lock, so that the writer, which forgets them after its commit, does not miss older ones.
        let tables = Arc::new(Committed::of(&db.begin_read().map_err(file)?)?);
        *slot = Some(tables.clone());
        Ok(tables)
    }

    /// To be called after each commit, before its jobs are answered. This also frees the pages of the state before.
    fn forget(&self) {
        *self.slot() = None;
    }
}

/// The file, and the thread that writes it.
pub(super) struct Kv {
    // Dropped before the file, which it keeps in use.
    latest: Arc<Latest>,
    db: Arc<Database>,
    clock: StoreClock,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<std::thread::JoinHandle<()>>,
    broken: Arc<AtomicBool>,
}

impl Drop for Kv {
    fn drop(&mut self) {
        // The writer ends when all senders are dropped. Waiting for it makes sure that the file is closed afterwards.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Kv {
    pub fn open(path: &Path, cache: usize, clock: StoreClock) -> std::result::Result<Self, OpenError> {
        let name = || path.display().to_string();
        let refused = |why: &dyn std::fmt::Display| OpenError::File { path: name(), why: why.to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| refused(&e))?;
        }
        let db = Database::builder().set_cache_size(cache).create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: name() },
            e => refused(&e),
        })?;
        // Reading a table that was never written is an error, so all of them are created here.
        let made = db.begin_write().map_err(file).and_then(|tx| {
            tables(&tx, UnixMillis(0))?;
            tx.commit().map_err(file)
        });
        made.map_err(|fault| refused(&StoreError::from(fault)))?;

        let db = Arc::new(db);
        let broken = Arc::<AtomicBool>::default();
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let latest = Arc::<Latest>::default();
        let shared = (db.clone(), clock.clone(), broken.clone(), latest.clone());
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_groups(waiting, &shared.0, &shared.1, &shared.2, &shared.3))
            .map_err(|e| refused(&e))?;
        Ok(Self { latest, db, clock, jobs: Some(jobs), writer: Some(writer), broken })
    }

    pub fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Whether the last group was committed.
    pub fn is_well(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Reads on the thread of the caller. Short; never waits for the writer.
    pub fn read<T>(&self, f: impl FnOnce(&Snapshot) -> std::result::Result<T, Fault>) -> Result<T> {
        let snapshot = Snapshot { tables: self.latest.tables(&self.db)?, now: self.now() };
        Ok(f(&snapshot)?)
    }

    /// Writes, and waits until it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        // Without an answer the group was not committed.
        let lost = |_| Err(StoreError::Unavailable("the store file could not be written".into()));
        self.send(job)?.await.unwrap_or_else(lost)
    }

    /// The same, blocking the thread.
    pub fn write_now<T>(&self, job: impl FnOnce(&mut Tx<'_>) -> Outcome<T>) -> Result<T> {
        let tx = self.db.begin_write().map_err(file)?;
        let outcome = job(&mut tables(&tx, self.now())?)?;
        tx.commit().map_err(file)?;
        self.latest.forget();
        Ok(outcome)
    }

    fn send<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
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

/// Writes the file anew, without the bytes of what was deleted, which stay in the file until they are overwritten.
/// Nobody may have it open. If this fails, the file is as it was.
pub(super) fn rewrite(path: &Path, cache: usize) -> Outcome<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let io = |e: std::io::Error| Fault::File(e.to_string());
    // What an interrupted attempt has left.
    match std::fs::remove_file(new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let old = Database::builder().set_cache_size(cache).open(path).map_err(file)?;
    let written = copy_file(&old, new, cache).and_then(|()| {
        std::fs::set_permissions(new, std::fs::metadata(path).map_err(io)?.permissions()).map_err(io)?;
        std::fs::rename(new, path).map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(new);
    }
    written
}

fn copy_file(old: &Database, new: &Path, cache: usize) -> Outcome<()> {
    let new = Database::builder().set_cache_size(cache).create(new).map_err(file)?;
    let tx = new.begin_write().map_err(file)?;
    copy_tables(&old.begin_read().map_err(file)?, &tx)?;
    tx.commit().map_err(file)
}

fn write_groups(
    mut waiting: mpsc::Receiver<Job>,
    db: &Database,
    clock: &StoreClock,
    broken: &AtomicBool,
    latest: &Latest,
) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let jobs = std::mem::take(&mut group);
        // A panic in one job must not end the writer; the transaction is dropped, and with it the answers of the group.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write_group(jobs, db, clock)));
        latest.forget();
        let why = match outcome {
            Ok(Ok(answers)) => {
                // Before the answers, so that a caller that got a success does not see the earlier failure.
                broken.store(false, Ordering::Relaxed);
                for answer in answers {
                    answer();
                }
                continue;
            }
            Ok(Err(fault)) => StoreError::from(fault).to_string(),
            Err(_) => "a job panicked".into(),
        };
        broken.store(true, Ordering::Relaxed);
        tracing::error!(%why, "a group of writes was not committed");
    }
}

fn write_group(jobs: Vec<Job>, db: &Database, clock: &StoreClock) -> Outcome<Vec<Answer>> {
    let tx = db.begin_write().map_err(file)?;
    let mut open = tables(&tx, clock())?;
    let answers = jobs.into_iter().map(|job| job(&mut open)).collect::<Outcome<Vec<Answer>>>()?;
    open.purge()?;
    drop(open);
    tx.commit().map_err(file)?;
    Ok(answers)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
