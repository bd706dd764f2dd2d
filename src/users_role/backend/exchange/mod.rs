//! The backend `pbx`: persons come from a telephone exchange, and phones are entered there as devices of users
//! (`docs/protocol/pbx.md`).
//!
//! The protocol is the state machine in [`crate::core::session::exchange`]. This module runs one task per exchange
//! with its connection, in either direction, and holds the locks across nodes. Every node has its own mirror of the
//! users.

mod commands;
mod dial;
mod handle;
mod inbound;
mod lock_manager;
mod task;
mod user_index;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

pub use self::dial::{DialError, Trust};
pub use commands::ConnectionCommand;
pub use handle::{Dial, ExchangeSettings};
pub use inbound::{InboundConnection, InboundRegistry};

use super::{Backend, BackendError, BackendStatus, Entered, UserRemoval};
use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, Trouble, UserPage, UserQuery};
use crate::core::session::exchange::event::{self, Change, ObsoleteReason, OrderFailure, Outcome, RetryReason};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::inbound::InboundSettings;
use crate::core::session::exchange::mirror::State;
use crate::lifecycle::Shutdown;
use crate::store::Store;
use crate::users_role::backend::exchange::commands::Command;
use crate::users_role::backend::exchange::handle::ExchangeHandle;
use crate::users_role::backend::exchange::user_index::UserIndex;

/// Retry delay when a domain has no exchange.
const UNKNOWN_DOMAIN: Duration = Duration::from_secs(60);

struct ServedDomain {
    handle: Arc<ExchangeHandle>,
    index: UserIndex,
}

/// The backend `pbx` over the exchanges of all domains.
pub struct ExchangeBackend {
    served: Vec<ServedDomain>,
    inbound_registry: InboundRegistry,
}

impl ExchangeBackend {
    /// Starts the clients of all exchanges on the current runtime.
    pub fn start(
        handles: Vec<ExchangeSettings>,
        inbound: InboundSettings,
        store: &Arc<dyn Store>,
        shutdown: &Shutdown,
    ) -> Self {
        let handles: Arc<[Arc<ExchangeHandle>]> =
            handles.into_iter().map(|settings| Arc::new(ExchangeHandle::new(settings))).collect();
        for handle in handles.iter() {
            handle.start(Arc::clone(store) as _, shutdown);
        }
        let served =
            handles.iter().map(|handle| ServedDomain { handle: Arc::clone(handle), index: UserIndex::default() });
        Self { served: served.collect(), inbound_registry: InboundRegistry::new(Arc::clone(&handles), inbound) }
    }

    /// The registry for connections opened by exchanges.
    pub fn inbound_registry(&self) -> InboundRegistry {
        self.inbound_registry.clone()
    }

    fn of(&self, domain: &DomainName) -> Result<&ServedDomain, BackendError> {
        let served = self.served.iter().find(|served| served.handle.settings.domain == *domain);
        let missing = || BackendError::Later { why: "the domain has no exchange".into(), after: Some(UNKNOWN_DOMAIN) };
        served.ok_or_else(missing)
    }
}

#[async_trait]
impl Backend for ExchangeBackend {
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError> {
        let served = self.of(domain)?;
        let users = served.index.users(&served.handle)?;
        Ok(crate::users_role::backend::exchange::user_index::page(&users, query))
    }

    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError> {
        let served = self.of(domain)?;
        let Ok(guid) = Guid::parse(person.as_str()) else { return Ok(None) };
        crate::users_role::backend::exchange::user_index::one(&served.handle, |mirror| mirror.row(&guid))
    }

    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError> {
        crate::users_role::backend::exchange::user_index::one(&self.of(domain)?.handle, |mirror| mirror.by_sip(sip))
    }

    async fn phone_apps(&self, domain: &DomainName) -> Result<Vec<PhoneApp>, BackendError> {
        let apps = self.of(domain)?.handle.ask(Command::Apps).await;
        let apps = apps.ok_or_else(|| BackendError::later("stopping"))?;
        Ok(apps.into_iter().map(|app| PhoneApp { name: app.name, title: app.title }).collect())
    }

