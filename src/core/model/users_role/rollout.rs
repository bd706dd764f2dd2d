//! The roll-out of the Users role: one code for each of many persons.

use serde::{Deserialize, Serialize};

use super::person::PersonId;
use crate::core::model::ids::RolloutId;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::phone_request::{PhoneRequest, RequestId};

/// A roll-out: category and phone app for a list of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersRoleRollout {
    /// Its number within the domain; numbers increase.
    pub id: RolloutId,
    /// Its display name.
    pub name: Box<str>,
    /// Name of the category.
    pub category: Box<str>,
    /// Name of the phone app.
    pub app: Box<str>,
    /// When it began, on the clock of the store.
    pub begun: UnixMillis,
    /// Number of its users.
    pub users: u64,
    /// Number of rows stored so far; less than `users` while the list is being written.
    pub rows: u64,
    /// Rows that have been given a code.
    pub made: u64,
    /// Rows whose code has been used.
    pub registered: u64,
}

/// One user of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its index within the roll-out, from 0.
    pub number: u64,
    /// The user.
    pub person: PersonId,
    /// Its SIP name.
    pub sip: Box<str>,
    /// Its display name.
    pub name: Box<str>,
    /// The current phone request of this row; `None`: it has had none yet.
    pub id: Option<RequestId>,
    /// That request as stored now; `None` also if it has been removed.
    pub request: Option<PhoneRequest>,
}

/// Notification that a phone request has changed. Pages that show it read it again.
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
    /// The notification for a request.
    pub fn of(request: &PhoneRequest) -> Self {
        Self { request: request.id.clone(), person: request.person.clone(), rollout: request.rollout }
    }
}
