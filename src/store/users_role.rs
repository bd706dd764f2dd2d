//! What the Users role remembers: who has asked for which phone, and which phones have to be entered at the backend.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, DomainName, NodeId, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{
    Attempt, EntryOrder, EntryState, Person, PersonId, PhoneFacts, PhoneRequest, Progress, RequestId, Row, Trouble,
    UsersRoleRollout,
};

/// A request that has come to nothing is kept this long, so that its person can read why.
pub const KEEP_OVER: Duration = Duration::from_secs(24 * 3600);

/// What has become of [`Requests::put_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutRequest {
    /// It is kept.
    Kept,
    /// Its person has as many open codes as they may have.
    TooMany,
}

/// What has become of [`Orders::place_order`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// The order is kept.
    New(Box<PhoneRequest>),
    /// There was one already. The request, if this has changed it.
    Again(Option<Box<PhoneRequest>>),
    /// No request here has this code.
    Unknown,
}

/// An order that has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadOrder {
    /// The order.
    pub order: EntryOrder,
    /// When it failed.
    pub failed: UnixMillis,
    /// Why, as the pages name it.
    pub trouble: Trouble,
    /// More about it, for operators.
    pub why: Box<str>,
}

/// How many orders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounts {
    /// Not carried out yet.
    pub waiting: u64,
    /// Failed for good.
    pub failed: u64,
}

/// Requests for phones. One whose code nobody has used ends 30 days after the code, because that long its notice may still come;
/// one that has come to nothing ends a day later, or with its roll-out; one that has brought a phone stays.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Keeps new requests of one domain. One that is there already stays as it is.
    async fn put_requests(&self, domain: &DomainName, new: &[PhoneRequest]) -> Result<()>;

    /// Keeps a new request, unless its person has `max_open` open codes: within their validity, not taken back, and without a
    /// phone, those of roll-outs too. One that is there already stays as it is and counts as kept.
    async fn put_request(&self, new: &PhoneRequest, max_open: u64) -> Result<PutRequest>;

    /// One request.
    async fn phone_request(&self, domain: &DomainName, id: &RequestId) -> Result<Option<PhoneRequest>>;

    /// All requests of a person, newest first.
    async fn requests_of(&self, domain: &DomainName, person: &PersonId) -> Result<Vec<PhoneRequest>>;

    /// The request with this code.
    async fn request_with(&self, domain: &DomainName, code: Code) -> Result<Option<PhoneRequest>>;

    /// Up to `limit` codes whose phone is not known yet and whose validity ends at `from` or later, in the order of that end.
    async fn codes_without_phone(
        &self,
        domain: &DomainName,
        from: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, Code)>>;

    /// A request has got further. Nothing happens, and the answer is false, unless it is at `from` now.
    async fn advance(&self, request: &PhoneRequest, from: Progress, to: Progress) -> Result<bool>;

    /// Forgets a request, with its order. False if there is none.
    async fn forget_request(&self, request: &PhoneRequest) -> Result<bool>;

    /// Begins a roll-out without rows. It is kept for 30 days.
    async fn begin_people_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout>;

    /// Adds rows without requests behind row `from`; those that are there stay. False if there is no such roll-out.
    async fn add_people_rows(&self, domain: &DomainName, id: RolloutId, from: u64, people: &[Person]) -> Result<bool>;

    /// Gives a row its request, if it has `before` now; the answer says whether it has the new one.
    async fn give_row(
        &self,
        domain: &DomainName,
        id: RolloutId,
        number: u64,
        before: Option<&RequestId>,
        request: &RequestId,
    ) -> Result<bool>;

    /// All roll-outs of a domain, newest first.
    async fn people_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>>;

    /// Up to `limit` rows from row `from` on; `None` if there is no such roll-out.
    async fn people_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>>;

    /// Forgets a roll-out; its requests stay. False if there is none.
    async fn remove_people_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool>;

    /// Gives a node a turn at something that only one may do at a time, or a longer one. False while another node has it.
    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool>;

    /// Ends the turn of a node; nothing happens if another one has it.
    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()>;
}

