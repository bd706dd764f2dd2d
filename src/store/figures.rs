//! How much there is of everything, over all domains and nodes: for the metrics.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::core::model::ids::NodeId;

/// Figures of the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Devices that belong to a domain.
    pub devices: u64,
    /// Members that the living nodes have.
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
    /// Known devices that are connected nowhere. While one moves between nodes it may count twice as online.
    pub const fn missing(&self) -> u64 {
        self.devices.saturating_sub(self.online)
    }
}

/// Figures of the whole store. They cost a few steps per domain and per node, whatever the number of devices.
#[async_trait]
pub trait Figures: Send + Sync {
    /// A node has so many members now. It counts for as long as the lease of the node lives.
    async fn tell_members(&self, node: &NodeId, members: u64) -> Result<()>;

    /// What there is now. The parts are not of exactly the same moment.
    async fn figures(&self) -> Result<Totals>;
}
