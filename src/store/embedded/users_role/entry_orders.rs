//! Entry orders in the file: part of the row of their request, and in an index by the time at which they are due.

use std::time::Duration;

use async_trait::async_trait;

use super::RequestRow;
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Attempt, EntryOrder, EntryState, PhoneFacts, PhoneRequest, Progress, RequestId};
use crate::store::code_name::{CodeName, CodeUse};
use crate::store::embedded::kv::{Outcome, Tx};
use crate::store::embedded::{Embedded, keys};
use crate::store::seal::Sealer;
use crate::store::users_role::{FailedOrder, OrderCounts, Placed, after};
use crate::store::{EntryOrders, Result};

#[async_trait]
impl EntryOrders for Embedded {
    async fn place_order(
        &self,
        domain: &DomainName,
        code: Code,
        phone: &PhoneFacts,
        progress: Progress,
    ) -> Result<Placed> {
        let (of, phone, sealer) = (domain.clone(), phone.clone(), self.sealer.clone());
        self.kv.write(move |tx| place(tx, &sealer, &of, code, phone, progress)).await
    }

    async fn take_orders(&self, domain: &DomainName, lease: Duration, limit: usize) -> Result<Vec<EntryOrder>> {
        // Called again and again, and most of the time there is nothing to write.
        let index = keys::people_orders(domain);
        if self.kv.read(|snapshot| Ok(snapshot.first_score(&index, 0)?.is_none_or(|due| due > snapshot.now.0)))? {
            return Ok(Vec::new());
        }
        let (of, sealer) = (domain.clone(), self.sealer.clone());
        self.kv
            .write(move |tx| {
                let index = keys::people_orders(&of);
                let mut taken = Vec::new();
                for id in tx.members_until(&index, tx.now.0, limit)? {
                    let key = keys::phone_request(&of, &id);
                    let order = match (tx.get::<RequestRow>(&key)?, RequestId::parse(&id)) {
                        (Some(row), Ok(id)) => {
                            let code = row.code(&sealer, &key)?;
                            row.now.order(&of, id, (row.asked, code))
                        }
                        _ => None,
                    };
                    match order {
                        Some(order) => {
                            tx.rank(&index, (tx.now + lease).0, &id)?;
                            taken.push(order);
                        }
                        None => tx.unrank(&index, &id)?,
                    }
                }
                Ok(taken)
            })
            .await
    }

    async fn settle_order(&self, order: &EntryOrder, attempt: &Attempt, why: &str) -> Result<Option<PhoneRequest>> {
        let (order, attempt, why) = (order.clone(), *attempt, Box::<str>::from(why));
        self.kv.write(move |tx| settle(tx, &order, attempt, why)).await
    }

    async fn failed_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<FailedOrder>> {
        self.kv.read(|snapshot| {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let mut found = Vec::new();
            for member in snapshot.members_before(&keys::people_failed(domain), None).skip(from).take(limit) {
                let (failed, id) = member?;
                let key = keys::phone_request(domain, &id);
                let row: Option<RequestRow> = snapshot.get(&key)?;
                let (Some(row), Ok(id)) = (row, RequestId::parse(&id)) else { continue };
                let code = row.code(&self.sealer, &key)?;
                found.extend(row.now.failed_order(domain, id, (row.asked, code), UnixMillis(failed)));
            }
            Ok(found)
        })
    }

    async fn retry_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool> {
        let (of, id) = (domain.clone(), id.clone());
        self.kv
            .write(move |tx| {
                let key = keys::phone_request(&of, id.as_str());
                let Some(mut row) = tx.row::<RequestRow>(&key)? else { return Ok(false) };
                if !matches!(row.value.now.entry, EntryState::Failed(_)) {
                    return Ok(false);
                }
                let now = &mut row.value.now;
                (now.entry, now.made, now.attempts, now.why) = (EntryState::Waiting, tx.now, 0, "".into());
                tx.put(&key, &row.value, row.ends)?;
                tx.unrank(&keys::people_failed(&of), id.as_str())?;
                tx.rank(&keys::people_orders(&of), tx.now.0, id.as_str())?;
                Ok(true)
            })
            .await
    }