/// Orders for the backend: at most one for each request.
#[async_trait]
pub trait Orders: Send + Sync {
    /// The phone of a code is known. In one step: the request gets phone and progress and is kept from now on, and there is an
    /// order that is due. May be repeated.
    async fn place_order(
        &self,
        domain: &DomainName,
        code: Code,
        phone: &PhoneFacts,
        progress: Progress,
    ) -> Result<Placed>;

    /// Up to `limit` orders that are due. For `lease` nobody else gets them; then they are due again unless they are settled.
    async fn take_orders(&self, domain: &DomainName, lease: Duration, limit: usize) -> Result<Vec<EntryOrder>>;

    /// What has come of an attempt; `why` is for operators. The request as it is then; `None` if it has been forgotten.
    async fn settle_order(&self, order: &EntryOrder, attempt: &Attempt, why: &str) -> Result<Option<PhoneRequest>>;

    /// Orders that have failed for good, newest first, from the one at `from` on.
    async fn dead_orders(&self, domain: &DomainName, from: u64, limit: usize) -> Result<Vec<DeadOrder>>;

    /// Makes an order that has failed due again, as if it were new. False if it has not failed.
    async fn revive_order(&self, domain: &DomainName, id: &RequestId) -> Result<bool>;

    /// How many orders there are.
    async fn order_counts(&self, domain: &DomainName) -> Result<OrderCounts>;
}

/// What never changes about a request, as both backends write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub person: PersonId,
    pub sip: Box<str>,
    pub name: Box<str>,
    pub category: Box<str>,
    pub app: Box<str>,
    pub code: Code,
    pub asked: UnixMillis,
    pub valid_until: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

impl Origin {
    pub fn of(request: &PhoneRequest) -> Self {
        Self {
            person: request.person.clone(),
            sip: request.sip.clone(),
            name: request.name.clone(),
            category: request.category.clone(),
            app: request.app.clone(),
            code: request.code,
            asked: request.asked,
            valid_until: request.valid_until,
            rollout: request.rollout,
        }
    }
}

/// What changes about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changing {
    pub progress: Progress,
    pub entry: EntryState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneFacts>,
    /// When the order was made.
    #[serde(default)]
    pub made: UnixMillis,
    /// Attempts at it that have failed.
    #[serde(default)]
    pub attempts: u32,
    /// Why the last one has.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Box<str>,
}

impl Changing {
    pub fn request(self, domain: &DomainName, id: RequestId, asked: Origin) -> PhoneRequest {
        let Origin { person, sip, name, category, app, code, asked, valid_until, rollout } = asked;
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
    pub fn order(&self, domain: &DomainName, id: RequestId, asked: Origin) -> Option<EntryOrder> {
        let Origin { person, sip, name, category, app, code, .. } = asked;
        let phone = self.phone.clone()?;
        let (domain, made, attempts) = (domain.clone(), self.made, self.attempts);
        Some(EntryOrder { id, domain, person, sip, name, category, app, code, phone, made, attempts })
    }

    /// As an operator sees it when it has failed.
    pub fn dead(self, domain: &DomainName, id: RequestId, asked: Origin, failed: UnixMillis) -> Option<DeadOrder> {
        let EntryState::Failed(trouble) = self.entry else { return None };
        let order = self.order(domain, id, asked)?;
        Some(DeadOrder { order, failed, trouble, why: self.why })
    }
}

/// A row of a roll-out as both backends write it.
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

/// When the record of a request ends if nothing happens to it.
pub(super) fn ends(request: &PhoneRequest) -> UnixMillis {
    request.valid_until + KEEP_USED
}

/// The order as it is after an attempt: what the backends write into [`Changing`].
pub(super) fn after(attempt: &Attempt) -> Option<EntryState> {
    match attempt {
        Attempt::Done => Some(EntryState::Done),
        Attempt::Again(_) => None,
        Attempt::Never(trouble) => Some(EntryState::Failed(*trouble)),
    }
}
