//! Phones for many users at once.

use super::request::PhoneRequest;
use crate::core::ids::RolloutId;
use crate::core::time::UnixMillis;

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
    /// Users that it is for. While it is being made, or if it was broken off, there are less rows.
    pub users: u64,
    /// Rows that it has.
    pub rows: u64,
    /// Rows whose phone has used its code.
    pub registered: u64,
}

/// One user of a roll-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number within the roll-out, from 0 on.
    pub number: u64,
    /// The request that counts now: the latest one of this row. `None`: it has ended and is forgotten.
    pub request: Option<PhoneRequest>,
}
