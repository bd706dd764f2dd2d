//! Requests for phones in the file: a row each, which holds the order too, and indexes by user, by end of the code and by the
//! time at which an order is due.

mod orders;
mod rollouts;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Row as Kept, Snapshot, Tx};
use super::{Embedded, keys};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    EntryState, Person, PersonId, PhoneRequest, Progress, RequestId, Row, UsersRoleRollout,
};
use crate::store::users_role::{Changing, KEEP_OVER, Origin, PutRequest, ends};
use crate::store::{Requests, Result};

/// Members of an index without a row that are dropped along with one new one.
const DROPPED: usize = 100;

/// A request as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct RequestRow {
    asked: Origin,
    now: Changing,
}

impl RequestRow {
    fn request(self, domain: &DomainName, id: RequestId) -> PhoneRequest {
        self.now.request(domain, id, self.asked)
    }
}

#[async_trait]
impl Requests for Embedded {
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> {
        let (of, new) = (domain.clone(), new.to_vec());
        self.kv.write(move |tx| new.iter().try_for_each(|request| put(tx, &of, request, None).map(drop))).await
    }

    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> {
        let new = new.clone();
        self.kv.write(move |tx| put(tx, &new.domain, &new, Some(max_open))).await
    }

    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        self.kv.read(|snapshot| read(snapshot, domain, id.as_str()))
    }

    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for member in snapshot.members_before(&keys::people_of(domain, person), None) {
                found.extend(read(snapshot, domain, &member?.1)?);
            }
            Ok(found)
        })
    }

    async fn request_with(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> {
        self.kv.read(|snapshot| match snapshot.get::<String>(&keys::people_code(domain, code))? {
            Some(id) => read(snapshot, domain, &id),
            None => Ok(None),
        })
    }

    async fn codes_without_phone(
        &self,
        domain: &DomainName,
        from: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, Code)>> {
        self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for member in snapshot.scored(&keys::people_open(domain), from.0).take(limit) {
                let (ends, code) = member?;
                found.extend(Code::parse(&code).ok().map(|code| (UnixMillis(ends), code)));
            }
            Ok(found)
        })
    }

    async fn advance(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        let request = request.clone();
        self.kv
            .write(move |tx| {
                let key = keys::phone_request(&request.domain, request.id.as_str());
                let Some(Kept { mut value, ends }) = tx.row::<RequestRow>(&key)? else { return Ok(false) };
                if value.now.progress != from {
                    return Ok(false);
                }
                value.now.progress = to;
                let mut ends = ends;
                if matches!(to, Progress::Expired | Progress::Cancelled) {
                    tx.unrank(&keys::people_open(&request.domain), request.code.expose())?;
                    tx.unrank(&keys::people_open_of(&request.domain, &request.person), request.code.expose())?;
                    // Those of a roll-out are shown with it.
                    let keep = if request.rollout.is_some() { KEEP_USED } else { KEEP_OVER };
                    ends = ends.map(|ends| ends.min(tx.now + keep));
                }
                tx.put(&key, &value, ends)?;
                Ok(true)
            })
            .await
    }

    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> {
        let request = request.clone();
        self.kv.write(move |tx| forget(tx, &request)).await
    }

    async fn begin_people_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        self.begin_wave(domain, name, category, app, users).await
    }

    async fn add_people_rows(&self, domain: &DomainName, id: RolloutId, from: u64, people: &[Person]) -> Result<bool> {
        self.add_rows_to_wave(domain, id, from, people).await
    }

    async fn give_row(
        &self,
        domain: &DomainName,
        id: RolloutId,
        number: u64,
        before: Option<&RequestId>,
        request: &RequestId,
    ) -> Result<bool> {
        self.set_row(domain, id, number, before, request).await
    }

    async fn people_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        self.read_waves(domain)
    }

    async fn people_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        self.read_rows(domain, id, from, limit)
    }

    async fn remove_people_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        self.remove_wave(domain, id).await
    }

    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool> {
        let (key, node) = (keys::people_turn(domain, what), node.clone());
        self.kv
            .write(move |tx| {
                if tx.get::<NodeId>(&key)?.is_some_and(|who| who != node) {
                    return Ok(false);
                }
                tx.put(&key, &node, Some(tx.now + ttl))?;
                Ok(true)
            })
            .await
    }

    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> {
        let (key, node) = (keys::people_turn(domain, what), node.clone());
        self.kv
            .write(move |tx| if tx.get::<NodeId>(&key)?.as_ref() == Some(&node) { tx.remove(&key) } else { Ok(()) })
            .await
    }
}

fn read(snapshot: &Snapshot, domain: &DomainName, id: &str) -> Outcome<Option<PhoneRequest>> {
    let Ok(id) = RequestId::parse(id) else { return Ok(None) };
    let row: Option<RequestRow> = snapshot.get(&keys::phone_request(domain, id.as_str()))?;
    Ok(row.map(|row| row.request(domain, id)))
}

fn put(tx: &mut Tx<'_>, domain: &DomainName, request: &PhoneRequest, max_open: Option<u64>) -> Outcome<PutRequest> {
    let (id, code) = (request.id.as_str(), request.code.expose());
    let key = keys::phone_request(domain, id);
    if tx.has(&key)? {
        return Ok(PutRequest::Kept);
    }
    let own = keys::people_open_of(domain, &request.person);
    let open = tx.count_open(&own)?;
    if max_open.is_some_and(|most| open >= most) {
        return Ok(PutRequest::TooMany);
    }
    let now = Changing {
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
        made: UnixMillis(0),
        attempts: 0,
        why: "".into(),
    };
    let ends = Some(ends(request));
    tx.put(&key, &RequestRow { asked: Origin::of(request), now }, ends)?;
    tx.put(&keys::people_code(domain, request.code), &id, ends)?;
    // The indexes say nothing of the end of a row; those that have none any more are dropped now and then.
    let index = keys::people_of(domain, &request.person);
    for member in tx.members_until(&index, (tx.now - KEEP_USED).0, DROPPED)? {
        if !tx.has(&keys::phone_request(domain, &member))? {
            tx.unrank(&index, &member)?;
        }
    }
    tx.rank(&index, request.asked.0, id)?;
    let open = keys::people_open(domain);
    for member in tx.members_until(&open, (tx.now - KEEP_USED).0, DROPPED)? {
        tx.unrank(&open, &member)?;
    }
    tx.rank(&open, request.valid_until.0, code)?;
    tx.rank(&own, request.valid_until.0, code)?;
    Ok(PutRequest::Kept)
}

fn forget(tx: &mut Tx<'_>, request: &PhoneRequest) -> Outcome<bool> {
    let (domain, id) = (&request.domain, request.id.as_str());
    let key = keys::phone_request(domain, id);
    let there = tx.has(&key)?;
    tx.remove(&key)?;
    tx.remove(&keys::people_code(domain, request.code))?;
    tx.unrank(&keys::people_of(domain, &request.person), id)?;
    tx.unrank(&keys::people_open(domain), request.code.expose())?;
    tx.unrank(&keys::people_open_of(domain, &request.person), request.code.expose())?;
    tx.unrank(&keys::people_orders(domain), id)?;
    tx.unrank(&keys::people_failed(domain), id)?;
    if let Some(phone) = &request.phone {
        let place = keys::people_phone(domain, phone);
        if tx.get::<Box<str>>(&place)?.as_deref() == Some(id) {
            tx.remove(&place)?;
        }
    }
    Ok(there)
}
