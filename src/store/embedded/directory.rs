//! The directory's codes and contacts in the file.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row, Tx};
use super::strangers::{CONTACTS, is_fresh};
use super::{Embedded, keys};
use crate::core::model::ids::{Code, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;
use crate::store::bounds::source_hash;
use crate::store::record::{
    Sealed, answer_hash, answer_hashes, code_hash, code_hashes, from_json, open, seal, to_json,
};
use crate::store::{
    CODE_SPENT, CONTACT_KEPT, CONTACT_RENEWED, Contact, DirectoryRecords, Listed, NewListing, PHONES_PER_CODE,
    REMEMBERED, RecordCaps, Recorded, Remembered, Result,
};

#[derive(Clone, Serialize, Deserialize)]
struct ListingRow {
    url: Sealed,
    credential: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct PhoneRow {
    contact: Contact,
    first: UnixMillis,
}

#[async_trait]
impl DirectoryRecords for Embedded {
    async fn put_listing(&self, new: &NewListing, max_open: u64) -> Result<Listed> {
        let hash = code_hash(&self.sealer, new.code);
        let url = Sealed(seal(&self.sealer, &keys::listing(&hash), "url", &Secret::new(new.url.as_str())));
        let row = ListingRow { url, credential: new.credential.clone() };
        let ttl = new.ttl;
        self.kv
            .write(move |tx| {
                if tx.has(&keys::spent(&hash))? {
                    return Ok(Listed::Taken);
                }
                let ours = keys::dir_open(&row.credential);
                if tx.count_open(&ours)? >= max_open {
                    return Ok(Listed::TooMany);
                }
                let ends = UnixMillis::from_seconds((tx.now + ttl).seconds());
                tx.put(&keys::listing(&hash), &row, Some(ends))?;
                tx.put(&keys::spent(&hash), &(), Some(ends + CODE_SPENT))?;
                tx.rank(&ours, ends.0, &hash)?;
                // Removes ended codes, so that the index of all contains open codes only.
                tx.count_open(keys::DIR_OPEN)?;
                tx.rank(keys::DIR_OPEN, ends.0, &hash)?;
                Ok(Listed::Until(ends))
            })
            .await
    }

    async fn find_listing(&self, code: Code) -> Result<Option<String>> {
        for hash in code_hashes(&self.sealer, code) {
            let place = keys::listing(&hash);
            let row: Option<ListingRow> = self.kv.read(|snapshot| snapshot.get(&place))?;
            if let Some(row) = row {
                return Ok(Some(open(&self.sealer, &place, "url", &row.url.0)?.expose().into()));
            }
        }
        Ok(None)
    }

    async fn remove_listing(&self, code: Code, credential: &str) -> Result<bool> {
        let hashes: Vec<_> = code_hashes(&self.sealer, code).collect();
        let credential = credential.to_owned();
        self.kv
            .write(move |tx| {
                for hash in hashes {
                    let place = keys::listing(&hash);
                    if tx.get::<ListingRow>(&place)?.is_none_or(|row| row.credential != credential) {
                        continue;
                    }
                    tx.remove(&place)?;
                    tx.remove(&keys::entered(&hash))?;
                    tx.unrank(&keys::dir_open(&credential), &hash)?;
                    tx.unrank(keys::DIR_OPEN, &hash)?;
                    return Ok(true);
                }
                Ok(false)
            })
            .await
    }

    async fn remember_answer(&self, credential: &str, key: &str, answer: &Remembered) -> Result<Option<Remembered>> {
        let place = keys::answer(&answer_hash(&self.sealer, credential, key));
        let sealed = Sealed(seal(&self.sealer, &place, "answer", &Secret::new(to_json(answer))));
        let row = place.clone();
        let before = self.kv.write(move |tx| {
            let before: Option<Sealed> = tx.get(&row)?;
            if before.is_none() {
                tx.put(&row, &sealed, Some(tx.now + REMEMBERED))?;
            }
            Ok(before)
        });
        let before = before.await?;
        self.open_answer(&place, before)
    }

    async fn remembered_answer(&self, credential: &str, key: &str) -> Result<Option<Remembered>> {
        for hash in answer_hashes(&self.sealer, credential, key) {
            let place = keys::answer(&hash);
            let sealed = self.kv.read(|snapshot| snapshot.get(&place))?;
            if let Some(answer) = self.open_answer(&place, sealed)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    async fn record_contact(
        &self,
        contact: &Contact,
        entered: Option<Code>,
        source: Option<SourceKey>,
    ) -> Result<Recorded> {
        let entered: Vec<_> = entered.into_iter().flat_map(|code| code_hashes(&self.sealer, code)).collect();
        let known: Option<Row<PhoneRow>> = self.kv.read(|snapshot| snapshot.row(&keys::phone(&contact.mac)))?;
        let fresh = |row: &Row<PhoneRow>| {
            row.value.contact == *contact && is_fresh(row.ends, self.kv.now(), CONTACT_KEPT, CONTACT_RENEWED)
        };
        if entered.is_empty() && known.as_ref().is_some_and(fresh) {
            return Ok(Recorded { first: false, kept: true, evicted: 0 });
        }
        let (contact, caps) = (contact.clone(), self.limits.contacts);
        let hash = source_hash(&self.sealer, source);
        self.kv.write(move |tx| write_contact(tx, contact, &entered, &hash, caps)).await
    }

    async fn stranger_contacts(&self) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count_open(keys::STRANGERS))
    }

    async fn open_listings(&self) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count_open(keys::DIR_OPEN))
    }
}

