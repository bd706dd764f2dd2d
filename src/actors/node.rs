//! What the actors of one node share.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix::Addr;

use crate::actors::domain::DomainActor;
use crate::actors::governor::Governor;
use crate::actors::keys::Keys;
use crate::actors::registry::{Find, Registry};
use crate::actors::roster::Roster;
use crate::actors::socket::Bounds;
use crate::codes::Codes;
use crate::codes::tenants::Tenants;
use crate::core::ids::{DomainName, NodeId};
use crate::core::jobs::retry::Pace;
use crate::core::phone::event::Settings as PhoneSettings;
use crate::core::users::event::Settings;
use crate::core::users::rights::Instance;
use crate::lifecycle::Underway;
use crate::store::Store;

/// Bounds and times of the actors.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Times and bounds of a device connection.
    pub phone: PhoneSettings,
    /// How long the work for a device waits for it.
    pub pace: Pace,
    /// Socket of a device connection.
    pub device_bounds: Bounds,
    /// Socket of an app connection.
    pub app_bounds: Bounds,
    /// Notices on the way at once on one app connection.
    pub notice_window: usize,
    /// A notice is put into the mailbox this long after the entry even if the work is not finished.
    pub notice_after: Duration,
}

/// One running broker, as its actors see it.
pub struct Node {
    /// Name of this node.
    pub id: NodeId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Domains.
    pub tenants: Arc<Tenants>,
    /// Issuing and claiming.
    pub codes: Codes,
    /// Open connections.
    pub roster: Arc<Roster>,
    /// Who may begin.
    pub governor: Arc<Governor>,
    /// Keys of the app sessions that are open.
    pub keys: Arc<Keys>,
    /// Bounds and times.
    pub tuning: Tuning,
    /// The instance that apps log in to.
    pub instance: Instance,
    /// What app sessions must know.
    pub app_settings: Settings,
    /// What is done beside the connections and the actors of domains, and has to be finished before a stop.
    pub underway: Underway,
    /// Where domains are found.
    pub registry: Addr<Registry>,
    /// Those that were found before.
    pub found: Found,
}

/// The actors of domains as the registry has named them, so that it is not asked by every device.
#[derive(Default)]
pub struct Found(RwLock<HashMap<DomainName, Addr<DomainActor>>>);

impl Found {
    /// The actor of a domain, if it was found before and lives.
    pub fn alive(&self, name: &DomainName) -> Option<Addr<DomainActor>> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner);
        found.get(name).filter(|domain| domain.connected()).cloned()
    }
}

impl Node {
    /// The actor of a domain; made if there is none. `None` only while the process ends.
    pub async fn domain(&self, name: &DomainName) -> Option<Addr<DomainActor>> {
        if let Some(domain) = self.found.alive(name) {
            return Some(domain);
        }
        let domain = self.registry.send(Find(name.clone())).await.ok()?;
        self.found.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), domain.clone());
        Some(domain)
    }
}
