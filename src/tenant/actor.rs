//! The supervising actor of one domain on this node: its members, and the connections that take its notices.
//!
//! It makes a device's newest authenticated connection the only one, here and on other nodes, and keeps the mailbox moving
//! ([`crate::mailbox::delivery`]). It is made again when it dies; at its end every member is told, and joins the next one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, WrapFuture as _,
};

use crate::app_connection::actor::{AppActor, Reenlist};
use crate::connection::table::End;
use crate::core::model::device::Requester;
use crate::core::model::ids::{Code, ConnId, DeviceKey, DomainName};
use crate::core::protocol::close::Close;
use crate::device::actor::{DeviceActor, DomainLost, Recheck};
use crate::lifecycle::InFlightGuard;
use crate::mailbox::delivery::MailboxDelivery;
use crate::metrics::{self, Gauge, Held};
use crate::node::Node;
use crate::store::Whereabouts;
use crate::tenant::coalesce::Coalescer;
use crate::tenant::membership_batch::{Join, MembershipBatch, MembershipChange};
use crate::tenant::paced_broadcast::PacedBroadcast;

/// The mailbox is looked at this often even if no wake-up comes, and so are overdue notices.
const LOOK_EVERY: Duration = Duration::from_secs(5);

struct Member {
    conn: ConnId,
    phone: Addr<DeviceActor>,
    _counted: Held,
}

/// The members of a domain, and those of the whole node in number. At its end, also by a panic, each of them is told.
struct Members(HashMap<DeviceKey, Member>, Arc<AtomicU64>);

impl Members {
    fn insert(&mut self, key: DeviceKey, member: Member) -> Option<Member> {
        let old = self.0.insert(key, member);
        if old.is_none() {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
        old
    }

    fn remove(&mut self, key: &DeviceKey) {
        if self.0.remove(key).is_some() {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
        for member in self.0.values() {
            member.phone.do_send(DomainLost);
        }
    }
}

/// The actor of one domain.
pub struct DomainActor {
    pub(crate) name: DomainName,
    pub(crate) node: Weak<Node>,
    members: Members,
    pub(crate) mail: MailboxDelivery,
    pub(super) changes: Coalescer<DeviceKey>,
    pub(super) rounds: PacedBroadcast,
    _counted: Held,
}

impl DomainActor {
    /// A domain without members.
    pub fn new(name: DomainName, node: Weak<Node>) -> Self {
        let count = node.upgrade().map(|node| Arc::clone(node.roster.members())).unwrap_or_default();
        Self {
            name,
            node,
            members: Members(HashMap::new(), count),
            mail: MailboxDelivery::default(),
            changes: Coalescer::default(),
            rounds: PacedBroadcast::default(),
            _counted: metrics::hold(Gauge::DomainActors),
        }
    }

    /// The keys of all members.
    pub(super) fn keys(&self) -> Vec<DeviceKey> {
        self.members.0.keys().cloned().collect()
    }

    /// The connection of a member.
    pub(super) fn phone(&self, key: &DeviceKey) -> Option<&Addr<DeviceActor>> {
        self.members.0.get(key).map(|member| &member.phone)
    }

    fn here(&self, conn: ConnId) -> Option<(Arc<Node>, Whereabouts)> {
        let node = self.node.upgrade()?;
        let at = Whereabouts { node: node.id.clone(), conn };
        Some((node, at))
    }
}

impl Actor for DomainActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_EVERY, |actor, ctx| {
            actor.deposit_overdue(ctx);
            actor.drain(ctx);
        });
    }
}

impl Handler<MembershipBatch> for DomainActor {
    type Result = ();

    fn handle(&mut self, MembershipBatch(words): MembershipBatch, ctx: &mut Context<Self>) {
        let mut changed = Vec::new();
        for word in words {
            match word {
                MembershipChange::Join(join) => self.take_in(join),
                MembershipChange::Leave(key, conn, begun) => self.let_go(key, conn, begun, ctx),
                MembershipChange::Changed(key) => changed.push(key),
            }
        }
        self.changed(changed, ctx);
    }
}

impl DomainActor {
    fn take_in(&mut self, mut join: Join) {
        let Some(phone) = join.take_in() else { return };
        let member = Member { conn: join.conn, phone, _counted: metrics::hold(Gauge::Members) };
        let before = self.members.insert(join.key.clone(), member);
        if let Some(old) = before.filter(|old| old.conn != join.conn) {
            old.phone.do_send(End(Close::Replaced));
        }
    }

