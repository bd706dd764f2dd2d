//! The key ring on Redis: made at the first start, followed by all nodes, and its generations replaced one after the
//! other while nodes run.
//!
//! A new generation is made known first; it seals once every live node has announced in its lease that it knows it.
//! Then all sealed values are sealed anew, in pages; the generations of before are kept for a day longer, for what was
//! handed out.

use std::sync::{Mutex, PoisonError};

use ::redis::{FromRedisValue, cmd};
use async_trait::async_trait;

use super::connection::RedisClient;
use super::schema::Record;
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::hex;
use crate::store::code_name::sealed_code_place;
use crate::store::keyring::{Keyring, MasterKeys};
use crate::store::options::OpenError;
use crate::store::record::{sealed_place, to_json};
use crate::store::rollout_row::row_place;
use crate::store::schema::{Pace, Page};
use crate::store::seal::Sealer;
use crate::store::{InstanceKeys, KeyStatus, Result, Rotation, StoreError};

/// Rows of a roll-out that are read together.
const ROWS: u64 = 500;

static REPLACE_IF: LazyScript = script!("replace_if");

/// The ring as it was last read, and what opens it.
pub(super) struct Ring {
    master: MasterKeys,
    /// The record, and the ring in it; after a record that could not be opened, the ring of before.
    last: Mutex<(String, Keyring)>,
}

impl Ring {
    fn get(&self) -> (String, Keyring) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn keyring(&self) -> Keyring {
        self.get().1
    }

    fn set(&self, record: String, ring: Keyring) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (record, ring);
    }
}

/// Opens the key ring of the store, or makes it. `check` is the check value of a store of before there were key rings.
pub(super) async fn open(
    client: &RedisClient,
    master: MasterKeys,
    check: Option<&str>,
    place: &str,
) -> Result<std::result::Result<Ring, OpenError>> {
    loop {
        let found: Option<String> = client.ask(cmd("GET").arg(keys::KEYRING)).await?;
        let Some(record) = found else {
            let Some(ring) = Keyring::new(&master, None, check) else {
                return Ok(Err(OpenError::WrongKey { place: place.to_owned() }));
            };
            // Of nodes that start at the same moment, one makes it.
            let set = cmd("SET").arg(keys::KEYRING).arg(ring.record()).arg("NX").take();
            let _: Option<String> = client.ask(&set).await?;
            continue;
        };
        let ring = match Keyring::open(&record, &master, None) {
            Ok(ring) => ring,
            Err(shut) => return Ok(Err(shut.error(place, None))),
        };
        let Some(relocked) = ring.relock(&master, None) else {
            return Ok(Ok(Ring { master, last: Mutex::new((record, ring)) }));
        };
        // Read again afterwards: another node may have been faster.
        if replace(client, &record, &relocked.record()).await? {
            tracing::info!(under = relocked.locked_by(&master).as_str(), "the key ring of the store is sealed anew");
        }
    }
}

/// Replaces the record of the key ring.
async fn replace(client: &RedisClient, before: &str, after: &str) -> Result<bool> {
    let mut script = REPLACE_IF.key(keys::KEYRING);
    script.arg("string").arg("").arg(before).arg(after);
    client.eval(&script).await
}

impl Redis {
    /// Takes over a key ring that another node has changed.
    pub(super) async fn follow_ring(&self, found: Option<String>) {
        let (last, ring) = self.ring.get();
        let Some(record) = found.filter(|record| *record != last) else { return };
        let opened = match ring.open_next(&record) {
            Some(ring) => Some(ring),
            None => {
                // Sealed under another master key: stretching takes a while.
                let (master, record) = (self.ring.master.clone(), record.clone());
                let opening = tokio::task::spawn_blocking(move || Keyring::open(&record, &master, None).ok());
                opening.await.ok().flatten()
            }
        };
        match opened {
            Some(ring) => {
                self.sealer.replace(ring.keys());
                self.ring.set(record, ring);
            }
            None => {
                // This node goes on with the keys that it has; it is told once.
                tracing::error!("the key ring is sealed under a master key that this node does not have; restart it");
                self.ring.set(record, ring);
            }
        }
    }

    async fn put_ring(&self, before: &str, ring: Keyring) -> Result<bool> {
        let record = ring.record();
        let done = self.client.timed(replace(&self.client, before, &record)).await?;
        if done {
            self.sealer.replace(ring.keys());
            self.ring.set(record, ring);
        }
        Ok(done)
    }