    async fn enter(&self, order: &EntryOrder) -> Result<Entered, BackendError> {
        let handle = &self.of(&order.domain)?.handle;
        let Ok(user) = Guid::parse(order.person.as_str()) else {
            return Err(BackendError::never(
                Trouble::UserGone,
                "the identifier of the user is not a GUID of the exchange",
            ));
        };
        if order.phone.port.is_some() {
            let why = "an analogue port has no entry of its own at the exchange";
            return Err(BackendError::never(Trouble::Refused, why));
        }
        let change = Change::Put { app: order.app.clone(), product: order.phone.product.clone() };
        let order = event::ExchangeOrder { user, hw: order.phone.key.as_str().into(), change, number: order.made.0 };
        let outcome = handle.ask(|answer| Command::Enter(order, answer)).await;
        outcome.map_or_else(|| Err(BackendError::later("stopping")), |outcome| entered(&outcome))
    }

    fn removals(&self, domain: &DomainName) -> Option<broadcast::Receiver<UserRemoval>> {
        self.of(domain).ok().map(|served| served.handle.removals.subscribe())
    }

    fn is_removed(&self, domain: &DomainName, person: &PersonId) -> bool {
        let (Ok(served), Ok(guid)) = (self.of(domain), Guid::parse(person.as_str())) else { return false };
        let client = served.handle.client();
        client.mirror().knows_all() && client.mirror().row(&guid).is_none()
    }

    fn status(&self, domain: &DomainName) -> BackendStatus {
        let mut status = BackendStatus { kind: "pbx", up: false, why: None, users: None };
        let Ok(served) = self.of(domain) else {
            status.why = Some("the domain has no exchange".into());
            return status;
        };
        let client = served.handle.client();
        status.up = client.is_ready();
        let mirror = client.mirror();
        status.users = (mirror.state() != State::Empty).then_some(mirror.len() as u64);
        status.why = match (status.up, mirror.state()) {
            (false, _) => Some("not connected to the exchange".into()),
            (true, State::Complete) => None,
            (true, State::Empty | State::Stale) => Some("reading the list of users".into()),
        };
        status
    }
}

/// Maps the outcome of an order to the error type of all backends.
fn entered(outcome: &Outcome) -> Result<Entered, BackendError> {
    let later = |why: &'static str, after| Err(BackendError::Later { why: why.into(), after: Some(after) });
    match *outcome {
        Outcome::Done { wrote: true } => Ok(Entered::New),
        Outcome::Done { wrote: false } => Ok(Entered::Already),
        Outcome::Obsolete(ObsoleteReason::UserDeleted) => {
            Err(BackendError::never(Trouble::UserGone, "the user has been deleted at the exchange"))
        }
        Outcome::Obsolete(ObsoleteReason::Superseded) => {
            Err(BackendError::never(Trouble::TakenByOther, "a newer order for the same phone exists"))
        }
        Outcome::Later(why, after) => later(
            match why {
                RetryReason::NoConnection => "not connected to the exchange",
                RetryReason::NotGranted => "the app object at the exchange lacks Admin and TableUsers",
                RetryReason::UnknownApp => "the exchange has no app object with the name of the phone app",
                RetryReason::Refused => "the exchange has refused the entry",
                RetryReason::ConcurrentEdits => "concurrent edits of the user at the exchange",
                RetryReason::Busy => "too many orders under way",
                RetryReason::LockLost => "the store could not renew a lock",
            },
            after,
        ),
        Outcome::Failed(failed) => Err(match failed {
            OrderFailure::TooManyDevices => BackendError::never(Trouble::TooManyPhones, "the user has 64 entries"),
            OrderFailure::TooLong => BackendError::never(Trouble::TooManyPhones, "the entries exceed 16 KiB"),
            OrderFailure::NotAUser => {
                BackendError::never(Trouble::UserGone, "the object at the exchange is not a user")
            }
            OrderFailure::Refused => {
                BackendError::never(Trouble::Refused, "the exchange has refused the entry four times")
            }
            OrderFailure::AtOtherUser => {
                BackendError::never(Trouble::TakenByOther, "the phone is entered for another user")
            }
            OrderFailure::ObjectCreated => {
                BackendError::never(Trouble::Refused, "the exchange has created an object instead of changing the user")
            }
            OrderFailure::NotSeen => {
                BackendError::never(Trouble::Refused, "the exchange has not shown the written entry")
            }
        }),
    }
}
