//! Codes as operators see them: lists, revocation, roll-outs.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::core::model::device::{CodeState, IssuedCode};
use crate::core::model::ids::{CategoryId, Code, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;

/// A roll-out: one code for each of many users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Number.
    pub id: RolloutId,
    /// Name given by the operator.
    pub name: Box<str>,
    /// The category that its devices enter.
    pub category: CategoryId,
    /// When it was made.
    pub created: UnixMillis,
    /// How many users it was made for.
    pub users: u64,
    /// How many of them have their code; less than `users` while it is being made, or if it was broken off.
    pub rows: u64,
}

/// One user of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRow {
    /// SIP name of the user.
    pub sip: Box<str>,
    /// Name to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The code of the user.
    pub code: Code,
    /// End of its validity.
    pub valid_until: UnixMillis,
}

/// A code in a list.
#[derive(Debug, Clone)]
pub struct CodeListing {
    /// The code.
    pub code: IssuedCode,
    /// When it was issued, on the clock of the store.
    pub issued: UnixMillis,
}

/// Codes as operators see them: lists, revocation, roll-outs.
#[async_trait]
pub trait CodeBook: Send + Sync {
    /// Up to `limit` codes of a domain, newest first and at the same time the greater one first; only those that come after
    /// `before` in this order. Fewer than `limit` are the last ones.
    async fn codes(
        &self,
        domain: &DomainName,
        before: Option<(UnixMillis, Code)>,
        limit: usize,
    ) -> Result<Vec<CodeListing>>;

    /// Ends an open code. False if there is no such open code in this domain.
    async fn revoke_code(&self, domain: &DomainName, code: Code) -> Result<bool>;

    /// Begins a roll-out without rows for so many users. It is kept for 30 days, so what becomes of its codes is known as long
    /// as it is there.
    async fn begin_rollout(&self, domain: &DomainName, name: &str, category: CategoryId, users: u64)
    -> Result<Rollout>;

    /// Appends rows to a roll-out; the first one has the number `from`, counted from 0, and those that are there already stay.
    /// False if there is no such roll-out.
    async fn add_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        rows: &[RolloutRow],
    ) -> Result<bool>;

    /// All roll-outs of a domain, newest first.
    async fn rollouts(&self, domain: &DomainName) -> Result<Vec<Rollout>>;

    /// Up to `limit` rows of a roll-out from row number `from` on, with what has become of the code (`None`: it has expired or
    /// was revoked). `None` if there is no such roll-out.
    async fn rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>>;

    /// Forgets a roll-out; its codes stay what they are. False if there is none.
    async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool>;
}
