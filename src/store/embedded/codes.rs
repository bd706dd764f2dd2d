//! Codes in the file. Keys and indexes have names of codes (`src/store/code_name.rs`).
//!
//! The list of codes is an index by time of issue. It does not know when a row ends: a member without a row is skipped.

use async_trait::async_trait;

use super::kv::{Outcome, Row, Snapshot, Tx};
use super::rows::{CodeRow, MailRow};
use super::{Embedded, keys, mailbox};
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{IssuedCode, KEEP_USED};
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::core::model::quota::{QuotaKind, Quotas};
use crate::core::model::time::UnixMillis;
use crate::store::bounds::CODES_COUNTED;
use crate::store::code_name::{CodeName, CodeUse, seal_code};
use crate::store::record::{About, LISTED, Sealed, lent_mark};
use crate::store::{CodeListing, CodeRecord, Codes, PutCode, Result, StoreError};

/// At most this many used codes that have ended are removed from the list together with a new code.
const DROPPED: usize = 1000;

#[async_trait]
impl Codes for Embedded {
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        let (new, name, quotas) = (new.clone(), self.name(CodeUse::Record, new.code), self.limits.quotas);
        let sealed = Sealed(seal_code(&self.sealer, &new.domain, &name, new.code));
        self.kv.write(move |tx| put(tx, &new, &name, sealed, max_open, &quotas)).await
    }

    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> {
        let name = self.name(CodeUse::Record, code);
        self.kv.read(|snapshot| {
            // The pointer ends with the validity, also when the row of a used code stays.
            match snapshot.get::<DomainName>(&keys::pointer(&name))? {
                Some(domain) => read(snapshot, &domain, &name, code),
                None => Ok(None),
            }
        })
    }

    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        let name = self.name(CodeUse::Record, code);
        self.kv.read(|snapshot| read(snapshot, domain, &name, code))
    }

    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> {
        let (domain, node, name) = (domain.clone(), node.clone(), self.name(CodeUse::Record, code));
        self.kv.write(move |tx| hold(tx, &domain, &name, node)).await
    }

    async fn codes(
        &self,
        domain: &DomainName,
        before: Option<(UnixMillis, Code)>,
        limit: usize,
    ) -> Result<Vec<CodeListing>> {
        let before = before.map(|(issued, code)| (issued, self.name(CodeUse::Record, code)));
        self.kv.read(|snapshot| {
            let before = before.as_ref().map(|(issued, name)| (issued.0, name.as_str()));
            let mut found = Vec::new();
            for member in snapshot.members_before(&keys::codes(domain), before) {
                if found.len() >= limit {
                    break;
                }
                let (issued, name) = member?;
                let name = CodeName::stored(name);
                if let Some(row) = snapshot.get::<CodeRow>(&keys::code(domain, &name))? {
                    let code = row.code(&self.sealer, domain, &name)?;
                    found.push(CodeListing { code: row.issued(code, domain.clone()), issued: UnixMillis(issued) });
                }
            }
            Ok(found)
        })
    }

    async fn revoke_code(&self, domain: &DomainName, code: Code) -> Result<bool> {
        let (domain, name) = (domain.clone(), self.name(CodeUse::Record, code));
        self.kv.write(move |tx| revoke(tx, &domain, &name)).await
    }

    async fn lend_code(&self, domain: &DomainName, code: Code, site: &SiteName) -> Result<bool> {
        let (domain, name, site) = (domain.clone(), self.name(CodeUse::Record, code), site.clone());
        self.kv.write(move |tx| lend(tx, &domain, &name, site)).await
    }

    async fn settle_loan(
        &self,
        domain: &DomainName,
        code: Code,
        site: &SiteName,
        device: &DeviceKey,
        port: Option<&str>,
    ) -> Result<bool> {
        let (domain, name, site) = (domain.clone(), self.name(CodeUse::Record, code), site.clone());
        let (device, port) = (device.clone(), port.map(Into::into));
        self.kv.write(move |tx| settle(tx, &domain, &name, &site, device, port)).await
    }
}

impl Embedded {
    /// The name of a code.
    pub(super) fn name(&self, of: CodeUse, code: Code) -> CodeName {
        CodeName::hashed(&self.sealer, of, code)
    }
}

fn read(snapshot: &Snapshot, domain: &DomainName, name: &CodeName, code: Code) -> Outcome<Option<IssuedCode>> {
    let row: Option<CodeRow> = snapshot.get(&keys::code(domain, name))?;
    Ok(row.map(|row| row.issued(code, domain.clone())))
}

