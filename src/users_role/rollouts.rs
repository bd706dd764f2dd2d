//! Phones for many users at once. The list of users is in the store before the first code is made; `rollout_codes` makes the
//! codes.

use super::code_request::{ask_code, wanted};
use super::error::{Result, UsersRoleError};
use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::users_role::{PeopleRollout, Person, PhoneRequest, Row};
use crate::users_role::service::UsersRole;

/// Users of one roll-out at most.
pub const MAX_USERS: usize = 100_000;

impl UsersRole {
    /// Begins a roll-out, in a category and with an app that may be empty if there is only one. The codes are made behind this:
    /// [`PeopleRollout::made`] says how many there are.
    pub async fn begin_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: &[Person],
    ) -> Result<PeopleRollout> {
        let tenant = self.tenant(domain)?;
        if users.is_empty() {
            return Err(UsersRoleError::NotFound("user"));
        }
        if users.len() > MAX_USERS {
            return Err(UsersRoleError::Conflict("more than 100 000 users in one roll-out"));
        }
        let (category, app) = self.choose(domain, category, app).await?;
        let rollout = tenant.store.begin_people_rollout(domain, name, &category, &app, users.len() as u64).await?;
        if !tenant.store.add_people_rollout_rows(domain, rollout.id, 0, users).await? {
            return Err(UsersRoleError::NotFound("roll-out"));
        }
        tenant.rollouts.notify_one();
        Ok(PeopleRollout { rows: users.len() as u64, ..rollout })
    }

    /// All roll-outs of a domain, newest first.
    pub async fn rollouts(&self, domain: &DomainName) -> Result<Vec<PeopleRollout>> {
        Ok(self.tenant(domain)?.store.people_rollouts(domain).await?)
    }

    /// One of them.
    pub async fn rollout(&self, domain: &DomainName, id: RolloutId) -> Result<PeopleRollout> {
        let all = self.rollouts(domain).await?;
        all.into_iter().find(|rollout| rollout.id == id).ok_or(UsersRoleError::NotFound("roll-out"))
    }

    /// Up to `limit` rows from row `from` on.
    pub async fn rows(&self, domain: &DomainName, id: RolloutId, from: u64, limit: usize) -> Result<Vec<Row>> {
        let rows = self.tenant(domain)?.store.people_rollout_rows(domain, id, from, limit).await?;
        rows.ok_or(UsersRoleError::NotFound("roll-out"))
    }

    /// Gives the user of a row a new code; an open one is taken back first.
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
        let wanted = wanted(domain, &rollout, &row);
        let request = ask_code(&tenant.link, &wanted, tenant.store.now().await?).await?;
        tenant.store.put_requests(domain, std::slice::from_ref(&request)).await?;
        if !tenant.store.set_row_request(domain, id, number, row.id.as_ref(), &request.id).await? {
            // Somebody was faster; this code is no use to anybody.
            let _ = self.cancel(domain, &request.id).await;
            return Err(UsersRoleError::Conflict("the user has been given another code meanwhile"));
        }
        tenant.placing.teller.tell(&request);
        Ok(request)
    }

    /// Takes the code of a row back. False if there is none that can be.
    pub async fn cancel_row(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<bool> {
        match self.row(domain, id, number).await?.request {
            Some(request) => self.cancel(domain, &request.id).await,
            None => Ok(false),
        }
    }

    /// Forgets a roll-out. Its codes stay what they are.
    pub async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        Ok(self.tenant(domain)?.store.remove_people_rollout(domain, id).await?)
    }

    async fn row(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<Row> {
        self.rows(domain, id, number, 1).await?.pop().ok_or(UsersRoleError::NotFound("row"))
    }
}
