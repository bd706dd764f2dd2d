//! Codes in the file.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Snapshot, Tx};
use super::mailbox::MailRow;
use super::{Embedded, codebook, keys};
use crate::core::model::device::{CodeState, IssuedCode};
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::store::record::About;
use crate::store::{CodeRecord, Codes, PutCode, Result};

/// A code. The row of an open one ends with its validity, that of a used one 30 days after its use.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CodeRow {
    pub about: About,
    pub holder: Option<NodeId>,
    pub by: Option<DeviceKey>,
    pub port: Option<Box<str>>,
}

impl CodeRow {
    pub(super) fn issued(self, code: Code, domain: DomainName) -> IssuedCode {
        let state = match self.by {
            None => CodeState::Open,
            Some(by) => CodeState::Used { by, port: self.port },
        };
        self.about.issued(code, domain, self.holder, state)
    }
}

#[async_trait]
impl Codes for Embedded {
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        let new = new.clone();
        self.kv.write(move |tx| put(tx, &new, max_open)).await
    }

    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> {
        self.kv.read(|snapshot| {
            // The pointer ends with the validity, also when the row of a used code stays.
            match snapshot.get::<DomainName>(&keys::pointer(code))? {
                Some(domain) => read(snapshot, &domain, code),
                None => Ok(None),
            }
        })
    }

    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        self.kv.read(|snapshot| read(snapshot, domain, code))
    }

    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> {
        let (domain, node) = (domain.clone(), node.clone());
        self.kv.write(move |tx| hold(tx, &domain, code, node)).await
    }
}

fn read(snapshot: &Snapshot, domain: &DomainName, code: Code) -> Outcome<Option<IssuedCode>> {
    let row: Option<CodeRow> = snapshot.get(&keys::code(domain, code))?;
    Ok(row.map(|row| row.issued(code, domain.clone())))
}

fn put(tx: &mut Tx<'_>, new: &CodeRecord, max_open: u64) -> Outcome<PutCode> {
    let (pointer, key) = (keys::pointer(new.code), keys::code(&new.domain, new.code));
    let fresh = CodeRow { about: About::of(new), holder: new.holder.clone(), by: None, port: None };
    let elsewhere = tx.get::<DomainName>(&pointer)?.is_some_and(|domain| domain != new.domain);
    if let Some(there) = tx.get::<CodeRow>(&key)? {
        // The same once more is a repetition.
        let same = there.about == fresh.about && there.holder == fresh.holder && there.by.is_none();
        return Ok(if same { PutCode::Kept } else { PutCode::Exists });
    }
    if elsewhere {
        return Ok(PutCode::Exists);
    }
    let index = keys::open(&new.domain, new.rollout);
    codebook::drop_ended(tx, &new.domain, &index)?;
    if tx.count_open(&index)? >= max_open {
        return Ok(PutCode::TooMany);
    }
    tx.put(&key, &fresh, Some(new.valid_until))?;
    tx.put(&pointer, &new.domain, Some(new.valid_until))?;
    tx.rank(&index, new.valid_until.0, new.code.expose())?;
    tx.rank(&keys::codes(&new.domain), tx.now.0, new.code.expose())?;
    Ok(PutCode::Kept)
}

fn hold(tx: &mut Tx<'_>, domain: &DomainName, code: Code, node: NodeId) -> Outcome<()> {
    let (code_key, mail_key) = (keys::code(domain, code), keys::mail(domain, code));
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
