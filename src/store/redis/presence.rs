//! Presence on Redis: the connection of each member, which is not refreshed, and one lease per node, which is renewed.
//!
//! Members of a domain that connect or disconnect at the same moment share a script. Within one script a device
//! appears once, so that each script may run twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ::redis::{FromRedisValue, cmd, pipe};
use async_trait::async_trait;
use futures_util::future::join_all;

use super::connection::{RedisClient, Request};
use super::schema::Record;
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{ConnId, DeviceKey, DomainName, NodeId};
use crate::store::redis::batch::{Asked, Batch, answer_all};
use crate::store::{Presence, Result, StoreError, Whereabouts};

// A known device gets back in when the store is full: its place is as large as the one that it had before.
static ATTACH: LazyScript = script!("attach", allowed_when_full);
pub(super) static DETACH: LazyScript = script!("detach");

pub(super) fn write(at: &Whereabouts) -> String {
    format!("{} {}", at.conn.0, at.node)
}

/// The first line of a presence field; `None` if it is empty.
fn read(field: &str) -> Option<Whereabouts> {
    let (conn, node) = field.lines().next()?.split_once(' ')?;
    Some(Whereabouts { node: NodeId::new(node), conn: ConnId(conn.parse().ok()?) })
}

/// A member that connects or disconnects.
pub(super) struct Step {
    domain: DomainName,
    key: DeviceKey,
    at: String,
}

impl Step {
    fn new(domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Self {
        Self { domain: domain.clone(), key: key.clone(), at: write(at) }
    }
}

/// Splits a batch by domain, and into waves in each of which a device appears once, so that the order of its steps is
/// kept.
fn waves<A>(batch: Batch<Step, A>) -> Vec<HashMap<DomainName, Batch<Step, A>>> {
    let mut times: HashMap<(&DomainName, &DeviceKey), usize> = HashMap::with_capacity(batch.len());
    let mut numbers = Vec::with_capacity(batch.len());
    for Asked { question, .. } in &batch {
        let before = times.entry((&question.domain, &question.key)).or_default();
        numbers.push(*before);
        *before += 1;
    }
    let mut waves: Vec<HashMap<DomainName, Batch<Step, A>>> = Vec::new();
    for (number, asked) in numbers.into_iter().zip(batch) {
        if waves.len() == number {
            waves.push(HashMap::new());
        }
        waves[number].entry(asked.question.domain.clone()).or_default().push(asked);
    }
    waves
}

pub(super) async fn attach_all(client: Arc<RedisClient>, batch: Batch<Step, Vec<u8>>) {
    share(&client, &ATTACH, batch, |befores: Vec<Vec<u8>>, _| befores).await;
}

pub(super) async fn detach_all(client: Arc<RedisClient>, batch: Batch<Step, ()>) {
    share(&client, &DETACH, batch, |(), callers| vec![(); callers]).await;
}

/// Runs a script for a batch, once for each domain and wave; `answers` splits its answer into those of the callers.
async fn share<T: FromRedisValue, A>(
    client: &RedisClient,
    script: &LazyScript,
    batch: Batch<Step, A>,
    answers: fn(T, usize) -> Vec<A>,
) {
    for wave in waves(batch) {
        join_all(wave.into_iter().map(|(domain, part)| async move {
            let mut script = script.key(keys::presence(&domain));
            for asked in &part {
                script.arg(asked.question.key.as_str()).arg(&asked.question.at);
            }
            let answer = client.ask_for(part.len(), Request::Script(&script)).await;
            let answers = answer.map(|answer| answers(answer, part.len()).into_iter().map(Ok));
            answer_all(part, answers);
        }))
        .await;
    }
}

#[async_trait]
impl Presence for Redis {
    async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()> {
        // What is announced is the stage by which this node works already; what is read is followed from now on.
        let mut renewal = pipe();
        let announcement = self.announcement();
        renewal.cmd("SET").arg(keys::node(node)).arg(announcement).arg("PX").arg(millis(ttl)).ignore();
        renewal.add_command(Record::read());
        renewal.cmd("GET").arg(keys::KEYRING);
        let (record, ring): (Vec<Option<String>>, Option<String>) =
            self.client.timed(self.client.ask_all(&renewal)).await?;
        self.follow(Record::of(record).stage);
        self.follow_ring(ring).await;
        Ok(())
    }

    async fn end_lease(&self, node: &NodeId) -> Result<()> {
        self.client.timed(self.client.ask(cmd("DEL").arg(keys::node(node)))).await
    }

    async fn attach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<Option<Whereabouts>> {
        let before = self.client.timed(self.attaching.ask(Step::new(domain, key, at))).await?;
        Ok(read(&String::from_utf8_lossy(&before)))
    }

    async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        self.client.timed(self.detaching.ask(Step::new(domain, key, at))).await
    }

    async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>> {
        self.client
            .timed(async {
                let read_field = cmd("HGET").arg(keys::presence(domain)).arg(key.as_str()).take();
                let field: Option<String> = self.client.ask(&read_field).await?;
                Ok(self.online(&[field]).await?.pop().flatten())
            })
            .await
    }
}

impl Redis {
    /// Those of the nodes whose lease has not ended.
    pub(super) async fn living(&self, nodes: HashSet<&NodeId>) -> Result<HashSet<NodeId>> {
        // One command each, since every node's lease is in a slot of its own; they are sent together.
        let asks = nodes.into_iter().map(|node| async move {
            let alive: bool = self.client.ask(cmd("EXISTS").arg(keys::node(node))).await?;
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
