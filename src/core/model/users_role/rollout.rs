//! Phones for many users at once.

use serde::{Deserialize, Serialize};

use super::person::PersonId;
use crate::core::model::ids::RolloutId;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::phone_request::{PhoneRequest, RequestId};

/// A roll-out as people see it: which phones for how many users.
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
    /// When it was begun, on the clock of the store.
    pub begun: UnixMillis,
    /// Users that it is for.
    pub users: u64,
    /// Rows that it has: less than `users` while the list is being written down.
    pub rows: u64,
    /// Rows that have had a code.
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
    /// The request that counts now, the latest one of this row; `None`: there has been none yet.
    pub id: Option<RequestId>,
    /// The same as it is now; `None` also if it has ended and is forgotten.
    pub request: Option<PhoneRequest>,
}

/// Something about a request has changed: what pages that show it are told. They read the rest.
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
    /// What is told of this request.
    pub fn of(request: &PhoneRequest) -> Self {
        Self { request: request.id.clone(), person: request.person.clone(), rollout: request.rollout }
    }
}
