//! Phones for many users at once. The list of users is in the store before the first code is made; then the codes are made, by
//! whichever node has the turn, also after a restart in the middle of it.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::error::{Result, UsersRoleError};
use super::tenant::TenantShared;
use crate::core::model::ids::{DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    EntryState, PeopleRollout, Person, PersonId, PhoneRequest, Progress, RequestId, Row,
};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::metrics::{self, Counter, RequestEvent};
use crate::random;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::Placing;
use crate::users_role::service::UsersRole;

/// Users of one roll-out at most.
pub const MAX_USERS: usize = 100_000;

/// Rows that are looked at together.
const PAGE: usize = 500;
/// Codes that are asked for at the same time.
const TOGETHER: usize = 100;
/// How often it is looked for roll-outs that lack codes, beside being woken.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// When Devices cannot be asked or asks for patience.
const WAIT: Duration = Duration::from_secs(2);
/// The turn at one roll-out, taken again for each page.
const TURN: Duration = Duration::from_secs(120);

/// For whom a phone is wanted, and which.
pub(super) struct Wanted<'a> {
    pub domain: &'a DomainName,
    pub person: &'a PersonId,
    pub sip: &'a str,
    pub name: &'a str,
    pub category: &'a str,
    pub app: &'a str,
    pub rollout: Option<RolloutId>,
}

/// Asks Devices for a code; the request is not kept yet.
pub(super) async fn ask_code(
    link: &Link,
    wanted: &Wanted<'_>,
    now: UnixMillis,
) -> std::result::Result<PhoneRequest, AskError> {
    let ask = Ask::Code {
        category: wanted.category.into(),
        sip: Some(wanted.sip).filter(|sip| !sip.is_empty()).map(Into::into),
        rollout: wanted.rollout.is_some(),
    };
    let Answer::Code { code, valid_until } = link.ask(ask).await? else { return Err(AskError::Malformed) };
    metrics::count(Counter::Request(RequestEvent::Asked));
    let mut id = [0; 16];
    random::fill(&mut id);
    Ok(PhoneRequest {
        id: RequestId::new(id),
        domain: wanted.domain.clone(),
        person: wanted.person.clone(),
        sip: wanted.sip.into(),
        name: wanted.name.into(),
        category: wanted.category.into(),
        app: wanted.app.into(),
        code,
        asked: now,
        valid_until: UnixMillis::from_seconds(valid_until),
        rollout: wanted.rollout,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    })
}

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

fn wanted<'a>(domain: &'a DomainName, rollout: &'a PeopleRollout, row: &'a Row) -> Wanted<'a> {
    Wanted {
        domain,
        person: &row.person,
        sip: &row.sip,
        name: &row.name,
        category: &rollout.category,
        app: &rollout.app,
        rollout: Some(rollout.id),
    }
}

/// Makes the codes that roll-outs of one tenant lack, until it is dropped.
pub(super) async fn make_codes(shared: std::sync::Arc<TenantShared>, node: NodeId) {
    let placing = &shared.placing;
    loop {
        let all = placing.store.people_rollouts(&placing.domain).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "roll-outs were not looked at");
            Vec::new()
        });
        let mut wait = LOOK_EVERY;
        for rollout in all.iter().filter(|rollout| rollout.made < rollout.rows) {
            if let Err(error) = make(&shared.link, placing, rollout, &node).await {
                tracing::warn!(domain = %placing.domain, rollout = rollout.id.0, %error, "roll-out waits");
                wait = WAIT;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.rollouts.notified() => {}
        }
    }
}

async fn make(link: &Link, placing: &Placing, rollout: &PeopleRollout, node: &NodeId) -> Result<()> {
    let (store, domain, what) = (&placing.store, &placing.domain, format!("rollout {}", rollout.id.0));
    let mut from = 0;
    while store.take_turn(domain, &what, node, TURN).await? {
        let Some(rows) = store.people_rollout_rows(domain, rollout.id, from, PAGE).await? else { return Ok(()) };
        if rows.is_empty() {
            break;
        }
        from += rows.len() as u64;
        let now = store.now().await?;
        let without: Vec<Row> = rows.into_iter().filter(|row| row.id.is_none()).collect();
        let made = stream::iter(without).map(|row| async move {
            let request = ask_code(link, &wanted(domain, rollout, &row), now).await;
            request.map(|request| (row.number, request))
        });
        let (mut fresh, mut failed) = (Vec::new(), None);
        for outcome in made.buffered(TOGETHER).collect::<Vec<_>>().await {
            match outcome {
                Ok(made) => fresh.push(made),
                Err(error) => failed = Some(error),
            }
        }
        let requests: Vec<PhoneRequest> = fresh.iter().map(|(_, request)| request.clone()).collect();
        store.put_requests(domain, &requests).await?;
        let given = stream::iter(&fresh)
            .map(|(number, request)| store.set_row_request(domain, rollout.id, *number, None, &request.id));
        for outcome in given.buffered(TOGETHER).collect::<Vec<_>>().await {
            outcome?;
        }
        for (_, request) in &fresh {
            placing.teller.tell(request);
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    store.end_turn(domain, &what, node).await?;
    Ok(())
}
