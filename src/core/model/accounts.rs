//! Accounts for the pages: names, roles, browser sessions, and entries of the audit log. No I/O. A session is
//! identified by its key alone; browser and address are not checked.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::grant::Grant;
use super::ids::{DomainId, DomainName, InvalidId, Secret};
use super::time::UnixMillis;

/// Longest name of an account, in characters.
pub const MAX_NAME: usize = 128;

/// Prefix of the names of users of an OpenID provider; no other name has it.
const PROVIDER_PREFIX: &str = "oidc:";

/// The name of an account, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Box<str>);

impl AccountName {
    /// 1 to 128 characters, none of them white space or a control character; case is folded.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim();
        let forbidden = |c: char| c.is_control() || c.is_whitespace();
        if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(forbidden) {
            return Err(InvalidId::of("account name"));
        }
        Ok(Self(text.to_lowercase().into()))
    }

    /// The name of a user of an OpenID provider, who is known there by `subject`. Different subjects get different
    /// names: characters that case folding would merge are escaped, and names that get too long are hashed.
    pub fn of_provider(subject: &str) -> Self {
        let mut name = String::from(PROVIDER_PREFIX);
        for byte in subject.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'@' => name.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(name, "%{byte:02x}")),
            }
        }
        if name.len() > MAX_NAME {
            // The sign is escaped above.
            name = format!("{PROVIDER_PREFIX}#");
            for byte in Sha256::digest(subject) {
                // Writing to a string cannot fail.
                let _ = write!(name, "{byte:02x}");
            }
        }
        Self(name.into())
    }

    /// Whether it is the name of a provider's user. No account of this installation has such a name.
    pub fn is_of_provider(&self) -> bool {
        self.0.starts_with(PROVIDER_PREFIX)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The role of an account. Each role has its own pages; a person who needs two roles has two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Adds phones for themselves.
    Person,
    /// Registers phones for many users of a domain.
    Rollout,
    /// Manages the phones of a domain, or of the whole instance.
    Operator,
}

impl Role {
    /// All roles, starting with the one with the fewest rights.
    pub const ALL: [Self; 3] = [Self::Person, Self::Rollout, Self::Operator];

    /// The name in configuration and forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Rollout => "rollout",
            Self::Operator => "operator",
        }
    }

    /// The role with this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// The identity that all pages use. Pages never take domain or person from an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account name; for an OpenID provider, made from its subject.
    pub account: AccountName,
    /// The name to show.
    pub shown: Box<str>,
    /// The role.
    pub role: Role,
    /// The domain. `None` is the whole instance, for operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Number of the domain. An account or session ends with the domain that it was made for, although another one may
    /// take the name. `None`: not known, as in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_id: Option<DomainId>,
    /// SIP name within the domain; empty for operators of the instance.
    #[serde(default)]
    pub sip: Box<str>,
}

impl Identity {
    /// Why this identity is not possible; `None` if it is.
    pub fn fault(&self) -> Option<&'static str> {
        let too_long = |text: &str| text.chars().count() > MAX_NAME || text.chars().any(char::is_control);
        if self.domain.is_none() && self.role != Role::Operator {
            Some("a domain is needed: only operators may have the whole instance")
        } else if self.role == Role::Person && self.sip.trim().is_empty() {
            Some("a person needs a SIP name")
        } else if too_long(&self.sip) || too_long(&self.shown) {
            Some("a name has more than 128 characters, or control characters")
        } else {
            None
        }
    }

    /// The right to its domain; `None`: to all.
    pub fn grant(&self) -> Option<Grant> {
        let domain = self.domain.clone()?;
        Some(Grant { domain, id: self.domain_id, password: None })
    }

    /// Whether this is an operator of the whole instance.
    pub fn is_instance(&self) -> bool {
        self.role == Role::Operator && self.domain.is_none()
    }
}

/// An account of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub identity: Identity,
    /// Hash of the password in PHC form. Treated as a secret all the same.
    pub hash: Secret,
}

/// A session in a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSession {
    /// Whose session it is.
    pub identity: Identity,
    /// The `User-Agent`; only to recognise the session in a list.
    pub browser: Box<str>,
    /// When it was started.
    pub began: UnixMillis,
    /// When it was last used, to within about a minute.
    pub seen: UnixMillis,
    /// When it ends at the latest.
    pub ends: UnixMillis,
}

/// By what somebody who changes something is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// An account, of this installation or of an OpenID provider.
    #[default]
    Account,
    /// The password of the instance.
    Instance,
    /// The password of a domain.
    Domain,
    /// The log-in of an app connection.
    App,
}

impl KnownBy {
    /// Whether it is an account.
    pub const fn is_account(&self) -> bool {
        matches!(self, Self::Account)
    }

