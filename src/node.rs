//! What the actors of one node share.

pub mod draining;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix::Addr;

use crate::admission::controller::AdmissionController;
use crate::app_connection::queries::AppQueries;
use crate::app_connection::session_keys::Keys;
use crate::connection::socket::Bounds;
use crate::connection::table::ConnectionTable;
use crate::core::model::ids::{DomainName, NodeId};
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::session::app::event::Settings;
use crate::core::session::app::rights::Instance;
use crate::core::session::device::event::Settings as PhoneSettings;
use crate::lifecycle::InFlight;
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant::actor::DomainActor;
use crate::tenant::registry::{Find, Registry};
use crate::tenant_cache::Tenants;

/// Bounds and times of the actors.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Times and bounds of a device connection.
    pub phone: PhoneSettings,
    /// How long the work for a device waits for it.
    pub pace: RetryPolicy,
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
    /// Registers devices and issues codes.
    pub codes: Arc<RegistrationService>,
    /// Answers app connections.
    pub queries: AppQueries,
    /// Open connections.
    pub roster: Arc<ConnectionTable>,
    /// Who may begin.
    pub governor: Arc<AdmissionController>,
    /// Keys of the app sessions that are open.
    pub keys: Arc<Keys>,
    /// Bounds and times.
    pub tuning: Tuning,
    /// The instance that apps log in to.
    pub instance: Instance,
    /// What app sessions must know.
    pub app_settings: Settings,
    /// What is done beside the connections and the actors of domains, and has to be finished before a stop.
    pub underway: InFlight,
    /// Where domains are found.
    pub registry: Addr<Registry>,
    /// Those that were found before.
    pub found: LiveTenants,
}

/// The actors of domains as the registry has named them, so that it is not asked by every device.
#[derive(Default)]
pub struct LiveTenants(RwLock<HashMap<DomainName, Addr<DomainActor>>>);

impl LiveTenants {
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
