//! Codes that are taken back: because somebody wants it, or because the user is there no longer
//! (`docs/protocol/pbx.md`, section 3).
//!
//! Every node sees users off; taking a code back twice changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::backend::Left;
use super::error::{Result, UsersRoleError};
use super::tenant::TenantShared;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{PersonId, PhoneRequest, Progress, RequestId};
use crate::metrics::{self, Counter, RequestEvent};
use crate::users_role::devices_rest::{Operators, Revoked};

/// Codes that are read at a time.
const PAGE: usize = 1000;
/// What could not be done is tried again after this time.
const AGAIN: Duration = Duration::from_secs(20);

/// Takes the code of a request back. False if a phone has used it, or it has come to an end otherwise.
pub(super) async fn cancel(
    shared: &TenantShared,
    operators: &Operators,
    domain: &DomainName,
    id: &RequestId,
) -> Result<bool> {
    let request = shared.store.phone_request(domain, id).await?.ok_or(UsersRoleError::NotFound("request"))?;
    if !is_open(&request) || operators.revoke(request.code).await? == Revoked::Used {
        return Ok(false);
    }
    // It may have got further meanwhile, but not past its end.
    let mut now = request;
    while is_open(&now) {
        if shared.store.advance_request(&now, now.progress, Progress::Cancelled).await? {
            metrics::count(Counter::Request(RequestEvent::Cancelled));
            shared.placing.teller.tell(&now);
            return Ok(true);
        }
        let Some(again) = shared.store.phone_request(domain, id).await? else { break };
        now = again;
    }
    Ok(false)
}

fn is_open(request: &PhoneRequest) -> bool {
    request.phone.is_none() && !request.progress.is_final()
}

/// Takes the open codes of users back who leave, until it is dropped.
pub(super) async fn see_off(shared: Arc<TenantShared>, operators: Arc<Operators>) {
    let domain = &shared.placing.domain;
    let Some(mut leavers) = shared.backend.leavers(domain) else { return std::future::pending().await };
    // Who has left before this began is not told.
    let mut all = Some(Instant::now());
    loop {
        let seen_off = tokio::select! {
            () = at(all) => {
                all = None;
                everybody(&shared, &operators, domain).await
            }
            left = leavers.recv() => match left {
                Ok(Left::One(person)) => one(&shared, &operators, domain, &person).await,
                Ok(Left::Perhaps) | Err(RecvError::Lagged(_)) => {
                    all = Some(Instant::now());
                    Ok(())
                }
                Err(RecvError::Closed) => return std::future::pending().await,
            },
        };
        if let Err(error) = seen_off {
            tracing::warn!(%domain, %error, "codes of users who have left are still open");
            all = Some(Instant::now() + AGAIN);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn one(shared: &TenantShared, operators: &Operators, domain: &DomainName, person: &PersonId) -> Result<()> {
    for request in shared.store.requests_of(domain, person).await? {
        if is_open(&request) && cancel(shared, operators, domain, &request.id).await? {
            tracing::info!(%domain, %person, request = %request.id, "code taken back: the user is there no longer");
        }
    }
    Ok(())
}

/// Looks at everybody who has an open code.
async fn everybody(shared: &TenantShared, operators: &Operators, domain: &DomainName) -> Result<()> {
    let mut from = shared.store.now().await?;
    loop {
        let page = shared.store.codes_without_phone(domain, from, PAGE).await?;
        for (_, code) in &page {
            let request = shared.store.request_with_code(domain, *code).await?;
            if let Some(request) = request.filter(|request| shared.backend.has_left(domain, &request.person)) {
                one(shared, operators, domain, &request.person).await?;
            }
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
        // A page that ends where it began holds one moment only: what else is of it is passed over.
        from = if *last == from { UnixMillis(last.0 + 1) } else { *last };
    }
}
