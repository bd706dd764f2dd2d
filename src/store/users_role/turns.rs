//! Turns: which node may do a task of a domain that only one node may do at a time.

use std::time::Duration;

use crate::core::model::ids::{DomainName, NodeId};
use crate::store::Result;
use crate::store::observed::store_trait;

store_trait! {
    /// Turns at the tasks of a domain.
    pub trait Turns: Send + Sync {
        /// Gives a node the turn at a task, or prolongs it. False while another node has it.
        async fn take_turn(
            &self,
            domain: &DomainName,
            what: &str,
            node: &NodeId,
            ttl: Duration,
        ) -> Result<bool> => Turn;

        /// Ends the turn of a node. Does nothing if another one has it.
        async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> => Turn;
    }
}
