//! The supervising actor of one tenant on this node: its members, and the app connections that receive its notices.
//!
//! It ensures that only the newest authenticated connection of a device stays open, here and on other nodes, and
//! performs the requests of the mailbox delivery ([`crate::mailbox::delivery`]). The registry replaces it when it dies;
//! when it ends, all members and receivers are notified and join its successor. It decides nothing about a device:
//! membership is in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult, WrapFuture as _};

use crate::connection::messages::{AppMessage, DeviceMessage, DeviceRecipient};
use crate::core::model::ids::{ConnId, DeviceKey, DomainName};
use crate::core::protocol::close::Close;
use crate::lifecycle::InFlightGuard;
use crate::mailbox::MailboxDelivery;
use crate::mailbox::service::Request;
use crate::metrics::{self, Gauge, Held};
use crate::store::{Signal, Whereabouts};
use crate::tenant::coalesce::{Coalescer, INTERVAL};
use crate::tenant::messages::{
    Evict, Flush, Join, Lookup, MembershipBatch, MembershipChange, Reconcile, RegisterReceiver, RemoveReceiver, Settle,
    TenantChanged, Wake,
};
use crate::tenant::paced_broadcast::{PacedBroadcast, STEP};
use crate::tenant::services::Services;

/// How often the mailbox and overdue notices are checked without a wake-up.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Devices in one signal.
const KEYS_PER_SIGNAL: usize = 500;

struct Member {
    conn: ConnId,
    device: DeviceRecipient,
    _counted: Held,
}

/// The members of a domain, and the number of all members of the node. When dropped, also by a panic, it notifies each
/// member.
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
            member.device.do_send(DeviceMessage::DomainLost);
        }
    }
}

/// The actor of one tenant.
pub struct TenantActor {
    name: DomainName,
    services: Arc<Services>,
    members: Members,
    mailbox: MailboxDelivery,
    /// Members whose description for clients has changed.
    changes: Coalescer<DeviceKey>,
    broadcast: PacedBroadcast,
    _counted: Held,
}

impl TenantActor {
    /// A domain without members.
    pub fn new(name: DomainName, services: Arc<Services>) -> Self {
        let members = Members(HashMap::new(), Arc::clone(services.connections.members()));
        let mailbox = MailboxDelivery::new(name.clone(), Arc::clone(&services.mailbox));
        Self {
            name,
            services,
            members,
            mailbox,
            changes: Coalescer::default(),
            broadcast: PacedBroadcast::default(),
            _counted: metrics::hold(Gauge::DomainActors),
        }
    }

    fn accept(&mut self, mut join: Join) {
        let Some(device) = join.accept() else { return };
        let member = Member { conn: join.conn, device, _counted: metrics::hold(Gauge::Members) };
        let before = self.members.insert(join.key.clone(), member);
        if let Some(old) = before.filter(|old| old.conn != join.conn) {
            old.device.do_send(DeviceMessage::End(Close::Replaced));
        }
    }

    fn remove(&mut self, key: DeviceKey, conn: ConnId, in_flight: InFlightGuard, ctx: &Context<Self>) {
        if self.members.0.get(&key).is_some_and(|m| m.conn == conn) {
            self.members.remove(&key);
        }
        let (services, name, tenant) = (Arc::clone(&self.services), self.name.clone(), ctx.address());
        actix_rt::spawn(async move {
            let at = Whereabouts { node: services.node.clone(), conn };
            if let Err(error) = services.store.detach(&name, &key, &at).await {
                tracing::debug!(%error, "member not detached");
            }
            tenant.do_send(MembershipBatch(vec![MembershipChange::Changed(key)]));
            drop(in_flight);
        });
    }

    /// Performs the requests of the mailbox delivery concurrently with the actor.
    fn perform(&self, requests: Vec<Request>, ctx: &mut Context<Self>) {
        for request in requests {
            let (services, name) = (Arc::clone(&self.services), self.name.clone());
            let in_flight = self.services.in_flight.begin();
            let performed = async move { services.mailbox.perform(&name, request).await };
            ctx.spawn(performed.into_actor(self).map(move |outcome, actor, ctx| {
                let next = actor.mailbox.done(outcome);
                actor.perform(next, ctx);
                // Only now, because the next one may have begun.
                drop(in_flight);
            }));
        }
    }

    /// Notifies the next members of a change of the domain.
    fn broadcast_step(&mut self, ctx: &mut Context<Self>) {
        for (key, message) in self.broadcast.step() {
            if let Some(member) = self.members.0.get(&key) {
                member.device.do_send(message);
            }
        }
        if self.broadcast.is_running() {
            ctx.run_later(STEP, Self::broadcast_step);
        }
    }

    /// The description of these devices for clients has changed.
    fn changed(&mut self, keys: Vec<DeviceKey>, ctx: &mut Context<Self>) {
        if self.changes.add(keys) {
            self.publish_changes(ctx);
        }
    }

