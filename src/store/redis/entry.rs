//! Entry of a device, and the notice that it causes.
//!
//! Steps of an entry: reserve the owner; one script that checks the code and writes all keys of the domain; make the
//! reservation permanent. Each step may run twice, and after a crash between them the device can enter with the same
//! code.

use ::redis::{ScriptInvocation, cmd};

use super::owner::Reservation;
use super::records::app_ip_of;
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{Device, KEEP_USED};
use crate::core::model::hex;
use crate::core::model::ids::{Code, DeviceId, DeviceKey, DomainName};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::core::model::work::Work;
use crate::store::code_name::CodeName;
use crate::store::record::{from_json, seal, to_json};
use crate::store::{Entered, Entry, EntryRight, Result, StoreError};

static ENTER: LazyScript = script!("enter");
static UNDO: LazyScript = script!("undo_entry");
static DEPOSIT: LazyScript = script!("deposit");

/// Numbers of devices are drawn from the store in blocks of this size; the rest of a block is lost when a node stops.
const BLOCK: u64 = 64;

/// How often the notice of an earlier entry may change concurrently before the entry fails.
const TRIES: u32 = 3;

/// The arguments of the script.
pub(super) struct Writing<'a> {
    entry: &'a Entry,
    id: u64,
    /// Identifies this entry, so that no other one is undone in its place.
    pub(super) mark: String,
    password: Vec<u8>,
    admin: Vec<u8>,
}

/// The answer of the script, in its order.
type Answer = (String, u64, u64, String, String, Vec<u8>);

/// The values that an entry gets from the store, including those that the record keeps from earlier entries.
pub(super) struct Record {
    id: DeviceId,
    entered: UnixMillis,
    name: Option<Box<str>>,
    app_ip: Option<AppIpPath>,
    work: Work,
}

pub(super) enum Written {
    In(Record),
    Closed,
}

impl Record {
    /// The device as it is after the entry.
    pub(super) fn of(self, entry: &Entry) -> Device {
        Device {
            id: self.id,
            key: entry.key.clone(),
            domain: entry.domain.clone(),
            category: entry.category,
            way: entry.right.way(),
            password: entry.password.clone(),
            tentative: true,
            admin_password: entry.admin_password.clone(),
            entry_code: entry.code(),
            pending: entry.code(),
            entered: self.entered,
            name: self.name,
            app_ip: self.app_ip,
            work: self.work,
            facts: entry.facts.clone(),
        }
    }
}

impl Entry {
    const fn code(&self) -> Option<Code> {
        match self.right {
            EntryRight::Code(code) => Some(code),
            EntryRight::Auto | EntryRight::Manual | EntryRight::Carried { .. } => None,
        }
    }
}

/// Adds the keys of the code of an entry.
fn add_code_keys(script: &mut ScriptInvocation<'_>, domain: &DomainName, name: &CodeName) {
    script.key(keys::code(domain, name)).key(keys::window(domain, name));
    for kind in keys::KINDS {
        script.key(keys::open(domain, kind));
    }
}

fn text(name: Option<&CodeName>) -> &str {
    name.map_or("", CodeName::as_str)
}

impl Redis {
    pub(super) async fn enter_whole(&self, entry: &Entry) -> Result<Entered> {
        let (owner, known) =
            tokio::try_join!(self.reserve(&entry.key, &entry.domain), self.known(&entry.domain, &entry.key))?;
        if owner == Reservation::Theirs {
            return Ok(Entered::OwnedElsewhere);
        }
        let (id, owed) = known;
        let id_there = id.is_some();
        let id = match id {
            Some(id) => id,
            None => self.next_device().await?,
        };
        let writing = self.writing(entry, id);
        let written = self.write_entry(&writing, owed).await;
        if !matches!(written, Ok(Written::In(_))) && owner == Reservation::New && !id_there {
            // If this fails too, or the entry was written without an answer, the reservation ends by itself or is
            // made again.
            let _ = self.disown(&entry.key, &entry.domain).await;
        }
        let Written::In(record) = written? else { return Ok(Entered::CodeNotOpen) };
        if !self.own(&entry.key, &entry.domain, &writing.mark).await? {
            let name = self.name_of(entry).await?;
            self.undo_entry(&entry.domain, &entry.key, &writing.mark, name.as_ref()).await?;
            return Ok(Entered::OwnedElsewhere);
        }
        // If this fails, the unassigned record is skipped, because the device has an owner now, and ends by itself.
        let _ = self.drop_unassigned(&entry.key).await;
        Ok(Entered::In(Box::new(record.of(entry))))
    }

