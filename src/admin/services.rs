//! What the operators' service uses of its node. A new dependency of this module is added here.

use std::sync::Arc;

use crate::admission::controller::AdmissionController;
use crate::attempts::AttemptService;
use crate::connection::table::ConnectionTable;
use crate::core::model::quota::Quotas;
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::session::app::rights::Instance;
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;

/// The services that the calls of operators use.
pub struct Services {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// Where the actors of tenants are found.
    pub directory: Arc<TenantDirectory>,
    /// Decides when a password may be compared.
    pub attempts: Arc<AttemptService>,
    /// Codes, assignments and timelines.
    pub registration: Arc<RegistrationService>,
    /// Open connections.
    pub connections: Arc<ConnectionTable>,
    /// Numbers of waiting connections and devices, and the current storm.
    pub admission: Arc<AdmissionController>,
    /// The instance and its password.
    pub instance: Instance,
    /// How much a domain may have.
    pub quotas: Quotas,
    /// Timeouts and waits of the work for a device.
    pub retry: RetryPolicy,
}
