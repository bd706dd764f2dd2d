//! How a node ends its connections when the process stops: in which order, how fast, and what is waited for.
//!
//! Devices first, then apps, so that the notices of entries that were in flight still find those who take them. Idle connections
//! end when they are told, at a pace; the others when what is under way on them is finished, or when the time is over. Then
//! nothing in the store says any more that somebody is here, and the other nodes may have what was kept for those who were.

use std::collections::HashSet;
use std::time::Duration;

use actix::{Addr, Context, Handler, Message};
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::core::model::ids::DomainName;
use crate::core::protocol::close::Close;
use crate::lifecycle::{CLOSING_STEP, closing_steps};
use crate::metrics::Peer;
use crate::node::Node;
use crate::store::Signal;
use crate::tenant::actor::DomainActor;
use crate::tenant::registry::Actors;

/// Whether connections are still there is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What follows the end of the connections takes moments; a store that does not answer must not hold the process up longer.
const AFTERMATH: Duration = Duration::from_secs(5);

/// Signals that are on their way at the same time.
const TOGETHER: usize = 64;

/// Ends all connections with [`Close::Stopping`], `per_second` of them a second, but so fast that nobody is waited for longer
/// than `longest`. When this returns, the store says of no member that it is here, and every notice that was taken and not
/// settled is given back.
pub async fn end_all(node: &Node, per_second: u32, longest: Duration) {
    let end = Instant::now() + longest;
    // Whoever is told last has time to finish as well, and so have the apps after the devices.
    finish(node, Peer::Device, per_second, longest / 2, end - longest / 4).await;
    catch_up(node).await;
    let left = end.saturating_duration_since(Instant::now());
    finish(node, Peer::App, per_second, left / 2, end).await;
    catch_up(node).await;
}

/// Tells the other nodes, after the lease of this one has ended, that what it was to have is theirs.
pub async fn hand_over(node: &Node) {
    for some in actors(node).await.chunks(TOGETHER) {
        let told = some.iter().map(|(name, _)| async move {
            let signal = Signal::Mail { domain: name.clone(), code: None };
            if let Err(error) = node.store.publish(&signal).await {
                // They look by themselves a little later.
                tracing::debug!(%error, domain = %name, "other nodes not told to look into the mailbox");
            }
        });
        join_all(told).await;
    }
}

/// Ends the connections of one kind: all of them are told within `within`, and at `end` nobody is waited for any more.
async fn finish(node: &Node, peer: Peer, per_second: u32, within: Duration, end: Instant) {
    let all = node.roster.enrolled(peer);
    let mut told: HashSet<_> = all.iter().map(|(conn, _)| *conn).collect();
    let mut pace = interval(CLOSING_STEP);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rest = all.iter();
    for count in closing_steps(all.len(), per_second, within) {
        pace.tick().await;
        rest.by_ref().take(count).for_each(|(_, connection)| connection.finish());
    }
    let mut look = interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let left = node.roster.enrolled(peer);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= end {
            tracing::warn!(connections = left.len(), kind = ?peer, "cut although something is under way");
            for (_, connection) in &left {
                connection.end(Close::Stopping);
            }
            return gone(node, peer).await;
        }
        // Some may have been opening when the stop began.
        left.iter().filter(|(conn, _)| told.insert(*conn)).for_each(|(_, connection)| connection.finish());
    }
}

/// Waits until those that were told to end at once have done so.
async fn gone(node: &Node, peer: Peer) {
    let mut look = interval(LOOK_EVERY);
    let gone = async {
        while !node.roster.enrolled(peer).is_empty() {
            look.tick().await;
        }
    };
    if timeout(AFTERMATH, gone).await.is_err() {
        tracing::warn!(kind = ?peer, "connections did not end");
    }
}

async fn actors(node: &Node) -> Vec<(DomainName, Addr<DomainActor>)> {
    node.registry.send(Actors).await.unwrap_or_default()
}

/// Waits until the domains have done what they were told to do, and nothing is under way beside them.
async fn catch_up(node: &Node) {
    let end = Instant::now() + AFTERMATH;
    let quiet = async {
        // What ends may tell a domain something: of a device that has gone, of a mailbox with something new in it.
        for _ in 0..2 {
            node.underway.none().await;
            join_all(actors(node).await.iter().map(|(_, actor)| actor.send(CatchUp))).await;
        }
        node.underway.none().await;
    };
    if timeout_at(end, quiet).await.is_err() {
        tracing::warn!("the stop goes on although something is under way");
    }
}

/// The node stops: do at once what would be done in a moment.
#[derive(Message)]
#[rtype(result = "()")]
struct CatchUp;

impl Handler<CatchUp> for DomainActor {
    type Result = ();

    fn handle(&mut self, _: CatchUp, ctx: &mut Context<Self>) {
        self.drain(ctx);
        self.tell_of_changes(ctx);
    }
}
