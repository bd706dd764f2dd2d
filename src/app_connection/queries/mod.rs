//! Answers to the requests of app connections, within the rights of the connection that asks
//! (`docs/protocol/devices-api.md` sections 2 to 4).
//!
//! Reads the records; a new code comes from [`RegistrationService`]. It knows nothing of connections and sessions.

mod codes;
mod configs;
mod devices;

pub use codes::WantedCode;

use std::sync::Arc;

use crate::core::model::ids::NodeId;
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant_cache::Tenants;

/// The service that answers the app connections of one node.
pub struct AppQueries {
    node: NodeId,
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    registration: Arc<RegistrationService>,
}

impl AppQueries {
    /// Notices of the codes that are issued here, or asked about here, are addressed to `node`.
    pub const fn new(
        node: NodeId,
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        registration: Arc<RegistrationService>,
    ) -> Self {
        Self { node, store, tenants, registration }
    }
}
