//! Makes the codes that roll-outs lack, on whichever node has the turn, also after a restart in the middle of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::code_request::{ask_code, wanted};
use super::error::Result;
use super::tenant::TenantShared;
use crate::core::model::ids::NodeId;
use crate::core::model::users_role::{PeopleRollout, PhoneRequest, Row};
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::Placing;

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

/// Makes the codes that roll-outs of one tenant lack, until it is dropped.
pub(super) async fn make_codes(shared: Arc<TenantShared>, node: NodeId) {
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
