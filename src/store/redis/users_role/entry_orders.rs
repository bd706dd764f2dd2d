//! Entry orders on Redis: part of the record of their request, and in an index by the time at which they are due.

use std::time::Duration;

use ::redis::{cmd, pipe};
use async_trait::async_trait;

use crate::core::model::ids::{Code, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Attempt, EntryOrder, EntryState, PhoneFacts, PhoneRequest, Progress, RequestId};
use crate::store::record::to_json;
use crate::store::redis::{LazyScript, Redis, keys, millis, script};
use crate::store::users_role::{FailedOrder, OrderCounts, Placed, RequestState, after};
use crate::store::{EntryOrders, Result};

static PLACE: LazyScript = script!("place_order");
static TAKE: LazyScript = script!("take_orders");
static SETTLE: LazyScript = script!("settle_order");
static REVIVE: LazyScript = script!("retry_order");

#[async_trait]
impl EntryOrders for Redis {
    async fn place_order(
        &self,
        domain: &DomainName,
        code: Code,
        phone: &PhoneFacts,
        progress: Progress,
    ) -> Result<Placed> {
        let place = async {
            let Some(id) = self.request_id(domain, code).await? else { return Ok(Placed::Unknown) };
            let Some((request, _)) = self.read_one(domain, &id).await? else { return Ok(Placed::Unknown) };
            let name = self.request_name(domain, code).await?;
            let mut script = PLACE.key(keys::phone_request(domain, &id));
            script.key(keys::people_of(domain, &request.person)).key(keys::people_open(domain));
            script.key(keys::people_orders(domain));
            script.key(request.rollout.map_or_else(
                // No roll-out has this number.
                || keys::users_role_rollout(domain, RolloutId(0)),
                |rollout| keys::users_role_rollout(domain, rollout),
            ));
            script.key(keys::people_phone(domain, phone)).key(keys::people_open_of(domain, &request.person));
            script.arg(id.as_str()).arg(name.as_str()).arg(to_json(phone)).arg(to_json(&progress));
            script.arg(to_json(&EntryState::None)).arg(to_json(&EntryState::Waiting)).arg(to_json(&Progress::Ready));
            let outcome: String = self.client.eval(&script).await?;
            let before = outcome.strip_prefix("new");
            // The phone now belongs to another person, or uses another code of the same person.
            if let Some(before) = before.and_then(|id| RequestId::parse(id).ok())
                && let Some((before, _)) = self.read_one(domain, &before).await?
            {
                self.forget(&before).await?;
            }
            let now = match outcome.as_str() {
                "same" => return Ok(Placed::Again(None)),
                "unknown" => None,
                _ => self.read_one(domain, &id).await?,
            };
            let Some((request, _)) = now else { return Ok(Placed::Unknown) };
            let request = Box::new(request);
            Ok(if before.is_some() { Placed::New(request) } else { Placed::Again(Some(request)) })
        };
        self.client.timed(place).await
    }

    async fn take_orders(&self, domain: &DomainName, lease: Duration, limit: usize) -> Result<Vec<EntryOrder>> {
        let take = async {
            let mut script = TAKE.key(keys::people_orders(domain));
            script.arg(millis(lease)).arg(limit);
            // A second run does not find them, because they are taken; they are due again after the lease.
            let due: Vec<String> = self.client.eval(&script).await?;
            let ids: Vec<RequestId> = due.iter().filter_map(|id| RequestId::parse(id).ok()).collect();
            let records = self.read_records(domain, &ids).await?;
            let orders: Vec<Option<EntryOrder>> = ids
                .iter()
                .zip(records)
                .map(|(id, record)| record.and_then(|(asked, now)| now.order(domain, id.clone(), asked)))
                .collect();
            let gone: Vec<&str> =
                ids.iter().zip(&orders).filter(|(_, order)| order.is_none()).map(|(id, _)| id.as_str()).collect();
            if !gone.is_empty() {
                let _ = self.client.ask::<u64>(cmd("ZREM").arg(keys::people_orders(domain)).arg(&gone)).await;
            }
            Ok(orders.into_iter().flatten().collect())
        };
        self.client.timed(take).await
    }

    async fn settle_order(&self, order: &EntryOrder, attempt: &Attempt, why: &str) -> Result<Option<PhoneRequest>> {
        let (domain, id) = (&order.domain, &order.id);
        let (outcome, wait) = match attempt {
            Attempt::Done => ("done", Duration::ZERO),
            Attempt::Again(wait) => ("again", *wait),
            Attempt::Never(_) => ("never", Duration::ZERO),
        };
        let mut script = SETTLE.key(keys::phone_request(domain, id));
        script.key(keys::people_orders(domain)).key(keys::people_failed(domain));
        script.arg(id.as_str()).arg(outcome).arg(after(attempt).map(|entry| to_json(&entry)).unwrap_or_default());
        script.arg(why).arg(millis(wait));
        let settle = async {
            let there: bool = self.client.eval(&script).await?;
            Ok(if there { self.read_one(domain, id).await?.map(|(request, _)| request) } else { None })
        };
        self.client.timed(settle).await
    }

    async fn failed_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<FailedOrder>> {
        let read = async {
            let mut range = cmd("ZRANGE");
            let last = i64::try_from(from.saturating_add(limit as u64)).unwrap_or(i64::MAX) - 1;
            range.arg(keys::people_failed(domain)).arg(from).arg(last).arg("REV").arg("WITHSCORES");
            let found: Vec<(String, u64)> = self.client.ask(&range).await?;
            let found: Vec<(RequestId, UnixMillis)> =
                found.into_iter().filter_map(|(id, at)| Some((RequestId::parse(&id).ok()?, UnixMillis(at)))).collect();
            let ids: Vec<RequestId> = found.iter().map(|(id, _)| id.clone()).collect();
            let records = self.read_records(domain, &ids).await?;
            let dead = found.into_iter().zip(records);
            Ok(dead
                .filter_map(|((id, at), record)| {
                    record.and_then(|(asked, now)| now.failed_order(domain, id, asked, at))
                })
                .collect())
        };
        self.client.timed(read).await
    }

    async fn retry_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let mut script = REVIVE.key(keys::phone_request(domain, id));
        script.key(keys::people_orders(domain)).key(keys::people_failed(domain));
        script.arg(id.as_str()).arg(to_json(&EntryState::Waiting));
        self.client.timed(self.client.eval_once(&script)).await
    }

    async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> {
        let mut count = pipe();
        count.zcard(keys::people_orders(domain)).zcard(keys::people_failed(domain));
        let (waiting, failed) = self.client.timed(self.client.ask_all(&count)).await?;
        Ok(OrderCounts { waiting, failed })
    }
}

impl Redis {
    async fn read_one(&self, domain: &DomainName, id: &RequestId) -> Result<Option<(PhoneRequest, RequestState)>> {
        Ok(self.read_requests(domain, std::slice::from_ref(id)).await?.into_iter().flatten().next())
    }
}
