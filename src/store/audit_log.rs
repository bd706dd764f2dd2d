//! The audit log: what was changed, and by whom.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use crate::core::model::accounts::{AuditAction, AuditEntry};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;

/// An entry is listed this long.
pub const AUDIT_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// Upper limit of entries of one list; a new one replaces the oldest.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;

store_trait! {
    /// The audit log: one list of everything, one of each domain, and one of what is of the instance
    /// ([`AuditAction::is_of_instance`]). Each has its own limit, so that whoever fills the list of a domain, and that of
    /// everything, pushes nothing out of the others.
    pub trait AuditLog: Send + Sync {
        /// Appends an action to the lists that it belongs to. `mark` identifies it: appended
        /// again with the same mark, it counts once.
        async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> => AppendAudit;

        /// Up to `limit` entries, newest first, from behind `before`: those of a domain, or all, that is, those of the
        /// instance and of everything.
        async fn audit_entries(
            &self,
            domain: Option<&DomainName>,
            before: Option<(UnixMillis, &str)>,
            limit: usize,
        ) -> Result<Vec<AuditEntry>> => Audit;
    }
}

/// Merges two lists, newest first; what is in both is there once.
pub(super) fn merged(one: Vec<AuditEntry>, other: Vec<AuditEntry>, limit: usize) -> Vec<AuditEntry> {
    let mut all = one;
    all.extend(other);
    all.sort_by(|a, b| (b.at, &b.mark).cmp(&(a.at, &a.mark)));
    all.dedup_by(|a, b| a.mark == b.mark);
    all.truncate(limit);
    all
}
