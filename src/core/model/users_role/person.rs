//! Persons: the entries of the user list, and how pages of that list are queried.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest SIP name, shown name, group or identifier, in characters.
pub const MAX_TEXT: usize = 128;

/// A text is not valid for this field of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidPerson(pub &'static str);

/// Permanent identifier of a person: the GUID at the exchange, or the key in the user list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Box<str>")]
pub struct PersonId(Box<str>);

impl PersonId {
    /// 1 to [`MAX_TEXT`] characters without control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidPerson> {
        let bad = text.trim().is_empty() || text.chars().count() > MAX_TEXT || text.chars().any(char::is_control);
        if bad { Err(InvalidPerson("identifier of a user")) } else { Ok(Self(text.into())) }
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for PersonId {
    type Error = InvalidPerson;

    fn try_from(text: Box<str>) -> Result<Self, InvalidPerson> {
        Self::parse(&text)
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person, as the backend knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Permanent identifier.
    pub guid: PersonId,
    /// SIP name.
    pub sip: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// Groups it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Box<str>>,
}

/// An app that a phone can run for its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneApp {
    /// Name in the entry at the backend.
    pub name: Box<str>,
    /// Display title.
    pub title: Box<str>,
}

/// A query of the user list, ordered by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserQuery {
    /// Part of the SIP name, display name or number, case-insensitive; empty matches all.
    pub search: Box<str>,
    /// Only members of this group.
    pub group: Option<Box<str>>,
    /// [`UserPage::next`] of the page before.
    pub after: Option<Box<str>>,
    /// Page size.
    pub limit: usize,
}

impl UserQuery {
    /// Whether search and group match this person.
    pub fn wants(&self, person: &Person) -> bool {
        let in_group = self.group.as_ref().is_none_or(|group| person.groups.contains(group));
        in_group && {
            let part = self.search.trim().to_lowercase();
            let has = |text: &str| text.to_lowercase().contains(&part);
            part.is_empty() || has(&person.sip) || has(&person.name) || person.number.as_deref().is_some_and(has)
        }
    }
}

/// One page of the user list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPage {
    /// A page of users.
    pub users: Vec<Person>,
    /// Cursor of the next page; `None`: this is the last one.
    pub next: Option<Box<str>>,
    /// Number of all matches, if the backend can tell.
    pub total: Option<u64>,
    /// All groups of the domain, sorted, independent of the query.
    pub groups: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_finds_by_any_part_in_any_case() {
        let anna = Person {
            guid: PersonId::parse("a41c").unwrap(),
            sip: "anna".into(),
            name: "Berg, Änne".into(),
            groups: vec!["Sales".into()],
            number: Some("201".into()),
        };
        let wants = |search: &str, group: Option<&str>| {
            UserQuery { search: search.into(), group: group.map(Into::into), ..UserQuery::default() }.wants(&anna)
        };
        for (search, group) in [("", None), ("ÄNN", None), (" nna ", Some("Sales")), ("20", None), ("berg", None)] {
            assert!(wants(search, group), "{search} {group:?}");
        }
        assert!(!wants("otto", None) && !wants("", Some("sales")) && !wants("anna", Some("Lab")));
    }

    #[test]
    fn an_identifier_is_a_short_line() {
        assert!(PersonId::parse("").is_err() && PersonId::parse(" ").is_err() && PersonId::parse("a\nb").is_err());
        assert!(PersonId::parse(&"x".repeat(MAX_TEXT)).is_ok() && PersonId::parse(&"x".repeat(MAX_TEXT + 1)).is_err());
        assert!(serde_json::from_str::<PersonId>("\"\"").is_err());
    }
}
