//! What the registry and the actors of tenants use of their node. A new dependency of this module is added here.

use std::sync::Arc;

use crate::connection::table::ConnectionTable;
use crate::core::model::ids::NodeId;
use crate::lifecycle::InFlight;
use crate::mailbox::Mailbox;
use crate::store::Store;
use crate::tenant_cache::Tenants;

/// What the registry and the actors of tenants share.
pub struct Services {
    /// Name of this node.
    pub node: NodeId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// The mailboxes.
    pub mailbox: Arc<Mailbox>,
    /// Open connections.
    pub connections: Arc<ConnectionTable>,
    /// Work that has to be finished before a stop.
    pub in_flight: InFlight,
}
