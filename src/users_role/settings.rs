//! Configuration of the Users role.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::connection::own::OwnToken;
use crate::core::model::ids::{DomainName, NodeId, Secret};
use crate::core::policy::backoff::Backoff;

/// A tenant that is served.
#[derive(Debug, Clone)]
pub struct TenantSettings {
    /// Name of its domain.
    pub domain: DomainName,
    /// Password of its domain.
    pub password: Secret,
}

/// Configuration of the Users role.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Address of the app WebSocket of Devices, `ws(s)://HOST/DOMAIN/INSTANCE`.
    pub devices: Box<str>,
    /// TLS client configuration for that address.
    pub tls: Arc<ClientConfig>,
    /// Token that shows Devices that this is a component of its own process, if it is.
    pub own: Option<OwnToken>,
    /// The tenants.
    pub tenants: Vec<TenantSettings>,
    /// Back-off between attempts to reach Devices.
    pub reconnect: Backoff,
    /// Back-off between attempts to carry out an entry order.
    pub orders: Backoff,
    /// Concurrent entry orders per tenant.
    pub orders_at_once: usize,
    /// Limit for one attempt at an entry order.
    pub enter_timeout: Duration,
    /// Polls a second and tenant for the progress of phone requests that a page shows.
    pub polls_per_second: u32,
}
