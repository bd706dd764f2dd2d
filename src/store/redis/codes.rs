//! Codes on Redis. The record decides; the pointer only leads from a code to the domain that has the record.

use ::redis::{Cmd, cmd};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::{CodeState, IssuedCode, KEEP_USED};
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::store::record::{About, LISTED, corrupt, from_json, to_json};
use crate::store::{CodeRecord, Codes, PutCode, Result};

static PUT: LazyScript = script!("put_code");
static HOLD: LazyScript = script!("hold_code");
static DELETE_IF: LazyScript = script!("delete_if");

#[async_trait]
impl Codes for Redis {
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        self.line.timed(self.put(new, max_open)).await
    }

    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> {
        self.line
            .timed(async {
                // The pointer ends with the validity, also when the record of a used code stays.
                match self.code_domain(code).await? {
                    Some(domain) => self.read_code(&domain, code).await,
                    None => Ok(None),
                }
            })
            .await
    }

    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        self.line.timed(self.read_code(domain, code)).await
    }

    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> {
        let mut script = HOLD.key(keys::code(domain, code));
        script.key(keys::mail(domain, code)).arg(node.as_str());
        self.line.timed(self.line.eval(&script)).await
    }
}

impl Redis {
    async fn put(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        let pointer = keys::pointer(new.code);
        let domain = new.domain.as_str();
        let ends = new.valid_until.0;
        let set = cmd("SET").arg(&pointer).arg(domain).arg("NX").arg("GET").arg("PXAT").arg(ends).take();
        let before: Option<String> = self.line.ask(&set).await?;
        if before.as_ref().is_some_and(|before| before != domain) {
            return Ok(PutCode::Exists);
        }
        let kind = keys::kind(new.rollout);
        let mut script = PUT.key(keys::code(&new.domain, new.code));
        script.key(keys::open(&new.domain, kind)).key(keys::codes(&new.domain));
        script.arg(to_json(&About::of(new))).arg(new.holder.as_ref().map_or("", NodeId::as_str));
        script.arg(kind).arg(ends).arg(new.code.expose()).arg(max_open).arg(millis(KEEP_USED)).arg(millis(LISTED));
        let outcome: Result<String> = self.line.eval(&script).await;
        let done = match outcome.as_deref() {
            Ok("kept") => return Ok(PutCode::Kept),
            Ok("exists") => return Ok(PutCode::Exists),
            Ok(_) => Ok(PutCode::TooMany),
            Err(_) => Err(()),
        };
        if before.is_none() {
            // A pointer that leads nowhere does no harm; it would only be in the way of the same code elsewhere.
            let _ = self.delete_if(&pointer, domain).await;
        }
        done.or_else(|()| outcome.map(|_| PutCode::TooMany))
    }

    /// Deletes a key if it has this value.
    pub(super) async fn delete_if(&self, key: &str, value: &str) -> Result<()> {
        self.line.eval(DELETE_IF.key(key).arg(value)).await
    }

    /// The domain that a code within its validity belongs to.
    pub(super) async fn code_domain(&self, code: Code) -> Result<Option<DomainName>> {
        let domain: Option<String> = self.line.ask(cmd("GET").arg(keys::pointer(code))).await?;
        domain.map(|name| DomainName::parse(&name).map_err(|e| corrupt("pb:code:…", &e))).transpose()
    }

    pub(super) async fn read_code(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        let fields: Fields = self.line.ask(&hmget(domain, code)).await?;
        issued(domain, code, fields)
    }

    /// The records of many codes, in one packet.
    pub(super) async fn read_codes(&self, domain: &DomainName, codes: &[Code]) -> Result<Vec<Option<IssuedCode>>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = ::redis::pipe();
        for code in codes {
            pipeline.add_command(hmget(domain, *code));
        }
        let records: Vec<Fields> = self.line.ask_all(&pipeline).await?;
        codes.iter().zip(records).map(|(code, fields)| issued(domain, *code, fields)).collect()
    }
}

/// What is read of a code: about, holder, by, port.
type Fields = (Option<Vec<u8>>, Option<String>, Option<String>, Option<String>);

fn hmget(domain: &DomainName, code: Code) -> Cmd {
    cmd("HMGET").arg(keys::code(domain, code)).arg(&["about", "holder", "by", "port"]).take()
}

fn issued(domain: &DomainName, code: Code, fields: Fields) -> Result<Option<IssuedCode>> {
    // The code is a secret, so an error names the domain only.
    let place = format!("pb:{{{domain}}}:code:…");
    let (about, holder, by, port) = fields;
    let Some(about) = about else { return Ok(None) };
    let about: About = from_json(&place, &about)?;
    let state = match by {
        None => CodeState::Open,
        Some(by) => {
            CodeState::Used { by: DeviceKey::parse(&by).map_err(|e| corrupt(&place, &e))?, port: port.map(Into::into) }
        }
    };
    Ok(Some(about.issued(code, domain.clone(), node(holder), state)))
}

/// The node in a holder field; empty is nobody.
pub(super) fn node(holder: Option<String>) -> Option<NodeId> {
    holder.filter(|holder| !holder.is_empty()).map(|holder| NodeId::new(&holder))
}