    /// The name in answers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Instance => "instance",
            Self::Domain => "domain",
            Self::App => "app",
        }
    }
}

/// Somebody who may change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// By what.
    pub by: KnownBy,
    /// The account, the domain whose password it was, or the name of the app; empty with the password of the instance.
    pub who: Box<str>,
    /// Whether it has the rights of the whole instance.
    pub instance: bool,
    /// From which address.
    pub from: Option<IpAddr>,
}

impl Actor {
    /// Somebody who is signed in.
    pub fn account(identity: &Identity, from: Option<IpAddr>) -> Self {
        let who = identity.account.as_str().into();
        Self { by: KnownBy::Account, who, instance: identity.domain.is_none(), from }
    }

    /// Who has proved the password of a domain, or of the instance (`None`).
    pub fn password(domain: Option<&DomainName>, from: Option<IpAddr>) -> Self {
        let by = if domain.is_some() { KnownBy::Domain } else { KnownBy::Instance };
        Self { by, who: domain.map_or("", DomainName::as_str).into(), instance: domain.is_none(), from }
    }

    /// Their action. Control characters are left out and long texts cut.
    pub fn action(&self, what: &str, to: &str, domain: Option<&DomainName>) -> AuditAction {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
        AuditAction {
            who: plain(&self.who).into(),
            by: self.by,
            instance: self.instance,
            from: self.from.map(|from| from.to_canonical()),
            what: what.into(),
            to: plain(to).into(),
            domain: domain.cloned(),
        }
    }
}

/// A change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAction {
    /// Who: see [`Actor::who`].
    #[serde(default)]
    pub who: Box<str>,
    /// By what they are known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by: KnownBy,
    /// Whether they have the rights of the whole instance.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instance: bool,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// The action: one word such as `device.remove`.
    pub what: Box<str>,
    /// Its object: the name of a device, an account or a category; never a secret.
    #[serde(default)]
    pub to: Box<str>,
    /// The domain; `None`: none, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
}

impl AuditAction {
    /// Whether it is of the instance, so that what a tenant does cannot push it out of the log.
    pub const fn is_of_instance(&self) -> bool {
        self.instance || self.domain.is_none()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Time on the clock of the store.
    pub at: UnixMillis,
    /// Distinguishes entries of the same time.
    pub mark: Box<str>,
    /// The change.
    pub action: AuditAction,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_checked() {
        assert_eq!(AccountName::parse(" Anna@Example.com ").unwrap().as_str(), "anna@example.com");
        for bad in ["", " ", "a b", "a\nb", "a\u{0}", &"x".repeat(129)] {
            assert!(AccountName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn users_of_a_provider_have_names_of_their_own() {
        let name = |subject: &str| AccountName::of_provider(subject);
        assert_eq!(name("anna@example.com").as_str(), "oidc:anna@example.com");
        assert_eq!(name("Anna").as_str(), "oidc:%41nna");
        let (long, other) = ("A".repeat(43), "A".repeat(42) + "a");
        assert!(name(&long).as_str().starts_with("oidc:#"), "{}", name(&long));
        let subjects = ["anna", "Anna", "%41nna", "#41", "a b", "a%20b", "ä", "Ä", "", " ", &long, &other];
        let names: std::collections::BTreeSet<_> = subjects.iter().map(|subject| name(subject)).collect();
        assert_eq!(names.len(), subjects.len());
        for name in names {
            assert!(name.is_of_provider());
            assert_eq!(AccountName::parse(name.as_str()), Ok(name), "it is not changed");
        }
        assert!(!AccountName::parse("anna").unwrap().is_of_provider());
        assert!(AccountName::parse("OIDC:anna").unwrap().is_of_provider(), "folded, and seen");
    }

    #[test]
    fn only_operators_may_have_no_domain() {
        let domain = DomainName::parse("example.com").ok();
        let who = |role, domain, sip: &str| Identity {
            account: AccountName::parse("anna").unwrap(),
            shown: "Anna".into(),
            role,
            domain,
            domain_id: None,
            sip: sip.into(),
        };
        assert_eq!(who(Role::Operator, None, "").fault(), None);
        assert!(who(Role::Operator, None, "").is_instance());
        assert!(!who(Role::Operator, domain.clone(), "").is_instance());
        assert_eq!(who(Role::Person, domain.clone(), "anna").fault(), None);
        assert_eq!(who(Role::Rollout, domain.clone(), "").fault(), None);
        assert!(who(Role::Person, None, "anna").fault().is_some());
        assert!(who(Role::Rollout, None, "anna").fault().is_some());
        assert!(who(Role::Person, domain.clone(), " ").fault().is_some());
        assert!(who(Role::Person, domain, &"x".repeat(200)).fault().is_some());
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }
}
