//! The mailbox: notices in the file, and in memory which node delivers them.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::rows::{CodeRow, DeviceRow, MailRow};
use super::{Embedded, keys};
use crate::core::model::device::Notice;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::store::code_name::{CodeName, CodeUse};
use crate::store::{Mailbox, Result};

/// Overdue notices that are deposited in one job.
const BATCH: usize = 256;

/// Puts the notice of a used code into the mailbox. It stays as long as the row of the code: 30 days from use.
pub(super) fn post(tx: &mut Tx<'_>, domain: &DomainName, name: &CodeName, device: &DeviceKey) -> Outcome<bool> {
    let Some(row) = tx.row::<CodeRow>(&keys::code(domain, name))? else { return Ok(false) };
    let CodeRow { about, sealed, holder, port, .. } = row.value;
    tx.put(&keys::mail(domain, name), &MailRow { about, sealed, device: device.clone(), port, holder }, row.ends)?;
    tx.rank(&keys::mailbox(domain), row.ends.map_or(u64::MAX, |ends| ends.0), name.as_str())?;
    Ok(true)
}

fn deposit(tx: &mut Tx<'_>, domain: &DomainName, key: &DeviceKey) -> Outcome<bool> {
    let place = keys::device(domain, key);
    let Some(mut row) = tx.get::<DeviceRow>(&place)? else { return Ok(false) };
    let Some(name) = row.pending.take() else { return Ok(false) };
    let posted = post(tx, domain, &name, key)?;
    tx.put(&place, &row, None)?;
    tx.unrank(&keys::pending(domain), key.as_str())?;
    Ok(posted)
}

#[async_trait]
impl Mailbox for Embedded {
    async fn deposit(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        let (domain, key) = (domain.clone(), key.clone());
        self.kv.write(move |tx| deposit(tx, &domain, &key)).await
    }

    async fn deposit_overdue(&self, domain: &DomainName, age: Duration) -> Result<u64> {
        let mut deposited = 0;
        loop {
            let of = domain.clone();
            let job = self.kv.write(move |tx| {
                let page = tx.members_until(&keys::pending(&of), (tx.now - age).0, BATCH)?;
                let mut done = 0;
                for key in &page {
                    if let Ok(device) = DeviceKey::parse(key) {
                        done += u64::from(deposit(tx, &of, &device)?);
                    }
                    // Also if there was nothing to deposit, or this loop would never end.
                    tx.unrank(&keys::pending(&of), key)?;
                }
                Ok((page.len(), done))
            });
            let (page, done) = job.await?;
            deposited += done;
            if page < BATCH {
                return Ok(deposited);
            }
        }
    }

    async fn take(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        limit: usize,
        skip: &[Code],
    ) -> Result<Vec<Notice>> {
        let skip: HashSet<CodeName> = skip.iter().map(|code| self.name(CodeUse::Record, *code)).collect();
        self.kv.read(|snapshot| {
            let mut taken = Vec::new();
            for member in snapshot.members(&keys::mailbox(domain), snapshot.now.0) {
                if taken.len() >= limit {
                    break;
                }
                let name = CodeName::stored(member?);
                let Some(row) = snapshot.get::<MailRow>(&keys::mail(domain, &name))? else { continue };
                if skip.contains(&name) {
                    continue;
                }
                let code = row.code(&self.sealer, domain, &name)?;
                if self.memory.lease(domain, code, row.holder.as_ref(), node, lease, snapshot.now) {
                    taken.push(row.about.notice(code, row.device, row.port, row.holder));
                }
            }
            Ok(taken)
        })
    }

    async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()> {
        let now = self.kv.now();
        let ours = codes.iter().copied().filter(|code| self.memory.end_notice_lease(domain, *code, node, now));
        let ours: Vec<CodeName> = ours.map(|code| self.name(CodeUse::Record, code)).collect();
        let (domain, node) = (domain.clone(), node.clone());
        self.kv
            .write(move |tx| {
                for name in ours {
                    let key = keys::mail(&domain, &name);
                    let Some(mut row) = tx.row::<MailRow>(&key)? else { continue };
                    if row.value.holder.as_ref() == Some(&node) {
                        row.value.holder = None;
                        tx.put(&key, &row.value, row.ends)?;
                    }
                }
                Ok(())
            })
            .await
    }

    async fn settle(&self, domain: &DomainName, codes: &[Code]) -> Result<()> {
        let of = domain.clone();
        let settled: Vec<CodeName> = codes.iter().map(|code| self.name(CodeUse::Record, *code)).collect();
        self.kv
            .write(move |tx| {
                for name in settled {
                    tx.remove(&keys::mail(&of, &name))?;
                    tx.unrank(&keys::mailbox(&of), name.as_str())?;
                }
                Ok(())
            })
            .await?;
        self.memory.forget_notices(domain, codes);
        Ok(())
    }

    async fn depth(&self, domain: &DomainName) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count_open(&keys::mailbox(domain)))
    }
}
