//! The backend `file`: persons come from a CSV file, phones are written to another one.
//!
//! Each phone is one line, that of its latest request. Waiting orders are written in batches to a new file that
//! replaces the old one atomically, so readers never see a partial file. Lines that other programs have added or
//! removed meanwhile are respected.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use csv::{ReaderBuilder, StringRecord, Terminator, WriterBuilder};
use tokio::sync::{mpsc, oneshot};

use super::{Backend, BackendError, BackendStatus, Entered};
use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, UserPage, UserQuery};
use crate::core::protocol::csv::guarded;
use crate::users_role::backend::user_list::UserList;

/// Bound of the queue of orders.
const QUEUE: usize = 1024;
/// Orders written in one batch.
const BATCH: usize = 512;
/// Largest file that is maintained, in bytes.
const MAX_BYTES: u64 = 256 << 20;

const TITLES: [&str; 12] =
    ["domain", "guid", "sip", "name", "hwid", "port", "product", "version", "category", "app", "request", "entered"];
const HWID: usize = 4;
const PORT: usize = 5;
const REQUEST: usize = 10;

type Answer = Result<Entered, BackendError>;
type QueuedOrder = (EntryOrder, oneshot::Sender<Answer>);

/// The backend `file` over a user list and a file of phones.
pub struct FileBackend {
    users: UserList,
    apps: Vec<PhoneApp>,
    orders: mpsc::Sender<QueuedOrder>,
}

impl FileBackend {
    /// Reads users from `users`, writes phones to `phones`; must be called on a runtime.
    pub fn new(users: PathBuf, phones: PathBuf, apps: Vec<PhoneApp>, tenants: Vec<DomainName>) -> Self {
        let (orders, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(phones, waiting));
        Self { users: UserList::new(users, tenants), apps, orders }
    }
}

#[async_trait]
impl Backend for FileBackend {
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError> {
        self.users.users(domain, query).await
    }

    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError> {
        self.users.user(domain, person).await
    }

    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError> {
        self.users.user_by_sip(domain, sip).await
    }

    async fn phone_apps(&self, _: &DomainName) -> Result<Vec<PhoneApp>, BackendError> {
        Ok(self.apps.clone())
    }

    async fn enter(&self, order: &EntryOrder) -> Answer {
        let stopped = || BackendError::later("stopping");
        let (sender, answer) = oneshot::channel();
        self.orders.send((order.clone(), sender)).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn status(&self, domain: &DomainName) -> BackendStatus {
        let (why, users) = self.users.status(domain);
        BackendStatus { kind: "file", up: why.is_none(), why, users: Some(users) }
    }
}

async fn write(file: PathBuf, mut waiting: mpsc::Receiver<QueuedOrder>) {
    let file: Arc<Path> = file.into();
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (orders, askers): (Vec<EntryOrder>, Vec<_>) = batch.drain(..).unzip();
        let path = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || add(&path, &orders)).await;
        let answers = match written {
            Ok(Ok(entered)) => entered.into_iter().map(Ok).collect(),
            Ok(Err(error)) => {
                tracing::warn!(file = %file.display(), %error, "file of phones not written");
                vec![Err(BackendError::later(format!("file of phones: {error}"))); askers.len()]
            }
            Err(_) => vec![Err(BackendError::later("file of phones not written")); askers.len()],
        };
        for (asker, answer) in askers.into_iter().zip(answers) {
            // A caller that has stopped waiting retries and finds the line.
            let _ = asker.send(answer);
        }
    }
}

/// Adds the lines of these orders; all or none.
fn add(file: &Path, orders: &[EntryOrder]) -> std::io::Result<Vec<Entered>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let _lock = lock(file)?;
    let mut lines = Lines::read(file)?;
    let entered: Vec<Entered> = orders.iter().map(|order| lines.enter(order)).collect();
    if entered.contains(&Entered::New) {
        lines.write(file)?;
    }
    Ok(entered)
}

/// Locks the file against other nodes until dropped.
fn lock(file: &Path) -> std::io::Result<File> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(name)?;
    lock.lock()?;
    Ok(lock)
}

struct Lines {
    all: Vec<StringRecord>,
    /// Index of the line of a phone.
    of_phone: HashMap<(String, String), usize>,
}

impl Lines {
    fn read(file: &Path) -> std::io::Result<Self> {
        let bytes = match std::fs::metadata(file) {
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                return Err(std::io::Error::other("it is larger than 256 MiB; move its lines elsewhere"));
            }
            Ok(_) => std::fs::read(file)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&*bytes);
        let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(std::io::Error::other)?;
        let mut lines = Self { all: Vec::with_capacity(records.len()), of_phone: HashMap::new() };
        for (number, record) in records.into_iter().enumerate() {
            if number == 0 {
                if record.iter().ne(TITLES) {
                    return Err(std::io::Error::other(
                        "its first line is not the expected header; configure another file",
                    ));
                }
                continue;
            }
            lines.put(record);
        }
        Ok(lines)
    }

    fn put(&mut self, record: StringRecord) {
        let cell = |at: usize| record.get(at).unwrap_or_default().to_owned();
        let at = *self.of_phone.entry((cell(HWID), cell(PORT))).or_insert(self.all.len());
        if at == self.all.len() {
            self.all.push(record);
        } else {
            self.all[at] = record;
        }
    }

    fn enter(&mut self, order: &EntryOrder) -> Entered {
        let phone = &order.phone;
        let port = phone.port.as_deref().unwrap_or_default();
        let key = (guarded(phone.key.as_str()).into_owned(), guarded(port).into_owned());
        let there = self.of_phone.get(&key).and_then(|at| self.all[*at].get(REQUEST));
        if there == Some(order.id.as_str()) {
            return Entered::Already;
        }
        let entered = humantime::format_rfc3339_seconds(
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(order.made.seconds()),
        )
        .to_string();
        let cells: [&str; TITLES.len()] = [
            order.domain.as_str(),
            order.person.as_str(),
            &order.sip,
            &order.name,
            phone.key.as_str(),
            port,
            &phone.product,
            &phone.version,
            &order.category,
            &order.app,
            order.id.as_str(),
            &entered,
        ];
        self.put(cells.into_iter().map(guarded).collect::<Vec<_>>().into());
        Entered::New
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let new = tempfile::Builder::new().prefix(".phones").tempfile_in(folder)?;
        let mut writer = WriterBuilder::new().flexible(true).terminator(Terminator::CRLF).from_writer(new.as_file());
        writer.write_record(TITLES)?;
        self.all.iter().try_for_each(|record| writer.write_record(record))?;
        writer.flush()?;
        drop(writer);
        new.as_file().flush()?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        // Makes the rename durable.
        File::open(folder)?.sync_all()
    }
}
