//! Lists all users by `SearchUsers` (`docs/protocol/pbx.md` 2.1): page by page after the last name, until a page is
//! empty.
//!
//! The sort order of the exchange is unknown, so names are only compared for equality.

use std::collections::{BTreeMap, HashSet};

use super::guid::Guid;
use super::mirror::Row;
use super::settings::MAX_USERS;
use crate::core::protocol::json::{Object, Value};

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub enum NextPage {
    /// Request the page after this name.
    Ask(Box<str>),
    /// The listing is complete.
    End(Vec<Row>),
    /// The exchange repeats pages; the listing is aborted.
    Loop,
}

/// One pass over all users by `SearchUsers`.
#[derive(Debug, Default)]
pub struct Listing {
    asked: HashSet<Box<str>>,
    found: BTreeMap<Guid, Row>,
}

impl Listing {
    /// Starts a listing; returns the first name to ask for.
    pub fn begin() -> (Self, Box<str>) {
        (Self { asked: HashSet::from(["".into()]), ..Self::default() }, "".into())
    }

    /// Handles a page.
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
