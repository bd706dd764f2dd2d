//! Roll-outs: one code for each of many users. The list of users is stored before the first code is requested; the
//! codes are then requested by whichever node has the turn, also after a restart.

use super::code_request::{ask_code, request_details};
use super::error::{Result, UsersRoleError};
use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::users_role::{Person, PhoneRequest, Row, UsersRoleRollout};
use crate::users_role::service::UsersRole;

/// Largest number of users in a roll-out.
pub const MAX_USERS: usize = 100_000;

impl UsersRole {
    /// Begins a roll-out. Category and app may be empty if there is only one of them. The codes are requested in the
    /// background; [`UsersRoleRollout::made`] counts them.
    pub async fn begin_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: &[Person],
    ) -> Result<UsersRoleRollout> {
        let tenant = self.tenant(domain)?;
        if users.is_empty() {
            return Err(UsersRoleError::NotFound("user"));
        }
        if users.len() > MAX_USERS {
            return Err(UsersRoleError::Conflict("more than 100 000 users in one roll-out"));
        }
        let (category, app) = self.choose(domain, category, app).await?;
        let rollout = tenant.store.begin_users_role_rollout(domain, name, &category, &app, users.len() as u64).await?;
        if !tenant.store.add_users_role_rollout_rows(domain, rollout.id, 0, users).await? {
            return Err(UsersRoleError::NotFound("roll-out"));
        }
        tenant.rollouts.notify_one();
        Ok(UsersRoleRollout { rows: users.len() as u64, ..rollout })
    }

    /// All roll-outs of a domain, newest first.
    pub async fn rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        Ok(self.tenant(domain)?.store.users_role_rollouts(domain).await?)
    }

    /// One roll-out.
    pub async fn rollout(&self, domain: &DomainName, id: RolloutId) -> Result<UsersRoleRollout> {
        let all = self.rollouts(domain).await?;
        all.into_iter().find(|rollout| rollout.id == id).ok_or(UsersRoleError::NotFound("roll-out"))
    }

    /// Up to `limit` rows, starting at `from`.
    pub async fn rows(&self, domain: &DomainName, id: RolloutId, from: u64, limit: usize) -> Result<Vec<Row>> {
        let rows = self.tenant(domain)?.store.users_role_rollout_rows(domain, id, from, limit).await?;
        rows.ok_or(UsersRoleError::NotFound("roll-out"))
    }

    /// Requests a new code for the user of a row; an open one is revoked first.
    pub async fn reissue(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<PhoneRequest> {
        let tenant = self.tenant(domain)?;
        let rollout = self.rollout(domain, id).await?;
        let row = self.row(domain, id, number).await?;
        if let Some(request) = &row.request {
            if request.phone.is_some() {
                return Err(UsersRoleError::Conflict("a phone has used the code of this user"));
            }
            if !request.progress.is_final() && !self.cancel(domain, &request.id).await? {
                return Err(UsersRoleError::Conflict("a phone has used the code of this user"));
            }
        }
        let request_details = request_details(domain, &rollout, &row);
        let request = ask_code(&tenant.link, &request_details, tenant.store.now().await?).await?;
        tenant.store.put_requests(domain, std::slice::from_ref(&request)).await?;
        if !tenant.store.set_row_request(domain, id, number, row.id.as_ref(), &request.id).await? {
            // The row was given another code concurrently; this one is not needed.
            let _ = self.cancel(domain, &request.id).await;
            return Err(UsersRoleError::Conflict("the user has been given another code meanwhile"));
        }
        tenant.intake.changes.publish(&request);
        Ok(request)
    }

    /// Revokes the code of a row. False if it has none that can be revoked.
    pub async fn cancel_row(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<bool> {
        match self.row(domain, id, number).await?.request {
            Some(request) => self.cancel(domain, &request.id).await,
            None => Ok(false),
        }
    }

    /// Removes a roll-out. Its codes stay valid.
    pub async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        Ok(self.tenant(domain)?.store.remove_users_role_rollout(domain, id).await?)
    }

    async fn row(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<Row> {
        self.rows(domain, id, number, 1).await?.pop().ok_or(UsersRoleError::NotFound("row"))
    }
}
