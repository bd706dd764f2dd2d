//! Requests for phones on Redis: a hash each, which holds the order too, and indexes by user, by end of the code and by the
//! time at which an order is due.

mod orders;
mod rollouts;

use ::redis::{cmd, pipe};
use async_trait::async_trait;
use std::time::Duration;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{Code, DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    EntryState, Person, PersonId, PhoneRequest, Progress, RequestId, Row, UsersRoleRollout,
};
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::users_role::{Changing, KEEP_OVER, Origin, PutRequest, ends};
use crate::store::{Requests, Result};

static PUT: LazyScript = script!("people_put");
static ADVANCE: LazyScript = script!("people_advance");
static TURN: LazyScript = script!("people_turn");

/// Requests that are written in one script.
const TOGETHER: usize = 250;

/// The fields of a request, in the order of [`Fields`].
const FIELDS: [&str; 7] = ["about", "progress", "entry", "phone", "made", "attempts", "why"];

type Fields =
    (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>, Option<u32>, Option<String>);

#[async_trait]
impl Requests for Redis {
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> {
        for some in new.chunks(TOGETHER) {
            self.line.timed(self.put_some(domain, some, None)).await?;
        }
        Ok(())
    }

    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> {
        self.line.timed(self.put_some(&new.domain, std::slice::from_ref(new), Some(max_open))).await
    }

    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        let read = self.line.timed(self.read_requests(domain, std::slice::from_ref(id))).await?;
        Ok(read.into_iter().flatten().next().map(|(request, _)| request))
    }

    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        self.line
            .timed(async {
                let index = keys::people_of(domain, person);
                let range = cmd("ZRANGE").arg(&index).arg(0).arg(-1).arg("REV").take();
                let members: Vec<String> = self.line.ask(&range).await?;
                let ids: Vec<RequestId> = members.iter().filter_map(|id| RequestId::parse(id).ok()).collect();
                let records = self.read_requests(domain, &ids).await?;
                let gone: Vec<&str> =
                    ids.iter().zip(&records).filter(|(_, r)| r.is_none()).map(|(id, _)| id.as_str()).collect();
                if !gone.is_empty() {
                    // They are not listed whether or not this works.
                    let _ = self.line.ask::<u64>(cmd("ZREM").arg(&index).arg(&gone)).await;
                }
                Ok(records.into_iter().flatten().map(|(request, _)| request).collect())
            })
            .await
    }

    async fn request_with(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> {
        match self.line.timed(self.request_id(domain, code)).await? {
            Some(id) => self.phone_request(domain, &id).await,
            None => Ok(None),
        }
    }

    async fn codes_without_phone(
        &self,
        domain: &DomainName,
        from: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, Code)>> {
        let mut range = cmd("ZRANGE");
        range.arg(keys::people_open(domain)).arg(from.0).arg("+inf").arg("BYSCORE");
        range.arg("LIMIT").arg(0).arg(limit).arg("WITHSCORES");
        let found: Vec<(String, u64)> = self.line.timed(self.line.ask(&range)).await?;
        Ok(found.into_iter().filter_map(|(code, at)| Some((UnixMillis(at), Code::parse(&code).ok()?))).collect())
    }

    async fn advance(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        let domain = &request.domain;
        let over = matches!(to, Progress::Expired | Progress::Cancelled);
        // Those of a roll-out are shown with it.
        let keep = if request.rollout.is_some() { crate::core::model::device::KEEP_USED } else { KEEP_OVER };
        let mut script = ADVANCE.key(keys::phone_request(domain, &request.id));
        script.key(keys::people_open(domain)).key(keys::people_open_of(domain, &request.person));
        script.arg(to_json(&from)).arg(to_json(&to)).arg(request.code.expose());
        script.arg(if over { millis(keep).to_string() } else { String::new() });
        self.line.timed(self.line.eval_once(&script)).await
    }

    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> {
        self.line.timed(self.forget(request)).await
    }

    async fn begin_people_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        self.line.timed(self.begin_wave(domain, name, category, app, users)).await
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
        self.line.timed(self.set_row(domain, id, number, before, request)).await
    }

    async fn people_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        self.line.timed(self.read_waves(domain)).await
    }

    async fn people_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        self.line.timed(self.read_rows(domain, id, from, limit)).await
    }

    async fn remove_people_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        let mut pipeline = pipe();
        pipeline.cmd("DEL").arg(keys::people_rollout(domain, id));
        pipeline.cmd("UNLINK").arg(keys::people_rows(domain, id)).ignore();
        pipeline.zrem(keys::people_rollouts(domain), id.0).ignore();
        let (removed,): (bool,) = self.line.timed(self.line.ask_all(&pipeline)).await?;
        Ok(removed)
    }

    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool> {
        let mut script = TURN.key(keys::people_turn(domain, what));
        script.arg(node.as_str()).arg(millis(ttl));
        self.line.timed(self.line.eval(&script)).await
    }

    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> {
        self.line.timed(self.delete_if(&keys::people_turn(domain, what), node.as_str())).await
    }
}

