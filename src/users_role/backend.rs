//! The backend of the Users role: where persons come from and where their phones are entered. One of exchange,
//! webhook or file.

pub mod exchange;
mod file;
pub mod user_list;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, Trouble, UserPage, UserQuery};

pub use file::FileBackend;
pub use webhook::{WebhookBackend, WebhookSettings, signature};

/// Why a backend has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It failed for now.
    #[error("not now: {why}")]
    Later {
        /// Reason for operators and logs; contains no secret and no text of users.
        why: Box<str>,
        /// The backend is not to be called again before this time.
        after: Option<Duration>,
    },
    /// It failed for good: a retry cannot help unless somebody changes something first.
    #[error("not at all: {why}")]
    Never {
        /// Reason as the pages show it.
        trouble: Trouble,
        /// Details for operators and logs.
        why: Box<str>,
    },
}

impl BackendError {
    /// A failure that may pass.
    pub fn later(why: impl Into<Box<str>>) -> Self {
        Self::Later { why: why.into(), after: None }
    }

    /// A permanent failure.
    pub fn never(trouble: Trouble, why: impl Into<Box<str>>) -> Self {
        Self::Never { trouble, why: why.into() }
    }
}

/// Outcome of [`Backend::enter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// The entry was made.
    New,
    /// The entry existed; nothing was changed.
    Already,
}

/// State of a backend, for the pages and operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendStatus {
    /// Kind as in the configuration: `file`, `webhook`, `pbx`.
    pub kind: &'static str,
    /// Whether it can be used now.
    pub up: bool,
    /// Why it cannot, or what it is waiting for.
    pub why: Option<Box<str>>,
    /// Number of known users, if it can tell.
    pub users: Option<u64>,
}

/// Users have been removed from the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRemoval {
    /// This user.
    One(PersonId),
    /// The user list is complete again: check every user that has open codes, some may have been removed earlier.
    CheckAll,
}

/// A backend. All methods may be called by several nodes and tasks at once.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Users of a domain, ordered by name; each is on exactly one page unless the list changes meanwhile.
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError>;

    /// One user, by its permanent identifier.
    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError>;

    /// One user, by its SIP name.
    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError>;

    /// The phone apps that can be chosen.
    async fn phone_apps(&self, domain: &DomainName) -> Result<Vec<PhoneApp>, BackendError>;

    /// Enters a phone for its user. Idempotent: it may be called again for the same order, after success and
    /// concurrently.
    async fn enter(&self, order: &EntryOrder) -> Result<Entered, BackendError>;

    /// Notifications of removed users; `None` if this backend cannot detect them.
    fn removals(&self, _domain: &DomainName) -> Option<broadcast::Receiver<UserRemoval>> {
        None
    }

    /// Whether the user is known to be removed; false when uncertain.
    fn is_removed(&self, _domain: &DomainName, _person: &PersonId) -> bool {
        false
    }

    /// State for this domain.
    fn status(&self, domain: &DomainName) -> BackendStatus;
}
