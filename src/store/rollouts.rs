//! Roll-outs of an operator: a list of users, each with a code of long validity.
//!
//! The roll-outs of the Users role, which follow requests for phones, are in `users_role/rollouts.rs`.

use serde::{Deserialize, Serialize};

use super::Result;
use super::observed::store_trait;
use crate::core::model::device::CodeState;
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
    /// When it was created.
    pub created: UnixMillis,
    /// How many users it was created for.
    pub users: u64,
    /// How many of them have their code; fewer than `users` while it is being created, or if that was interrupted.
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

store_trait! {
    /// Roll-outs of a domain. Each is kept for 30 days.
    pub trait Rollouts: Send + Sync {
        /// Begins a roll-out without rows for so many users. It is kept for 30 days, as long as the state of its
        /// codes is known.
        async fn begin_rollout(
            &self,
            domain: &DomainName,
            name: &str,
            category: CategoryId,
            users: u64,
        ) -> Result<Rollout> => BeginRollout;

        /// Appends rows to a roll-out; the first one has the number `from`, counted from 0. Existing rows stay. False
        /// if there is no such roll-out.
        async fn add_rollout_rows(
            &self,
            domain: &DomainName,
            id: RolloutId,
            from: u64,
            rows: &[RolloutRow],
        ) -> Result<bool> => AddRolloutRows;

        /// All roll-outs of a domain, newest first.
        async fn rollouts(&self, domain: &DomainName) -> Result<Vec<Rollout>> => Rollouts;

        /// Up to `limit` rows of a roll-out from row number `from` on, with the state of the code (`None`: it has
        /// expired or was revoked). `None` if there is no such roll-out.
        async fn rollout_rows(
            &self,
            domain: &DomainName,
            id: RolloutId,
            from: u64,
            limit: usize,
        ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>> => RolloutRows;

        /// Removes a roll-out; its codes stay as they are. False if there is none.
        async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> => RemoveRollout;
    }
}
