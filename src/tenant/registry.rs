//! Finds the actor of a domain, makes it, and makes it again when it has died.
//!
//! `actix::Supervisor` restarts an actor that stops, not one that panics: its address is closed for good. So the registry looks
//! at the address and replaces it. The members of the dead one are told by its end and join the new one by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, WrapFuture as _,
};

use crate::app_connection::subscribers::{Subscribe, Subscribers, Unsubscribe};
use crate::core::model::ids::DomainName;
use crate::device::actor::Recheck;
use crate::metrics::{self, Counter};
use crate::node::Node;
use crate::store::Signal;
use crate::tenant::actor::{DomainActor, Evict, Reconcile, Wake};
use crate::tenant::coalesce::{BEAT, Coalescer};
use crate::tenant::paced_broadcast::TenantChanged;

/// The registry of one node.
#[derive(Default)]
pub struct Registry {
    node: Weak<Node>,
    domains: HashMap<DomainName, Addr<DomainActor>>,
    unassigned_devices: Coalescer<()>,
    watchers: Subscribers,
}

impl Actor for Registry {
    type Context = Context<Self>;
}

/// Tells the registry which node it serves; before this it finds nothing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Serve(pub Weak<Node>);

impl Handler<Serve> for Registry {
    type Result = ();

    fn handle(&mut self, Serve(node): Serve, _: &mut Context<Self>) {
        self.node = node;
    }
}

/// Asks for the actor of a domain.
#[derive(Message)]
#[rtype(result = "Addr<DomainActor>")]
pub struct Find(pub DomainName);

impl Handler<Find> for Registry {
    type Result = MessageResult<Find>;

    fn handle(&mut self, Find(name): Find, _: &mut Context<Self>) -> MessageResult<Find> {
        if let Some(known) = self.domains.get(&name) {
            if known.connected() {
                return MessageResult(known.clone());
            }
            tracing::error!(domain = %name, "the actor of the domain has died; making a new one");
            metrics::count(Counter::DomainRecreated);
        }
        let address = DomainActor::new(name.clone(), self.node.clone()).start();
        self.domains.insert(name, address.clone());
        MessageResult(address)
    }
}

/// Asks for the actors of all domains, when everything that came before has been passed on to them.
#[derive(Message)]
#[rtype(result = "Vec<(DomainName, Addr<DomainActor>)>")]
pub struct Actors;

impl Handler<Actors> for Registry {
    type Result = MessageResult<Actors>;

    fn handle(&mut self, _: Actors, _: &mut Context<Self>) -> MessageResult<Actors> {
        MessageResult(self.domains.iter().map(|(name, actor)| (name.clone(), actor.clone())).collect())
    }
}

/// The domains were read again: whoever is concerned by what is new has to be told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Spread;

impl Handler<Spread> for Registry {
    type Result = ();

    fn handle(&mut self, _: Spread, _: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        for (name, news) in node.tenants.take_changes() {
            if let Some(actor) = self.domains.get(&name) {
                actor.do_send(TenantChanged { admin_password_changed: news.admin_password, jobs_changed: news.jobs });
            }
        }
    }
}

impl Registry {
    /// Reads a domain again, or all of them, and spreads what is new.
    fn look_at(&self, domain: Option<DomainName>, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        let all = domain.is_none();
        let look = async move {
            let read = match domain {
                Some(domain) => node.tenants.refresh_one(&domain).await,
                None => node.tenants.refresh().await,
            };
            if let Err(error) = read {
                // They are read again from time to time anyway.
                tracing::warn!(%error, "changed domain not read");
            }
        };
        ctx.spawn(look.into_actor(self).map(move |(), registry, ctx| {
            ctx.notify(Spread);
            // Only now, so that those who follow see the new picture.
            if all {
                registry.watchers.anything();
            } else {
                registry.watchers.domains();
            }
        }));
    }
}

/// A signal from the bus.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromBus(pub Signal);

impl Handler<FromBus> for Registry {
    type Result = ();

    fn handle(&mut self, FromBus(signal): FromBus, ctx: &mut Context<Self>) {
        match signal {
            // A domain without an actor here has nobody here who could take the mail.
            Signal::Mail { domain, code } => {
                if let Some(actor) = self.domains.get(&domain) {
                    actor.do_send(Wake(code));
                }
            }
            Signal::Evict { domain, key, node, conn } => {
                let here = self.node.upgrade().is_some_and(|n: Arc<Node>| n.id == node);
                if let Some(actor) = self.domains.get(&domain).filter(|_| here) {
                    actor.do_send(Evict { key, conn });
                }
            }
            Signal::Recheck { node, conn } => {
                let here = self.node.upgrade().filter(|n: &Arc<Node>| n.id == node);
                if let Some(phone) = here.and_then(|node| node.roster.phone(conn)) {
                    phone.do_send(Recheck);
                }
            }
            Signal::Tenant { domain } => self.look_at(Some(domain), ctx),
            Signal::Changed { domain, keys } => self.watchers.devices(&domain, keys),
            Signal::Gone { domain, device } => self.watchers.devices(&domain, [device.key]),
            Signal::ListUnassigned => self.watchers.unassigned_devices(),
            // The Users role listens by itself.
            Signal::People { .. } => {}
            Signal::Gap => {
                self.look_at(None, ctx);
                for actor in self.domains.values() {
                    actor.do_send(Wake(None));
                    actor.do_send(Reconcile);
                }
            }
        }
    }
}

/// An unassigned device has come, gone or changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct UnassignedChanged;

impl Handler<UnassignedChanged> for Registry {
    type Result = ();

    fn handle(&mut self, _: UnassignedChanged, ctx: &mut Context<Self>) {
        if self.unassigned_devices.happened([()]) {
            self.publish_unassigned_count(ctx);
        }
    }
}

impl Registry {
    fn publish_unassigned_count(&mut self, ctx: &mut Context<Self>) {
        self.unassigned_devices.take();
        if let Some(node) = self.node.upgrade() {
            actix_rt::spawn(async move {
                if let Err(error) = node.store.publish(&Signal::ListUnassigned).await {
                    tracing::debug!(%error, "change of the unassigned devices not published");
                }
            });
        }
        ctx.run_later(BEAT, |registry, ctx| {
            if registry.unassigned_devices.beat() {
                registry.publish_unassigned_count(ctx);
            }
        });
    }
}

impl Handler<Subscribe> for Registry {
    type Result = ();

    fn handle(&mut self, watch: Subscribe, _: &mut Context<Self>) {
        self.watchers.watch(watch);
    }
}

impl Handler<Unsubscribe> for Registry {
    type Result = ();

    fn handle(&mut self, Unsubscribe(conn): Unsubscribe, _: &mut Context<Self>) {
        self.watchers.forget(conn);
    }
}
