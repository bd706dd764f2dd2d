//! Roll-outs: one code for each of many users. The list of users is stored before the first code is requested; the
//! codes are then requested by whichever node has the turn, also after a restart.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::error::{Result, UsersRoleError};
use super::tenant::TenantShared;
use crate::core::model::ids::{DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    EntryState, Person, PersonId, PhoneRequest, Progress, RequestId, Row, UsersRoleRollout,
};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::metrics::{self, Counter, RequestEvent};
use crate::random;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::OrderIntake;
use crate::users_role::service::UsersRole;

/// Largest number of users in a roll-out.
pub const MAX_USERS: usize = 100_000;

/// Rows read per page.
const PAGE: usize = 500;
/// Concurrent code requests.
const CONCURRENT: usize = 100;
/// Poll interval for roll-outs that lack codes, in addition to being woken.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// Delay when Devices cannot be reached or limits the rate.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long a node keeps its turn at a roll-out; renewed for each page.
const TURN: Duration = Duration::from_secs(120);

/// The contents of a new phone request.
pub(super) struct RequestDetails<'a> {
    pub domain: &'a DomainName,
    pub person: &'a PersonId,
    pub sip: &'a str,
    pub name: &'a str,
    pub category: &'a str,
    pub app: &'a str,
    pub rollout: Option<RolloutId>,
}

/// Requests a code from Devices; the phone request is not stored yet.
pub(super) async fn ask_code(
    link: &Link,
    request_details: &RequestDetails<'_>,
    now: UnixMillis,
) -> std::result::Result<PhoneRequest, AskError> {
    let ask = Ask::Code {
        category: request_details.category.into(),
        sip: Some(request_details.sip).filter(|sip| !sip.is_empty()).map(Into::into),
        rollout: request_details.rollout.is_some(),
    };
    let Answer::Code { code, valid_until } = link.ask(ask).await? else { return Err(AskError::Malformed) };
    metrics::count(Counter::Request(RequestEvent::Asked));
    let mut id = [0; 16];
    random::fill(&mut id);
    Ok(PhoneRequest {
        id: RequestId::new(id),
        domain: request_details.domain.clone(),
        person: request_details.person.clone(),
        sip: request_details.sip.into(),
        name: request_details.name.into(),
        category: request_details.category.into(),
        app: request_details.app.into(),
        code,
        asked: now,
        valid_until: UnixMillis::from_seconds(valid_until),
        rollout: request_details.rollout,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    })
}

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
        let rollout = tenant.store.begin_people_rollout(domain, name, &category, &app, users.len() as u64).await?;
        if !tenant.store.add_people_rows(domain, rollout.id, 0, users).await? {
            return Err(UsersRoleError::NotFound("roll-out"));
        }
        tenant.rollouts.notify_one();
        Ok(UsersRoleRollout { rows: users.len() as u64, ..rollout })
    }

    /// All roll-outs of a domain, newest first.
    pub async fn rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        Ok(self.tenant(domain)?.store.people_rollouts(domain).await?)
    }

    /// One roll-out.
    pub async fn rollout(&self, domain: &DomainName, id: RolloutId) -> Result<UsersRoleRollout> {
        let all = self.rollouts(domain).await?;
        all.into_iter().find(|rollout| rollout.id == id).ok_or(UsersRoleError::NotFound("roll-out"))
    }

    /// Up to `limit` rows, starting at `from`.
    pub async fn rows(&self, domain: &DomainName, id: RolloutId, from: u64, limit: usize) -> Result<Vec<Row>> {
        let rows = self.tenant(domain)?.store.people_rows(domain, id, from, limit).await?;
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
        if !tenant.store.give_row(domain, id, number, row.id.as_ref(), &request.id).await? {
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
        Ok(self.tenant(domain)?.store.remove_people_rollout(domain, id).await?)
    }

    async fn row(&self, domain: &DomainName, id: RolloutId, number: u64) -> Result<Row> {
        self.rows(domain, id, number, 1).await?.pop().ok_or(UsersRoleError::NotFound("row"))
    }
}

fn request_details<'a>(domain: &'a DomainName, rollout: &'a UsersRoleRollout, row: &'a Row) -> RequestDetails<'a> {
    RequestDetails {
        domain,
        person: &row.person,
        sip: &row.sip,
        name: &row.name,
        category: &rollout.category,
        app: &rollout.app,
        rollout: Some(rollout.id),
    }
}

/// Requests the missing codes of all roll-outs of one tenant, until dropped.
pub(super) async fn make_codes(shared: std::sync::Arc<TenantShared>, node: NodeId) {
    let intake = &shared.intake;
    loop {
        let all = intake.store.people_rollouts(&intake.domain).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "roll-outs not read");
            Vec::new()
        });
        let mut wait = POLL_EVERY;
        for rollout in all.iter().filter(|rollout| rollout.made < rollout.rows) {
            if let Err(error) = make_missing_codes(&shared.link, intake, rollout, &node).await {
                tracing::warn!(domain = %intake.domain, rollout = rollout.id.0, %error, "roll-out paused");
                wait = RETRY_AFTER;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.rollouts.notified() => {}
        }
    }
}

async fn make_missing_codes(
    link: &Link,
    intake: &OrderIntake,
    rollout: &UsersRoleRollout,
    node: &NodeId,
) -> Result<()> {
    let (store, domain, what) = (&intake.store, &intake.domain, format!("rollout {}", rollout.id.0));
    let mut from = 0;
    while store.take_turn(domain, &what, node, TURN).await? {
        let Some(rows) = store.people_rows(domain, rollout.id, from, PAGE).await? else { return Ok(()) };
        if rows.is_empty() {
            break;
        }
        from += rows.len() as u64;
        let now = store.now().await?;
        let without: Vec<Row> = rows.into_iter().filter(|row| row.id.is_none()).collect();
        let made = stream::iter(without).map(|row| async move {
            let request = ask_code(link, &request_details(domain, rollout, &row), now).await;
            request.map(|request| (row.number, request))
        });
        let (mut fresh, mut failed) = (Vec::new(), None);
        for outcome in made.buffered(CONCURRENT).collect::<Vec<_>>().await {
            match outcome {
                Ok(made) => fresh.push(made),
                Err(error) => failed = Some(error),
            }
        }
        let requests: Vec<PhoneRequest> = fresh.iter().map(|(_, request)| request.clone()).collect();
        store.put_requests(domain, &requests).await?;
        let given = stream::iter(&fresh)
            .map(|(number, request)| store.give_row(domain, rollout.id, *number, None, &request.id));
        for outcome in given.buffered(CONCURRENT).collect::<Vec<_>>().await {
            outcome?;
        }
        for (_, request) in &fresh {
            intake.changes.publish(request);
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    store.end_turn(domain, &what, node).await?;
    Ok(())
}
