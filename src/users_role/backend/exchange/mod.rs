//! The backend `pbx`: users come from a telephone exchange, and phones are entered there as their devices
//! (`docs/protocol/pbx.md`).
//!
//! The rules are in [`crate::core::session::exchange`]. Here is one task for each PBX with its connection, in either direction, and the locks
//! over all nodes. Every node has a mirror of its own.

mod client;
mod commands;
mod dial;
mod inbound;
mod lock_manager;
mod task;
mod user_index;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

pub use self::dial::{DialError, Trust};
pub use client::{Dial, ExchangeSettings};
pub use commands::LinkCommand;
pub use inbound::{InboundRegistry, Link};

use super::{Backend, BackendError, BackendStanding, Entered, Left};
use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, Trouble, UserPage, UserQuery};
use crate::core::session::exchange::event::{self, Change, Ended, Failed, Outcome, Why};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::inbound::InboundSettings;
use crate::core::session::exchange::mirror::State;
use crate::lifecycle::Shutdown;
use crate::store::Store;
use crate::users_role::backend::exchange::client::ExchangeClient;
use crate::users_role::backend::exchange::commands::Command;
use crate::users_role::backend::exchange::user_index::Directory;

/// How long to wait when a domain has no PBX.
const UNKNOWN_DOMAIN: Duration = Duration::from_secs(60);

struct Served {
    line: Arc<ExchangeClient>,
    directory: Directory,
}

/// See the module.
pub struct PbxBackend {
    served: Vec<Served>,
    switchboard: InboundRegistry,
}

impl PbxBackend {
    /// Starts the clients of all PBXs on the current runtime.
    pub fn start(
        lines: Vec<ExchangeSettings>,
        door: InboundSettings,
        store: &Arc<dyn Store>,
        shutdown: &Shutdown,
    ) -> Self {
        let lines: Arc<[Arc<ExchangeClient>]> =
            lines.into_iter().map(|settings| Arc::new(ExchangeClient::new(settings))).collect();
        for line in lines.iter() {
            line.start(Arc::clone(store) as _, shutdown);
        }
        let served = lines.iter().map(|line| Served { line: Arc::clone(line), directory: Directory::default() });
        Self { served: served.collect(), switchboard: InboundRegistry::new(Arc::clone(&lines), door) }
    }

    /// Where connections of PBXs are taken to.
    pub fn switchboard(&self) -> InboundRegistry {
        self.switchboard.clone()
    }

    fn of(&self, domain: &DomainName) -> Result<&Served, BackendError> {
        let served = self.served.iter().find(|served| served.line.settings.domain == *domain);
        let missing = || BackendError::Later { why: "the domain has no PBX".into(), after: Some(UNKNOWN_DOMAIN) };
        served.ok_or_else(missing)
    }
}

#[async_trait]
impl Backend for PbxBackend {
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError> {
        let served = self.of(domain)?;
        let users = served.directory.users(&served.line)?;
        Ok(crate::users_role::backend::exchange::user_index::page(&users, query))
    }

    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError> {
        let served = self.of(domain)?;
        let Ok(guid) = Guid::parse(person.as_str()) else { return Ok(None) };
        crate::users_role::backend::exchange::user_index::one(&served.line, |mirror| mirror.row(&guid))
    }

    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError> {
        crate::users_role::backend::exchange::user_index::one(&self.of(domain)?.line, |mirror| mirror.by_sip(sip))
    }

    async fn phone_apps(&self, domain: &DomainName) -> Result<Vec<PhoneApp>, BackendError> {
        let apps = self.of(domain)?.line.ask(Command::Apps).await;
        let apps = apps.ok_or_else(|| BackendError::later("stopping"))?;
        Ok(apps.into_iter().map(|app| PhoneApp { name: app.name, title: app.title }).collect())
    }

