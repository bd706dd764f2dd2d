//! Carries out the orders of one tenant. Several nodes may do it at once: each order is taken by one of them at a time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::backend::{Backend, BackendError};
use super::settings::Settings;
use crate::core::model::users_role::{Attempt, EntryOrder, Trouble};
use crate::metrics::{self, Counter, OrderEvent};
use crate::store::StoreError;
use crate::users_role::order_intake::Placing;
use crate::{clock, random};

/// Whoever took an order and is not heard of again has lost it after the time for an attempt and this.
const LEASE_OVER: Duration = Duration::from_secs(30);
/// How often it is looked for orders that are due, beside being woken.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failure of the store.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// Carries out orders until it is dropped.
pub(super) async fn carry_out(backend: Arc<dyn Backend>, placing: Placing, settings: Arc<Settings>) {
    let lease = settings.enter_timeout + LEASE_OVER;
    let mut running = FuturesUnordered::new();
    loop {
        let free = settings.orders_at_once.saturating_sub(running.len());
        let taken =
            if free > 0 { placing.store.take_orders(&placing.domain, lease, free).await } else { Ok(Vec::new()) };
        let more = match taken {
            Ok(orders) => {
                let more = orders.len() == free;
                running.extend(orders.into_iter().map(|order| one(&*backend, &placing, &settings, order)));
                more
            }
            Err(error) => {
                tracing::debug!(domain = %placing.domain, %error, "orders were not looked at");
                false
            }
        };
        tokio::select! {
            // With none under way there is no next one, and the others decide.
            Some(()) = running.next() => {}
            () = placing.orders.notified(), if !more || free == 0 => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// One attempt at one order.
async fn one(backend: &dyn Backend, placing: &Placing, settings: &Settings, order: EntryOrder) {
    let entered = tokio::time::timeout(settings.enter_timeout, backend.enter(&order)).await;
    let entered = entered.unwrap_or_else(|_| Err(BackendError::later("no answer in time")));
    let (attempt, why) = match entered {
        Ok(_) => (Attempt::Done, Box::default()),
        Err(BackendError::Never { trouble, why }) => (Attempt::Never(trouble), why),
        Err(BackendError::Later { why, after }) => {
            let wait = settings.orders.wait(order.attempts.saturating_add(1), random::below(u64::MAX));
            // Orders last for weeks: the clocks of this machine and of the store need not agree to the second.
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
        tracing::warn!(domain = %order.domain, request = %order.id, %why, ?attempt, "order not carried out");
    }
    match settle(placing, &order, &attempt, &why).await {
        Ok(()) => {}
        // It is due again when the lease is over; then the backend has the entry already.
        Err(error) => {
            tracing::warn!(domain = %order.domain, request = %order.id, %error, "outcome of an order not kept");
        }
    }
}

async fn settle(placing: &Placing, order: &EntryOrder, attempt: &Attempt, why: &str) -> Result<(), StoreError> {
    let settled = if let Ok(settled) = placing.store.settle_order(order, attempt, why).await {
        settled
    } else {
        tokio::time::sleep(STORE_WAIT).await;
        placing.store.settle_order(order, attempt, why).await?
    };
    if let Some(request) = settled {
        placing.teller.tell(&request);
    }
    Ok(())
}
