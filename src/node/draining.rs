//! Ends the connections of a node when the process stops: the order, the rate, and what is waited for
//! (`docs/operations.md`, Stopping).
//!
//! Devices first, then apps, so that the notices of entries in flight still find their receivers. Idle connections end
//! at a bounded rate; the others when their work in flight is finished, or when the time is over. Afterwards the store
//! records no member as connected here, and other nodes may take the notices that were addressed to this one.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::core::protocol::close::Close;
use crate::lifecycle::{CLOSING_STEP, closing_steps};
use crate::metrics::Peer;
use crate::node::Node;
use crate::store::Signal;
use crate::tenant::messages::Flush;

/// How often the remaining connections are counted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longest wait after the end of the connections, so that a store that does not answer does not delay the stop.
const AFTERMATH: Duration = Duration::from_secs(5);

/// Concurrent signals.
const CONCURRENT: usize = 64;

/// Ends all connections with [`Close::Stopping`], `per_second` of them a second, but fast enough to finish within
/// `longest`. When this returns, no member is in the store as being here, and every notice that was taken
/// and not settled is given back.
pub async fn end_all(node: &Node, per_second: u32, longest: Duration) {
    let end = Instant::now() + longest;
    // The last ones have time to finish as well, and so have the apps after the devices.
    finish(node, Peer::Device, per_second, longest / 2, end - longest / 4).await;
    flush(node).await;
    let left = end.saturating_duration_since(Instant::now());
    finish(node, Peer::App, per_second, left / 2, end).await;
    flush(node).await;
}

/// Tells the other nodes, after the lease of this one has ended, that the notices that were addressed to it are theirs.
pub async fn release_mailboxes(node: &Node) {
    for some in node.directory().all().await.chunks(CONCURRENT) {
        let published = some.iter().map(|(name, _)| async move {
            let signal = Signal::Mail { domain: name.clone(), code: None };
            if let Err(error) = node.store().publish(&signal).await {
                // They check their mailboxes a little later anyway.
                tracing::debug!(%error, domain = %name, "mailbox wake-up not published at the stop");
            }
        });
        join_all(published).await;
    }
}

/// Ends the connections of one kind: all of them are notified within `within`, and at `end` nobody is waited for any
/// more.
async fn finish(node: &Node, peer: Peer, per_second: u32, within: Duration, end: Instant) {
    let all = node.connections().registered(peer);
    let mut notified: HashSet<_> = all.iter().map(|(conn, _)| *conn).collect();
    let mut steps = interval(CLOSING_STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rest = all.iter();
    for count in closing_steps(all.len(), per_second, within) {
        steps.tick().await;
        rest.by_ref().take(count).for_each(|(_, connection)| connection.finish());
    }
    let mut look = interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let left = node.connections().registered(peer);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= end {
            let connections = left.len();
            tracing::warn!(connections, kind = ?peer, "drain time over: connections cut with work in flight");
            for (_, connection) in &left {
                connection.end(Close::Stopping);
            }
            return wait_until_gone(node, peer).await;
        }
        // Some may have been opening when the stop began.
        left.iter().filter(|(conn, _)| notified.insert(*conn)).for_each(|(_, connection)| connection.finish());
    }
}

/// Waits until the connections that had to end at once are gone.
async fn wait_until_gone(node: &Node, peer: Peer) {
    let mut look = interval(LOOK_EVERY);
    let gone = async {
        while !node.connections().registered(peer).is_empty() {
            look.tick().await;
        }
    };
    if timeout(AFTERMATH, gone).await.is_err() {
        tracing::warn!(kind = ?peer, "connections did not end after they were cut");
    }
}

/// Waits until the tenants have done what was sent to them, and nothing is in flight beside them.
async fn flush(node: &Node) {
    let end = Instant::now() + AFTERMATH;
    let quiet = async {
        // Connections that end may still send to a tenant: a member that has left, a new notice in the mailbox.
        for _ in 0..2 {
            node.in_flight().none().await;
            join_all(node.directory().all().await.iter().map(|(_, actor)| actor.send(Flush))).await;
        }
        node.in_flight().none().await;
    };
    if timeout_at(end, quiet).await.is_err() {
        tracing::warn!("the stop continues although work is in flight");
    }
}
