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

use std::sync::Arc;
use std::time::Duration;

use crate::attempts::AttemptService;
use crate::config::DEFAULT_ACCOUNT_PASSWORD as DELIVERED_PASSWORD;
use crate::core::model::accounts::{AuditAction, Identity, WebSession};
use crate::core::model::ids::{DomainName, Secret};
use crate::random;
use crate::store::seal::Sealer;
use crate::store::{SessionHash, Store, StoreError};

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
    /// The listener is on loopback, so the delivered password is accepted.
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
    /// The password is the delivered one, and the listener is not on loopback.
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
}

/// The accounts service of one node.
pub struct SignIn {
    store: Arc<dyn Store>,
    sealer: Sealer,
    hashing: Hashing,
    attempts: Arc<AttemptService>,
    settings: Settings,
}

impl SignIn {
    /// A service on a store. Nodes with the same master key share their sessions.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Sealer,
        hashing: Hashing,
        attempts: Arc<AttemptService>,
        settings: Settings,
    ) -> Self {
        Self { store, sealer, hashing, attempts, settings }
    }

    /// Token that proves that a form comes from a page given to the browser with this cookie.
    pub fn form_token(&self, cookie: &str) -> String {
        self.sealer.sign("form token", cookie)
    }

    /// Adds an entry to the audit log. The action has been performed already; if the store fails, the entry is written
    /// to the program's log.
    pub async fn note(&self, who: &Identity, what: &str, to: &str, domain: Option<&DomainName>) {
        let to: String = to.chars().filter(|c| !c.is_control()).take(crate::core::model::accounts::MAX_NAME).collect();
        let action =
            AuditAction { who: who.account.as_str().into(), what: what.into(), to: to.into(), domain: domain.cloned() };
        if let Err(error) = self.store.append_audit(&random::guid(), &action).await {
            tracing::warn!(%error, who = %action.who, what = %action.what, to = %action.to, "audit entry not stored");
        }
    }

    /// The audit log of the domain of `who`, or of all domains; see [`crate::store::Audit::audit_entries`].
    pub async fn audit_entries(
        &self,
        who: &Identity,
        before: Option<(crate::core::model::time::UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<crate::core::model::accounts::AuditEntry>, StoreError> {
        self.store.audit_entries(who.domain.as_ref(), before, limit).await
    }
}