    async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts> {
        self.kv.read(|snapshot| {
            let waiting = snapshot.count(&keys::people_orders(domain))?;
            Ok(OrderCounts { waiting, failed: snapshot.count(&keys::people_failed(domain))? })
        })
    }
}

fn place(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    domain: &DomainName,
    code: Code,
    phone: PhoneFacts,
    progress: Progress,
) -> Outcome<Placed> {
    let name = CodeName::hashed(sealer, CodeUse::Request, code);
    let Some(id) = tx.get::<Box<str>>(&keys::people_code(domain, &name))? else { return Ok(Placed::Unknown) };
    let key = keys::phone_request(domain, &id);
    let (Some(mut row), Ok(id)) = (tx.get::<RequestRow>(&key)?, RequestId::parse(&id)) else {
        return Ok(Placed::Unknown);
    };
    let again = row.now.entry != EntryState::None;
    let before = row.clone();
    // A repeated notice may be older than the progress that is stored. Ready is the last progress.
    if !again || progress == Progress::Ready {
        row.now.progress = progress;
    }
    row.now.phone = Some(phone);
    if again {
        if row.now == before.now {
            return Ok(Placed::Again(None));
        }
        // A request with a phone has no end.
        tx.put(&key, &row, None)?;
        return Ok(Placed::Again(Some(Box::new(row.with_code(domain, id, code)))));
    }
    // The phone now belongs to another person, or uses another code of the same person.
    let of_phone = row.now.phone.as_ref().map(|phone| keys::people_phone(domain, phone));
    if let Some(place) = of_phone {
        if let Some(before) = tx.get::<Box<str>>(&place)?.filter(|before| **before != *id.as_str())
            && let (Ok(before), Some(old)) =
                (RequestId::parse(&before), tx.get::<RequestRow>(&keys::phone_request(domain, &before))?)
        {
            let old = old.request(sealer, domain, before)?;
            super::phone_requests::forget(tx, &old, &CodeName::hashed(sealer, CodeUse::Request, old.code))?;
        }
        tx.put(&place, &id.as_str(), None)?;
    }
    (row.now.entry, row.now.made, row.now.attempts) = (EntryState::Waiting, tx.now, 0);
    tx.put(&key, &row, None)?;
    tx.rank(&keys::people_orders(domain), tx.now.0, id.as_str())?;
    tx.unrank(&keys::people_open(domain), name.as_str())?;
    tx.unrank(&keys::people_open_of(domain, &row.asked.person), name.as_str())?;
    if let Some(rollout) = row.asked.rollout {
        super::rollouts::count_registered(tx, domain, rollout)?;
    }
    Ok(Placed::New(Box::new(row.with_code(domain, id, code))))
}

fn settle(tx: &mut Tx<'_>, order: &EntryOrder, attempt: Attempt, why: Box<str>) -> Outcome<Option<PhoneRequest>> {
    let (domain, id) = (&order.domain, &order.id);
    let (key, orders, failed) =
        (keys::phone_request(domain, id.as_str()), keys::people_orders(domain), keys::people_failed(domain));
    let Some(mut row) = tx.row::<RequestRow>(&key)? else {
        tx.unrank(&orders, id.as_str())?;
        tx.unrank(&failed, id.as_str())?;
        return Ok(None);
    };
    row.value.now.why = why;
    match (attempt, after(&attempt)) {
        (Attempt::Again(wait), _) => {
            row.value.now.attempts += 1;
            if matches!(row.value.now.entry, EntryState::Waiting) {
                tx.rank(&orders, (tx.now + wait).0, id.as_str())?;
            }
        }
        (_, entry) => {
            row.value.now.entry = entry.unwrap_or(EntryState::Done);
            tx.unrank(&orders, id.as_str())?;
            match attempt {
                Attempt::Never(_) => tx.rank(&failed, tx.now.0, id.as_str())?,
                _ => tx.unrank(&failed, id.as_str())?,
            }
        }
    }
    tx.put(&key, &row.value, row.ends)?;
    Ok(Some(row.value.with_code(domain, id.clone(), order.code)))
}
