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

#[cfg(test)]
mod tests {
    use super::*;

    /// Users of 13r3 have `emails`; a page has any number of users, because no `limit` is sent.
    #[test]
    fn a_page_is_read_whatever_else_its_users_have() {
        let mut listing = Listing::begin().0;
        let user =
            |n: usize| format!(r#"{{"cn":"User {n}","dn":"","guid":"{n:032x}","h323":"u{n}","emails":["u@x",7]}}"#);
        let page = |users: &[String]| format!(r#"{{"user":[{}]}}"#, users.join(","));
        let first = page(&(1..=25).map(user).collect::<Vec<_>>());
        assert_eq!(listing.page(&Object::parse(first.as_bytes()).unwrap()), NextPage::Ask("User 25".into()));
        let NextPage::End(rows) = listing.page(&Object::parse(b"{}").unwrap()) else { panic!("not the end") };
        assert_eq!((rows.len(), &*rows[0].sip, &*rows[24].name), (25, "u1", "User 25"));
    }
}
