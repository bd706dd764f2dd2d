//! Requests the missing codes of roll-outs on whichever node has the turn, also after a restart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::code_request::{ask_code, request_details};
use super::error::Result;
use super::tenant::TenantShared;
use crate::core::model::ids::NodeId;
use crate::core::model::users_role::{PhoneRequest, Row, UsersRoleRollout};
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::OrderIntake;

/// Rows read per page.
const PAGE: usize = 500;
/// Concurrent code requests.
const AT_ONCE: usize = 100;
/// Poll interval for roll-outs that lack codes, in addition to being woken.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// Delay when Devices cannot be reached or limits the rate.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long a node keeps its turn at a roll-out; renewed for each page.
const TURN: Duration = Duration::from_secs(120);

/// Requests the missing codes of all roll-outs of one tenant, until dropped.
pub(super) async fn make_codes(shared: Arc<TenantShared>, node: NodeId) {
    let intake = &shared.intake;
    loop {
        let all = intake.store.users_role_rollouts(&intake.domain).await.unwrap_or_else(|error| {
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
        let Some(rows) = store.users_role_rollout_rows(domain, rollout.id, from, PAGE).await? else { return Ok(()) };
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
        for outcome in made.buffered(AT_ONCE).collect::<Vec<_>>().await {
            match outcome {
                Ok(made) => fresh.push(made),
                Err(error) => failed = Some(error),
            }
        }
        let requests: Vec<PhoneRequest> = fresh.iter().map(|(_, request)| request.clone()).collect();
        store.put_requests(domain, &requests).await?;
        let given = stream::iter(&fresh)
            .map(|(number, request)| store.set_row_request(domain, rollout.id, *number, None, &request.id));
        for outcome in given.buffered(AT_ONCE).collect::<Vec<_>>().await {
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
