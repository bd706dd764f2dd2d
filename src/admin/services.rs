//! What the operators' service uses of its node; a new dependency of this room is added here.

use std::sync::Arc;

use crate::admission::controller::AdmissionController;
use crate::connection::table::ConnectionTable;
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::session::app::rights::Instance;
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;

/// The services that operators' calls are answered with.
pub struct Services {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// Where the actors of tenants are found.
    pub directory: Arc<TenantDirectory>,
    /// Codes, assignments and timelines.
    pub registration: Arc<RegistrationService>,
    /// Open connections.
    pub connections: Arc<ConnectionTable>,
    /// Who waits, and how a storm stands.
    pub admission: Arc<AdmissionController>,
    /// The instance and its password.
    pub instance: Instance,
    /// How long the work for a device waits for it.
    pub retry: RetryPolicy,
}