    async fn enter(&self, order: &EntryOrder) -> Result<Entered, BackendError> {
        let line = &self.of(&order.domain)?.line;
        let Ok(user) = Guid::parse(order.person.as_str()) else {
            return Err(BackendError::never(Trouble::UserGone, "the user is not one of the PBX"));
        };
        if order.phone.port.is_some() {
            let why = "an analogue port has no entry of its own at the PBX";
            return Err(BackendError::never(Trouble::Refused, why));
        }
        let change = Change::Put { app: order.app.clone(), product: order.phone.product.clone() };
        let order = event::ExchangeOrder { user, hw: order.phone.key.as_str().into(), change, number: order.made.0 };
        let outcome = line.ask(|answer| Command::Enter(order, answer)).await;
        outcome.map_or_else(|| Err(BackendError::later("stopping")), |outcome| entered(&outcome))
    }

    fn leavers(&self, domain: &DomainName) -> Option<broadcast::Receiver<Left>> {
        self.of(domain).ok().map(|served| served.line.leavers.subscribe())
    }

    fn has_left(&self, domain: &DomainName, person: &PersonId) -> bool {
        let (Ok(served), Ok(guid)) = (self.of(domain), Guid::parse(person.as_str())) else { return false };
        let exchange = served.line.exchange();
        exchange.mirror().knows_all() && exchange.mirror().row(&guid).is_none()
    }

    fn standing(&self, domain: &DomainName) -> BackendStanding {
        let mut standing = BackendStanding { kind: "pbx", up: false, why: None, users: None };
        let Ok(served) = self.of(domain) else {
            standing.why = Some("the domain has no PBX".into());
            return standing;
        };
        let exchange = served.line.exchange();
        standing.up = exchange.is_ready();
        let mirror = exchange.mirror();
        standing.users = (mirror.state() != State::Empty).then_some(mirror.len() as u64);
        standing.why = match (standing.up, mirror.state()) {
            (false, _) => Some("no connection with the PBX".into()),
            (true, State::Complete) => None,
            (true, State::Empty | State::Stale) => Some("the list of users is being read".into()),
        };
        standing
    }
}

/// What has become of an order, in the words of all backends.
fn entered(outcome: &Outcome) -> Result<Entered, BackendError> {
    let later = |why: &'static str, after| Err(BackendError::Later { why: why.into(), after: Some(after) });
    match *outcome {
        Outcome::Done { wrote: true } => Ok(Entered::New),
        Outcome::Done { wrote: false } => Ok(Entered::Already),
        Outcome::Ended(Ended::UserDeleted) => {
            Err(BackendError::never(Trouble::UserGone, "the user has been deleted at the PBX"))
        }
        Outcome::Ended(Ended::Superseded) => {
            Err(BackendError::never(Trouble::TakenByOther, "a newer order for the same phone exists"))
        }
        Outcome::Later(why, after) => later(
            match why {
                Why::NoConnection => "no connection with the PBX",
                Why::NotGranted => "the app object at the PBX lacks Admin and TableUsers",
                Why::UnknownApp => "the PBX has no app object of the name of the phone app",
                Why::Refused => "the PBX has refused the entry",
                Why::NoPeace => "others change the user at the PBX all the time",
                Why::Busy => "too many orders at once",
                Why::LockLost => "the store could not renew a lock",
            },
            after,
        ),
        Outcome::Failed(failed) => Err(match failed {
            Failed::TooManyDevices => BackendError::never(Trouble::TooManyPhones, "the user has 64 entries"),
            Failed::TooLong => BackendError::never(Trouble::TooManyPhones, "the entries exceed 16 KiB"),
            Failed::NotAUser => BackendError::never(Trouble::UserGone, "the object at the PBX is not a user"),
            Failed::Refused => BackendError::never(Trouble::Refused, "the PBX has refused the entry four times"),
            Failed::AtOtherUser => BackendError::never(Trouble::TakenByOther, "somebody else has the phone"),
            Failed::NotSeen => BackendError::never(Trouble::Refused, "the PBX has not taken over what was written"),
        }),
    }
}
