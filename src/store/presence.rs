//! Presence: which node holds which member, and the leases that show which nodes are alive.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::{ConnId, DeviceKey, DomainName, NodeId};

/// A connection on some node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The node.
    pub node: NodeId,
    /// The connection there.
    pub conn: ConnId,
}

store_trait! {
    /// Which node holds which member. A device is online if the lease of its node has not ended.
    pub trait Presence: Send + Sync {
        /// Renews the lease of a node for `ttl`.
        async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()> => RenewLease;

        /// Ends the lease of a node that stops.
        async fn end_lease(&self, node: &NodeId) -> Result<()> => EndLease;

        /// A device has become a member on a connection. Returns the connection that it replaces, on whatever node.
        async fn attach(
            &self,
            domain: &DomainName,
            key: &DeviceKey,
            at: &Whereabouts,
        ) -> Result<Option<Whereabouts>> => Attach;

        /// A member's connection has ended. Does nothing if another connection has replaced it.
        async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()> => Detach;

        /// Where a device is online now.
        async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>> => Whereabouts;
    }
}
