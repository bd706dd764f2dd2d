//! Phone requests on Redis.

use ::redis::{cmd, pipe};
use async_trait::async_trait;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PersonId, PhoneRequest, Progress, RequestId};
use crate::store::code_name::{CodeName, CodeUse};
use crate::store::record::to_json;
use crate::store::redis::{LazyScript, Redis, keys, millis, script};
use crate::store::users_role::{KEEP_OVER, PutRequest, RequestOrigin, ends};
use crate::store::{PhoneRequests, Result};

static PUT: LazyScript = script!("put_requests");
static ADVANCE: LazyScript = script!("advance_request");

/// Requests that are written in one script.
const BATCH: usize = 250;

#[async_trait]
impl PhoneRequests for Redis {
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> {
        for some in new.chunks(BATCH) {
            self.client.timed(self.put_some(domain, some, None)).await?;
        }
        Ok(())
    }

    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> {
        self.client.timed(self.put_some(&new.domain, std::slice::from_ref(new), Some(max_open))).await
    }

    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        let read = self.client.timed(self.read_requests(domain, std::slice::from_ref(id))).await?;
        Ok(read.into_iter().flatten().next().map(|(request, _)| request))
    }

    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        self.client
            .timed(async {
                let index = keys::people_of(domain, person);
                let range = cmd("ZRANGE").arg(&index).arg(0).arg(-1).arg("REV").take();
                let members: Vec<String> = self.client.ask(&range).await?;
                let ids: Vec<RequestId> = members.iter().filter_map(|id| RequestId::parse(id).ok()).collect();
                let records = self.read_requests(domain, &ids).await?;
                let gone: Vec<&str> =
                    ids.iter().zip(&records).filter(|(_, r)| r.is_none()).map(|(id, _)| id.as_str()).collect();
                if !gone.is_empty() {
                    // If this fails, they are not listed either.
                    let _ = self.client.ask::<u64>(cmd("ZREM").arg(&index).arg(&gone)).await;
                }
                Ok(records.into_iter().flatten().map(|(request, _)| request).collect())
            })
            .await
    }

    async fn request_with_code(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> {
        match self.client.timed(self.request_id(domain, code)).await? {
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
        let found: Vec<(String, u64)> = self.client.timed(self.client.ask(&range)).await?;
        let (names, ends): (Vec<_>, Vec<_>) =
            found.into_iter().map(|(name, at)| (CodeName::stored(name), UnixMillis(at))).unzip();
        let codes = self.client.timed(self.codes_of_requests(domain, &names)).await?;
        Ok(ends.into_iter().zip(codes).filter_map(|(at, code)| Some((at, code?))).collect())
    }

    async fn advance_request(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        let domain = &request.domain;
        let over = matches!(to, Progress::Expired | Progress::Cancelled);
        // Those of a roll-out are shown with it.
        let keep = if request.rollout.is_some() { crate::core::model::device::KEEP_USED } else { KEEP_OVER };
        let advance = async {
            let name = self.request_name(domain, request.code).await?;
            let mut script = ADVANCE.key(keys::phone_request(domain, &request.id));
            script.key(keys::people_open(domain)).key(keys::people_open_of(domain, &request.person));
            script.arg(to_json(&from)).arg(to_json(&to)).arg(name.as_str());
            script.arg(if over { millis(keep).to_string() } else { String::new() });
            self.client.eval_once(&script).await
        };
        self.client.timed(advance).await
    }

    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> {
        self.client.timed(self.forget(request)).await
    }
}

impl Redis {
    /// The codes with these names, as their requests have them; `None` for one without a request.
    async fn codes_of_requests(&self, domain: &DomainName, names: &[CodeName]) -> Result<Vec<Option<Code>>> {
        let mut codes: Vec<Option<Code>> = names.iter().map(CodeName::in_clear).collect();
        let mut read = pipe();
        for name in names.iter().filter(|name| name.in_clear().is_none()) {
            read.get(keys::people_code(domain, name));
        }
        if read.is_empty() {
            return Ok(codes);
        }
        let ids: Vec<Option<String>> = self.client.ask_all(&read).await?;
        let ids: Vec<_> = ids.into_iter().map(|id| id.and_then(|id| RequestId::parse(&id).ok())).collect();
        let known: Vec<RequestId> = ids.iter().flatten().cloned().collect();
        let mut records = self.read_records(domain, &known).await?.into_iter();
        for (code, id) in codes.iter_mut().filter(|code| code.is_none()).zip(ids) {
            if id.is_some() {
                *code = records.next().flatten().map(|((_, code), _)| code);
            }
        }
        Ok(codes)
    }

    async fn put_some(&self, domain: &DomainName, some: &[PhoneRequest], max_open: Option<u64>) -> Result<PutRequest> {
        let mut script = PUT.key(keys::people_open(domain));
        script.arg(to_json(&Progress::Waiting)).arg(to_json(&EntryState::None));
        script.arg(max_open.map(|most| most.to_string()).unwrap_or_default());
        for request in some {
            let (place, name) =
                (keys::phone_request(domain, &request.id), self.new_name(CodeUse::Request, request.code));
            let about = RequestOrigin::of(request, self.new_stored(&place, request.code));
            script.key(place).key(keys::people_code(domain, &name));
            script.key(keys::people_of(domain, &request.person)).key(keys::people_open_of(domain, &request.person));
            script.arg(request.id.as_str()).arg(name.as_str()).arg(to_json(&about));
            script.arg(request.asked.0).arg(request.valid_until.0).arg(ends(request).0);
        }
        let outcome: String = self.client.eval(&script).await?;
        Ok(if outcome == "many" { PutRequest::TooMany } else { PutRequest::Kept })
    }

    pub(super) async fn forget(&self, request: &PhoneRequest) -> Result<bool> {
        let (domain, id) = (&request.domain, request.id.as_str());
        let name = self.request_name(domain, request.code).await?;
        let mut pipeline = pipe();
        pipeline.atomic().cmd("DEL").arg(keys::phone_request(domain, &request.id));
        pipeline.cmd("DEL").arg(keys::people_code(domain, &name)).ignore();
        pipeline.zrem(keys::people_of(domain, &request.person), id).ignore();
        pipeline.zrem(keys::people_open(domain), name.as_str()).ignore();
        pipeline.zrem(keys::people_open_of(domain, &request.person), name.as_str()).ignore();
        pipeline.zrem(keys::people_orders(domain), id).ignore();
        pipeline.zrem(keys::people_failed(domain), id).ignore();
        let (removed,): (bool,) = self.client.ask_all(&pipeline).await?;
        if let Some(phone) = &request.phone {
            self.delete_if(&keys::people_phone(domain, phone), id).await?;
        }
        Ok(removed)
    }
}
