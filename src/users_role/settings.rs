//! What the Users role is told by the configuration.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

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

/// What the Users role needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Address of the app WebSocket of Devices, `ws(s)://HOST/DOMAIN/INSTANCE`.
    pub devices: Box<str>,
    /// Which certificates are trusted there.
    pub tls: Arc<ClientConfig>,
    /// The tenants.
    pub tenants: Vec<TenantSettings>,
    /// Waits between attempts to reach Devices.
    pub reconnect: Backoff,
    /// Waits between attempts to carry out an order.
    pub orders: Backoff,
    /// Orders of a tenant that are carried out at the same time.
    pub orders_at_once: usize,
    /// An attempt at an order that takes longer has failed.
    pub enter_timeout: Duration,
    /// Requests to Devices a second, of each tenant, for the progress of phones that somebody looks at.
    pub looks_per_second: u32,
}
