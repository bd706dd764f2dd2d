//! What the actors of device connections use of their node. A new dependency of this module is added here.

use std::sync::Arc;

use crate::admission::controller::AdmissionController;
use crate::connection::socket::Bounds;
use crate::connection::table::ConnectionTable;
use crate::core::model::ids::{ConnId, NodeId};
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::session::device::event::Settings;
use crate::lifecycle::InFlight;
use crate::mailbox::Mailbox;
use crate::registration::RegistrationService;
use crate::store::{Store, Whereabouts};
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;

/// What all device connections of a node share.
pub struct Services {
    /// Name of this node.
    pub node: NodeId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// Where the actors of tenants are found.
    pub directory: Arc<TenantDirectory>,
    /// Look-ups and claims.
    pub registration: Arc<RegistrationService>,
    /// The mailboxes.
    pub mailbox: Arc<Mailbox>,
    /// Open connections.
    pub connections: Arc<ConnectionTable>,
    /// Admission control.
    pub admission: Arc<AdmissionController>,
    /// Work that has to be finished before a stop.
    pub in_flight: InFlight,
    /// Times and bounds of a session.
    pub session: Settings,
    /// Timeouts and waits of the work for a device.
    pub retry: RetryPolicy,
    /// Bounds of a socket.
    pub bounds: Bounds,
}

impl Services {
    /// Where a device on this connection of the node is.
    pub fn whereabouts(&self, conn: ConnId) -> Whereabouts {
        Whereabouts { node: self.node.clone(), conn }
    }
}
