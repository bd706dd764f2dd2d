//! Phone requests on Redis.

use ::redis::{cmd, pipe};
use async_trait::async_trait;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PersonId, PhoneRequest, Progress, RequestId};
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
        Ok(found.into_iter().filter_map(|(code, at)| Some((UnixMillis(at), Code::parse(&code).ok()?))).collect())
    }

    async fn advance_request(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        let domain = &request.domain;
        let over = matches!(to, Progress::Expired | Progress::Cancelled);
        // Those of a roll-out are shown with it.
        let keep = if request.rollout.is_some() { crate::core::model::device::KEEP_USED } else { KEEP_OVER };
        let mut script = ADVANCE.key(keys::phone_request(domain, &request.id));
        script.key(keys::people_open(domain)).key(keys::people_open_of(domain, &request.person));
        script.arg(to_json(&from)).arg(to_json(&to)).arg(request.code.expose());
        script.arg(if over { millis(keep).to_string() } else { String::new() });
        self.client.timed(self.client.eval_once(&script)).await
    }

    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool> {
        self.client.timed(self.forget(request)).await
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
            script.arg(request.id.as_str()).arg(request.code.expose()).arg(to_json(&RequestOrigin::of(request)));
            script.arg(request.asked.0).arg(request.valid_until.0).arg(ends(request).0);
        }
        let outcome: String = self.client.eval(&script).await?;
        Ok(if outcome == "many" { PutRequest::TooMany } else { PutRequest::Kept })
    }

    pub(super) async fn forget(&self, request: &PhoneRequest) -> Result<bool> {
        let (domain, id) = (&request.domain, request.id.as_str());
        let mut pipeline = pipe();
        pipeline.atomic().cmd("DEL").arg(keys::phone_request(domain, &request.id));
        pipeline.cmd("DEL").arg(keys::people_code(domain, request.code)).ignore();
        pipeline.zrem(keys::people_of(domain, &request.person), id).ignore();
        pipeline.zrem(keys::people_open(domain), request.code.expose()).ignore();
        pipeline.zrem(keys::people_open_of(domain, &request.person), request.code.expose()).ignore();
        pipeline.zrem(keys::people_orders(domain), id).ignore();
        pipeline.zrem(keys::people_failed(domain), id).ignore();
        let (removed,): (bool,) = self.client.ask_all(&pipeline).await?;
        if let Some(phone) = &request.phone {
            self.delete_if(&keys::people_phone(domain, phone), id).await?;
        }
        Ok(removed)
    }
}
