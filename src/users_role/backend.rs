//! Where users come from and where their phones are entered: a telephone exchange, a web address, or a file.

pub mod exchange;
mod file;
mod user_list;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, Trouble, UserPage, UserQuery};

pub use file::FileBackend;
pub use webhook::{WebhookBackend, WebhookSettings, signature};

/// Why a backend has not done what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It may do it later.
    #[error("not now: {why}")]
    Later {
        /// What is in the way, for operators and logs; no secret, and no text of users.
        why: Box<str>,
        /// It is not to be asked again before this time.
        after: Option<Duration>,
    },
    /// It never will: asking again would not help unless somebody changes something first.
    #[error("not at all: {why}")]
    Never {
        /// What is in the way, as the pages name it.
        trouble: Trouble,
        /// More about it, for operators and logs.
        why: Box<str>,
    },
}

impl BackendError {
    /// It may work later.
    pub fn later(why: impl Into<Box<str>>) -> Self {
        Self::Later { why: why.into(), after: None }
    }

    /// It will not work.
    pub fn never(trouble: Trouble, why: impl Into<Box<str>>) -> Self {
        Self::Never { trouble, why: why.into() }
    }
}

/// What has become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It was made.
    New,
    /// It was there already; nothing was changed.
    Already,
}

/// How the backend is doing, for the pages and for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendStanding {
    /// What kind it is, as in the configuration: `file`, `webhook`, `pbx`.
    pub kind: &'static str,
    /// Whether it can be used now.
    pub up: bool,
    /// Why it cannot, or what is being done about it.
    pub why: Option<Box<str>>,
    /// Users that it knows, if it can tell.
    pub users: Option<u64>,
}

/// Users are there no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// This one.
    One(PersonId),
    /// The list is whole now; whoever is not in it has left, perhaps long ago.
    Perhaps,
}

/// A backend. All of it must be safe to be called by several nodes and tasks at once.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Users of a domain, in the order of their names; each of them is in exactly one page unless the list changes meanwhile.
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError>;

    /// One user, by what never changes about it.
    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError>;

    /// One user, by its SIP name.
    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError>;

    /// The phone apps that can be chosen.
    async fn phone_apps(&self, domain: &DomainName) -> Result<Vec<PhoneApp>, BackendError>;

    /// Enters a phone for its user. It may be called again for the same order, also after it has succeeded and also while another
    /// call is under way: the effect is that of one.
    async fn enter(&self, order: &EntryOrder) -> Result<Entered, BackendError>;

    /// Tells of users who leave; `None` if this backend does not notice.
    fn leavers(&self, _domain: &DomainName) -> Option<broadcast::Receiver<Left>> {
        None
    }

    /// Whether there is no such user any more. False unless that is certain.
    fn has_left(&self, _domain: &DomainName, _person: &PersonId) -> bool {
        false
    }

    /// How it is doing for this domain.
    fn standing(&self, domain: &DomainName) -> BackendStanding;
}
