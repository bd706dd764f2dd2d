//! The mailbox: notices in the file, and in memory which node delivers them.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::rows::{CodeRow, DeviceRow, MailRow};
use super::{Embedded, keys};
use crate::core::model::device::Notice;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::store::{Mailbox, Result};

/// Overdue notices that are deposited in one job.
const BATCH: usize = 256;

/// Puts the notice of a used code into the mailbox. It stays as long as the row of the code: 30 days from use.
pub(super) fn post(tx: &mut Tx<'_>, domain: &DomainName, code: Code, device: &DeviceKey) -> Outcome<bool> {
    let Some(row) = tx.row::<CodeRow>(&keys::code(domain, code))? else { return Ok(false) };
    let CodeRow { about, holder, port, .. } = row.value;
    tx.put(&keys::mail(domain, code), &MailRow { about, device: device.clone(), port, holder }, row.ends)?;
    tx.rank(&keys::mailbox(domain), row.ends.map_or(u64::MAX, |ends| ends.0), code.expose())?;
    Ok(true)
}

fn deposit(tx: &mut Tx<'_>, domain: &DomainName, key: &DeviceKey) -> Outcome<bool> {
    let place = keys::device(domain, key);
    let Some(mut row) = tx.get::<DeviceRow>(&place)? else { return Ok(false) };
    let Some(code) = row.pending else { return Ok(false) };
    let posted = post(tx, domain, code, key)?;
    row.pending = None;
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
        let skip: HashSet<&str> = skip.iter().map(Code::expose).collect();
        self.kv.read(|snapshot| {
            let mut taken = Vec::new();
            for member in snapshot.members(&keys::mailbox(domain), snapshot.now.0) {
                if taken.len() >= limit {
                    break;
                }
                let member = member?;
                let Ok(code) = Code::parse(&member) else { continue };
                let Some(row) = snapshot.get::<MailRow>(&keys::mail(domain, code))? else { continue };
                let wanted = !skip.contains(&*member);
                if wanted && self.memory.lease(domain, code, row.holder.as_ref(), node, lease, snapshot.now) {
                    taken.push(row.about.notice(code, row.device, row.port, row.holder));
                }
            }
            Ok(taken)
        })
    }

    async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()> {
        let now = self.kv.now();
        let ours: Vec<Code> =
            codes.iter().copied().filter(|code| self.memory.end_notice_lease(domain, *code, node, now)).collect();
        let (domain, node) = (domain.clone(), node.clone());
        self.kv
            .write(move |tx| {
                for code in ours {
                    let key = keys::mail(&domain, code);
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
        let (of, settled) = (domain.clone(), codes.to_vec());
        self.kv
            .write(move |tx| {
                for code in settled {
                    tx.remove(&keys::mail(&of, code))?;
                    tx.unrank(&keys::mailbox(&of), code.expose())?;
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
