//! What the Users role stores: phone requests, the entry orders that follow from them, roll-outs, and turns.
//!
//! The types below are the parts of its records that both backends write the same way, as JSON.

mod entry_orders;
mod phone_requests;
mod rollouts;
mod turns;

pub use entry_orders::{EntryOrders, FailedOrder, OrderCounts, Placed};
pub use phone_requests::{KEEP_OVER, PhoneRequests, PutRequest};
pub use rollouts::UsersRoleRollouts;
pub use turns::Turns;

use serde::{Deserialize, Serialize};

use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    Attempt, EntryOrder, EntryState, Person, PersonId, PhoneFacts, PhoneRequest, Progress, RequestId, Row,
};
use crate::store::code_name::StoredCode;

/// The part of a request that never changes. Its code is given to the functions below separately, opened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestOrigin {
    pub person: PersonId,
    pub sip: Box<str>,
    pub name: Box<str>,
    pub category: Box<str>,
    pub app: Box<str>,
    #[serde(flatten)]
    pub code: StoredCode,
    pub asked: UnixMillis,
    pub valid_until: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

impl RequestOrigin {
    pub fn of(request: &PhoneRequest, code: StoredCode) -> Self {
        Self {
            person: request.person.clone(),
            sip: request.sip.clone(),
            name: request.name.clone(),
            category: request.category.clone(),
            app: request.app.clone(),
            code,
            asked: request.asked,
            valid_until: request.valid_until,
            rollout: request.rollout,
        }
    }
}

/// The part of a request that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestState {
    pub progress: Progress,
    pub entry: EntryState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneFacts>,
    /// When the order was placed.
    #[serde(default)]
    pub made: UnixMillis,
    /// How many attempts at it have failed.
    #[serde(default)]
    pub attempts: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Box<str>,
}

impl RequestState {
    pub fn request(self, domain: &DomainName, id: RequestId, (origin, code): (RequestOrigin, Code)) -> PhoneRequest {
        let RequestOrigin { person, sip, name, category, app, asked, valid_until, rollout, .. } = origin;
        let Self { progress, entry, phone, .. } = self;
        let domain = domain.clone();
        PhoneRequest {
            id,
            domain,
            person,
            sip,
            name,
            category,
            app,
            code,
            asked,
            valid_until,
            rollout,
            progress,
            entry,
            phone,
        }
    }

    /// The order of this request; `None` while its phone is not known.
    pub fn order(
        &self,
        domain: &DomainName,
        id: RequestId,
        (origin, code): (RequestOrigin, Code),
    ) -> Option<EntryOrder> {
        let RequestOrigin { person, sip, name, category, app, .. } = origin;
        let phone = self.phone.clone()?;
        let (domain, made, attempts) = (domain.clone(), self.made, self.attempts);
        Some(EntryOrder { id, domain, person, sip, name, category, app, code, phone, made, attempts })
    }

    /// The order as operators see it after it has failed for good; `None` if it has not.
    pub fn failed_order(
        self,
        domain: &DomainName,
        id: RequestId,
        origin: (RequestOrigin, Code),
        failed: UnixMillis,
    ) -> Option<FailedOrder> {
        let EntryState::Failed(trouble) = self.entry else { return None };
        let order = self.order(domain, id, origin)?;
        Some(FailedOrder { order, failed, trouble, why: self.why })
    }
}

/// A row of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowRecord {
    pub person: PersonId,
    pub sip: Box<str>,
    pub name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

impl RowRecord {
    pub fn of(person: &Person) -> Self {
        Self { person: person.guid.clone(), sip: person.sip.clone(), name: person.name.clone(), request: None }
    }

    pub fn row(self, number: u64, request: Option<PhoneRequest>) -> Row {
        let Self { person, sip, name, request: id } = self;
        Row { number, person, sip, name, id, request }
    }
}

/// When the record of a request ends, unless it gets a phone.
pub(super) fn ends(request: &PhoneRequest) -> UnixMillis {
    request.valid_until + KEEP_USED
}

/// The state of the entry after an attempt; `None`: unchanged.
pub(super) fn after(attempt: &Attempt) -> Option<EntryState> {
    match attempt {
        Attempt::Done => Some(EntryState::Done),
        Attempt::Again(_) => None,
        Attempt::Never(trouble) => Some(EntryState::Failed(*trouble)),
    }
}
