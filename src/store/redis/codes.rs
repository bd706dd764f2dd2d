//! Codes on Redis. The record decides; the pointer only leads from a code to the domain that has the record. Keys and
//! indexes have names of codes (`src/store/code_name.rs`).
//!
//! The list of codes is an index by time of issue. It does not know when a record ends: a member without a record is
//! skipped, and removed from the index when a page of the list meets it.

use ::redis::{Cmd, cmd};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{CodeState, IssuedCode, KEEP_USED};
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::store::bounds::CODES_COUNTED;
use crate::store::code_name::{CodeName, CodeUse, open_code};
use crate::store::record::{About, LISTED, corrupt, from_json, to_json};
use crate::store::{CodeListing, CodeRecord, Codes, PutCode, Result};

static PUT: LazyScript = script!("put_code");
static HOLD: LazyScript = script!("hold_code");
static REVOKE: LazyScript = script!("revoke_code");
static LEND: LazyScript = script!("lend_code");
static SETTLE: LazyScript = script!("settle_loan");
static DELETE_IF: LazyScript = script!("delete_if");

/// Members of the index that are read together.
const PAGE: usize = 1000;

#[async_trait]
impl Codes for Redis {
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        self.client.timed(self.put(new, max_open)).await
    }

    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> {
        self.client
            .timed(async {
                // The pointer ends with the validity, also if the record of a used code stays.
                match self.code_domain(code).await? {
                    Some(domain) => self.read_code(&domain, code).await,
                    None => Ok(None),
                }
            })
            .await
    }

    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        self.client.timed(self.read_code(domain, code)).await
    }

    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> {
        let hold = async {
            let name = self.code_name(domain, code).await?;
            let mut script = HOLD.key(keys::code(domain, &name));
            script.key(keys::mail(domain, &name)).arg(node.as_str());
            self.client.eval(&script).await
        };
        self.client.timed(hold).await
    }

    async fn codes(
        &self,
        domain: &DomainName,
        before: Option<(UnixMillis, Code)>,
        limit: usize,
    ) -> Result<Vec<CodeListing>> {
        // The deadline is for each step, not for all: many ended codes may have to be skipped.
        let before = before.map(|(issued, code)| (issued, self.new_name(CodeUse::Record, code)));
        let (mut found, mut next) = (Vec::new(), before);
        while found.len() < limit {
            let page = self.client.timed(self.code_page(domain, next.as_ref(), limit - found.len())).await?;
            found.extend(page.listings);
            match page.next {
                Some(position) => next = Some(position),
                None => break,
            }
        }
        Ok(found)
    }

    async fn revoke_code(&self, domain: &DomainName, code: Code) -> Result<bool> {
        let revoke = async {
            let name = self.code_name(domain, code).await?;
            let mut script = REVOKE.key(keys::code(domain, &name));
            for kind in keys::KINDS {
                script.key(keys::open(domain, kind));
            }
            script.key(keys::codes(domain)).arg(name.as_str());
            let revoked: bool = self.client.eval_once(&script).await?;
            if revoked {
                // A pointer to no record is harmless, and its TTL ends it.
                for name in self.possible_names(&[code]) {
                    let _ = self.delete_if(&keys::pointer(&name), domain.as_str()).await;
                }
            }
            Ok(revoked)
        };
        self.client.timed(revoke).await
    }

    async fn lend_code(&self, domain: &DomainName, code: Code, site: &SiteName) -> Result<bool> {
        let lend = async {
            let name = self.code_name(domain, code).await?;
            let mut script = LEND.key(keys::code(domain, &name));
            for kind in keys::KINDS {
                script.key(keys::open(domain, kind));
            }
            script.key(keys::codes(domain)).arg(site.as_str()).arg(name.as_str()).arg(millis(KEEP_USED));
            self.client.eval(&script).await
        };
        self.client.timed(lend).await
    }

    async fn settle_loan(
        &self,
        domain: &DomainName,
        code: Code,
        site: &SiteName,
        device: &DeviceKey,
        port: Option<&str>,
    ) -> Result<bool> {
        let settle = async {
            let name = self.code_name(domain, code).await?;
            let mut script = SETTLE.key(keys::code(domain, &name));
            script.key(keys::mail(domain, &name)).key(keys::mailbox(domain));
            script.arg(site.as_str()).arg(device.as_str()).arg(port.unwrap_or_default());
            script.arg(name.as_str()).arg(millis(KEEP_USED));
            self.client.eval(&script).await
        };
        self.client.timed(settle).await
    }
}

