//! Bundles between a centre and a site that never meet (`docs/offline.md`): what each side remembers of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{InvalidId, JobId};
use super::time::UnixMillis;

/// Longest name of a site, in characters.
pub const SITE_MAX: usize = 48;

/// The name of a site, as the centre calls it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteName(std::sync::Arc<str>);

impl SiteName {
    /// 1 to [`SITE_MAX`] characters out of small letters, digits, `.`, `-` and `_`, the first a letter or a digit.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins || text.len() > SITE_MAX || !text.chars().all(good) {
            return Err(InvalidId::of("site name"));
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SiteName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<SiteName> for String {
    fn from(name: SiteName) -> Self {
        name.as_str().into()
    }
}

impl std::fmt::Display for SiteName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is remembered of the bundles of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleState {
    /// Changes with every change of this record.
    #[serde(default)]
    pub revision: u64,
    /// At a site: where the domain comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// At the centre: the sites that the domain was lent to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<SiteName, Loan>,
}

/// Where the domain of a site comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The centre.
    pub centre: Box<str>,
    /// What the centre calls this site.
    pub site: SiteName,
    /// The latest bundle that was begun.
    pub taken: Taken,
    /// The jobs that came with it: their numbers at the centre and here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<(JobId, JobId)>,
    /// How many bundles of results were made.
    #[serde(default)]
    pub results: u64,
}

/// A bundle that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its number; a later one has a greater one.
    pub serial: u64,
    /// Its mark.
    pub id: Box<str>,
    /// All of it was written. False while it is being imported, and if that was interrupted.
    pub whole: bool,
    /// When it was imported.
    pub at: UnixMillis,
}

/// What the centre remembers of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// How many bundles were made for it.
    pub bundles: u64,
    /// When the last one was made.
    pub made: UnixMillis,
    /// The latest results of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Taken>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_plain_name() {
        for good in ["berlin", "site-7", "0.lab_b", &"x".repeat(SITE_MAX)] {
            assert_eq!(SiteName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-a", "Berlin", "a b", "a/b", "a:b", "ü", &"x".repeat(SITE_MAX + 1)] {
            assert!(SiteName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_survives_json() {
        let at = UnixMillis(7);
        let taken = Taken { serial: 2, id: "ab".into(), whole: false, at };
        let site = SiteName::parse("berlin").unwrap();
        let state = BundleState {
            revision: 3,
            from: Some(Source {
                centre: "c".into(),
                site: site.clone(),
                taken: taken.clone(),
                jobs: vec![(JobId(1), JobId(2))],
                results: 1,
            }),
            sites: [(site, Loan { bundles: 1, made: at, results: Some(taken) })].into(),
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<BundleState>(&text).unwrap(), state);
        assert_eq!(serde_json::from_str::<BundleState>("{}").unwrap(), BundleState::default());
    }
}
