//! The records of the directory on Redis. Keys and values reveal neither code nor address.

use ::redis::{ScriptInvocation, cmd};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{Code, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;
use crate::store::bounds::source_hash;
use crate::store::record::{
    answer_hash, answer_hashes, code_hash, code_hashes, from_json, open, other_code_hash, seal, to_json,
};
use crate::store::{
    CODE_SPENT, CONTACT_KEPT, CONTACT_RENEWED, Contact, DirectoryRecords, Listed, NewListing, PHONES_PER_CODE,
    REMEMBERED, Recorded, Remembered, Result, SOURCE_KNOWN,
};

static LIST: LazyScript = script!("list");
static UNLIST: LazyScript = script!("unlist");
static CONTACT: LazyScript = script!("contact", strangers);
static OPEN: LazyScript = script!("count_open");

#[async_trait]
impl DirectoryRecords for Redis {
    async fn put_listing(&self, new: &NewListing, max_open: u64) -> Result<Listed> {
        let hash = code_hash(&self.sealer, new.code);
        let listing = keys::listing(&hash);
        let url = seal(&self.sealer, &listing, "url", &Secret::new(new.url.as_str()));
        let mut script = LIST.key(&listing);
        script.key(keys::spent(&hash)).key(keys::dir_open(&new.credential)).key(keys::DIR_OPEN);
        script.arg(url).arg(&new.credential).arg(millis(new.ttl)).arg(&hash).arg(max_open).arg(millis(CODE_SPENT));
        let (outcome, ends): (String, u64) = self.client.timed(self.client.eval(&script)).await?;
        Ok(match outcome.as_str() {
            "until" => Listed::Until(UnixMillis(ends)),
            "taken" => Listed::Taken,
            _ => Listed::TooMany,
        })
    }

    async fn find_listing(&self, code: Code) -> Result<Option<String>> {
        for hash in code_hashes(&self.sealer, code) {
            let listing = keys::listing(&hash);
            let read = cmd("HGET").arg(&listing).arg("url").take();
            let sealed: Option<Vec<u8>> = self.client.timed(self.client.ask(&read)).await?;
            if let Some(sealed) = sealed {
                return Ok(Some(open(&self.sealer, &listing, "url", &sealed)?.expose().into()));
            }
        }
        Ok(None)
    }

    async fn remove_listing(&self, code: Code, credential: &str) -> Result<bool> {
        let mut removed = false;
        for hash in code_hashes(&self.sealer, code) {
            let mut script = UNLIST.key(keys::listing(&hash));
            script.key(keys::entered(&hash)).key(keys::dir_open(credential)).key(keys::DIR_OPEN);
            removed = self.client.timed(self.client.eval_once(script.arg(credential).arg(&hash))).await?;
            if removed {
                break;
            }
        }
        Ok(removed)
    }

    async fn remember_answer(&self, credential: &str, key: &str, answer: &Remembered) -> Result<Option<Remembered>> {
        let place = keys::answer(&answer_hash(&self.sealer, credential, key));
        let sealed = seal(&self.sealer, &place, "answer", &Secret::new(to_json(answer)));
        let set = cmd("SET").arg(&place).arg(sealed).arg("NX").arg("GET").arg("PX").arg(millis(REMEMBERED)).take();
        let before = self.client.timed(self.client.ask(&set)).await?;
        self.open_answer(&place, before)
    }

    async fn remembered_answer(&self, credential: &str, key: &str) -> Result<Option<Remembered>> {
        for hash in answer_hashes(&self.sealer, credential, key) {
            let place = keys::answer(&hash);
            let sealed = self.client.timed(self.client.ask(cmd("GET").arg(&place))).await?;
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
        let mut script: ScriptInvocation<'_> = CONTACT.key(keys::phone(&contact.mac));
        script.key(keys::STRANGERS).key(keys::STRANGERS_BY).key(keys::STRANGERS_SOURCES).key(keys::STRANGERS_SALT);
        if let Some(code) = entered {
            let hash = self.listed_hash(code).await?;
            script.key(keys::listing(&hash)).key(keys::entered(&hash));
        }
        let caps = self.limits.contacts;
        script.arg(&*contact.mac).arg(keys::PHONE).arg(keys::STRANGERS_OF).arg(to_json(contact));
        script.arg(millis(CONTACT_KEPT)).arg(millis(CONTACT_RENEWED));
        script.arg(source_hash(&self.sealer, source)).arg(crate::random::guid()).arg(millis(SOURCE_KNOWN));
        script.arg(caps.most).arg(caps.per_source).arg(PHONES_PER_CODE);
        let (first, kept, evicted): (bool, bool, u64) = self.client.timed(self.client.eval_once(&script)).await?;
        if !kept {
            self.client.refused_as_full();
        }
        Ok(Recorded { first, kept, evicted })
    }

    async fn stranger_contacts(&self) -> Result<u64> {
        self.client.timed(self.client.eval(&OPEN.key(keys::STRANGERS))).await
    }

    async fn open_listings(&self) -> Result<u64> {
        self.client.timed(self.client.eval(&OPEN.key(keys::DIR_OPEN))).await
    }
}

impl Redis {
    /// The hash under which a code is listed.
    async fn listed_hash(&self, code: Code) -> Result<String> {
        if let Some(other) = other_code_hash(&self.sealer, code) {
            let listing = keys::listing(&other);
            if self.client.timed(self.client.ask(cmd("EXISTS").arg(&listing))).await? {
                return Ok(other);
            }
        }
        Ok(code_hash(&self.sealer, code))
    }

    fn open_answer(&self, place: &str, sealed: Option<Vec<u8>>) -> Result<Option<Remembered>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let json = open(&self.sealer, place, "answer", &sealed)?;
        from_json(place, json.expose().as_bytes()).map(Some)
    }
}
