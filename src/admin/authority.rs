//! What a caller may do, and the tokens that prove it.
//!
//! A token is a text that only nodes with the same master key can make: whose it is, when it ends, and a mark of the password
//! that it was given for. When that password changes, the token is void.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{Admin, AdminError, Result};
use crate::clock;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::limits::SourceKey;

/// A token is valid this long.
pub const TOKEN_VALID: Duration = Duration::from_secs(15 * 60);

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The domain whose password was shown; `None`: the instance password, which opens all domains.
    pub domain: Option<DomainName>,
}

impl Authority {
    /// Refuses callers without the instance password.
    pub const fn instance_only(&self) -> Result<()> {
        match self.domain {
            None => Ok(()),
            Some(_) => Err(AdminError::NotAllowed("only with the instance password")),
        }
    }

    /// Refuses callers who are neither the instance nor this very domain: those who were given access see and use things of a
    /// domain but do not change its settings.
    pub fn own_domain(&self, domain: &DomainName) -> Result<()> {
        match &self.domain {
            Some(own) if own != domain => Err(AdminError::NotAllowed("only with the password of this domain")),
            _ => Ok(()),
        }
    }
}

/// A fresh token.
#[derive(Debug, Clone)]
pub struct Token {
    /// To be sent as `Authorization: Bearer …`.
    pub token: Secret,
    /// How long it is valid.
    pub valid: Duration,
    /// What it allows.
    pub authority: Authority,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainName>,
    /// Unix seconds.
    ends: u64,
    /// Keyed hash of the password.
    mark: String,
}

impl Admin {
    /// Exchanges a password for a token: that of the instance (`domain` is `None`) or that of a domain. Wrong passwords from
    /// one source count like failed log-ins of apps.
    pub async fn log_in(&self, domain: Option<&str>, password: &Secret, source: Option<SourceKey>) -> Result<Token> {
        let attempt_limiter = self.services.registration.attempt_limiter();
        if source.is_some_and(|source| attempt_limiter.apps_blocked_for(source).is_some()) {
            return Err(AdminError::TooMany("too many wrong passwords; try again later"));
        }
        let token = self.try_log_in(domain, password).await;
        if let (Err(AdminError::NotAllowed(_)), Some(source)) = (&token, source) {
            attempt_limiter.count_failed_login(source);
        }
        token
    }

    async fn try_log_in(&self, domain: Option<&str>, password: &Secret) -> Result<Token> {
        const REFUSED: AdminError = AdminError::NotAllowed("domain or password is wrong");
        let domain = domain.filter(|name| !name.is_empty());
        let name = domain.map(DomainName::parse).transpose().map_err(|_| REFUSED)?;
        let expected = self.password_of(name.as_ref()).await?;
        // Compared in any case, so that the time does not tell whether there is such a domain.
        let right = expected.as_ref().unwrap_or(&Secret::new("no such domain")) == password;
        let Some(expected) = expected.filter(|expected| right && !expected.is_empty()) else { return Err(REFUSED) };
        let ends = clock::unix_seconds() + TOKEN_VALID.as_secs();
        let claims = Claims { domain: name.clone(), ends, mark: self.mark(&expected) };
        let claims = hex::encode(serde_json::to_string(&claims).unwrap_or_default().as_bytes());
        let token = Secret::new(format!("{claims}.{}", self.sign(&claims)));
        Ok(Token { token, valid: TOKEN_VALID, authority: Authority { domain: name } })
    }

    /// What a token allows; `None` if it is not (or no longer) one of ours.
    pub async fn authority(&self, token: &str) -> Result<Option<Authority>> {
        let Some(claims) = self.read(token).filter(|claims| claims.ends > clock::unix_seconds()) else {
            return Ok(None);
        };
        let password = self.password_of(claims.domain.as_ref()).await?;
        let valid = password.is_some_and(|password| self.mark(&password) == claims.mark);
        Ok(valid.then_some(Authority { domain: claims.domain }))
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let (claims, signature) = token.split_once('.')?;
        let genuine: bool = self.sign(claims).as_bytes().ct_eq(signature.as_bytes()).into();
        serde_json::from_slice(&hex::decode(claims).ok().filter(|_| genuine)?).ok()
    }

    async fn password_of(&self, domain: Option<&DomainName>) -> Result<Option<Secret>> {
        Ok(match domain {
            None => Some(self.services.instance.password.clone()),
            Some(name) => self.services.tenants.find(name).await?.map(|domain| domain.password.clone()),
        })
    }

    fn sign(&self, claims: &str) -> String {
        self.sealer.hash("operator token", claims)
    }

    fn mark(&self, password: &Secret) -> String {
        self.sealer.hash("operator password", password.expose())
    }
}
