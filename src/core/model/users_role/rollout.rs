//! Roll-outs: codes for many users at once.

use serde::{Deserialize, Serialize};

use super::person::PersonId;
use crate::core::model::ids::RolloutId;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::phone_request::{PhoneRequest, RequestId};

/// A roll-out as shown to people: for which users, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleRollout {
    /// Its number within the domain; a later one has a greater one.
    pub id: RolloutId,
    /// Its name, for people.
    pub name: Box<str>,
    /// Name of the category.
    pub category: Box<str>,
    /// Name of the phone app.
    pub app: Box<str>,
    /// When it was started, on the clock of the store.
    pub begun: UnixMillis,
    /// Number of its users.
    pub users: u64,
    /// Rows stored so far: fewer than `users` while the list is being stored.
    pub rows: u64,
    /// Rows that were issued a code.
    pub made: u64,
    /// Rows whose phone has used its code.
    pub registered: u64,
}

/// One user of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number within the roll-out, from 0 on.
    pub number: u64,
    /// The user.
    pub person: PersonId,
    /// Its SIP name.
    pub sip: Box<str>,
    /// Its name, for people.
    pub name: Box<str>,
    /// The latest request of this row; `None`: none was made yet.
    pub id: Option<RequestId>,
    /// That request as it is now; `None` also if it has ended and was deleted.
    pub request: Option<PhoneRequest>,
}

/// A request has changed; sent to pages that show it. They read the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The request.
    pub request: RequestId,
    /// Its person.
    pub person: PersonId,
    /// Its roll-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

impl Changed {
    /// The signal for this request.
    pub fn of(request: &PhoneRequest) -> Self {
        Self { request: request.id.clone(), person: request.person.clone(), rollout: request.rollout }
    }
}
