//! Turns on Redis: a key with the node whose turn it is.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::ids::{DomainName, NodeId};
use crate::store::redis::{LazyScript, Redis, keys, millis, script};
use crate::store::{Result, Turns};

static TURN: LazyScript = script!("take_turn");

#[async_trait]
impl Turns for Redis {
    async fn take_turn(&self, domain: &DomainName, what: &str, node: &NodeId, ttl: Duration) -> Result<bool> {
        let mut script = TURN.key(keys::people_turn(domain, what));
        script.arg(node.as_str()).arg(millis(ttl));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn end_turn(&self, domain: &DomainName, what: &str, node: &NodeId) -> Result<()> {
        self.client.timed(self.delete_if(&keys::people_turn(domain, what), node.as_str())).await
    }
}