    /// The arguments for an entry with a new mark.
    pub(super) fn writing<'a>(&self, entry: &'a Entry, id: u64) -> Writing<'a> {
        let device = keys::device(&entry.domain, &entry.key);
        let mut mark = [0; 16];
        crate::random::fill(&mut mark);
        let admin = entry.admin_password.as_ref();
        Writing {
            entry,
            id,
            mark: hex::encode(mark),
            password: seal(&self.sealer, &device, "password", &entry.password),
            admin: admin.map(|secret| seal(&self.sealer, &device, "admin", secret)).unwrap_or_default(),
        }
    }

    /// Number and pending code of a device, if there is a record.
    pub(super) async fn known(&self, domain: &DomainName, key: &DeviceKey) -> Result<(Option<u64>, Option<CodeName>)> {
        let mut read = cmd("HMGET");
        read.arg(keys::device(domain, key)).arg(&["id", "pending", "entry_code"]);
        let (id, pending, entry): (Option<u64>, Option<String>, Option<String>) = self.client.ask(&read).await?;
        // They are the same code, if there are both.
        let owed = pending.is_some();
        let name = self.lifted_of(domain, key, pending.or(entry).map(CodeName::stored)).await?;
        Ok((id, name.filter(|_| owed)))
    }

    async fn name_of(&self, entry: &Entry) -> Result<Option<CodeName>> {
        match entry.code() {
            Some(code) => self.code_name(&entry.domain, code).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn write_entry(&self, writing: &Writing<'_>, mut owed: Option<CodeName>) -> Result<Written> {
        let entry = writing.entry;
        let device = &keys::device(&entry.domain, &entry.key);
        let code = self.name_of(entry).await?;
        for _ in 0..TRIES {
            let other = owed.filter(|owed| Some(owed) != code.as_ref());
            let mut script = ENTER.key(device);
            script.key(keys::pending(&entry.domain)).key(keys::devices(&entry.domain));
            if let Some(code) = &code {
                add_code_keys(&mut script, &entry.domain, code);
            }
            if let Some(other) = &other {
                script.key(keys::code(&entry.domain, other)).key(keys::mail(&entry.domain, other));
                script.key(keys::mailbox(&entry.domain));
            }
            script.arg(entry.key.as_str()).arg(writing.id).arg(entry.category.0).arg(to_json(&entry.right.way()));
            script.arg(&writing.password).arg(&writing.admin).arg(to_json(&entry.facts)).arg(&writing.mark);
            script.arg(text(code.as_ref())).arg(text(other.as_ref())).arg(millis(KEEP_USED));
            script.arg(self.limits.quotas.devices).arg(entry.name.as_deref().unwrap_or_default());
            script.arg(entry.right.entered().map_or(String::new(), |entered| entered.0.to_string()));
            let (outcome, id, entered, name, app_ip, work): Answer = self.client.eval(&script).await?;
            match outcome.as_str() {
                "in" => {
                    return Ok(Written::In(Record {
                        id: DeviceId(id),
                        entered: UnixMillis(entered),
                        name: (!name.is_empty()).then(|| name.into()),
                        app_ip: if app_ip.is_empty() { None } else { Some(app_ip_of(device, &app_ip)?) },
                        work: if work.is_empty() { Work::default() } else { from_json(device, &work)? },
                    }));
                }
                "closed" => return Ok(Written::Closed),
                "many" => return Err(self.limits.quotas.over(QuotaKind::Devices).into()),
                _ => (_, owed) = self.known(&entry.domain, &entry.key).await?,
            }
        }
        Err(StoreError::Unavailable("the device is entering elsewhere too".into()))
    }

    /// Undoes an entry because another domain owns the device.
    pub(super) async fn undo_entry(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        mark: &str,
        code: Option<&CodeName>,
    ) -> Result<()> {
        let mut script = UNDO.key(keys::device(domain, key));
        script.key(keys::pending(domain)).key(keys::devices(domain));
        if let Some(code) = code {
            add_code_keys(&mut script, domain, code);
        }
        script.arg(key.as_str()).arg(mark).arg(text(code));
        self.client.eval(&script).await
    }

    /// A number that no device has had. Numbers are not in order of entry.
    pub(super) async fn next_device(&self) -> Result<u64> {
        let ours = || self.device_ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(id) = ours().next() {
            return Ok(id);
        }
        let last: u64 = self.client.ask(cmd("INCRBY").arg(keys::SEQ_DEVICE).arg(BLOCK)).await?;
        // If two tasks draw a block at the same time, one block is lost: there are enough numbers.
        *ours() = last + 2 - BLOCK..last + 1;
        Ok(last + 1 - BLOCK)
    }

    /// Moves the pending code of a device into the mailbox.
    pub(super) async fn deposit_pending(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        let device = keys::device(domain, key);
        let read = cmd("HMGET").arg(&device).arg(&["pending", "entry"]).take();
        let (pending, mark): (Option<String>, Option<String>) = self.client.ask(&read).await?;
        let pending = self.lifted_of(domain, key, pending.map(CodeName::stored)).await?;
        let (Some(code), Some(mark)) = (pending, mark) else { return Ok(false) };
        // The process that entered the device may have died before it made the ownership permanent.
        let owner = self.reserve(key, domain).await?;
        if owner == Reservation::Theirs {
            self.undo_entry(domain, key, &mark, Some(&code)).await?;
            return Ok(false);
        }
        let mut script = DEPOSIT.key(&device);
        script.key(keys::pending(domain)).key(keys::code(domain, &code)).key(keys::mail(domain, &code));
        script.key(keys::mailbox(domain)).arg(key.as_str()).arg(code.as_str());
        let posted: bool = self.client.eval_once(&script).await?;
        self.own(key, domain, &mark).await?;
        Ok(posted)
    }
}