    /// Whether there is nothing to be done for the key ring.
    pub(super) fn ring_at_rest(&self) -> bool {
        let ring = self.ring.keyring();
        ring.next().is_none() && ring.generations().len() == 1
    }

    /// The next piece of a rotation.
    pub(super) async fn advance_ring(&self, record: &Record) -> Result<Pace> {
        let (before, ring) = self.ring.get();
        if !self.nodes_without_ring(ring.revision).await?.is_empty() {
            return Ok(Pace::Later);
        }
        if let Some(next) = ring.with_next_in_use() {
            if self.put_ring(&before, next).await? {
                tracing::info!(
                    generation = self.ring.keyring().current(),
                    "a new generation of the instance key seals"
                );
            }
            return Ok(Pace::Later);
        }
        let Some(alone) = ring.without_unused() else { return Ok(Pace::Done) };
        if record.resealed == u64::from(ring.current()) {
            let now = self.client.timed(self.server_time()).await?.0;
            if now.saturating_sub(record.resealed_at) >= millis(self.options.retire) {
                self.put_ring(&before, alone).await?;
                tracing::info!("earlier generations of the instance key are gone");
            }
            return Ok(Pace::Later);
        }
        let run = self.client.timed(self.run_id()).await?;
        let cursor = if run == record.reseal_run { &*record.reseal_cursor } else { "" };
        let Page { next, changed } = self.reseal_page(cursor).await?;
        let records = if record.reseal_cursor.is_empty() { changed } else { record.reseal_records + changed };
        let mut fields = vec![
            ("reseal_run", run),
            ("reseal_records", records.to_string()),
            ("reseal_cursor", next.clone().unwrap_or_default()),
        ];
        if next.is_none() {
            fields.push(("resealed", ring.current().to_string()));
            fields.push(("resealed_at", self.client.timed(self.server_time()).await?.0.to_string()));
            tracing::info!(records, "all records are sealed with the new generation of the instance key");
        }
        let expected = [("reseal_cursor", record.reseal_cursor.clone())];
        self.set_if(&expected, &fields).await?;
        self.tell_page();
        Ok(Pace::Again)
    }

    /// Seals what a page of keys contains with the generation that seals now.
    pub(super) async fn reseal_page(&self, cursor: &str) -> Result<Page> {
        let (next, found) = self.scan(cursor).await?;
        let mut changed = 0;
        for key in found {
            let Some(sealed) = Sealed::of(&key) else { continue };
            // A value that is of another kind, or cannot be read, stays as it is; whoever wants it gets the error.
            changed += self.reseal(&key, sealed).await?;
        }
        Ok(Page { next, changed })
    }

    /// A page of all keys: where the next one begins, and the keys.
    pub(super) async fn scan(&self, cursor: &str) -> Result<(Option<String>, Vec<String>)> {
        let cursor = if cursor.is_empty() { "0" } else { cursor };
        let scan = cmd("SCAN").arg(cursor).arg("MATCH").arg("pb:*").arg("COUNT").arg(self.options.page).take();
        let (next, found): (String, Vec<String>) = self.client.timed(self.client.ask(&scan)).await?;
        Ok((Some(next).filter(|next| next != "0"), found))
    }

