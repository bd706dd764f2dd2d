//! The Users role on Redis. A phone request is a hash, which contains its entry order too. Requests are found by
//! person, by code, by end of the code, and by the time at which their order is due.

mod entry_orders;
mod phone_requests;
mod rollouts;
mod turns;

use ::redis::{cmd, pipe};

use super::{Redis, keys};
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{PhoneRequest, RequestId};
use crate::store::Result;
use crate::store::record::{corrupt, from_json};
use crate::store::users_role::{RequestOrigin, RequestState};

/// The fields of a request, in the order of [`Fields`].
const FIELDS: [&str; 7] = ["about", "progress", "entry", "phone", "made", "attempts", "why"];

/// What was asked for, and its code.
type Asked = (RequestOrigin, Code);

type Fields =
    (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>, Option<u32>, Option<String>);

impl Redis {
    pub(super) async fn request_id(&self, domain: &DomainName, code: Code) -> Result<Option<RequestId>> {
        let name = self.request_name(domain, code).await?;
        let id: Option<String> = self.client.ask(cmd("GET").arg(keys::people_code(domain, &name))).await?;
        Ok(id.and_then(|id| RequestId::parse(&id).ok()))
    }

    /// Reads requests; `None` for one that is not there.
    pub(super) async fn read_requests(
        &self,
        domain: &DomainName,
        ids: &[RequestId],
    ) -> Result<Vec<Option<(PhoneRequest, RequestState)>>> {
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

    /// The same, as the parts of their records.
    pub(super) async fn read_records(
        &self,
        domain: &DomainName,
        ids: &[RequestId],
    ) -> Result<Vec<Option<(Asked, RequestState)>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for id in ids {
            read.cmd("HMGET").arg(keys::phone_request(domain, id)).arg(&FIELDS);
        }
        let records: Vec<Fields> = self.client.ask_all(&read).await?;
        ids.iter().zip(records).map(|(id, fields)| self.record(domain, id, fields)).collect()
    }

    fn record(&self, domain: &DomainName, id: &RequestId, fields: Fields) -> Result<Option<(Asked, RequestState)>> {
        let (about, progress, entry, phone, made, attempts, why) = fields;
        let Some(about) = about else { return Ok(None) };
        let place = format!("pb:{{{domain}}}:people:request:…");
        let missing = |field: &str| corrupt(&place, &format!("{field} is missing"));
        let changing = RequestState {
            progress: from_json(&place, &progress.ok_or_else(|| missing("progress"))?)?,
            entry: from_json(&place, &entry.ok_or_else(|| missing("entry"))?)?,
            phone: phone.map(|phone| from_json(&place, &phone)).transpose()?,
            made: UnixMillis(made.unwrap_or_default()),
            attempts: attempts.unwrap_or_default(),
            why: why.unwrap_or_default().into(),
        };
        let asked: RequestOrigin = from_json(&place, &about)?;
        let code = asked.code.open(&self.sealer, &keys::phone_request(domain, id))?;
        Ok(Some(((asked, code), changing)))
    }
}
