//! Revokes codes: on request of a person or operator, and when the user has been removed from the backend
//! (`docs/protocol/pbx.md`, section 3).
//!
//! Every node does this; revoking a code twice changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::backend::UserRemoval;
use super::error::{Result, UsersRoleError};
use super::tenant::TenantShared;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{PersonId, PhoneRequest, Progress, RequestId};
use crate::metrics::{self, Counter, RequestEvent};
use crate::users_role::devices_rest::{OperatorApi, Revoked};

/// Codes read per page.
const PAGE: usize = 1000;
/// Delay before failed revocations are retried.
const AGAIN: Duration = Duration::from_secs(20);

/// Revokes the code of a request. False if a phone has used it, or the request has ended otherwise.
pub(super) async fn cancel(
    shared: &TenantShared,
    operator_api: &OperatorApi,
    domain: &DomainName,
    id: &RequestId,
) -> Result<bool> {
    let request = shared.store.phone_request(domain, id).await?.ok_or(UsersRoleError::NotFound("request"))?;
    if !is_open(&request) || operator_api.revoke(request.code).await? == Revoked::Used {
        return Ok(false);
    }
    // Its progress may have advanced concurrently, but not beyond a final state.
    let mut now = request;
    while is_open(&now) {
        if shared.store.advance_request(&now, now.progress, Progress::Cancelled).await? {
            metrics::count(Counter::Request(RequestEvent::Cancelled));
            shared.intake.changes.publish(&now);
            return Ok(true);
        }
        let Some(newer) = shared.store.phone_request(domain, id).await? else { break };
        now = newer;
    }
    Ok(false)
}

fn is_open(request: &PhoneRequest) -> bool {
    request.phone.is_none() && !request.progress.is_final()
}

/// Revokes the open codes of removed users; runs until dropped.
pub(super) async fn watch_removals(shared: Arc<TenantShared>, operator_api: Arc<OperatorApi>) {
    let domain = &shared.intake.domain;
    let Some(mut removals) = shared.backend.removals(domain) else { return std::future::pending().await };
    // Users removed before this started cause no notification.
    let mut all = Some(Instant::now());
    loop {
        let result = tokio::select! {
            () = sleep_until_due(all) => {
                all = None;
                cancel_for_all_removed(&shared, &operator_api, domain).await
            }
            removal = removals.recv() => match removal {
                Ok(UserRemoval::One(person)) => cancel_for_person(&shared, &operator_api, domain, &person).await,
                Ok(UserRemoval::CheckAll) | Err(RecvError::Lagged(_)) => {
                    all = Some(Instant::now());
                    Ok(())
                }
                Err(RecvError::Closed) => return std::future::pending().await,
            },
        };
        if let Err(error) = result {
            tracing::warn!(%domain, %error, "codes of removed users not revoked");
            all = Some(Instant::now() + AGAIN);
        }
    }
}

async fn sleep_until_due(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn cancel_for_person(
    shared: &TenantShared,
    operator_api: &OperatorApi,
    domain: &DomainName,
    person: &PersonId,
) -> Result<()> {
    for request in shared.store.requests_of(domain, person).await? {
        if is_open(&request) && cancel(shared, operator_api, domain, &request.id).await? {
            tracing::info!(%domain, %person, request = %request.id, "code revoked: the user has been removed");
        }
    }
    Ok(())
}

/// Checks every user with an open code.
async fn cancel_for_all_removed(shared: &TenantShared, operator_api: &OperatorApi, domain: &DomainName) -> Result<()> {
    let mut from = shared.store.now().await?;
    loop {
        let page = shared.store.codes_without_phone(domain, from, PAGE).await?;
        for (_, code) in &page {
            let request = shared.store.request_with_code(domain, *code).await?;
            if let Some(request) = request.filter(|request| shared.backend.is_removed(domain, &request.person)) {
                cancel_for_person(shared, operator_api, domain, &request.person).await?;
            }
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
        // All codes of this page end in the same millisecond; step over it to make progress.
        from = if *last == from { UnixMillis(last.0 + 1) } else { *last };
    }
}