    async fn reseal(&self, key: &str, sealed: Sealed<'_>) -> Result<u64> {
        let sealer = &self.sealer;
        let mut changed = 0;
        match sealed {
            Sealed::Fields(fields) => {
                let values: Vec<Option<Vec<u8>>> = self.read(cmd("HMGET").arg(key).arg(fields)).await?;
                for (field, value) in fields.iter().zip(values) {
                    let new = value.as_ref().and_then(|value| sealer.reseal(&sealed_place(key, field), value));
                    changed += self.put_resealed(key, "hash", field, value, new).await?;
                }
            }
            Sealed::Code { domain, name } => {
                let place = sealed_code_place(domain, name);
                changed += self.reseal_field(key, "sealed", |value| sealer.reseal(&place, value)).await?;
            }
            Sealed::Device(domain) => {
                let names: Vec<Option<String>> =
                    self.read(cmd("HMGET").arg(key).arg(&["entry_code", "pending"])).await?;
                // They are the same code, if there are both.
                if let Some(name) = names.into_iter().flatten().next() {
                    let place = sealed_code_place(domain, &name);
                    changed += self.reseal_field(key, "sealed", |value| sealer.reseal(&place, value)).await?;
                }
                for field in ["password", "admin"] {
                    let place = sealed_place(key, field);
                    changed += self.reseal_field(key, field, |value| sealer.reseal(&place, value)).await?;
                }
            }
            Sealed::Request => {
                let place = sealed_place(key, "code");
                changed +=
                    self.reseal_field(key, "about", |about| reseal_json(sealer, about, "sealed", &place)).await?;
            }
            Sealed::Rows => {
                let mut from = 0;
                loop {
                    let range = cmd("LRANGE").arg(key).arg(from).arg(from + ROWS - 1).take();
                    let rows: Vec<Vec<u8>> = self.read(&range).await?;
                    let whole = rows.len() as u64 == ROWS;
                    for (number, row) in (from..).zip(rows) {
                        let place = sealed_place(&row_place(key, number), "code");
                        let new = reseal_json(sealer, &row, "sealed", &place);
                        changed += self.put_resealed(key, "list", &number.to_string(), Some(row), new).await?;
                    }
                    if !whole {
                        break;
                    }
                    from += ROWS;
                }
            }
            Sealed::EveryField => {
                let rows: Vec<(String, Vec<u8>)> = self.read(cmd("HGETALL").arg(key)).await?;
                for (field, value) in rows {
                    let new = sealer.reseal(&sealed_place(key, &field), &value);
                    changed += self.put_resealed(key, "hash", &field, Some(value), new).await?;
                }
            }
            Sealed::Accounts => {
                let rows: Vec<(String, Vec<u8>)> = self.read(cmd("HGETALL").arg(key)).await?;
                for (name, value) in rows {
                    let place = sealed_place(&format!("{key}#{name}"), "hash");
                    let new = reseal_json(sealer, &value, "hash", &place);
                    changed += self.put_resealed(key, "hash", &name, Some(value), new).await?;
                }
            }
            Sealed::Members(field) => {
                let members: Vec<Vec<u8>> = self.read(cmd("ZRANGE").arg(key).arg(0).arg(-1)).await?;
                for member in members {
                    let new = sealer.reseal(&sealed_place(key, field), &member);
                    changed += self.put_resealed(key, "zset", "", Some(member), new).await?;
                }
            }
            Sealed::Value(field) => {
                let value: Option<Vec<u8>> = self.read(cmd("GET").arg(key)).await?;
                let new = value.as_ref().and_then(|value| sealer.reseal(&sealed_place(key, field), value));
                changed += self.put_resealed(key, "string", "", value, new).await?;
            }
        }
        Ok(changed)
    }

