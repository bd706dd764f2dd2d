//! Finds the actor of a tenant, creates it, and replaces it when it has died; passes on the signals of the bus.
//!
//! `actix::Supervisor` restarts an actor that stops, but not one that panics: its address is closed for good. So the
//! registry checks the address and replaces the actor. The members are notified of the end and join the new one.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, WrapFuture as _,
};

use crate::connection::messages::DeviceMessage;
use crate::core::model::ids::DomainName;
use crate::metrics::{self, Counter};
use crate::store::Signal;
use crate::tenant::actor::TenantActor;
use crate::tenant::coalesce::{Coalescer, INTERVAL};
use crate::tenant::messages::{Evict, Reconcile, TenantChanged, Wake};
use crate::tenant::services::Services;
use crate::tenant::subscribers::{Subscribe, Subscribers, Unsubscribe};

/// The registry of one node.
pub struct Registry {
    services: Arc<Services>,
    tenants: HashMap<DomainName, Addr<TenantActor>>,
    unassigned_devices: Coalescer<()>,
    subscribers: Subscribers,
}

impl Registry {
    /// Without any tenant yet.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            tenants: HashMap::new(),
            unassigned_devices: Coalescer::default(),
            subscribers: Subscribers::default(),
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

/// Asks for the actor of a tenant.
#[derive(Message)]
#[rtype(result = "Addr<TenantActor>")]
pub struct Find(pub DomainName);

impl Handler<Find> for Registry {
    type Result = MessageResult<Find>;

    fn handle(&mut self, Find(name): Find, _: &mut Context<Self>) -> MessageResult<Find> {
        if let Some(known) = self.tenants.get(&name) {
            if known.connected() {
                return MessageResult(known.clone());
            }
            tracing::error!(domain = %name, "actor of the domain has died; creating a new one");
            metrics::count(Counter::DomainRecreated);
        }
        let address = TenantActor::new(name.clone(), Arc::clone(&self.services)).start();
        self.tenants.insert(name, address.clone());
        MessageResult(address)
    }
}

/// Asks for the actors of all tenants, when everything that came before has been passed on to them.
#[derive(Message)]
#[rtype(result = "Vec<(DomainName, Addr<TenantActor>)>")]
pub struct Actors;

impl Handler<Actors> for Registry {
    type Result = MessageResult<Actors>;

    fn handle(&mut self, _: Actors, _: &mut Context<Self>) -> MessageResult<Actors> {
        MessageResult(self.tenants.iter().map(|(name, actor)| (name.clone(), actor.clone())).collect())
    }
}

/// The records of the domains were read again: notify all that the changes concern.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AnnounceChanges;

impl Handler<AnnounceChanges> for Registry {
    type Result = ();

    fn handle(&mut self, _: AnnounceChanges, _: &mut Context<Self>) {
        for (name, changes) in self.services.tenants.take_changes() {
            if let Some(actor) = self.tenants.get(&name) {
                if changes.gone {
                    actor.do_send(Reconcile);
                }
                actor.do_send(TenantChanged { admin_password: changes.admin_password, jobs: changes.jobs });
            }
        }
    }
}

impl Registry {
    /// Reads the record of a domain again, or all of them, and announces what has changed.
    fn refresh(&self, domain: Option<DomainName>, ctx: &mut Context<Self>) {
        let services = Arc::clone(&self.services);
        let all = domain.is_none();
        let read = async move {
            let read = match domain {
                Some(domain) => services.tenants.refresh_one(&domain).await,
                None => services.tenants.refresh().await,
            };
            if let Err(error) = read {
                // The records are read again periodically.
                tracing::warn!(%error, "changed domain not read");
            }
        };
        ctx.spawn(read.into_actor(self).map(move |(), registry, ctx| {
            ctx.notify(AnnounceChanges);
            // Only now, so that subscribers see the new records.
            if all {
                registry.subscribers.anything_changed();
            } else {
                registry.subscribers.domains_changed();
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
            // A domain without an actor here has no receiver of the notice here.
            Signal::Mail { domain, code } => {
                if let Some(actor) = self.tenants.get(&domain) {
                    actor.do_send(Wake(code));
                }
            }
            Signal::Evict { domain, key, node, conn } => {
                if let Some(actor) = self.tenants.get(&domain).filter(|_| node == self.services.node) {
                    actor.do_send(Evict { key, conn });
                }
            }
            Signal::Recheck { node, conn } => {
                if node == self.services.node
                    && let Some(device) = self.services.connections.device(conn)
                {
                    device.do_send(DeviceMessage::Recheck);
                }
            }
            Signal::Tenant { domain } => self.refresh(Some(domain), ctx),
            Signal::Changed { domain, keys } => self.subscribers.devices_changed(&domain, keys),
            Signal::Gone { domain, device } => self.subscribers.devices_changed(&domain, [device.key]),
            Signal::UnassignedChanged => self.subscribers.unassigned_changed(),
            // The Users role and the sign-in listen by themselves.
            Signal::People { .. } | Signal::SessionsEnded { .. } => {}
            Signal::Gap => {
                self.refresh(None, ctx);
                for actor in self.tenants.values() {
                    actor.do_send(Wake(None));
                    actor.do_send(Reconcile);
                }
            }
        }
    }
}

/// An unassigned device has connected, disconnected or changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct UnassignedChanged;

impl Handler<UnassignedChanged> for Registry {
    type Result = ();

    fn handle(&mut self, _: UnassignedChanged, ctx: &mut Context<Self>) {
        if self.unassigned_devices.add([()]) {
            self.publish_unassigned_changed(ctx);
        }
    }
}

impl Registry {
    fn publish_unassigned_changed(&mut self, ctx: &mut Context<Self>) {
        self.unassigned_devices.take();
        let services = Arc::clone(&self.services);
        actix_rt::spawn(async move {
            if let Err(error) = services.store.publish(&Signal::UnassignedChanged).await {
                tracing::debug!(%error, "change of the unassigned devices not published");
            }
        });
        ctx.run_later(INTERVAL, |registry, ctx| {
            if registry.unassigned_devices.tick() {
                registry.publish_unassigned_changed(ctx);
            }
        });
    }
}

impl Handler<Subscribe> for Registry {
    type Result = ();

    fn handle(&mut self, subscription: Subscribe, _: &mut Context<Self>) {
        self.subscribers.subscribe(subscription);
    }
}

impl Handler<Unsubscribe> for Registry {
    type Result = ();

    fn handle(&mut self, Unsubscribe(conn): Unsubscribe, _: &mut Context<Self>) {
        self.subscribers.unsubscribe(conn);
    }
}
