//! The key ring in the file, and the key file beside it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kv::{Outcome, Row, Tx};
use super::writer::Kv;
use super::{Embedded, keys};
use crate::core::model::hex;
use crate::core::model::time::UnixMillis;
use crate::store::code_name::sealed_code_place;
use crate::store::keyring::{KeyFile, Keyring, MasterKeys};
use crate::store::options::{OpenError, reason};
use crate::store::record::sealed_place;
use crate::store::rollout_row::row_place;
use crate::store::schema::{Pace, Page, VERSIONED};
use crate::store::seal::{GenerationId, Sealer};
use crate::store::{InstanceKeys, KeyStatus, Result, Rotation, StoreError};

/// The ring, and what opens it.
pub(super) struct Ring {
    master: MasterKeys,
    ring: Mutex<(Keyring, Progress)>,
}

impl Ring {
    fn get(&self) -> (Keyring, Progress) {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, ring: Keyring, progress: Progress) {
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = (ring, progress);
    }
}

/// How far everything is sealed with the generation that seals.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Progress {
    cursor: String,
    records: u64,
    /// The generation for which it is done, and since when.
    done: Option<(GenerationId, UnixMillis)>,
}

/// Opens the key ring, or makes it.
pub(super) fn open(kv: &Kv, path: &Path, master: MasterKeys) -> std::result::Result<Ring, OpenError> {
    let place = path.display().to_string();
    let refused = |e: StoreError| OpenError::File { path: place.clone(), why: reason(e) };
    let mut file = KeyFile::beside(path)?;
    let (record, check, progress): (Option<String>, Option<String>, Option<Progress>) = kv
        .read(|file| Ok((file.get(keys::KEYRING)?, file.get(keys::KEY_CHECK)?, file.get(keys::RESEAL)?)))
        .map_err(refused)?;
    let refused = |e: StoreError| OpenError::File { path: place.clone(), why: reason(e) };
    let put = |ring: &Keyring| {
        let record = ring.record();
        kv.write_now(|tx| tx.put(keys::KEYRING, &record, None)).map_err(refused)
    };
    let ring = match record {
        Some(record) => {
            let ring = Keyring::open(&record, &master, Some(&file)).map_err(|shut| shut.error(&place, Some(&file)))?;
            if master.master.is_empty() {
                file.make(Some(ring.store()))?;
                file.check(ring.store()).map_err(|shut| shut.error(&place, Some(&file)))?;
            }
            match ring.relock(&master, Some(&file)) {
                Some(relocked) => {
                    put(&relocked)?;
                    tracing::info!(
                        under = relocked.locked_by(&master).as_str(),
                        "the key ring of the store is sealed anew"
                    );
                    relocked
                }
                None => ring,
            }
        }
        None => {
            if master.master.is_empty() {
                file.make(None)?;
            }
            let check = check.filter(|check| check != VERSIONED);
            let ring = Keyring::new(&master, Some(&file), check.as_deref())
                .ok_or_else(|| OpenError::WrongKey { place: place.clone() })?;
            put(&ring)?;
            ring
        }
    };
    Ok(Ring { master, ring: Mutex::new((ring, progress.unwrap_or_default())) })
}

impl Ring {
    pub fn keyring(&self) -> Keyring {
        self.get().0
    }
}

impl Embedded {
    async fn put_ring(&self, ring: Keyring, progress: Progress) -> Result<()> {
        let (record, kept) = (ring.record(), progress.clone());
        self.kv
            .write(move |tx| {
                tx.put(keys::KEYRING, &record, None)?;
                tx.put(keys::RESEAL, &kept, None)
            })
            .await?;
        self.sealer.replace(ring.keys());
        self.ring.set(ring, progress);
        Ok(())
    }

    /// The next piece of a rotation.
    pub(super) async fn advance_ring(&self) -> Result<Pace> {
        let (ring, progress) = self.ring.get();
        let Some(alone) = ring.without_unused() else { return Ok(Pace::Done) };
        if let Some((_, since)) = progress.done.filter(|(generation, _)| *generation == ring.current()) {
            if self.kv.now() >= since + self.migration.retire {
                self.put_ring(alone, progress).await?;
                tracing::info!("earlier generations of the instance key are gone");
            }
            return Ok(Pace::Later);
        }
        let (sealer, size, current) = (self.sealer.clone(), self.migration.page, ring.current());
        let fresh = progress.cursor.is_empty();
        let progress = self.kv.write(move |tx| {
            let Page { next, changed } = reseal_page(tx, &sealer, &progress.cursor, size)?;
            let records = if fresh { changed } else { progress.records + changed };
            let done = next.is_none().then_some((current, tx.now));
            let progress = Progress { cursor: next.unwrap_or_default(), records, done };
            tx.put(keys::RESEAL, &progress, None)?;
            Ok(progress)
        });
        let progress = progress.await?;
        if progress.done.is_some() {
            tracing::info!(
                records = progress.records,
                "all records are sealed with the new generation of the instance key"
            );
        }
        self.ring.set(ring, progress);
        if let Some(tell) = &self.migration.after_page {
            tell(0);
        }
        Ok(Pace::Again)
    }
}

