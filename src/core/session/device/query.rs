//! The query of automatic provisioning in the address of a device connection (`docs/protocol/sysclient.md` section 6).

use std::sync::Arc;

use crate::core::model::device::Domain;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::entry::AutoOffer;
use crate::core::protocol::percent;

/// The query, decoded once. It contains a token and must not be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// No parameter of automatic provisioning.
    None,
    /// Incomplete, or not decodable.
    Bad,
    /// All three parameters.
    Given(Arc<Given>),
}

/// The three parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Name of the domain, case folded.
    pub domain: DomainName,
    token: Secret,
    category: Box<str>,
}

impl Query {
    /// Reads the part of the address after `?`. Unknown parameters are ignored; a broken escape or a repeated
    /// parameter makes the whole query invalid.
    pub fn read(raw: &str) -> Self {
        if raw.is_empty() {
            return Self::None;
        }
        let Ok(parameters) = percent::query(raw) else {
            return Self::Bad;
        };
        let value = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (value("domain"), value("token"), value("category")) {
            (None, None, None) => Self::None,
            (Some(domain), Some(token), Some(category)) if !token.is_empty() => match DomainName::parse(domain) {
                Ok(domain) => {
                    Self::Given(Arc::new(Given { domain, token: Secret::new(token), category: category.into() }))
                }
                Err(_) => Self::Bad,
            },
            _ => Self::Bad,
        }
    }

    /// What is guessed with it, to tell one guess from another; `None`: there is nothing to compare.
    pub fn guess(&self) -> Option<Vec<u8>> {
        match self {
            Self::None | Self::Bad => None,
            Self::Given(given) => {
                Some([given.domain.as_str().as_bytes(), b"\0", given.token.expose().as_bytes()].concat())
            }
        }
    }

    /// Compares the query with the domain of that name, if there is one. Takes the same time for an unknown domain.
    pub fn check(&self, domain: Option<&Domain>) -> AutoOffer {
        let given = match self {
            Self::None => return AutoOffer::None,
            Self::Bad => return AutoOffer::Bad,
            Self::Given(given) => given,
        };
        let off = Secret::default();
        let token = domain.map_or(&off, |d| &d.auto_token);
        let right = *token == given.token && !token.is_empty();
        let category = domain.and_then(|d| d.category(&given.category)).filter(|c| c.provisioning);
        match (domain, category) {
            (Some(domain), Some(category)) if right => {
                AutoOffer::Good { domain: domain.name.clone(), category: category.id }
            }
            (Some(domain), None) if right => {
                AutoOffer::WrongCategory { domain: domain.name.clone(), category: given.category.clone() }
            }
            _ => AutoOffer::WrongToken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::device::Category;
    use crate::core::model::ids::{CategoryId, DomainId};

    fn domain(token: &str) -> Domain {
        let category = |id, name: &str, provisioning| Category { id: CategoryId(id), name: name.into(), provisioning };
        Domain {
            id: DomainId(2),
            name: DomainName::parse("domain.com").unwrap(),
            password: Secret::new("p"),
            admin_password: Secret::default(),
            auto_token: Secret::new(token),
            access_to: Vec::new(),
            revision: 0,
            categories: vec![category(4, "acme IP Phone", true), category(5, "old", false)],
        }
    }

    #[test]
    fn the_documented_example() {
        let query = Query::read("domain=DOMAIN.com&token=abcdef%23XYZ&category=acme%20IP%20Phone&x=1");
        let good = AutoOffer::Good { domain: DomainName::parse("domain.com").unwrap(), category: CategoryId(4) };
        assert_eq!(query.check(Some(&domain("abcdef#XYZ"))), good);
        assert_eq!(query.check(Some(&domain("abcdef%23XYZ"))), AutoOffer::WrongToken);
        assert_eq!(query.check(Some(&domain(""))), AutoOffer::WrongToken, "no token set: feature off");
        assert_eq!(query.check(None), AutoOffer::WrongToken);
    }

    #[test]
    fn invalid_queries() {
        let check = |raw: &str| Query::read(raw).check(Some(&domain("t")));
        assert_eq!(check(""), AutoOffer::None);
        assert_eq!(check("x=1"), AutoOffer::None);
        for raw in [
            "domain=domain.com&token=t",
            "domain=domain.com&token=&category=acme%20IP%20Phone",
            "domain=domain.com&token=t&token=t&category=acme%20IP%20Phone",
            "domain=domain.com&token=%zz&category=acme%20IP%20Phone",
        ] {
            assert_eq!(check(raw), AutoOffer::Bad, "{raw}");
            assert_eq!(Query::read(raw).guess(), None);
        }
        for (raw, name) in [("old", "old"), ("Acme%20IP%20Phone", "Acme IP Phone"), ("acme+IP+Phone", "acme+IP+Phone")]
        {
            let wrong =
                AutoOffer::WrongCategory { domain: DomainName::parse("domain.com").unwrap(), category: name.into() };
            assert_eq!(check(&format!("domain=domain.com&token=t&category={raw}")), wrong);
            let guess = format!("domain=domain.com&token=x&category={raw}");
            assert_eq!(check(&guess), AutoOffer::WrongToken, "a wrong token does not learn of categories");
        }
    }
}
