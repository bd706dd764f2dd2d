//! The Users role in the file. A phone request is a row, which contains its entry order too. Requests are found by
//! person, by code, by end of the code, and by the time at which their order is due.

mod entry_orders;
mod phone_requests;
mod rollouts;
mod turns;

use serde::{Deserialize, Serialize};

use super::keys;
use super::kv::{Outcome, Snapshot};
use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{PhoneRequest, RequestId};
use crate::store::users_role::{RequestOrigin, RequestState};

/// The row of a request.
#[derive(Clone, Serialize, Deserialize)]
struct RequestRow {
    asked: RequestOrigin,
    now: RequestState,
}

impl RequestRow {
    fn request(self, domain: &DomainName, id: RequestId) -> PhoneRequest {
        self.now.request(domain, id, self.asked)
    }
}

fn read(snapshot: &Snapshot, domain: &DomainName, id: &str) -> Outcome<Option<PhoneRequest>> {
    let Ok(id) = RequestId::parse(id) else { return Ok(None) };
    let row: Option<RequestRow> = snapshot.get(&keys::phone_request(domain, id.as_str()))?;
    Ok(row.map(|row| row.request(domain, id)))
}