    /// Seals a field of a hash anew.
    async fn reseal_field(&self, key: &str, field: &str, reseal: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<u64> {
        let value: Option<Vec<u8>> = self.read(cmd("HGET").arg(key).arg(field)).await?;
        let new = value.as_deref().and_then(reseal);
        self.put_resealed(key, "hash", field, value, new).await
    }

    async fn read<T: FromRedisValue>(&self, command: &::redis::Cmd) -> Result<T> {
        self.client.timed(self.client.ask(command)).await
    }

    /// A value that was changed in between is sealed with the new generation already.
    async fn put_resealed(
        &self,
        key: &str,
        kind: &str,
        field: &str,
        before: Option<Vec<u8>>,
        after: Option<Vec<u8>>,
    ) -> Result<u64> {
        let (Some(before), Some(after)) = (before, after) else { return Ok(0) };
        let mut script = REPLACE_IF.key(key);
        script.arg(kind).arg(field).arg(before).arg(after);
        self.client.timed(self.client.eval(&script)).await
    }
}

/// Seals a member of a JSON object anew.
fn reseal_json(sealer: &Sealer, json: &[u8], member: &str, place: &str) -> Option<Vec<u8>> {
    let mut row: serde_json::Value = serde_json::from_slice(json).ok()?;
    let sealed = hex::decode(row.get(member)?.as_str()?).ok()?;
    *row.get_mut(member)? = hex::encode(sealer.reseal(place, &sealed)?).into();
    Some(to_json(&row).into_bytes())
}

/// What is sealed under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sealed<'a> {
    /// These fields of a hash.
    Fields(&'static [&'static str]),
    /// The code with this name, in a record of it.
    Code { domain: &'a str, name: &'a str },
    /// The passwords of a device of this domain, and the code of its last entry.
    Device(&'a str),
    /// The code in a phone request.
    Request,
    /// The codes in the rows of a roll-out.
    Rows,
    /// All fields of a hash.
    EveryField,
    /// The member `hash` of each row of accounts.
    Accounts,
    /// The members of a sorted set, bound to this field.
    Members(&'static str),
    /// The value, bound to this field.
    Value(&'static str),
}

impl<'a> Sealed<'a> {
    /// By the key; the schema marks what is sealed.
    fn of(key: &'a str) -> Option<Self> {
        match key {
            keys::ACCOUNTS => return Some(Self::Accounts),
            keys::TICKETS => return Some(Self::Members("key")),
            _ => {}
        }
        if let Some(rest) = key.strip_prefix(keys::DIRECTORY) {
            return match rest.split_once(':')?.0 {
                "code" => Some(Self::Fields(&["url"])),
                "answer" => Some(Self::Value("answer")),
                _ => None,
            };
        }
        let (domain, rest) = key.strip_prefix("pb:{")?.split_once("}:")?;
        if let Some(name) = rest.strip_prefix("code:").or_else(|| rest.strip_prefix("mail:")) {
            return Some(Self::Code { domain, name });
        }
        match rest {
            "domain" => Some(Self::Fields(&["password", "admin", "token"])),
            "jobs" => Some(Self::EveryField),
            _ if rest.starts_with("device:") => Some(Self::Device(domain)),
            _ if rest.starts_with("rows:") => Some(Self::Rows),
            _ if rest.starts_with("people:request:") => Some(Self::Request),
            _ => None,
        }
    }
}

#[async_trait]
impl InstanceKeys for Redis {
    fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    async fn instance_keys(&self) -> Result<KeyStatus> {
        let record = self.schema_record().await?;
        let ring = self.ring.keyring();
        let waiting = if self.ring_at_rest() { Vec::new() } else { self.nodes_without_ring(ring.revision).await? };
        let done = record.resealed == u64::from(ring.current());
        Ok(KeyStatus::of(&ring, &self.ring.master, waiting, record.reseal_records, done))
    }

    async fn rotate_instance_key(&self) -> Result<Rotation> {
        let found: Option<String> = self.client.timed(self.client.ask(cmd("GET").arg(keys::KEYRING))).await?;
        self.follow_ring(found).await;
        if !self.sealer.stage().get().is_newest() {
            return Ok(Rotation::Migrating);
        }
        let (before, ring) = self.ring.get();
        if !self.ring_at_rest() {
            return Ok(Rotation::UnderWay);
        }
        let Some(next) = ring.with_next() else { return Ok(Rotation::UnderWay) };
        let generation = next.next().unwrap_or_default();
        if !self.put_ring(&before, next).await? {
            return Err(StoreError::Unavailable("another node has changed the key ring; try again".into()));
        }
        Ok(Rotation::Begun(generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_told_by_the_key() {
        for (key, sealed) in [
            ("pb:accounts", Some(Sealed::Accounts)),
            ("pb:tickets", Some(Sealed::Members("key"))),
            ("pb:{example.com}:domain", Some(Sealed::Fields(&["password", "admin", "token"]))),
            ("pb:{example.com}:jobs", Some(Sealed::EveryField)),
            ("pb:{example.com}:device:}{:x", Some(Sealed::Device("example.com"))),
            ("pb:{example.com}:code:00ff", Some(Sealed::Code { domain: "example.com", name: "00ff" })),
            ("pb:{example.com}:mail:00ff", Some(Sealed::Code { domain: "example.com", name: "00ff" })),
            ("pb:{example.com}:rows:7", Some(Sealed::Rows)),
            ("pb:{example.com}:people:request:7", Some(Sealed::Request)),
            ("pb:{example.com}:people:rows:7", None),
            ("pb:{example.com}:devices", None),
            ("pb:dir:{dir}:code:00ff", Some(Sealed::Fields(&["url"]))),
            ("pb:dir:{dir}:answer:00ff", Some(Sealed::Value("answer"))),
            ("pb:dir:{dir}:open", None),
            ("pb:keyring", None),
        ] {
            assert_eq!(Sealed::of(key), sealed, "{key}");
        }
    }
}
