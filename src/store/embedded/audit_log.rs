//! The audit log in the file: a row for each entry, and indexes by time for everything and for each domain.

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::accounts::{AuditAction, AuditEntry};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::store::audit_log::merged;
use crate::store::{AUDIT_KEPT, AuditLog, MAX_AUDIT_ENTRIES, Result};

#[async_trait]
impl AuditLog for Embedded {
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> {
        let (mark, action) = (mark.to_owned(), action.clone());
        self.kv
            .write(move |tx| {
                let row = keys::action(&mark);
                if tx.has(&row)? {
                    return Ok(());
                }
                tx.put(&row, &action, Some(tx.now + AUDIT_KEPT))?;
                let lists = [
                    Some(keys::AUDIT.to_owned()),
                    action.domain.as_ref().map(keys::audit_entries),
                    action.is_of_instance().then(|| keys::AUDIT_INSTANCE.to_owned()),
                ];
                lists.iter().flatten().try_for_each(|list| add(tx, list, &mark))
            })
            .await
    }

    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let read = |list: &str| {
            self.kv.read(|snapshot| {
                let mut found = Vec::new();
                for ranked in snapshot.members_before(list, before.map(|(at, mark)| (at.0, mark))) {
                    let (at, mark) = ranked?;
                    // If the row of an entry has expired, those of all earlier entries have too.
                    let Some(action) = snapshot.get::<AuditAction>(&keys::action(&mark))? else { break };
                    found.push(AuditEntry { at: UnixMillis(at), mark: mark.into(), action });
                    if found.len() == limit {
                        break;
                    }
                }
                Ok(found)
            })
        };
        match domain {
            Some(domain) => read(&keys::audit_entries(domain)),
            None => Ok(merged(read(keys::AUDIT)?, read(keys::AUDIT_INSTANCE)?, limit)),
        }
    }
}

fn add(tx: &mut Tx<'_>, list: &str, mark: &str) -> Outcome<()> {
    let over = (tx.now - AUDIT_KEPT).0;
    for old in tx.members_until(list, over, 16)? {
        tx.unrank(list, &old)?;
    }
    tx.rank(list, tx.now.0, mark)?;
    if tx.size(list)? > MAX_AUDIT_ENTRIES as u64
        && let Some(oldest) = tx.members_until(list, u64::MAX, 1)?.first()
    {
        tx.unrank(list, oldest)?;
    }
    Ok(())
}