fn write_contact(
    tx: &mut Tx<'_>,
    contact: Contact,
    entered: &[String],
    hash: &str,
    caps: RecordCaps,
) -> Outcome<Recorded> {
    let (place, mac, ends) = (keys::phone(&contact.mac), contact.mac.clone(), tx.now + CONTACT_KEPT);
    let before: Option<PhoneRow> = tx.get(&place)?;
    let first = before.is_none();
    let mut evicted = 0;
    let mut inside = false;
    for hash in entered {
        inside |= enter(tx, hash, &mac)?;
    }
    if inside {
        CONTACTS.leave(tx, &mac)?;
    } else if first {
        let (source, gone) = CONTACTS.make_room(tx, hash, caps)?;
        CONTACTS.hold(tx, &mac, Some(&source), ends)?;
        evicted = gone;
    } else if let Some(source) = CONTACTS.source(tx, &mac)? {
        // A record of a phone that has entered a code has no source: it is no stranger's.
        CONTACTS.hold(tx, &mac, Some(&source), ends)?;
    }
    let row = PhoneRow { contact, first: before.map_or(tx.now, |before| before.first) };
    tx.put(&place, &row, Some(ends))?;
    Ok(Recorded { first, kept: true, evicted })
}

/// Keeps with a code that this phone has entered it. False if the code has ended, or too many others have entered it.
fn enter(tx: &mut Tx<'_>, hash: &str, mac: &str) -> Outcome<bool> {
    let Some(listing) = tx.row::<ListingRow>(&keys::listing(hash))? else { return Ok(false) };
    let place = keys::entered(hash);
    let mut macs: Vec<Box<str>> = tx.get(&place)?.unwrap_or_default();
    if !macs.iter().any(|known| **known == *mac) {
        if macs.len() as u64 >= PHONES_PER_CODE {
            return Ok(false);
        }
        macs.push(mac.into());
    }
    tx.put(&place, &macs, listing.ends)?;
    Ok(true)
}

impl Embedded {
    fn open_answer(&self, place: &str, sealed: Option<Sealed>) -> Result<Option<Remembered>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let json = open(&self.sealer, place, "answer", &sealed.0)?;
        from_json(place, json.expose().as_bytes()).map(Some)
    }
}
