//! The audit log: what accounts have changed.

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
    /// The audit log: one list of everything, and one of each domain.
    pub trait AuditLog: Send + Sync {
        /// Appends an action to the list of everything, and to that of its domain. `mark` identifies it: appended
        /// again with the same mark, it counts once.
        async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> => AppendAudit;

        /// Up to `limit` entries, newest first, from behind `before`: those of a domain, or all.
        async fn audit_entries(
            &self,
            domain: Option<&DomainName>,
            before: Option<(UnixMillis, &str)>,
            limit: usize,
        ) -> Result<Vec<AuditEntry>> => Audit;
    }
}
