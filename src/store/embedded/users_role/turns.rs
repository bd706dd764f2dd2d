//! Turns in the file: a row with the node whose turn it is.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::ids::{DomainName, NodeId};
use crate::store::embedded::{Embedded, keys};
use crate::store::{Result, Turns};

#[async_trait]
impl Turns for Embedded {
    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool> {
        let (key, node) = (keys::people_turn(domain, what), node.clone());
        self.kv
            .write(move |tx| {
                if tx.get::<NodeId>(&key)?.is_some_and(|who| who != node) {
                    return Ok(false);
                }
                tx.put(&key, &node, Some(tx.now + ttl))?;
                Ok(true)
            })
            .await
    }

    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> {
        let (key, node) = (keys::people_turn(domain, what), node.clone());
        self.kv
            .write(move |tx| if tx.get::<NodeId>(&key)?.as_ref() == Some(&node) { tx.remove(&key) } else { Ok(()) })
            .await
    }
}
