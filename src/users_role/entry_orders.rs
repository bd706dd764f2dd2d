//! Carries out the entry orders of one tenant. Several nodes may do it at once; each order is leased by one of them
//! at a time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::backend::{Backend, BackendError};
use super::settings::Settings;
use crate::core::model::users_role::{Attempt, EntryOrder, Trouble};
use crate::metrics::{self, Counter, OrderEvent};
use crate::store::StoreError;
use crate::users_role::order_intake::OrderIntake;
use crate::{clock, random};

/// Lease of an order beyond the limit of an attempt; then another node may take it.
const LEASE_OVER: Duration = Duration::from_secs(30);
/// Poll interval for due orders, in addition to being woken.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Delay after an error of the store.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// Carries out orders until dropped.
pub(super) async fn carry_out(backend: Arc<dyn Backend>, intake: OrderIntake, settings: Arc<Settings>) {
    let lease = settings.enter_timeout + LEASE_OVER;
    let mut running = FuturesUnordered::new();
    loop {
        let free = settings.orders_at_once.saturating_sub(running.len());
        let taken = if free > 0 { intake.store.take_orders(&intake.domain, lease, free).await } else { Ok(Vec::new()) };
        let more = match taken {
            Ok(orders) => {
                let more = orders.len() == free;
                running.extend(orders.into_iter().map(|order| attempt_order(&*backend, &intake, &settings, order)));
                more
            }
            Err(error) => {
                tracing::debug!(domain = %intake.domain, %error, "entry orders not read");
                false
            }
        };
        tokio::select! {
            // Without running attempts this branch is disabled.
            Some(()) = running.next() => {}
            () = intake.orders.notified(), if !more || free == 0 => {}
            () = tokio::time::sleep(POLL_EVERY) => {}
        }
    }
}

/// One attempt at one order.
async fn attempt_order(backend: &dyn Backend, intake: &OrderIntake, settings: &Settings, order: EntryOrder) {
    let entered = tokio::time::timeout(settings.enter_timeout, backend.enter(&order)).await;
    let entered = entered.unwrap_or_else(|_| Err(BackendError::later("no answer in time")));
    let (attempt, why) = match entered {
        Ok(_) => (Attempt::Done, Box::default()),
        Err(BackendError::Never { trouble, why }) => (Attempt::Never(trouble), why),
        Err(BackendError::Later { why, after }) => {
            let wait = settings.orders.wait(order.attempts.saturating_add(1), random::below(u64::MAX));
            // The clock of this machine may differ from that of the store; orders last for weeks.
            (order.after_failure(wait, after, clock::time_of_day()), why)
        }
    };
    metrics::count(Counter::Order(match attempt {
        Attempt::Done => OrderEvent::Done,
        Attempt::Again(_) => OrderEvent::Again,
        Attempt::Never(Trouble::GivenUp) => OrderEvent::GivenUp,
        Attempt::Never(_) => OrderEvent::Refused,
    }));
    if attempt != Attempt::Done {
        tracing::warn!(domain = %order.domain, request = %order.id, %why, ?attempt, "entry order not carried out");
    }
    match record_outcome(intake, &order, &attempt, &why).await {
        Ok(()) => {}
        // The order is due again when its lease ends; the backend then finds the entry.
        Err(error) => {
            tracing::warn!(domain = %order.domain, request = %order.id, %error, "outcome of an entry order not stored");
        }
    }
}

async fn record_outcome(
    intake: &OrderIntake,
    order: &EntryOrder,
    attempt: &Attempt,
    why: &str,
) -> Result<(), StoreError> {
    let changed = if let Ok(changed) = intake.store.settle_order(order, attempt, why).await {
        changed
    } else {
        tokio::time::sleep(STORE_WAIT).await;
        intake.store.settle_order(order, attempt, why).await?
    };
    if let Some(request) = changed {
        intake.changes.publish(&request);
    }
    Ok(())
}
