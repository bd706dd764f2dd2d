//! Accounts and sessions of the pages: sign-in (here or at an OpenID provider), accounts of this installation, and the
//! audit log.
//!
//! A session is a random value in a cookie; the store keeps only a keyed hash of it, so a copy of the store gives
//! access to no session. This module knows nothing of cookies, forms and pages (`web::pages`). See `docs/security.md`.

mod account_admin;
mod hashing;
mod known_browser;
pub mod oidc;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::attempts::AttemptService;
use crate::core::model::accounts::{AccountName, Actor, Identity, WebSession};
use crate::core::model::ids::{DomainName, Secret};
use crate::random;
use crate::store::seal::Sealer;
use crate::store::{SessionHash, Signal, Store, StoreError};
use crate::tenant_cache::Tenants;

pub use account_admin::{AccountAdminError, MIN_PASSWORD, NewAccount};
pub use hashing::Hashing;
pub use sign_in::PasswordSignIn;

/// Limits of sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A session that is not used for this long ends.
    pub idle: Duration,
    /// A session ends after this long at the latest.
    pub whole: Duration,
    /// Only this machine reaches the service, so the delivered password is accepted.
    pub loopback: bool,
}

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Wrong name or password, without distinction.
    #[error("name or password is wrong")]
    Wrong,
    /// The password was not looked at: after many wrong ones it would have to wait this long.
    #[error("too many wrong passwords")]
    TryLater(Duration),
    /// Too many sign-ins at the same time; the wait would be too long.
    #[error("too many sign-ins at the moment")]
    Busy,
    /// The password is a delivered one, and others than this machine reach the service.
    #[error("the delivered password works on loopback only")]
    Delivered,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new session.
#[derive(Debug)]
pub struct NewSession {
    /// Value of the session cookie.
    pub cookie_value: Secret,
    /// Value of the cookie by which the browser is known from now on, after a sign-in with a password.
    pub browser_cookie: Option<Secret>,
    /// The session.
    pub session: WebSession,
}

/// The session of a request.
#[derive(Debug, Clone)]
pub struct ActiveSession {
    /// Keyed hash of the cookie's value.
    pub hash: SessionHash,
    /// The session.
    pub session: WebSession,
    /// From where the request comes.
    pub from: Option<IpAddr>,
}

impl ActiveSession {
    /// Who makes the request.
    pub fn actor(&self) -> Actor {
        Actor::account(&self.session.identity, self.from)
    }
}

/// The accounts service of one node.
pub struct SignIn {
    store: Arc<dyn Store>,
    sealer: Sealer,
    hashing: Hashing,
    attempts: Arc<AttemptService>,
    settings: Settings,
    /// The domains, if accounts end with theirs.
    tenants: Option<Arc<Tenants>>,
    ended: broadcast::Sender<Ended>,
}

/// Sessions may have ended.
#[derive(Debug, Clone)]
enum Ended {
    /// Those of an account.
    Of(AccountName),
    /// Any: signals may have been lost.
    Any,
}

/// How many of these a waiting stream may be behind; beyond, it looks its session up.
const ENDED_QUEUE: usize = 256;

impl SignIn {
    /// A service on a store. Nodes with the same master key share their sessions.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Sealer,
        hashing: Hashing,
        attempts: Arc<AttemptService>,
        settings: Settings,
    ) -> Self {
        let ended = broadcast::Sender::new(ENDED_QUEUE);
        Self { store, sealer, hashing, attempts, settings, tenants: None, ended }
    }

    /// Ends what belongs to a domain with that domain.
    #[must_use]
    pub fn bound_to(mut self, tenants: Arc<Tenants>) -> Self {
        self.tenants = Some(tenants);
        self
    }

    /// Whether the domain of an account or session is still the one that it was made for.
    fn holds(&self, identity: &Identity) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.holds(identity.grant().as_ref()))
    }

    /// Takes a signal from another node, or of this one.
    pub fn signal(&self, signal: Signal) {
        let ended = match signal {
            Signal::SessionsEnded { account } => Ended::Of(account),
            Signal::Gap => Ended::Any,
            _ => return,
        };
        // Nobody may be waiting.
        let _ = self.ended.send(ended);
    }

    /// Tells every node that sessions of an account have ended.
    async fn announce_end(&self, account: &AccountName) {
        if let Err(error) = self.store.publish(&Signal::SessionsEnded { account: account.clone() }).await {
            tracing::warn!(%error, "end of sessions not published; streams see it at their next check");
        }
    }

    /// Returns when a session has ended, because somebody has ended it, its account has changed, or its domain is gone.
    pub async fn until_ended(&self, hash: &SessionHash, who: &Identity) {
        let mut ended = self.ended.subscribe();
        let mut domains = self.tenants.as_ref().map(|tenants| tenants.rights_changed());
        let mut look = true;
        loop {
            if !self.holds(who) || (look && self.has_ended(hash).await) {
                return;
            }
            let of_domain = async {
                match &mut domains {
                    Some(domains) => domains.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            look = tokio::select! {
                () = until_concerned(&mut ended, &who.account) => true,
                _ = of_domain => false,
            };
        }
    }

    /// Token that proves that a form comes from a page given to the browser with this cookie.
    pub fn form_token(&self, cookie: &str) -> String {
        self.sealer.sign("form token", cookie)
    }

    /// Adds an entry to the audit log. The action has been performed already; if the store fails, the entry is written
    /// to the program's log.
    pub async fn note(&self, actor: &Actor, what: &str, to: &str, domain: Option<&DomainName>) {
        let action = actor.action(what, to, domain);
        if let Err(error) = self.store.append_audit(&random::guid(), &action).await {
            tracing::warn!(%error, who = %action.who, what = %action.what, to = %action.to, "audit entry not stored");
        }
    }

    /// The audit log of the domain of `who`, or of all domains; see [`crate::store::AuditLog::audit_entries`].
    pub async fn audit_entries(
        &self,
        who: &Identity,
        before: Option<(crate::core::model::time::UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<crate::core::model::accounts::AuditEntry>, StoreError> {
        self.store.audit_entries(who.domain.as_ref(), before, limit).await
    }
}

/// Returns when sessions of this account may have ended.
async fn until_concerned(ended: &mut broadcast::Receiver<Ended>, account: &AccountName) {
    loop {
        match ended.recv().await {
            Ok(Ended::Of(other)) if other != *account => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