    fn let_go(&mut self, key: DeviceKey, conn: ConnId, begun: InFlightGuard, ctx: &Context<Self>) {
        if self.members.0.get(&key).is_some_and(|m| m.conn == conn) {
            self.members.remove(&key);
        }
        let Some((node, at)) = self.here(conn) else { return };
        let (name, told) = (self.name.clone(), ctx.address());
        actix_rt::spawn(async move {
            if let Err(error) = node.store.detach(&name, &key, &at).await {
                tracing::debug!(%error, "member not detached");
            }
            told.do_send(MembershipBatch(vec![MembershipChange::Changed(key)]));
            drop(begun);
        });
    }
}

/// Asks for the connection of a member on this node.
#[derive(Message)]
#[rtype(result = "Option<Addr<DeviceActor>>")]
pub struct Lookup(pub DeviceKey);

impl Handler<Lookup> for DomainActor {
    type Result = MessageResult<Lookup>;

    fn handle(&mut self, Lookup(key): Lookup, _: &mut Context<Self>) -> MessageResult<Lookup> {
        MessageResult(self.members.0.get(&key).map(|member| member.phone.clone()))
    }
}

/// A newer connection of a member has authenticated on another node.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Evict {
    /// The device.
    pub key: DeviceKey,
    /// The connection that has been replaced.
    pub conn: ConnId,
}

impl Handler<Evict> for DomainActor {
    type Result = ();

    fn handle(&mut self, Evict { key, conn }: Evict, _: &mut Context<Self>) {
        if let Some(member) = self.members.0.get(&key).filter(|m| m.conn == conn) {
            member.phone.do_send(End(Close::Replaced));
        }
    }
}

/// Signals may have been lost: compare every member with the store, and close those that live elsewhere now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconcile;

impl Handler<Reconcile> for DomainActor {
    type Result = ();

    fn handle(&mut self, _: Reconcile, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        let members: Vec<_> = self.members.0.iter().map(|(key, m)| (key.clone(), m.conn)).collect();
        let (name, domain) = (self.name.clone(), ctx.address());
        actix_rt::spawn(async move {
            for (key, conn) in members {
                let at = node.store.whereabouts(&name, &key).await;
                match at {
                    Ok(Some(at)) if at.node != node.id => domain.do_send(Evict { key, conn }),
                    // An operator may have taken it out.
                    Ok(None) => node.roster.phone(conn).into_iter().for_each(|phone| phone.do_send(Recheck)),
                    _ => {}
                }
            }
        });
    }
}

/// A connection has logged in to this domain.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Enlist {
    /// The connection.
    pub conn: ConnId,
    /// Its actor.
    pub users: Addr<AppActor>,
    /// The names of its log-in.
    pub requester: Requester,
    /// It acts as Users: every notice of the domain may go to it.
    pub acts: bool,
    /// Codes that it waits for.
    pub waits_for: Vec<Code>,
}

impl Handler<Enlist> for DomainActor {
    type Result = ();

    fn handle(&mut self, enlist: Enlist, ctx: &mut Context<Self>) {
        self.mail.enlist(enlist);
        self.drain(ctx);
    }
}

/// A connection has gone; what was on the way to it may go to another one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resign(pub ConnId);

impl Handler<Resign> for DomainActor {
    type Result = ();

    fn handle(&mut self, Resign(conn): Resign, ctx: &mut Context<Self>) {
        let unsettled = self.mail.resign(conn);
        self.give_back(unsettled, ctx);
    }
}

/// Notices are settled, as far as this connection is concerned.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle(pub ConnId, pub Vec<Code>);

impl Handler<Settle> for DomainActor {
    type Result = ();

    fn handle(&mut self, Settle(conn, codes): Settle, ctx: &mut Context<Self>) {
        self.settle(self.mail.delivered_to(conn, codes), ctx);
    }
}

/// Something may be in the mailbox; the notice of this code is new there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake(pub Option<Code>);

impl Handler<Wake> for DomainActor {
    type Result = ();

    fn handle(&mut self, Wake(code): Wake, ctx: &mut Context<Self>) {
        self.mail.told(code);
        self.drain(ctx);
    }
}

impl DomainActor {
    /// Runs a store operation beside the actor, then `then` on it.
    pub(crate) fn run<F, R>(&self, future: F, ctx: &mut Context<Self>, then: fn(&mut Self, R, &mut Context<Self>))
    where
        F: Future<Output = R> + 'static,
        R: 'static,
    {
        let begun = self.node.upgrade().map(|node| node.underway.begin());
        ctx.spawn(future.into_actor(self).map(move |result, actor, ctx| {
            then(actor, result, ctx);
            // Only now, because `then` may begin the next one.
            drop(begun);
        }));
    }
}

impl Drop for DomainActor {
    fn drop(&mut self) {
        for users in self.mail.connections() {
            users.do_send(Reenlist(self.name.clone()));
        }
    }
}
