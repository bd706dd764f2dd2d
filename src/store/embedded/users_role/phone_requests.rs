//! Phone requests in the file.

use async_trait::async_trait;

use super::{RequestRow, read};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PersonId, PhoneRequest, Progress, RequestId};
use crate::store::code_name::{CodeName, CodeUse, StoredCode};
use crate::store::embedded::kv::{Outcome, Row as Kept, Tx};
use crate::store::embedded::{Embedded, keys};
use crate::store::seal::Sealer;
use crate::store::users_role::{KEEP_OVER, PutRequest, RequestOrigin, RequestState, ends};
use crate::store::{PhoneRequests, Result};

/// Members of an index without a row that are removed together with a new one.
const DROPPED: usize = 100;

#[async_trait]
impl PhoneRequests for Embedded {
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()> {
        let (of, sealer) = (domain.clone(), self.sealer.clone());
        let new: Vec<_> = new.iter().map(|request| (request.clone(), Stored::of(&sealer, domain, request))).collect();
        self.kv
            .write(move |tx| new.iter().try_for_each(|(new, stored)| put(tx, &of, new, stored, None).map(drop)))
            .await
    }

    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest> {
        let (new, stored) = (new.clone(), Stored::of(&self.sealer, &new.domain, new));
        self.kv.write(move |tx| put(tx, &new.domain, &new, &stored, Some(max_open))).await
    }

    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>> {
        self.kv.read(|snapshot| read(snapshot, &self.sealer, domain, id.as_str()))
    }

    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>> {
        self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for member in snapshot.members_before(&keys::people_of(domain, person), None) {
                found.extend(read(snapshot, &self.sealer, domain, &member?.1)?);
            }
            Ok(found)
        })
    }

    async fn request_with_code(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>> {
        let name = self.name(CodeUse::Request, code);
        self.kv.read(|snapshot| match snapshot.get::<String>(&keys::people_code(domain, &name))? {
            Some(id) => read(snapshot, &self.sealer, domain, &id),
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
                let (ends, name) = member?;
                let id: Option<String> = snapshot.get(&keys::people_code(domain, &CodeName::stored(name)))?;
                let Some(id) = id else { continue };
                let request = read(snapshot, &self.sealer, domain, &id)?;
                found.extend(request.map(|request| (UnixMillis(ends), request.code)));
            }
            Ok(found)
        })
    }

    async fn advance_request(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool> {
        let (request, name) = (request.clone(), self.name(CodeUse::Request, request.code));
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
                    tx.unrank(&keys::people_open(&request.domain), name.as_str())?;
                    tx.unrank(&keys::people_open_of(&request.domain, &request.person), name.as_str())?;
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
        let (request, name) = (request.clone(), self.name(CodeUse::Request, request.code));
        self.kv.write(move |tx| forget(tx, &request, &name)).await
    }
}

/// How a new request is kept.
struct Stored {
    asked: RequestOrigin,
    name: CodeName,
}

impl Stored {
    fn of(sealer: &Sealer, domain: &DomainName, request: &PhoneRequest) -> Self {
        let code = StoredCode::sealed(sealer, &keys::phone_request(domain, request.id.as_str()), request.code);
        let name = CodeName::hashed(sealer, CodeUse::Request, request.code);
        Self { asked: RequestOrigin::of(request, code), name }
    }
}

fn put(
    tx: &mut Tx<'_>,
    domain: &DomainName,
    request: &PhoneRequest,
    stored: &Stored,
    max_open: Option<u64>,
) -> Outcome<PutRequest> {
    let (id, name) = (request.id.as_str(), &stored.name);
    let key = keys::phone_request(domain, id);
    if tx.has(&key)? {
        return Ok(PutRequest::Kept);
    }
    let own = keys::people_open_of(domain, &request.person);
    let open = tx.count_open(&own)?;
    if max_open.is_some_and(|most| open >= most) {
        return Ok(PutRequest::TooMany);
    }
    let now = RequestState {
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
        made: UnixMillis(0),
        attempts: 0,
        why: "".into(),
    };
    let ends = Some(ends(request));
    tx.put(&key, &RequestRow { asked: stored.asked.clone(), now }, ends)?;
    tx.put(&keys::people_code(domain, name), &id, ends)?;
    // The indexes do not know when a row ends; members without a row are removed now and then.
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
    tx.rank(&open, request.valid_until.0, name.as_str())?;
    tx.rank(&own, request.valid_until.0, name.as_str())?;
    Ok(PutRequest::Kept)
}

pub(super) fn forget(tx: &mut Tx<'_>, request: &PhoneRequest, name: &CodeName) -> Outcome<bool> {
    let (domain, id) = (&request.domain, request.id.as_str());
    let key = keys::phone_request(domain, id);
    let there = tx.has(&key)?;
    tx.remove(&key)?;
    tx.remove(&keys::people_code(domain, name))?;
    tx.unrank(&keys::people_of(domain, &request.person), id)?;
    tx.unrank(&keys::people_open(domain), name.as_str())?;
    tx.unrank(&keys::people_open_of(domain, &request.person), name.as_str())?;
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
