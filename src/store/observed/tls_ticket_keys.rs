//! [`super::Observed`] for `tickets.rs`.

use std::time::Duration;

use async_trait::async_trait;

use super::{Observed, timed};
use crate::metrics::StoreOp;
use crate::store::{Result, Store, TicketKey, TicketKeys};

#[async_trait]
impl<S: Store> TicketKeys for Observed<S> {
    async fn ticket_keys(&self, fresh: &TicketKey, rotate: Duration, keep: Duration) -> Result<Vec<TicketKey>> {
        timed(StoreOp::TicketKeys, self.0.ticket_keys(fresh, rotate, keep)).await
    }
}
