//! What somebody has proved about a domain, and whether it still holds.

use super::device::Domain;
use super::ids::{DomainId, DomainName, Secret};

/// A right to a domain. It is bound to the number of the domain, so it ends when the domain is deleted, although another
/// one may take its name; and, after a log-in with the password of the domain, to that password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The domain.
    pub domain: DomainName,
    /// Its number when the right was proved; `None`: it was not known then, as with accounts of earlier versions.
    pub id: Option<DomainId>,
    /// The password that was proved; `None`: the right does not come from one.
    pub password: Option<Secret>,
}

impl Grant {
    /// Proved with the password that the domain has.
    pub fn by_password(domain: &Domain) -> Self {
        Self { domain: domain.name.clone(), id: Some(domain.id), password: Some(domain.password.clone()) }
    }

    /// Whether it holds with the domain of this name as it is now.
    pub fn holds(&self, now: Option<&Domain>) -> bool {
        let Some(now) = now else { return false };
        self.id.is_none_or(|id| id == now.id) && self.password.as_ref().is_none_or(|password| *password == now.password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(id: u64, password: &str) -> Domain {
        Domain {
            id: DomainId(id),
            name: DomainName::parse("example.com").unwrap(),
            password: Secret::new(password),
            admin_password: Secret::default(),
            auto_token: Secret::default(),
            access_to: Vec::new(),
            revision: 0,
            categories: Vec::new(),
        }
    }

    #[test]
    fn it_ends_with_the_password_and_with_the_domain() {
        let grant = Grant::by_password(&domain(3, "one"));
        assert!(grant.holds(Some(&Domain { revision: 9, ..domain(3, "one") })), "other changes do not matter");
        assert!(!grant.holds(Some(&domain(3, "two"))));
        assert!(!grant.holds(Some(&domain(4, "one"))), "another domain of this name and password");
        assert!(!grant.holds(None));
    }

    #[test]
    fn one_without_number_or_password_is_bound_to_the_rest() {
        let of_account = Grant { password: None, ..Grant::by_password(&domain(3, "one")) };
        assert!(of_account.holds(Some(&domain(3, "two"))) && !of_account.holds(Some(&domain(4, "one"))));
        let of_earlier = Grant { id: None, ..of_account };
        assert!(of_earlier.holds(Some(&domain(4, "one"))) && !of_earlier.holds(None));
    }
}
