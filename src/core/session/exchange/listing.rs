//! All users by `SearchUsers` (`docs/protocol/pbx.md` 2.1): page by page behind the last name, until a page is empty.
//!
//! The order of names is not known here, so names are only compared for being the same.

use std::collections::{BTreeMap, HashSet};

use super::guid::Guid;
use super::mirror::Row;
use super::settings::MAX_USERS;
use crate::core::protocol::json::{Object, Value};

/// What follows from a page.
#[derive(Debug, PartialEq, Eq)]
pub enum NextPage {
    /// Ask for what is behind this name.
    Ask(Box<str>),
    /// That was all.
    End(Vec<Row>),
    /// The PBX goes round in circles: given up.
    Loop,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Listing {
    asked: HashSet<Box<str>>,
    found: BTreeMap<Guid, Row>,
}

impl Listing {
    /// Begins a listing, with the first name to ask for.
    pub fn begin() -> (Self, Box<str>) {
        (Self { asked: HashSet::from(["".into()]), ..Self::default() }, "".into())
    }

    /// Takes a page.
    pub fn page(&mut self, answer: &Object<'_>) -> NextPage {
        let users = answer.array("user").unwrap_or_default();
        let mut last = None;
        for user in users {
            let Value::Object(user) = user else { continue };
            last = Some(user.str("cn").unwrap_or_default());
            if let Some(row) = Row::read(user, false) {
                self.found.insert(row.guid.clone(), row);
            }
        }
        let Some(last) = last else { return NextPage::End(std::mem::take(&mut self.found).into_values().collect()) };
        if self.found.len() > MAX_USERS || !self.asked.insert(last.into()) {
            return NextPage::Loop;
        }
        NextPage::Ask(last.into())
    }
}
