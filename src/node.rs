//! One running broker: assembles the services that the actors of a node share, and hands them out in narrow groups.
//!
//! Each kind of actor takes only its own [`device::Services`], [`app_connection::Services`] or [`tenant::Services`];
//! everything else (operators, pages, timers, the stop) takes the single services that it uses. No module below this
//! one may know it.

pub mod draining;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::admission::controller::AdmissionController;
use crate::app_connection::queries::AppQueries;
use crate::app_connection::session_keys::Keys;
use crate::attempts::AttemptService;
use crate::connection::socket::Bounds;
use crate::connection::table::ConnectionTable;
use crate::core::model::ids::NodeId;
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::session::app::event::Settings as AppSettings;
use crate::core::session::app::rights::Instance;
use crate::core::session::device::event::Settings as DeviceSettings;
use crate::lifecycle::InFlight;
use crate::mailbox::{Mailbox, MailboxSettings};
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;
use crate::{app_connection, device, tenant};

/// Bounds and times of the actors.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Times and bounds of the session of a device.
    pub device: DeviceSettings,
    /// How long the work for a device waits for it.
    pub retry: RetryPolicy,
    /// Socket of a device connection.
    pub device_bounds: Bounds,
    /// Times and bounds of the session of an app.
    pub app: AppSettings,
    /// Socket of an app connection.
    pub app_bounds: Bounds,
    /// The instance that apps log in to.
    pub instance: Instance,
    /// Notices on the way at once on one app connection.
    pub notice_window: usize,
    /// A notice is put into the mailbox this long after the entry even if the work is not finished.
    pub notice_after: Duration,
}

/// The parts that a node is assembled from.
pub struct NodeParts {
    /// Name of this node.
    pub id: NodeId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// Look-ups, claims and codes.
    pub registration: RegistrationService,
    /// Attempts at secrets.
    pub attempts: Arc<AttemptService>,
    /// Open connections.
    pub connections: ConnectionTable,
    /// Admission control.
    pub admission: AdmissionController,
    /// Bounds and times.
    pub settings: NodeSettings,
}

/// One running broker.
pub struct Node {
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    in_flight: InFlight,
    attempts: Arc<AttemptService>,
    devices: Arc<device::Services>,
    apps: Arc<app_connection::Services>,
}

impl Node {
    /// Assembles a node; within an actix system.
    pub fn start(parts: NodeParts) -> Arc<Self> {
        let NodeParts { id, store, tenants, registration, attempts, connections, admission, settings } = parts;
        let (registration, connections) = (Arc::new(registration), Arc::new(connections));
        let in_flight = InFlight::default();
        let mailbox = Arc::new(Mailbox::new(
            id.clone(),
            Arc::clone(&store),
            Arc::clone(&tenants),
            Arc::clone(&registration),
            MailboxSettings { window: settings.notice_window, overdue_after: settings.notice_after },
        ));
        let directory = Arc::new(TenantDirectory::start(Arc::new(tenant::Services {
            node: id.clone(),
            store: Arc::clone(&store),
            tenants: Arc::clone(&tenants),
            mailbox: Arc::clone(&mailbox),
            connections: Arc::clone(&connections),
            in_flight: in_flight.clone(),
        })));
        let devices = Arc::new(device::Services {
            node: id,
            store: Arc::clone(&store),
            tenants: Arc::clone(&tenants),
            directory: Arc::clone(&directory),
            registration: Arc::clone(&registration),
            mailbox,
            connections: Arc::clone(&connections),
            admission: Arc::new(admission),
            in_flight: in_flight.clone(),
            session: settings.device,
            retry: settings.retry,
            bounds: settings.device_bounds,
        });
        let queries =
            AppQueries::new(devices.node.clone(), Arc::clone(&store), Arc::clone(&tenants), Arc::clone(&registration));
        let apps = Arc::new(app_connection::Services {
            queries,
            tenants: Arc::clone(&tenants),
            directory,
            attempts: Arc::clone(&attempts),
            registration,
            connections,
            keys: Arc::<Keys>::default(),
            instance: settings.instance,
            session: settings.app,
            bounds: settings.app_bounds,
        });
        Arc::new(Self { store, tenants, in_flight, attempts, devices, apps })
    }

    /// Name of this node.
    pub fn id(&self) -> &NodeId {
        &self.devices.node
    }

    /// The store.
    pub const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The domains and their jobs as records.
    pub const fn tenants(&self) -> &Arc<Tenants> {
        &self.tenants
    }

    /// Where the actors of tenants are found.
    pub fn directory(&self) -> &Arc<TenantDirectory> {
        &self.devices.directory
    }

    /// Look-ups, claims and codes.
    pub fn registration(&self) -> &Arc<RegistrationService> {
        &self.devices.registration
    }

    /// Attempts at secrets.
    pub const fn attempts(&self) -> &Arc<AttemptService> {
        &self.attempts
    }

    /// Open connections.
    pub fn connections(&self) -> &Arc<ConnectionTable> {
        &self.devices.connections
    }

    /// Admission control.
    pub fn admission(&self) -> &Arc<AdmissionController> {
        &self.devices.admission
    }

    /// What is done beside the connections and the actors of tenants, and has to be finished before a stop.
    pub const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// What device connections use.
    pub const fn devices(&self) -> &Arc<device::Services> {
        &self.devices
    }

    /// What app connections use.
    pub const fn apps(&self) -> &Arc<app_connection::Services> {
        &self.apps
    }
}