    fn publish_changes(&mut self, ctx: &mut Context<Self>) {
        let (keys, domain) = (self.changes.take(), self.name.clone());
        let (services, in_flight) = (Arc::clone(&self.services), self.services.in_flight.begin());
        actix_rt::spawn(async move {
            for keys in keys.chunks(KEYS_PER_SIGNAL) {
                let signal = Signal::Changed { domain: domain.clone(), keys: keys.to_vec() };
                if let Err(error) = services.store.publish(&signal).await {
                    tracing::debug!(%error, "changes of devices not published");
                }
            }
            drop(in_flight);
        });
        ctx.run_later(INTERVAL, |actor, ctx| {
            if actor.changes.tick() {
                actor.publish_changes(ctx);
            }
        });
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_EVERY, |actor, ctx| {
            actor.perform(vec![Request::DepositOverdue], ctx);
            let requests = actor.mailbox.drain();
            actor.perform(requests, ctx);
        });
    }
}

impl Drop for TenantActor {
    fn drop(&mut self) {
        for app in self.mailbox.receivers() {
            app.do_send(AppMessage::DomainLost(self.name.clone()));
        }
    }
}

impl Handler<MembershipBatch> for TenantActor {
    type Result = ();

    fn handle(&mut self, MembershipBatch(changes): MembershipBatch, ctx: &mut Context<Self>) {
        let mut keys = Vec::new();
        for change in changes {
            match change {
                MembershipChange::Join(join) => self.accept(join),
                MembershipChange::Leave(key, conn, in_flight) => self.remove(key, conn, in_flight, ctx),
                MembershipChange::Changed(key) => keys.push(key),
            }
        }
        self.changed(keys, ctx);
    }
}

impl Handler<Lookup> for TenantActor {
    type Result = MessageResult<Lookup>;

    fn handle(&mut self, Lookup(key): Lookup, _: &mut Context<Self>) -> MessageResult<Lookup> {
        MessageResult(self.members.0.get(&key).map(|member| Arc::clone(&member.device)))
    }
}

impl Handler<Evict> for TenantActor {
    type Result = ();

    fn handle(&mut self, Evict { key, conn }: Evict, _: &mut Context<Self>) {
        if let Some(member) = self.members.0.get(&key).filter(|m| m.conn == conn) {
            member.device.do_send(DeviceMessage::End(Close::Replaced));
        }
    }
}

impl Handler<Reconcile> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Reconcile, ctx: &mut Context<Self>) {
        let members: Vec<_> = self.members.0.iter().map(|(key, m)| (key.clone(), m.conn)).collect();
        let (services, name, tenant) = (Arc::clone(&self.services), self.name.clone(), ctx.address());
        actix_rt::spawn(async move {
            for (key, conn) in members {
                match services.store.whereabouts(&name, &key).await {
                    Ok(Some(at)) if at.node != services.node => tenant.do_send(Evict { key, conn }),
                    // An operator may have removed it.
                    Ok(None) => {
                        if let Some(device) = services.connections.device(conn) {
                            device.do_send(DeviceMessage::Recheck);
                        }
                    }
                    _ => {}
                }
            }
        });
    }
}

impl Handler<TenantChanged> for TenantActor {
    type Result = ();

    fn handle(&mut self, changed: TenantChanged, ctx: &mut Context<Self>) {
        let members = &self.members.0;
        if self.broadcast.begin(changed, || members.keys().cloned().collect()) {
            self.broadcast_step(ctx);
        }
    }
}

impl Handler<RegisterReceiver> for TenantActor {
    type Result = ();

    fn handle(&mut self, RegisterReceiver(conn, receiver): RegisterReceiver, ctx: &mut Context<Self>) {
        let requests = self.mailbox.register(conn, receiver);
        self.perform(requests, ctx);
    }
}

impl Handler<RemoveReceiver> for TenantActor {
    type Result = ();

    fn handle(&mut self, RemoveReceiver(conn): RemoveReceiver, ctx: &mut Context<Self>) {
        let requests = self.mailbox.remove(conn);
        self.perform(requests, ctx);
    }
}

impl Handler<Settle> for TenantActor {
    type Result = ();

    fn handle(&mut self, Settle(conn, codes): Settle, ctx: &mut Context<Self>) {
        let requests = self.mailbox.settle(conn, codes);
        self.perform(requests, ctx);
    }
}

impl Handler<Wake> for TenantActor {
    type Result = ();

    fn handle(&mut self, Wake(code): Wake, ctx: &mut Context<Self>) {
        let requests = self.mailbox.wake(code);
        self.perform(requests, ctx);
    }
}

impl Handler<Flush> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Context<Self>) {
        let requests = self.mailbox.drain();
        self.perform(requests, ctx);
        self.publish_changes(ctx);
    }
}
