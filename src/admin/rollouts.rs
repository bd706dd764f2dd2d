//! Roll-outs of operators: one code for each of many users.
//!
//! The list of users is checked before any code is issued. The codes are issued in batches, and every batch is stored
//! in the roll-out before the next one starts. If a batch fails, the roll-out has fewer rows than users. All issued
//! codes are in the roll-out and can be revoked with it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::codes::{category, operator};
use super::{Admin, AdminError, Authority, Result, record, still};
use crate::admin::services::Services;
use crate::core::model::device::{CodeState, Domain};
use crate::core::model::ids::{Code, RolloutId};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::directory::DirectoryError;
use crate::registration::{CodeRequest, NewCode, NoCode};
use crate::store::{Rollout, RolloutRow};

/// Most users of one roll-out.
pub const MAX_USERS: u64 = 100_000;

/// Users per batch.
const BATCH: usize = 500;

/// Codes that are issued concurrently: enough for the store to commit many at once.
const CONCURRENT: usize = 250;

/// How often a request to a rate-limiting directory is repeated, and the longest delay before each repetition.
const DIRECTORY_RETRIES: (u32, Duration) = (30, Duration::from_secs(5));

/// One user of a roll-out that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// SIP name.
    pub sip: Box<str>,
    /// Displayed name.
    pub name: Option<Box<str>>,
}

/// A roll-out that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewRollout<'a> {
    /// Its name.
    pub name: &'a str,
    /// Name or number of the category.
    pub category: &'a str,
    /// The devices get the administrative password of the domain, if that hands one out.
    pub administrative: bool,
}

/// Iterator over the users of a roll-out.
pub type Users = Box<dyn Iterator<Item = Result<User>> + Send>;

/// A roll-out that is being made.
pub struct RolloutRun {
    services: Arc<Services>,
    authority: Authority,
    domain: Arc<Domain>,
    rollout: Rollout,
    administrative: bool,
    users: Users,
}

/// A batch of rows whose codes were issued.
#[derive(Debug)]
pub struct Batch {
    /// The rows, stored in the roll-out. Empty: the roll-out is complete, or it has failed.
    pub rows: Vec<RolloutRow>,
    /// Why the roll-out was broken off after these rows.
    pub failed: Option<AdminError>,
}

impl Admin {
    /// Starts a roll-out for these users.
    pub async fn begin_rollout(
        &self,
        authority: &Authority,
        domain: &Arc<Domain>,
        wanted: &NewRollout<'_>,
        (count, users): (u64, Users),
    ) -> Result<RolloutRun> {
        self.still(authority, domain)?;
        let category = category(domain, wanted.category)?.id;
        let rollout = self.services.store.begin_rollout(&domain.name, wanted.name, category, count).await?;
        let (services, domain) = (Arc::clone(&self.services), Arc::clone(domain));
        let administrative = wanted.administrative;
        Ok(RolloutRun { services, authority: authority.clone(), domain, rollout, administrative, users })
    }

    /// All roll-outs of a domain, newest first.
    pub async fn rollouts(&self, authority: &Authority, named: &str) -> Result<(Arc<Domain>, Vec<Rollout>)> {
        let domain = self.domain(authority, named).await?;
        let all = self.services.store.rollouts(&domain.name).await?;
        Ok((domain, all))
    }

    /// A roll-out.
    pub async fn rollout(&self, authority: &Authority, named: &str, id: RolloutId) -> Result<(Arc<Domain>, Rollout)> {
        let (domain, all) = self.rollouts(authority, named).await?;
        let found = all.into_iter().find(|rollout| rollout.id == id);
        Ok((domain, found.ok_or(AdminError::NotFound("roll-out"))?))
    }