impl Redis {
    async fn put_some(&self, domain: &DomainName, some: &[PhoneRequest], max_open: Option<u64>) -> Result<PutRequest> {
        let mut script = PUT.key(keys::people_open(domain));
        script.arg(to_json(&Progress::Waiting)).arg(to_json(&EntryState::None));
        script.arg(max_open.map(|most| most.to_string()).unwrap_or_default());
        for request in some {
            script.key(keys::phone_request(domain, &request.id)).key(keys::people_code(domain, request.code));
            script.key(keys::people_of(domain, &request.person)).key(keys::people_open_of(domain, &request.person));
            script.arg(request.id.as_str()).arg(request.code.expose()).arg(to_json(&Origin::of(request)));
            script.arg(request.asked.0).arg(request.valid_until.0).arg(ends(request).0);
        }
        let outcome: String = self.line.eval(&script).await?;
        Ok(if outcome == "many" { PutRequest::TooMany } else { PutRequest::Kept })
    }

    async fn forget(&self, request: &PhoneRequest) -> Result<bool> {
        let (domain, id) = (&request.domain, request.id.as_str());
        let mut pipeline = pipe();
        pipeline.atomic().cmd("DEL").arg(keys::phone_request(domain, &request.id));
        pipeline.cmd("DEL").arg(keys::people_code(domain, request.code)).ignore();
        pipeline.zrem(keys::people_of(domain, &request.person), id).ignore();
        pipeline.zrem(keys::people_open(domain), request.code.expose()).ignore();
        pipeline.zrem(keys::people_open_of(domain, &request.person), request.code.expose()).ignore();
        pipeline.zrem(keys::people_orders(domain), id).ignore();
        pipeline.zrem(keys::people_failed(domain), id).ignore();
        let (removed,): (bool,) = self.line.ask_all(&pipeline).await?;
        if let Some(phone) = &request.phone {
            self.delete_if(&keys::people_phone(domain, phone), id).await?;
        }
        Ok(removed)
    }

    pub(super) async fn request_id(&self, domain: &DomainName, code: Code) -> Result<Option<RequestId>> {
        let id: Option<String> = self.line.ask(cmd("GET").arg(keys::people_code(domain, code))).await?;
        Ok(id.and_then(|id| RequestId::parse(&id).ok()))
    }

    /// Reads requests; `None` for one that is not there.
    pub(super) async fn read_requests(
        &self,
        domain: &DomainName,
        ids: &[RequestId],
    ) -> Result<Vec<Option<(PhoneRequest, Changing)>>> {
        Ok(self
            .read_records(domain, ids)
            .await?
            .into_iter()
            .zip(ids)
            .map(|(record, id)| {
                record.map(|(asked, changing)| (changing.clone().request(domain, id.clone(), asked), changing))
            })
            .collect())
    }

    /// The same as they are kept.
    pub(super) async fn read_records(
        &self,
        domain: &DomainName,
        ids: &[RequestId],
    ) -> Result<Vec<Option<(Origin, Changing)>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for id in ids {
            read.cmd("HMGET").arg(keys::phone_request(domain, id)).arg(&FIELDS);
        }
        let records: Vec<Fields> = self.line.ask_all(&read).await?;
        records.into_iter().map(|fields| record(domain, fields)).collect()
    }
}

fn record(domain: &DomainName, fields: Fields) -> Result<Option<(Origin, Changing)>> {
    let (about, progress, entry, phone, made, attempts, why) = fields;
    let Some(about) = about else { return Ok(None) };
    let place = format!("pb:{{{domain}}}:people:request:…");
    let missing = |field: &str| corrupt(&place, &format!("{field} is missing"));
    let changing = Changing {
        progress: from_json(&place, &progress.ok_or_else(|| missing("progress"))?)?,
        entry: from_json(&place, &entry.ok_or_else(|| missing("entry"))?)?,
        phone: phone.map(|phone| from_json(&place, &phone)).transpose()?,
        made: UnixMillis(made.unwrap_or_default()),
        attempts: attempts.unwrap_or_default(),
        why: why.unwrap_or_default().into(),
    };
    Ok(Some((from_json(&place, &about)?, changing)))
}
