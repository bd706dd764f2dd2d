//! The audit log on Redis: an index by time for everything, and one for each domain.

use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::accounts::{AuditAction, AuditEntry};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::store::audit_log::merged;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::{AUDIT_KEPT, AuditLog, MAX_AUDIT_ENTRIES, Result};

static NOTE: LazyScript = script!("audit_append");
static AUDIT: LazyScript = script!("audit_entries");

#[async_trait]
impl AuditLog for Redis {
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> {
        let line = format!("{mark} {}", to_json(action));
        let lists = [
            Some(keys::AUDIT.to_owned()),
            action.domain.as_ref().map(keys::audit_entries),
            action.is_of_instance().then(|| keys::AUDIT_INSTANCE.to_owned()),
        ];
        // The same time in each, so that lists can be merged.
        let mut at = None;
        for list in lists.into_iter().flatten() {
            let mut script = NOTE.key(list);
            script.arg(&line).arg(millis(AUDIT_KEPT)).arg(MAX_AUDIT_ENTRIES);
            if let Some(at) = at {
                script.arg(at);
            }
            at = Some(self.client.timed(self.client.eval::<u64>(&script)).await?);
        }
        Ok(())
    }

    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        match domain {
            Some(domain) => self.read_audit(keys::audit_entries(domain), before, limit).await,
            None => {
                let everything = self.read_audit(keys::AUDIT.to_owned(), before, limit).await?;
                Ok(merged(everything, self.read_audit(keys::AUDIT_INSTANCE.to_owned(), before, limit).await?, limit))
            }
        }
    }
}

impl Redis {
    async fn read_audit(
        &self,
        list: String,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let mut script = AUDIT.key(&list);
        match before {
            Some((at, mark)) => script.arg(at.0).arg(mark),
            None => script.arg("").arg(""),
        };
        script.arg(limit).arg(millis(AUDIT_KEPT));
        let found: Vec<(String, u64)> = self.client.timed(self.client.eval(&script)).await?;
        let action = |(line, at): &(String, u64)| {
            let (mark, action) = line.split_once(' ').ok_or_else(|| corrupt(&list, &"no mark"))?;
            Ok(AuditEntry { at: UnixMillis(*at), mark: mark.into(), action: from_json(&list, action.as_bytes())? })
        };
        found.iter().map(action).collect()
    }
}
