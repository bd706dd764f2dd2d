//! Maps the claims of an OpenID provider to an identity of this installation. No I/O; the caller has verified the
//! token.
//!
//! A claim is configured by its name; a nested one by a path with dots, such as `realm_access.roles`.

use serde_json::{Map, Value};

use crate::core::model::accounts::{AccountName, Identity, MAX_NAME, Role};
use crate::core::model::ids::DomainName;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// Which claim is used for what.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Claim with the identifier of the user, which the provider never changes or reuses.
    pub account: String,
    /// Claim with the name that is shown.
    pub shown: String,
    /// Claim with the SIP name within the domain.
    pub sip: String,
    /// Where the domain comes from.
    pub domain: DomainFrom,
    /// Who may do what.
    pub roles: Roles,
}

/// Where a domain comes from.
#[derive(Debug, Clone)]
pub enum DomainFrom {
    /// This domain for everybody.
    Fixed(DomainName),
    /// The value of a claim.
    Claim(String),
    /// The part after the `@` of `email`, if the provider has verified the address.
    Email,
}

/// Values of a claim for each role. A user with several roles gets the most powerful one.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// The claim: a text, or a list of texts.
    pub claim: String,
    /// Persons; empty: everybody is one.
    pub person: Vec<String>,
    /// Roll-out administrators.
    pub rollout: Vec<String>,
    /// Operators of their domain.
    pub operator: Vec<String>,
    /// Operators of the whole instance.
    pub instance: Vec<String>,
}

/// Why claims are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// No claim identifies the user.
    #[error("claim {0}, which identifies the user, has no text")]
    Account(String),
    /// The user has no role.
    #[error("no value of claim {0} stands for a role")]
    Role(String),
    /// The user has no domain.
    #[error("no domain in claim {0}")]
    Domain(String),
    /// The domain would come from an e-mail address that was not verified.
    #[error("email_verified is not true, so the domain of the e-mail address is not used")]
    Unverified,
    /// The user has no SIP name.
    #[error("no SIP name in claim {0}, and a person needs one")]
    Sip(String),
}

impl Mapping {
    /// The identity of a user with these claims.
    pub fn identity(&self, claims: &Claims) -> Result<Identity, ClaimFault> {
        let subject = text(claims, &self.account).ok_or_else(|| ClaimFault::Account(self.account.clone()))?;
        let account = AccountName::of_provider(subject);
        let (role, instance) = self.roles.of(claims)?;
        // An operator without a domain is one of the whole instance, so only the value for that role gives none.
        let domain = if instance { None } else { Some(self.domain.of(claims)?) };
        let named = text(claims, &self.sip);
        let shown = text(claims, &self.shown).or(named).unwrap_or(account.as_str());
        let shown: String = shown.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        let sip = named.zip(domain.as_ref()).map_or("", |(name, domain)| within(name, domain)).into();
        let identity = Identity { shown: shown.into(), role, domain, domain_id: None, sip, account };
        match identity.fault() {
            // Role and domain are valid and the shown name was cut, so the fault is in the SIP name.
            Some(_) => Err(ClaimFault::Sip(self.sip.clone())),
            None => Ok(identity),
        }
    }

    /// Whether a claim is missing that the user-info endpoint may have.
    pub fn wants_more(&self, claims: &Claims) -> bool {
        let domain = match &self.domain {
            DomainFrom::Fixed(_) => "",
            DomainFrom::Claim(claim) => claim,
            DomainFrom::Email => "email",
        };
        let wanted = [&self.account, &self.shown, &self.sip, domain, &self.roles.claim];
        wanted.into_iter().any(|claim| !claim.is_empty() && value(claims, claim).is_none())
    }
}

impl DomainFrom {
    fn of(&self, claims: &Claims) -> Result<DomainName, ClaimFault> {
        let (claim, domain) = match self {
            Self::Fixed(domain) => return Ok(domain.clone()),
            Self::Claim(claim) => (claim.as_str(), text(claims, claim)),
            Self::Email => {
                let verified = match claims.get("email_verified") {
                    Some(Value::Bool(verified)) => *verified,
                    // Some providers send it as text.
                    Some(Value::String(verified)) => verified == "true",
                    _ => false,
                };
                if !verified {
                    return Err(ClaimFault::Unverified);
                }
                ("email", text(claims, "email").and_then(|email| Some(email.rsplit_once('@')?.1)))
            }
        };
        let domain = domain.and_then(|domain| DomainName::parse(domain).ok());
        domain.ok_or_else(|| ClaimFault::Domain(claim.to_owned()))
    }
}

impl Roles {
    /// The role, and whether it is for the whole instance.
    fn of(&self, claims: &Claims) -> Result<(Role, bool), ClaimFault> {
        let has = |wanted: &[String]| match value(claims, &self.claim) {
            Some(Value::String(one)) => wanted.contains(one),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(|one| wanted.iter().any(|w| w == one)),
            _ => false,
        };
        if has(&self.instance) {
            Ok((Role::Operator, true))
        } else if has(&self.operator) {
            Ok((Role::Operator, false))
        } else if has(&self.rollout) {
            Ok((Role::Rollout, false))
        } else if self.person.is_empty() || has(&self.person) {
            Ok((Role::Person, false))
        } else {
            Err(ClaimFault::Role(self.claim.clone()))
        }
    }
}

/// A claim by its name, or by its path; the name is tried first, because names may contain dots.
fn value<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    value(claims.get(first)?.as_object()?, rest)
}

fn text<'a>(claims: &'a Claims, path: &str) -> Option<&'a str> {
    value(claims, path)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The name without `@` and the domain, which some providers append.
fn within<'a>(name: &'a str, domain: &DomainName) -> &'a str {
    match name.rsplit_once('@') {
        Some((before, behind)) if DomainName::parse(behind).is_ok_and(|behind| behind == *domain) => before,
        _ => name,
    }
}

#[cfg(test)]
#[path = "oidc_claims_tests.rs"]
mod tests;