impl Redis {
    async fn put(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        let pointer = keys::pointer(&self.new_name(CodeUse::Record, new.code));
        let domain = new.domain.as_str();
        let ends = new.valid_until.0;
        let set = cmd("SET").arg(&pointer).arg(domain).arg("NX").arg("GET").arg("PXAT").arg(ends).take();
        let before: Option<String> = self.client.ask(&set).await?;
        if before.as_ref().is_some_and(|before| before != domain) {
            return Ok(PutCode::Exists);
        }
        let kind = keys::kind(new.rollout);
        let name = self.code_name(&new.domain, new.code).await?;
        let mut script = PUT.key(keys::code(&new.domain, &name));
        script.key(keys::open(&new.domain, kind)).key(keys::codes(&new.domain)).key(keys::issued(&new.domain));
        script.arg(to_json(&About::of(new))).arg(new.holder.as_ref().map_or("", NodeId::as_str));
        script.arg(kind).arg(ends).arg(name.as_str()).arg(max_open).arg(millis(KEEP_USED)).arg(millis(LISTED));
        script.arg(self.new_sealed(&new.domain, &name, new.code));
        script.arg(self.limits.quotas.codes_per_day).arg(millis(CODES_COUNTED));
        let outcome: Result<String> = self.client.eval(&script).await;
        let done = match outcome.as_deref() {
            Ok("kept") => return Ok(PutCode::Kept),
            Ok("exists") => return Ok(PutCode::Exists),
            Ok("day") => Err(self.limits.quotas.over(QuotaKind::CodesPerDay).into()),
            _ => outcome.map(|_| PutCode::TooMany),
        };
        if before.is_none() {
            // A pointer to no record is harmless; it would only block the same code in another domain.
            let _ = self.delete_if(&pointer, domain).await;
        }
        done
    }

    /// Deletes a key if it has this value.
    pub(super) async fn delete_if(&self, key: &str, value: &str) -> Result<()> {
        self.client.eval(DELETE_IF.key(key).arg(value)).await
    }

    /// The domain that a code within its validity belongs to.
    pub(super) async fn code_domain(&self, code: Code) -> Result<Option<DomainName>> {
        let mut names = self.possible_names(&[code]).into_iter();
        let mut domain: Option<String> = None;
        while let Some(name) = names.next().filter(|_| domain.is_none()) {
            domain = self.client.ask(cmd("GET").arg(keys::pointer(&name))).await?;
        }
        domain.map(|name| DomainName::parse(&name).map_err(|e| corrupt("pb:code:…", &e))).transpose()
    }

    pub(super) async fn read_code(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        let fields: Fields = self.client.ask(&hmget(domain, &self.code_name(domain, code).await?)).await?;
        issued(domain, code, fields)
    }

    /// The records of many codes, in one packet.
    pub(super) async fn read_codes(&self, domain: &DomainName, codes: &[Code]) -> Result<Vec<Option<IssuedCode>>> {
        let names = self.code_names(domain, codes).await?;
        let records = self.read_fields(domain, &names).await?;
        codes.iter().zip(records).map(|(code, fields)| issued(domain, *code, fields)).collect()
    }

    /// The same, of codes that are known by name only.
    async fn read_named(&self, domain: &DomainName, names: &[CodeName]) -> Result<Vec<Option<IssuedCode>>> {
        let records = self.read_fields(domain, names).await?;
        let place = format!("pb:{{{domain}}}:code:…");
        let read = names.iter().zip(records).map(|(name, fields)| {
            if fields.0.is_none() {
                return Ok(None);
            }
            let code = open_code(&self.sealer, &place, domain, name, fields.4.as_deref())?;
            issued(domain, code, fields)
        });
        read.collect()
    }

