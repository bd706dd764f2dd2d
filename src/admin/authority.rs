//! The authority of a caller, and the tokens that prove it.
//!
//! A token contains the domain, the end of its validity and a keyed hash of the password, and is signed with the
//! instance key. All nodes accept it. It becomes invalid when the password changes, and when the domain is deleted,
//! although another one may take its name and password.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, Result};
use crate::attempts::SecretKind;
use crate::clock;
use crate::core::model::accounts::{Actor, Identity};
use crate::core::model::device::Domain;
use crate::core::model::grant::Grant;
use crate::core::model::hex;
use crate::core::model::ids::{DomainId, DomainName, Secret};
use crate::core::policy::limits::SourceKey;

/// What tokens, and the hash of the password in them, are signed as.
const TOKEN: &str = "operator token";
const MARK: &str = "operator password";

/// How long a token is valid.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The authority of a caller.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The domain whose password was used, or of whose operator it is; `None`: all domains.
    pub domain: Option<DomainName>,
    /// The right to that domain, which can end while the caller is served.
    grant: Option<Grant>,
    /// Who that is, for the audit log.
    pub(super) actor: Actor,
    /// Whether an action was recorded under this authority.
    recorded: Arc<AtomicBool>,
}

impl Authority {
    fn new(grant: Option<Grant>, actor: Actor) -> Self {
        let domain = grant.as_ref().map(|grant| grant.domain.clone());
        Self { domain, grant, actor, recorded: Arc::default() }
    }

    /// Of somebody who is signed in to the pages as an operator.
    pub fn of_account(identity: &Identity, actor: Actor) -> Self {
        Self::new(identity.grant(), actor)
    }

    /// The same caller, who calls from this address.
    #[must_use]
    pub fn from(mut self, address: Option<IpAddr>) -> Self {
        self.actor.from = address;
        self
    }

    /// Who that is.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether an action was recorded under this authority, or one of its clones.
    pub fn has_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Nothing (else) has to be recorded: an action was, or nothing was changed.
    pub fn set_recorded(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }

    pub(super) const fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

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
    /// Number of the domain. Tokens of the version before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<DomainId>,
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
            Ok(None) => {
                let mark = self.mark_if_right(&self.services.instance.password, password);
                Ok(self.token(None, mark.map(|mark| (None, mark))))
            }
            Ok(Some(name)) => self.of_domain(Some(name), password).await,
            Err(_) => self.of_domain(None, password).await,
        }?;
        if let Some(attempt) = attempt {
            match &token {
                Some(_) => attempt.right(),
                None => attempt.wrong_secret(password.expose().as_bytes()),
            }
        }
        token.ok_or(AdminError::NotAllowed("domain or password is wrong"))
    }

    async fn of_domain(&self, name: Option<&DomainName>, password: &Secret) -> Result<Option<Token>> {
        let nobody = Secret::new("no such domain");
        // Compared in any case, so that the response time does not reveal whether the domain exists.
        let check = |found: Option<&Domain>| {
            let mark = self.mark_if_right(found.map_or(&nobody, |found| &found.password), password);
            mark.zip(found.map(Grant::by_password))
        };
        let right = self.services.tenants.check_secret(name, check).await?;
        let Some((mark, grant)) = right else { return Ok(None) };
        // The password may have been changed at another node just now.
        self.services.tenants.refresh_one(&grant.domain).await?;
        let right = self.services.tenants.holds(Some(&grant)).then_some((Some(grant), mark));
        Ok(self.token(name, right))
    }

    fn mark_if_right(&self, expected: &Secret, password: &Secret) -> Option<String> {
        (expected == password && !expected.is_empty()).then(|| self.mark(expected))
    }

    fn token(&self, domain: Option<&DomainName>, right: Option<(Option<Grant>, String)>) -> Option<Token> {
        let ends = clock::unix_seconds() + TOKEN_LIFETIME.as_secs();
        let (grant, mark) = right?;
        let authority = Authority::new(grant.clone(), Actor::password(domain, None));
        let claims = Claims { domain: domain.cloned(), id: grant.and_then(|grant| grant.id), ends, mark };
        let claims = hex::encode(serde_json::to_string(&claims).unwrap_or_default().as_bytes());
        let token = Secret::new(format!("{claims}.{}", self.sign(&claims)));
        Some(Token { token, valid: TOKEN_LIFETIME, authority })
    }

    /// The authority of a token; `None` if the token is invalid. Forged tokens need no limit: what would have to be
    /// guessed is a keyed hash of 256 bits, and a token with another one is refused before anything is looked up.
    pub async fn authority(&self, token: &str) -> Result<Option<Authority>> {
        let Some(claims) = self.read(token).filter(|claims| claims.ends > clock::unix_seconds()) else {
            return Ok(None);
        };
        let password = self.password_of(claims.domain.as_ref()).await?;
        let Some(password) =
            password.filter(|password| self.sealer.is_signature(MARK, password.expose(), &claims.mark))
        else {
            return Ok(None);
        };
        let actor = Actor::password(claims.domain.as_ref(), None);
        let grant = claims.domain.map(|domain| Grant { domain, id: claims.id, password: Some(password) });
        Ok(Some(Authority::new(grant, actor)).filter(|authority| self.services.tenants.holds(authority.grant())))
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
