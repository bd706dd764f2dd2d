//! Presence on Redis: where each member is, without refresh, and one lease per node that is renewed.

use std::collections::HashSet;
use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::ids::{ConnId, DeviceKey, DomainName, NodeId};
use crate::store::{Presence, Result, StoreError, Whereabouts};

static ATTACH: LazyScript = script!("attach");
pub(super) static DETACH: LazyScript = script!("detach");

pub(super) fn write(at: &Whereabouts) -> String {
    format!("{} {}", at.conn.0, at.node)
}

/// The first line of a presence field; nowhere if it is empty.
fn read(field: &str) -> Option<Whereabouts> {
    let (conn, node) = field.lines().next()?.split_once(' ')?;
    Some(Whereabouts { node: NodeId::new(node), conn: ConnId(conn.parse().ok()?) })
}

#[async_trait]
impl Presence for Redis {
    async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()> {
        let set = cmd("SET").arg(keys::node(node)).arg(1).arg("PX").arg(millis(ttl)).take();
        self.line.timed(self.line.ask(&set)).await
    }

    async fn end_lease(&self, node: &NodeId) -> Result<()> {
        self.line.timed(self.line.ask(cmd("DEL").arg(keys::node(node)))).await
    }

    async fn attach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<Option<Whereabouts>> {
        let mut script = ATTACH.key(keys::presence(domain));
        script.arg(key.as_str()).arg(write(at));
        let before: String = self.line.timed(self.line.eval(&script)).await?;
        Ok(read(&before))
    }

    async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        let mut script = DETACH.key(keys::presence(domain));
        script.arg(key.as_str()).arg(write(at));
        self.line.timed(self.line.eval(&script)).await
    }

    async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>> {
        self.line
            .timed(async {
                let read_field = cmd("HGET").arg(keys::presence(domain)).arg(key.as_str()).take();
                let field: Option<String> = self.line.ask(&read_field).await?;
                Ok(self.online(&[field]).await?.pop().flatten())
            })
            .await
    }
}

impl Redis {
    /// Those of the nodes whose lease lives.
    pub(super) async fn living(&self, nodes: HashSet<&NodeId>) -> Result<HashSet<NodeId>> {
        // One command each, since every node's lease is a slot of its own; they go out together.
        let asks = nodes.into_iter().map(|node| async move {
            let alive: bool = self.line.ask(cmd("EXISTS").arg(keys::node(node))).await?;
            Ok::<_, StoreError>(alive.then(|| node.clone()))
        });
        Ok(futures_util::future::try_join_all(asks).await?.into_iter().flatten().collect())
    }

    /// Where devices are online now, in their order, by the fields of a presence hash.
    pub(super) async fn online(&self, fields: &[Option<String>]) -> Result<Vec<Option<Whereabouts>>> {
        let places: Vec<_> = fields.iter().map(|field| field.as_deref().and_then(read)).collect();
        let living = self.living(places.iter().flatten().map(|at| &at.node).collect()).await?;
        Ok(places.into_iter().map(|at| at.filter(|at| living.contains(&at.node))).collect())
    }
}