    async fn read_fields(&self, domain: &DomainName, names: &[CodeName]) -> Result<Vec<Fields>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = ::redis::pipe();
        for name in names {
            pipeline.add_command(hmget(domain, name));
        }
        self.client.ask_all(&pipeline).await
    }

    async fn code_page(&self, domain: &DomainName, before: Option<&Position>, limit: usize) -> Result<Page> {
        let index = keys::codes(domain);
        let highest = before.map_or("+inf".to_owned(), |(issued, _)| issued.0.to_string());
        let size = limit.clamp(1, PAGE);
        let (mut offset, mut members) = (0, Vec::new());
        let mut more = true;
        // Codes of the same millisecond that were listed before have to be skipped.
        while more && members.len() < size {
            let mut range = cmd("ZRANGE");
            range.arg(&index).arg(&highest).arg("-inf").arg("BYSCORE").arg("REV");
            range.arg("LIMIT").arg(offset).arg(size).arg("WITHSCORES");
            let part: Vec<(String, u64)> = self.client.ask(&range).await?;
            (offset, more) = (offset + part.len(), part.len() == size);
            let part = part.into_iter().map(|(name, at)| (UnixMillis(at), CodeName::stored(name)));
            members.extend(part.filter(|position| before.is_none_or(|before| position < before)));
        }
        members.truncate(size);
        let next = members.last().cloned().filter(|_| more);
        let names = self.lifted(domain, members.iter().map(|(_, name)| name.clone()).collect()).await?;
        let records = self.read_named(domain, &names).await?;
        let gone: Vec<&str> =
            names.iter().zip(&records).filter(|(_, record)| record.is_none()).map(|(name, _)| name.as_str()).collect();
        if !gone.is_empty() {
            // They are not listed whether or not this works.
            let _ = self.client.ask::<u64>(cmd("ZREM").arg(&index).arg(&gone)).await;
        }
        let listings = members.iter().zip(records);
        let listings = listings.filter_map(|((issued, _), code)| Some(CodeListing { code: code?, issued: *issued }));
        Ok(Page { listings: listings.collect(), next })
    }
}

/// Some listings, and where to continue if there may be more.
struct Page {
    listings: Vec<CodeListing>,
    next: Option<Position>,
}

/// A place in the list of codes.
type Position = (UnixMillis, CodeName);

/// The fields of a code: about, holder, by, port, sealed, lent.
type Fields = (Option<Vec<u8>>, Option<String>, Option<String>, Option<String>, Option<Vec<u8>>, Option<String>);

fn hmget(domain: &DomainName, name: &CodeName) -> Cmd {
    cmd("HMGET").arg(keys::code(domain, name)).arg(&["about", "holder", "by", "port", "sealed", "lent"]).take()
}

fn issued(domain: &DomainName, code: Code, fields: Fields) -> Result<Option<IssuedCode>> {
    // The code is a secret, so an error names the domain only.
    let place = format!("pb:{{{domain}}}:code:…");
    let (about, holder, by, port, _, lent) = fields;
    let Some(about) = about else { return Ok(None) };
    let about: About = from_json(&place, &about)?;
    let state = match (lent, by) {
        (Some(site), _) => CodeState::Lent { site: SiteName::parse(&site).map_err(|e| corrupt(&place, &e))? },
        (None, None) => CodeState::Open,
        (None, Some(by)) => {
            CodeState::Used { by: DeviceKey::parse(&by).map_err(|e| corrupt(&place, &e))?, port: port.map(Into::into) }
        }
    };
    Ok(Some(about.issued(code, domain.clone(), node(holder), state)))
}

/// The node in a holder field; empty: none.
pub(super) fn node(holder: Option<String>) -> Option<NodeId> {
    holder.filter(|holder| !holder.is_empty()).map(|holder| NodeId::new(&holder))
}