    /// Up to `limit` rows of a roll-out.
    pub async fn rollout_rows(
        &self,
        authority: &Authority,
        domain: &Domain,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(RolloutRow, Option<CodeState>)>> {
        self.still(authority, domain)?;
        let rows = self.services.store.rollout_rows(&domain.name, id, from, limit).await?;
        rows.ok_or(AdminError::NotFound("roll-out"))
    }

    /// Deletes a roll-out, after revoking its open codes if `revoke` is set. Returns how many were revoked.
    pub async fn remove_rollout(&self, authority: &Authority, named: &str, id: RolloutId, revoke: bool) -> Result<u64> {
        let (domain, rollout) = self.rollout(authority, named, id).await?;
        let revoked = if revoke { self.revoke_rollout(authority, &domain, id).await? } else { 0 };
        let removed = self.services.store.remove_rollout(&domain.name, id).await?;
        if removed || revoked > 0 {
            self.record(authority, "rollout.remove", &rollout.name, Some(&domain.name)).await;
        }
        if removed { Ok(revoked) } else { Err(AdminError::NotFound("roll-out")) }
    }

    async fn revoke_rollout(&self, authority: &Authority, domain: &Domain, id: RolloutId) -> Result<u64> {
        let (mut revoked, mut from) = (0, 0);
        loop {
            let rows = self.rollout_rows(authority, domain, id, from, BATCH).await?;
            let open = rows.iter().filter(|(_, state)| *state == Some(CodeState::Open));
            revoked += revoke_all(&self.services, domain, open.map(|(row, _)| row.code).collect()).await?;
            from += rows.len() as u64;
            if rows.len() < BATCH {
                return Ok(revoked);
            }
        }
    }
}

async fn revoke_all(services: &Services, domain: &Domain, codes: Vec<Code>) -> Result<u64> {
    let mut outcomes =
        stream::iter(codes).map(|code| services.registration.revoke(&domain.name, code)).buffer_unordered(CONCURRENT);
    let mut revoked = 0;
    while let Some(outcome) = outcomes.next().await {
        revoked += u64::from(outcome?);
    }
    Ok(revoked)
}

impl RolloutRun {
    /// The roll-out as it is so far.
    pub const fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// Deletes a roll-out without rows.
    pub async fn abandon(self) {
        if let Err(error) = self.services.store.remove_rollout(&self.domain.name, self.rollout.id).await {
            tracing::debug!(%error, "empty roll-out not deleted");
        }
    }

    /// Issues the codes of the next batch.
    pub async fn next(&mut self) -> Batch {
        if let Err(error) = still(&self.services, &self.authority, &self.domain) {
            return Batch { rows: Vec::new(), failed: Some(error) };
        }
        let mut failed = None;
        let mut users = Vec::with_capacity(BATCH);
        for user in self.users.by_ref().take(BATCH) {
            match user {
                Ok(user) => users.push(user),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let this = &*self;
        let made = stream::iter(users).map(|user| async move {
            let made = this.make(&user).await;
            made.map(|NewCode { code, valid_until, .. }| RolloutRow {
                sip: user.sip,
                name: user.name,
                code,
                valid_until,
            })
        });
        let mut rows = Vec::with_capacity(BATCH);
        for outcome in made.buffered(CONCURRENT).collect::<Vec<_>>().await {
            match outcome {
                Ok(row) => rows.push(row),
                Err(error) => failed = Some(error.into()),
            }
        }
        if let Err(error) = self.add(&rows).await {
            rows.clear();
            failed = Some(error);
        }
        if let Some(error) = &failed {
            tracing::warn!(%error, domain = %self.domain.name, rollout = self.rollout.id.0, "roll-out broken off");
        }
        Batch { rows, failed }
    }

    /// Stores rows in the roll-out, or revokes their codes if that fails.
    async fn add(&mut self, rows: &[RolloutRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (services, domain) = (&self.services, &self.domain.name);
        let added = services.store.add_rollout_rows(domain, self.rollout.id, self.rollout.rows, rows).await;
        if !matches!(added, Ok(true)) {
            let codes = rows.iter().map(|row| row.code).collect();
            // If this fails too, the codes stay in the list of codes until they expire.
            let _ = revoke_all(services, &self.domain, codes).await;
            added?;
            return Err(AdminError::NotFound("roll-out"));
        }
        if self.rollout.rows == 0 {
            record(services, &self.authority, "rollout.begin", &self.rollout.name, Some(domain)).await;
            self.authority.set_recorded();
        }
        self.rollout.rows += rows.len() as u64;
        let subjects = rows.iter().map(|row| Subject::Code(row.code)).collect();
        services.registration.record_event(domain, subjects, TimelineEvent::Issued);
        Ok(())
    }

    async fn make(&self, user: &User) -> std::result::Result<NewCode, NoCode> {
        let request = CodeRequest {
            domain: &self.domain,
            category: self.rollout.category,
            sip: Some(user.sip.clone()),
            requester: operator(),
            holder: None,
            rollout: true,
            administrative: self.administrative,
        };
        let (times, longest) = DIRECTORY_RETRIES;
        for _ in 0..times {
            match self.services.registration.issue_code(&request).await {
                Err(NoCode::Directory(DirectoryError::RateLimited { retry_after })) if retry_after <= longest => {
                    tokio::time::sleep(retry_after).await;
                }
                outcome => return outcome,
            }
        }
        self.services.registration.issue_code(&request).await
    }
}
