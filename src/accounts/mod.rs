//! Who may use the pages: signing in (here or at an OpenID provider), sessions, accounts of this installation, and
//! the list of what was done.
//!
//! A session is a random number in a cookie; what it stands for is in the store, found by a keyed hash. Whoever copies the
//! store gets into nothing. Not here: cookies, forms and pages (`web::pages`).

mod account_admin;
mod hashing;
pub mod oidc;
mod sign_in;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::DEFAULT_ACCOUNT_PASSWORD as DELIVERED_PASSWORD;
use crate::core::model::accounts::{AccountName, AuditAction, Identity, WebSession};
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::limits::{Attempts, Quota, SourceKey};
use crate::random;
use crate::store::seal::Sealer;
use crate::store::{SessionHash, Store, StoreError};

pub use account_admin::{AccountAdminError, MIN_PASSWORD, NewAccount};
pub use hashing::Hashing;

/// How long a session may be, and how often a password may be wrong.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A session that is not used for this long ends.
    pub idle: Duration,
    /// A session ends after this long at the latest.
    pub whole: Duration,
    /// Wrong passwords per account.
    pub per_account: Quota,
    /// Wrong passwords per source address.
    pub per_source: Quota,
    /// Accounts and sources that are remembered for it.
    pub max_tracked: usize,
    /// The delivered password is good: the service is on loopback only.
    pub loopback: bool,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Wrong name or password; which of them is not told.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many wrong ones; try again after this time.
    #[error("too many wrong passwords")]
    Blocked(Duration),
    /// So many sign in at once that this one would wait too long.
    #[error("too many sign in at this moment")]
    Busy,
    /// The password is the delivered one, and the service is not on loopback.
    #[error("the delivered password serves on loopback only")]
    Delivered,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session that has just begun.
#[derive(Debug)]
pub struct NewSession {
    /// What the browser shows from now on.
    pub shown: Secret,
    /// The session.
    pub session: WebSession,
}

/// A session that is used.
#[derive(Debug, Clone)]
pub struct ActiveSession {
    /// What it is found by.
    pub hash: SessionHash,
    /// The session.
    pub session: WebSession,
}

struct Wrong {
    by_account: Attempts<AccountName>,
    by_source: Attempts<SourceKey>,
}

/// The service of one node.
pub struct SignIn {
    store: Arc<dyn Store>,
    sealer: Sealer,
    hashing: Hashing,
    settings: Settings,
    wrong: Mutex<Wrong>,
}

impl SignIn {
    /// Over a store. Nodes with the same master key share their sessions.
    pub fn new(store: Arc<dyn Store>, sealer: Sealer, hashing: Hashing, settings: Settings) -> Self {
        let max = settings.max_tracked;
        let wrong = Mutex::new(Wrong {
            by_account: Attempts::new(settings.per_account, max),
            by_source: Attempts::new(settings.per_source, max),
        });
        Self { store, sealer, hashing, settings, wrong }
    }

    fn with_wrong<T>(&self, act: impl FnOnce(&mut Wrong) -> T) -> T {
        // Counters are good to use even if a thread died with them.
        act(&mut self.wrong.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The proof that a form comes from a page that was given to the browser with this cookie.
    pub fn form_token(&self, cookie: &str) -> String {
        self.sealer.hash("form token", cookie)
    }

    /// Adds to the list of deeds. The deed is done already: if the store does not take the line, the log has it.
    pub async fn note(&self, who: &Identity, what: &str, to: &str, domain: Option<&DomainName>) {
        let to: String = to.chars().filter(|c| !c.is_control()).take(crate::core::model::accounts::MAX_NAME).collect();
        let action =
            AuditAction { who: who.account.as_str().into(), what: what.into(), to: to.into(), domain: domain.cloned() };
        if let Err(error) = self.store.append_audit(&random::guid(), &action).await {
            tracing::warn!(%error, who = %action.who, what = %action.what, to = %action.to, "deed not listed");
        }
    }

    /// The list of deeds; see [`crate::store::Audit::deeds`]. Whose list it is comes from `who`.
    pub async fn audit_entries(
        &self,
        who: &Identity,
        before: Option<(crate::core::model::time::UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<crate::core::model::accounts::AuditEntry>, StoreError> {
        self.store.audit_entries(who.domain.as_ref(), before, limit).await
    }
}
