//! Entry orders: phones that have to be entered at the backend.

use std::time::Duration;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Attempt, EntryOrder, PhoneFacts, PhoneRequest, Progress, RequestId, Trouble};
use crate::store::Result;
use crate::store::observed::store_trait;

/// Result of [`EntryOrders::place_order`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// The order is kept.
    New(Box<PhoneRequest>),
    /// There was one already. The request, if this has changed it.
    Again(Option<Box<PhoneRequest>>),
    /// No request here has this code.
    Unknown,
}

/// An order that has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOrder {
    /// The order.
    pub order: EntryOrder,
    /// When it failed.
    pub failed: UnixMillis,
    /// Why, as the pages name it.
    pub trouble: Trouble,
    /// Details for operators.
    pub why: Box<str>,
}

/// How many orders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounts {
    /// Not carried out yet.
    pub waiting: u64,
    /// Failed for good.
    pub failed: u64,
}

store_trait! {
    /// Orders for the backend: at most one for each phone request.
    pub trait EntryOrders: Send + Sync {
        /// The phone of a code is known. In one step: the request gets phone and progress and is kept from now on,
        /// and there is an order that is due. May be repeated.
        async fn place_order(
            &self,
            domain: &DomainName,
            code: Code,
            phone: &PhoneFacts,
            progress: Progress,
        ) -> Result<Placed> => PlaceOrder;

        /// Up to `limit` orders that are due. No other caller gets them for `lease`; then they are due again unless
        /// they are settled.
        async fn take_orders(
            &self,
            domain: &DomainName,
            lease: Duration,
            limit: usize,
        ) -> Result<Vec<EntryOrder>> => TakeOrders;

        /// Records the result of an attempt; `why` is for operators. Returns the request after that; `None` if it has
        /// been removed.
        async fn settle_order(
            &self,
            order: &EntryOrder,
            attempt: &Attempt,
            why: &str,
        ) -> Result<Option<PhoneRequest>> => SettleOrder;

        /// Orders that have failed for good, newest first, from the one at `from` on.
        async fn failed_orders(
            &self,
            domain: &DomainName,
            from: u64,
            limit: usize,
        ) -> Result<Vec<FailedOrder>> => FailedOrders;

        /// Makes a failed order due again, as if it were new. False if it has not failed.
        async fn retry_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool> => FailedOrders;

        /// How many orders there are.
        async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> => FailedOrders;
    }
}
