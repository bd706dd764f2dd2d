//! The Users role in the file. A phone request is a row, which contains its entry order too. Requests are found by
//! person, by code, by end of the code, and by the time at which their order is due.

mod entry_orders;
mod phone_requests;
mod rollouts;
mod turns;

use serde::{Deserialize, Serialize};

use super::keys;
use super::kv::{Outcome, Snapshot};
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::users_role::{PhoneRequest, RequestId};
use crate::store::Result;
use crate::store::seal::Sealer;
use crate::store::users_role::{RequestOrigin, RequestState};

/// The row of a request.
#[derive(Clone, Serialize, Deserialize)]
struct RequestRow {
    asked: RequestOrigin,
    now: RequestState,
}

impl RequestRow {
    /// The code of the request at `key`.
    fn code(&self, sealer: &Sealer, key: &str) -> Result<Code> {
        self.asked.code.open(sealer, key)
    }

    /// The request, whose code is known.
    fn with_code(self, domain: &DomainName, id: RequestId, code: Code) -> PhoneRequest {
        self.now.request(domain, id, (self.asked, code))
    }

    fn request(self, sealer: &Sealer, domain: &DomainName, id: RequestId) -> Result<PhoneRequest> {
        let code = self.code(sealer, &keys::phone_request(domain, id.as_str()))?;
        Ok(self.with_code(domain, id, code))
    }
}

fn read(snapshot: &Snapshot, sealer: &Sealer, domain: &DomainName, id: &str) -> Outcome<Option<PhoneRequest>> {
    let Ok(id) = RequestId::parse(id) else { return Ok(None) };
    let row: Option<RequestRow> = snapshot.get(&keys::phone_request(domain, id.as_str()))?;
    Ok(row.map(|row| row.request(sealer, domain, id)).transpose()?)
}
