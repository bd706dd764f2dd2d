//! Roll-outs of the Users role: a list of persons, each of whom gets a phone request.
//!
//! The roll-outs of an operator, which are lists of codes, are in `rollouts.rs`.

use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::users_role::{Person, RequestId, Row, UsersRoleRollout};
use crate::store::Result;
use crate::store::observed::store_trait;

store_trait! {
    /// Roll-outs of the Users role. Each is kept for 30 days.
    pub trait UsersRoleRollouts: Send + Sync {
        /// Begins a roll-out without rows.
        async fn begin_users_role_rollout(
            &self,
            domain: &DomainName,
            name: &str,
            category: &str,
            app: &str,
            users: u64,
        ) -> Result<UsersRoleRollout> => UsersRoleRollout;

        /// Adds rows without requests from row `from` on; existing ones stay. False if there is no such roll-out.
        async fn add_users_role_rollout_rows(
            &self,
            domain: &DomainName,
            id: RolloutId,
            from: u64,
            people: &[Person],
        ) -> Result<bool> => UsersRoleRollout;

        /// Sets the request of a row, if it is `before` now. True if the row has the new request afterwards.
        async fn set_row_request(
            &self,
            domain: &DomainName,
            id: RolloutId,
            number: u64,
            before: Option<&RequestId>,
            request: &RequestId,
        ) -> Result<bool> => UsersRoleRollout;

        /// All roll-outs of a domain, newest first.
        async fn users_role_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> => UsersRoleRollout;

        /// Up to `limit` rows from row `from` on; `None` if there is no such roll-out.
        async fn users_role_rollout_rows(
            &self,
            domain: &DomainName,
            id: RolloutId,
            from: u64,
            limit: usize,
        ) -> Result<Option<Vec<Row>>> => UsersRoleRollout;

        /// Removes a roll-out; its requests stay. False if there is none.
        async fn remove_users_role_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> => UsersRoleRollout;
    }
}
