//! Finds the actors of tenants; the rest of the node reaches them only through this.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix::{Actor as _, Addr};

use crate::connection::messages::DeviceRecipient;
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::Signal;
use crate::tenant::actor::TenantActor;
use crate::tenant::messages::Lookup;
use crate::tenant::registry::{Actors, AnnounceChanges, Find, FromBus, Registry, UnassignedChanged};
use crate::tenant::services::Services;
use crate::tenant::subscribers::{Subscribe, Unsubscribe};

/// The registry of one node, and the actors that it has named before, so that it is not asked by every device.
pub struct TenantDirectory {
    registry: Addr<Registry>,
    known: RwLock<HashMap<DomainName, Addr<TenantActor>>>,
}

impl TenantDirectory {
    /// Starts the registry; within an actix system.
    pub fn start(services: Arc<Services>) -> Self {
        Self { registry: Registry::new(services).start(), known: RwLock::default() }
    }

    /// The actor of a tenant, if it was found before and lives.
    pub fn alive(&self, name: &DomainName) -> Option<Addr<TenantActor>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).filter(|tenant| tenant.connected()).cloned()
    }

    /// The actor of a tenant; made if there is none. `None` only while the process ends.
    pub async fn find(&self, name: &DomainName) -> Option<Addr<TenantActor>> {
        if let Some(tenant) = self.alive(name) {
            return Some(tenant);
        }
        let tenant = self.registry.send(Find(name.clone())).await.ok()?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), tenant.clone());
        Some(tenant)
    }

    /// The actors of all tenants, after everything that was sent to the registry before has been passed on to them.
    pub async fn all(&self) -> Vec<(DomainName, Addr<TenantActor>)> {
        self.registry.send(Actors).await.unwrap_or_default()
    }

    /// The connection of a member on this node.
    pub async fn member(&self, domain: &DomainName, key: DeviceKey) -> Option<DeviceRecipient> {
        self.find(domain).await?.send(Lookup(key)).await.ok().flatten()
    }

    /// From now on an app connection follows this; sent at once, whenever the answer is awaited. `false` only while the
    /// process ends.
    pub fn subscribe(&self, subscription: Subscribe) -> impl Future<Output = bool> + use<> {
        let sent = self.registry.send(subscription);
        async move { sent.await.is_ok() }
    }

    /// An app connection has ended.
    pub fn unsubscribe(&self, ended: Unsubscribe) {
        self.registry.do_send(ended);
    }

    /// An unassigned device has connected, disconnected or changed.
    pub fn unassigned_changed(&self) {
        self.registry.do_send(UnassignedChanged);
    }

    /// Handles a signal of the bus.
    pub fn signal(&self, signal: Signal) {
        self.registry.do_send(FromBus(signal));
    }

    /// The records of the domains were read again: notify all that the changes concern.
    pub fn announce_changes(&self) {
        self.registry.do_send(AnnounceChanges);
    }
}
