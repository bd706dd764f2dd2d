//! The records of the directory on Redis. Keys and values reveal neither code nor address.

use ::redis::{ScriptInvocation, cmd};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{Code, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;
use crate::store::bounds::source_hash;
use crate::store::record::{answer_hash, code_hash, from_json, open, seal, to_json};
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
        let listing = keys::listing(&code_hash(&self.sealer, code));
        let read = cmd("HGET").arg(&listing).arg("url").take();
        let sealed: Option<Vec<u8>> = self.client.timed(self.client.ask(&read)).await?;
        let url = sealed.map(|sealed| open(&self.sealer, &listing, "url", &sealed)).transpose()?;
        Ok(url.map(|url| url.expose().into()))
    }

    async fn remove_listing(&self, code: Code, credential: &str) -> Result<bool> {
        let hash = code_hash(&self.sealer, code);
        let mut script = UNLIST.key(keys::listing(&hash));
        script.key(keys::entered(&hash)).key(keys::dir_open(credential)).key(keys::DIR_OPEN);
        self.client.timed(self.client.eval_once(script.arg(credential).arg(&hash))).await
    }

    async fn remember_answer(&self, credential: &str, key: &str, answer: &Remembered) -> Result<Option<Remembered>> {
        let place = keys::answer(&answer_hash(&self.sealer, credential, key));
        let sealed = seal(&self.sealer, &place, "answer", &Secret::new(to_json(answer)));
        let set = cmd("SET").arg(&place).arg(sealed).arg("NX").arg("GET").arg("PX").arg(millis(REMEMBERED)).take();
        let before = self.client.timed(self.client.ask(&set)).await?;
        self.open_answer(&place, before)
    }

    async fn remembered_answer(&self, credential: &str, key: &str) -> Result<Option<Remembered>> {
        let place = keys::answer(&answer_hash(&self.sealer, credential, key));
        let sealed = self.client.timed(self.client.ask(cmd("GET").arg(&place))).await?;
        self.open_answer(&place, sealed)
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
            let hash = code_hash(&self.sealer, code);
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
    fn open_answer(&self, place: &str, sealed: Option<Vec<u8>>) -> Result<Option<Remembered>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let json = open(&self.sealer, place, "answer", &sealed)?;
        from_json(place, json.expose().as_bytes()).map(Some)
    }
}
