//! Rights on an app connection, and verification of a log-in (`docs/protocol/appwebsocket.md` section 6).

use crate::core::model::device::{Domain, Requester};
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::appws::login::{Login, session_key};

/// The instance that clients log in to.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Domain of the instance.
    pub domain: DomainName,
    /// Name of the instance.
    pub name: Box<str>,
    /// Instance password.
    pub password: Secret,
}

/// The app of our own Users role. It connects to every domain in which it is not disabled, possibly beside another
/// Users, so it only takes the notices of its own codes: it could do nothing with the others.
pub const OWN_USERS: &str = "provbroker-users";

/// The rights that a log-in has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// All domains.
    pub admin: bool,
    /// The domain of the log-in; for an administrator that of the instance.
    pub domain: DomainName,
    /// The names that recognise the same Users at a later log-in.
    pub requester: Requester,
    /// The key with which secrets are encrypted for this connection (`docs/protocol/appwebsocket.md` 3.5).
    pub session_key: Secret,
}

impl Rights {
    /// Whether the app is shown passwords and scripts of device configurations.
    pub fn sees_secrets(&self) -> bool {
        self.may_change()
    }

    /// Whether the app may change things; all other apps only read, and ask for codes (`docs/protocol/appwebsocket.md`
    /// section 6).
    pub fn may_change(&self) -> bool {
        &*self.requester.app == "innovaphone-devices"
    }

    /// Whether it takes notices of codes that others asked for, once it acts as Users.
    pub fn takes_for_others(&self) -> bool {
        &*self.requester.app != OWN_USERS
    }
}

/// Verifies a log-in against the instance password and the password of its domain, if there is such a domain. Both
/// comparisons are always made, so that the response time does not reveal whether a domain exists.
pub fn verify_login(login: &Login, challenge: &str, instance: &Instance, domain: Option<&Domain>) -> Option<Rights> {
    let nobody = Secret::new("no such domain");
    let domain_password = domain.map_or(&nobody, |d| &d.password);
    let by_instance = login.matches(challenge, &instance.password);
    let by_domain = login.matches(challenge, domain_password);

    let names_instance = login.domain.is_empty() || DomainName::parse(&login.domain) == Ok(instance.domain.clone());
    let admin = by_instance && names_instance;
    let (domain, password) = match domain {
        _ if admin => (instance.domain.clone(), &instance.password),
        Some(domain) if by_domain && !domain.password.is_empty() => (domain.name.clone(), &domain.password),
        _ => return None,
    };
    let requester = Requester { app: login.app_name().into(), sip: login.sip.clone() };
    Some(Rights { admin, domain, requester, session_key: session_key(challenge, password) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::DomainId;
    use crate::core::protocol::appws::login::{AppIdentity, write_login};
    use crate::core::protocol::appws::message::Request;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    fn tenant() -> Domain {
        Domain {
            id: DomainId(3),
            name: name("tenant.example"),
            password: Secret::new("tenant"),
            admin_password: Secret::default(),
            auto_token: Secret::default(),
            access_to: Vec::new(),
            revision: 0,
            categories: Vec::new(),
        }
    }

    fn rights_of(domain: &str, password: &str, found: Option<&Domain>) -> Option<Rights> {
        let instance =
            Instance { domain: name("example.com"), name: "devices".into(), password: Secret::new("instance") };
        let identity = AppIdentity { app: "users", domain, sip: "anna", guid: "", dn: "", info: None };
        let text = write_login(&identity, None, "4711", &Secret::new(password));
        let login = Login::read(&Request::parse(&text).unwrap());
        verify_login(&login, "4711", &instance, found)
    }

    fn verified_login(domain: &str, password: &str, found: Option<&Domain>) -> Option<(bool, DomainName)> {
        rights_of(domain, password, found).map(|r| (r.admin, r.domain))
    }

    #[test]
    fn the_session_key_is_made_of_the_password_that_fitted() {
        let tenant = tenant();
        let key = |domain, password| rights_of(domain, password, Some(&tenant)).unwrap().session_key;
        assert_eq!(key("tenant.example", "tenant"), session_key("4711", &Secret::new("tenant")));
        assert_eq!(key("example.com", "instance"), session_key("4711", &Secret::new("instance")));
    }

    #[test]
    fn the_table_of_rights() {
        let tenant = tenant();
        assert_eq!(verified_login("example.com", "instance", None), Some((true, name("example.com"))));
        assert_eq!(verified_login("EXAMPLE.com", "instance", None), Some((true, name("example.com"))));
        assert_eq!(verified_login("", "instance", None), Some((true, name("example.com"))));
        assert_eq!(verified_login("tenant.example", "instance", Some(&tenant)), None);
        assert_eq!(verified_login("tenant.example", "tenant", Some(&tenant)), Some((false, name("tenant.example"))));
        assert_eq!(verified_login("", "tenant", None), None);
        assert_eq!(verified_login("other", "tenant", None), None);
        assert_eq!(verified_login("other", "no such domain", None), None);
    }

    #[test]
    fn a_domain_without_password_lets_nobody_in() {
        let tenant = Domain { password: Secret::default(), ..tenant() };
        assert_eq!(verified_login("tenant.example", "", Some(&tenant)), None);
    }
}