fn put(
    tx: &mut Tx<'_>,
    new: &CodeRecord,
    name: &CodeName,
    sealed: Sealed,
    max_open: u64,
    quotas: &Quotas,
) -> Outcome<PutCode> {
    let (pointer, key) = (keys::pointer(name), keys::code(&new.domain, name));
    let fresh = CodeRow { about: About::of(new), sealed, holder: new.holder.clone(), by: None, port: None, lent: None };
    let elsewhere = tx.get::<DomainName>(&pointer)?.is_some_and(|domain| domain != new.domain);
    if let Some(there) = tx.get::<CodeRow>(&key)? {
        // The same values are a repetition.
        let same = there.about == fresh.about && there.holder == fresh.holder && there.by.is_none();
        return Ok(if same { PutCode::Kept } else { PutCode::Exists });
    }
    if elsewhere {
        return Ok(PutCode::Exists);
    }
    let index = keys::open(&new.domain, new.rollout);
    drop_ended(tx, &new.domain, &index)?;
    if tx.count_open(&index)? >= max_open {
        return Ok(PutCode::TooMany);
    }
    let counter = keys::issued(&new.domain);
    let issued = tx.row::<u64>(&counter)?.unwrap_or(Row { value: 0, ends: Some(tx.now + CODES_COUNTED) });
    quotas.check(QuotaKind::CodesPerDay, issued.value, 1).map_err(StoreError::from)?;
    tx.put(&counter, &(issued.value + 1), issued.ends)?;
    tx.put(&key, &fresh, Some(new.valid_until))?;
    tx.put(&pointer, &new.domain, Some(new.valid_until))?;
    tx.rank(&index, new.valid_until.0, name.as_str())?;
    tx.rank(&keys::codes(&new.domain), tx.now.0, name.as_str())?;
    Ok(PutCode::Kept)
}

fn hold(tx: &mut Tx<'_>, domain: &DomainName, name: &CodeName, node: NodeId) -> Outcome<()> {
    let (code_key, mail_key) = (keys::code(domain, name), keys::mail(domain, name));
    let (row, mail) = (tx.row::<CodeRow>(&code_key)?, tx.row::<MailRow>(&mail_key)?);
    if let Some(mut row) = row {
        row.value.holder = Some(node.clone());
        tx.put(&code_key, &row.value, row.ends)?;
    }
    if let Some(mut mail) = mail {
        mail.value.holder = Some(node);
        tx.put(&mail_key, &mail.value, mail.ends)?;
    }
    Ok(())
}

/// Removes ended codes from the list; `open` is the index of the open ones by their end.
fn drop_ended(tx: &mut Tx<'_>, domain: &DomainName, open: &str) -> Outcome<()> {
    let index = keys::codes(domain);
    let mut over = tx.members_until(open, tx.now.0, usize::MAX)?;
    over.extend(tx.members_until(&index, (tx.now - LISTED).0, DROPPED)?);
    over.iter().try_for_each(|name| tx.unrank(&index, name))
}

fn revoke(tx: &mut Tx<'_>, domain: &DomainName, name: &CodeName) -> Outcome<bool> {
    let key = keys::code(domain, name);
    let Some(row) = tx.get::<CodeRow>(&key)?.filter(|row| row.by.is_none()) else { return Ok(false) };
    tx.remove(&key)?;
    tx.remove(&keys::pointer(name))?;
    tx.unrank(&keys::open(domain, row.about.rollout), name.as_str())?;
    tx.unrank(&keys::codes(domain), name.as_str())?;
    Ok(true)
}

fn lend(tx: &mut Tx<'_>, domain: &DomainName, name: &CodeName, site: SiteName) -> Outcome<bool> {
    let key = keys::code(domain, name);
    let Some(mut row) = tx.get::<CodeRow>(&key)? else { return Ok(false) };
    if row.by.is_some() {
        return Ok(row.lent == Some(site));
    }
    row.by = Some(lent_mark(&site)?);
    row.lent = Some(site);
    tx.put(&key, &row, Some(row.about.valid_until + KEEP_USED))?;
    tx.unrank(&keys::open(domain, row.about.rollout), name.as_str())?;
    Ok(true)
}

fn settle(
    tx: &mut Tx<'_>,
    domain: &DomainName,
    name: &CodeName,
    site: &SiteName,
    device: DeviceKey,
    port: Option<Box<str>>,
) -> Outcome<bool> {
    let key = keys::code(domain, name);
    let Some(mut row) = tx.get::<CodeRow>(&key)? else { return Ok(false) };
    if row.lent.as_ref() != Some(site) {
        // The same values are a repetition.
        return Ok(row.by == Some(device) && row.port == port);
    }
    (row.lent, row.by, row.port) = (None, Some(device.clone()), port);
    tx.put(&key, &row, Some(tx.now + KEEP_USED))?;
    mailbox::post(tx, domain, name, &device)
}
