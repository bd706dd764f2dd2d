//! Totals over all domains and nodes, for the metrics.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::NodeId;

/// Totals over the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Devices that belong to a domain.
    pub devices: u64,
    /// Devices of the domain that has the most.
    pub most_devices: u64,
    /// Members of the nodes that are alive.
    pub online: u64,
    /// Open codes of short validity.
    pub short_codes: u64,
    /// Open codes of long validity.
    pub rollout_codes: u64,
    /// Notices in the mailboxes.
    pub notices: u64,
    /// How long ago the code of the oldest one was used.
    pub oldest: Option<Duration>,
}

impl Totals {
    /// Known devices that are not connected. A device that moves between nodes may count twice as online meanwhile.
    pub const fn missing(&self) -> u64 {
        self.devices.saturating_sub(self.online)
    }
}

store_trait! {
    /// Totals over the whole store. They cost a few steps per domain and per node, whatever the number of devices.
    pub trait Figures: Send + Sync {
        /// Records how many members a node has. The number counts for as long as the lease of the node lasts.
        async fn publish_member_count(&self, node: &NodeId, members: u64) -> Result<()> => PublishMemberCount;

        /// The totals of now. The parts are not of exactly the same moment.
        async fn figures(&self) -> Result<Totals> => Figures;
    }
}
