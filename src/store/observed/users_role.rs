//! [`super::Observed`] for `people.rs`.

use std::time::Duration;

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::ids::{Code, DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    Attempt, EntryOrder, Person, PersonId, PhoneFacts, PhoneRequest, Progress, RequestId, Row, UsersRoleRollout,
};
use crate::metrics::StoreOp;
use crate::store::users_role::{DeadOrder, OrderCounts, Placed, PutRequest};
use crate::store::{Orders, Requests, Result, Store};

#[async_trait]
impl<S: Store> Requests for Observed<S> {
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> {
        timed(StoreOp::PutRequests, self.0.put_requests(domain, new)).await
    }

    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> {
        timed(StoreOp::PutRequests, self.0.put_request(new, max_open)).await
    }

    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        timed(StoreOp::Requests, self.0.phone_request(domain, id)).await
    }

    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        timed(StoreOp::Requests, self.0.requests_of(domain, person)).await
    }

    async fn request_with(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> {
        timed(StoreOp::Requests, self.0.request_with(domain, code)).await
    }

    async fn codes_without_phone(
        &self,
        domain: &DomainName,
        from: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, Code)>> {
        timed(StoreOp::Requests, self.0.codes_without_phone(domain, from, limit)).await
    }

    async fn advance(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        timed(StoreOp::Advance, self.0.advance(request, from, to)).await
    }

    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> {
        timed(StoreOp::ForgetRequest, self.0.forget_request(request)).await
    }

    async fn begin_people_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        timed(StoreOp::PeopleRollout, self.0.begin_people_rollout(domain, name, category, app, users)).await
    }

    async fn add_people_rows(&self, domain: &DomainName, id: RolloutId, from: u64, people: &[Person]) -> Result<bool> {
        timed(StoreOp::PeopleRollout, self.0.add_people_rows(domain, id, from, people)).await
    }

    async fn give_row(
        &self,
        domain: &DomainName,
        id: RolloutId,
        number: u64,
        before: Option<&RequestId>,
        request: &RequestId,
    ) -> Result<bool> {
        timed(StoreOp::PeopleRollout, self.0.give_row(domain, id, number, before, request)).await
    }

    async fn people_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        timed(StoreOp::PeopleRollout, self.0.people_rollouts(domain)).await
    }

    async fn people_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        timed(StoreOp::PeopleRollout, self.0.people_rows(domain, id, from, limit)).await
    }

    async fn remove_people_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        timed(StoreOp::PeopleRollout, self.0.remove_people_rollout(domain, id)).await
    }

    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool> {
        timed(StoreOp::Turn, self.0.take_turn(domain, what, node, ttl)).await
    }

    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> {
        timed(StoreOp::Turn, self.0.end_turn(domain, what, node)).await
    }
}

#[async_trait]
impl<S: Store> Orders for Observed<S> {
    async fn place_order(
        &self,
        domain: &DomainName,
        code: Code,
        phone: &PhoneFacts,
        progress: Progress,
    ) -> Result<Placed> {
        timed(StoreOp::PlaceOrder, self.0.place_order(domain, code, phone, progress)).await
    }

    async fn take_orders(&self, domain: &DomainName, lease: Duration, limit: usize) -> Result<Vec<EntryOrder>> {
        timed(StoreOp::TakeOrders, self.0.take_orders(domain, lease, limit)).await
    }

    async fn settle_order(&self, order: &EntryOrder, attempt: &Attempt, why: &str) -> Result<Option<PhoneRequest>> {
        timed(StoreOp::SettleOrder, self.0.settle_order(order, attempt, why)).await
    }

    async fn dead_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<DeadOrder>> {
        timed(StoreOp::DeadOrders, self.0.dead_orders(domain, from, limit)).await
    }

    async fn revive_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        timed(StoreOp::DeadOrders, self.0.revive_order(domain, id)).await
    }

    async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> {
        timed(StoreOp::DeadOrders, self.0.order_counts(domain)).await
    }
}
