//! What the actors of app connections use of their node. A new dependency of this module is added here.

use std::sync::Arc;

use crate::app_connection::queries::AppQueries;
use crate::app_connection::session_keys::Keys;
use crate::attempts::AttemptService;
use crate::connection::socket::Bounds;
use crate::connection::table::ConnectionTable;
use crate::core::session::app::event::Settings;
use crate::core::session::app::rights::Instance;
use crate::registration::RegistrationService;
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;

/// What all app connections of a node share.
pub struct Services {
    /// The domains and their jobs as records.
    pub tenants: Arc<Tenants>,
    /// Where the actors of tenants are found.
    pub directory: Arc<TenantDirectory>,
    /// Answers to requests.
    pub queries: AppQueries,
    /// Decides when a log-in may be verified.
    pub attempts: Arc<AttemptService>,
    /// Issues codes.
    pub registration: Arc<RegistrationService>,
    /// Open connections.
    pub connections: Arc<ConnectionTable>,
    /// Keys of the sessions that are open.
    pub keys: Arc<Keys>,
    /// The instance that apps log in to.
    pub instance: Instance,
    /// Times and bounds of a session.
    pub session: Settings,
    /// Bounds of a socket.
    pub bounds: Bounds,
}
