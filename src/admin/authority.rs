//! The authority of a caller, and the tokens that prove it.
//!
//! A token contains the domain, the end of its validity and a keyed hash of the password, and is signed with the
//! instance key. All nodes accept it. It becomes invalid when the password changes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, Result};
use crate::attempts::SecretKind;
use crate::clock;
use crate::core::model::device::Domain;
use crate::core::model::hex;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::limits::SourceKey;

/// What tokens, and the hash of the password in them, are signed as.
const TOKEN: &str = "operator token";
const MARK: &str = "operator password";

/// How long a token is valid.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The authority of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The domain whose password was used; `None`: the instance password, which gives access to all domains.
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

    /// Refuses callers other than the instance and this domain. Domains with access see and use the devices, codes and
    /// jobs of a domain but cannot change its settings.
    pub fn own_domain(&self, domain: &DomainName) -> Result<()> {
        match &self.domain {
            Some(own) if own != domain => Err(AdminError::NotAllowed("only with the password of this domain")),
            _ => Ok(()),
        }
    }
}

/// A new token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Sent by clients as `Authorization: Bearer …`.
    pub token: Secret,
    /// How long it is valid.
    pub valid: Duration,
    /// The authority that it proves.
    pub authority: Authority,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainName>,
    /// Unix seconds.
    ends: u64,
    /// Keyed hash of the password. The name is part of the format of tokens.
    mark: String,
}

impl Admin {
    /// Exchanges the password of the instance (`domain` is `None`) or of a domain for a token. Wrong passwords make later
    /// ones wait, by domain and source; `None`: a component of this process, which is no stranger.
    pub async fn log_in(&self, domain: Option<&str>, password: &Secret, source: Option<SourceKey>) -> Result<Token> {
        let domain = domain.filter(|name| !name.is_empty());
        let name = domain.map(DomainName::parse).transpose();
        let who = match &name {
            Ok(name) => name.as_ref().map_or("", DomainName::as_str),
            Err(_) => domain.unwrap_or_default(),
        };
        let attempt = match source {
            Some(source) => {
                let reserved = self.services.attempts.reserve(SecretKind::OperatorToken, Some(who), source).await;
                Some(reserved.map_err(|later| AdminError::TryLater(later.after))?)
            }
            None => None,
        };
        // A name that cannot be one is treated like one that is not known.
        let token = match &name {
            Ok(None) => Ok(self.token(None, self.mark_if_right(&self.services.instance.password, password))),
            Ok(Some(name)) => self.of_domain(Some(name), password).await,
            Err(_) => self.of_domain(None, password).await,
        }?;
        if let Some(attempt) = attempt {
            match &token {
                Some(_) => attempt.right(),
                None => attempt.wrong(),
            }
        }
        token.ok_or(AdminError::NotAllowed("domain or password is wrong"))
    }

    async fn of_domain(&self, name: Option<&DomainName>, password: &Secret) -> Result<Option<Token>> {
        let nobody = Secret::new("no such domain");
        // Compared in any case, so that the response time does not reveal whether the domain exists.
        let check = |found: Option<&Domain>| {
            let mark = self.mark_if_right(found.map_or(&nobody, |found| &found.password), password);
            mark.filter(|_| found.is_some())
        };
        let mark = self.services.tenants.check_secret(name, check).await?;
        Ok(self.token(name, mark))
    }

    fn mark_if_right(&self, expected: &Secret, password: &Secret) -> Option<String> {
        (expected == password && !expected.is_empty()).then(|| self.mark(expected))
    }

    fn token(&self, domain: Option<&DomainName>, mark: Option<String>) -> Option<Token> {
        let ends = clock::unix_seconds() + TOKEN_LIFETIME.as_secs();
        let claims = Claims { domain: domain.cloned(), ends, mark: mark? };
        let claims = hex::encode(serde_json::to_string(&claims).unwrap_or_default().as_bytes());
        let token = Secret::new(format!("{claims}.{}", self.sign(&claims)));
        Some(Token { token, valid: TOKEN_LIFETIME, authority: Authority { domain: domain.cloned() } })
    }

    /// The authority of a token; `None` if the token is invalid. Forged tokens need no limit: what would have to be
    /// guessed is a keyed hash of 256 bits, and a token with another one is refused before anything is looked up.
    pub async fn authority(&self, token: &str) -> Result<Option<Authority>> {
        let Some(claims) = self.read(token).filter(|claims| claims.ends > clock::unix_seconds()) else {
            return Ok(None);
        };
        let password = self.password_of(claims.domain.as_ref()).await?;
        let valid = password.is_some_and(|password| self.sealer.is_signature(MARK, password.expose(), &claims.mark));
        Ok(valid.then_some(Authority { domain: claims.domain }))
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let (claims, signature) = token.split_once('.')?;
        let genuine = self.sealer.is_signature(TOKEN, claims, signature);
        serde_json::from_slice(&hex::decode(claims).ok().filter(|_| genuine)?).ok()
    }

    async fn password_of(&self, domain: Option<&DomainName>) -> Result<Option<Secret>> {
        Ok(match domain {
            None => Some(self.services.instance.password.clone()),
            Some(name) => self.services.tenants.find(name).await?.map(|domain| domain.password.clone()),
        })
    }

    fn sign(&self, claims: &str) -> String {
        self.sealer.sign(TOKEN, claims)
    }

    fn mark(&self, password: &Secret) -> String {
        self.sealer.sign(MARK, password.expose())
    }
}