/// Seals what a page of rows contains with the generation that seals now.
pub(super) fn reseal_page(tx: &mut Tx<'_>, sealer: &Sealer, cursor: &str, size: usize) -> Outcome<Page> {
    let found = tx.keys_after(cursor, size)?;
    let next = found.last().filter(|_| found.len() == size).cloned();
    let mut changed = 0;
    for key in found {
        if !has_sealed(&key) {
            continue;
        }
        // A row that cannot be read stays as it is; whoever wants it gets the error.
        let Ok(Some(Row { mut value, ends })) = tx.row::<Value>(&key) else { continue };
        if reseal_row(sealer, &key, &mut value).is_some_and(|any| any) {
            tx.put(&key, &value, ends)?;
            changed += 1;
        }
    }
    Ok(Page { next, changed })
}

/// Whether the row contains something sealed.
fn has_sealed(key: &str) -> bool {
    key == keys::TICKETS
        || [keys::DOMAIN, keys::ACCOUNT, "dir:code:", "dir:answer:"].iter().any(|prefix| key.starts_with(prefix))
        || key.split_once("}:").is_some_and(|(_, rest)| {
            let kinds = ["device:", "job:", "code:", "mail:", "rows:", "people:request:"];
            kinds.iter().any(|kind| rest.starts_with(kind))
        })
}

/// Seals what a row contains anew. `Some(true)`: it has changed.
fn reseal_row(sealer: &Sealer, key: &str, row: &mut Value) -> Option<bool> {
    let mut any = false;
    let mut member = |row: &mut Value, member: &str, place: String| {
        any |= row.get_mut(member).is_some_and(|sealed| reseal_text(sealer, sealed, &place));
    };
    if key == keys::TICKETS {
        for one in row.as_array_mut()? {
            member(one, "sealed", sealed_place(key, "key"));
        }
    } else if key.starts_with(keys::ACCOUNT) {
        member(row, "hash", sealed_place(key, "hash"));
    } else if key.starts_with("dir:code:") {
        member(row, "url", sealed_place(key, "url"));
    } else if key.starts_with("dir:answer:") {
        return Some(reseal_text(sealer, row, &sealed_place(key, "answer")));
    } else if let Some((jobs, id)) = key.split_once("}:job:") {
        return Some(reseal_text(sealer, row, &sealed_place(&format!("{jobs}}}:job:"), id)));
    } else if let Some((_, rest)) = key.split_once("}:") {
        let domain = key.strip_prefix('{')?.split_once("}:")?.0;
        if let Some(name) = rest.strip_prefix("code:").or_else(|| rest.strip_prefix("mail:")) {
            member(row, "sealed", sealed_code_place(domain, name));
        } else if rest.starts_with("people:request:") {
            member(row.get_mut("asked")?, "sealed", sealed_place(key, "code"));
        } else if let Some(rest) = rest.strip_prefix("rows:") {
            let (rollout, first) = rest.split_once(':')?;
            let rows = format!("{{{domain}}}:rows:{rollout}");
            let first: u64 = first.parse().ok()?;
            for (number, one) in (first..).zip(row.as_array_mut()?) {
                member(one, "sealed", sealed_place(&row_place(&rows, number), "code"));
            }
        } else {
            for field in ["password", "admin"] {
                member(row, field, sealed_place(key, field));
            }
            // They are the same code, if there are both.
            let name = ["entry_code", "pending"].iter().find_map(|field| row.get(*field)?.as_str());
            if let Some(place) = name.map(|name| sealed_code_place(domain, name)) {
                member(row, "sealed", place);
            }
        }
    } else {
        for field in ["password", "admin", "token"] {
            member(row, field, sealed_place(key, field));
        }
    }
    Some(any)
}

fn reseal_text(sealer: &Sealer, value: &mut Value, place: &str) -> bool {
    let sealed = value.as_str().and_then(|text| hex::decode(text).ok());
    let Some(new) = sealed.and_then(|sealed| sealer.reseal(place, &sealed)) else { return false };
    *value = hex::encode(new).into();
    true
}

#[async_trait]
impl InstanceKeys for Embedded {
    fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    async fn instance_keys(&self) -> Result<KeyStatus> {
        let (ring, progress) = self.ring.get();
        let done = progress.done.is_some_and(|(generation, _)| generation == ring.current());
        Ok(KeyStatus::of(&ring, &self.ring.master, Vec::new(), progress.records, done))
    }

    async fn rotate_instance_key(&self) -> Result<Rotation> {
        let (ring, _) = self.ring.get();
        if ring.generations().len() > 1 {
            return Ok(Rotation::UnderWay);
        }
        // There is one process, which knows it at once.
        let Some(ring) = ring.with_next().and_then(|ring| ring.with_next_in_use()) else {
            return Ok(Rotation::UnderWay);
        };
        let generation = ring.current();
        self.put_ring(ring, Progress::default()).await?;
        Ok(Rotation::Begun(generation))
    }
}
