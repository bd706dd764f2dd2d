//! The subscriptions of the app connections of this node (`docs/protocol/devices-api.md` 4.6).
//!
//! It only signals that something has changed; each connection then reads what it has subscribed to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::{Message, Recipient};

use crate::connection::messages::AppMessage;
use crate::core::model::ids::{ConnId, DeviceKey, DomainName};
use crate::core::session::app::event::DataChange;

/// From now on a connection follows exactly this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// The connection.
    pub conn: ConnId,
    /// Its actor.
    pub app: Recipient<AppMessage>,
    /// Domains whose devices are followed.
    pub devices_of: Vec<DomainName>,
    /// Whether the unassigned devices are.
    pub unassigned_devices: bool,
    /// Whether the domains are.
    pub domains: bool,
}

/// A connection has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe(pub ConnId);

/// The connections that follow something.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    subscriptions: HashMap<ConnId, Subscribe>,
    by_domain: HashMap<DomainName, HashSet<ConnId>>,
}

impl Subscribers {
    /// Replaces what the connection followed before. One that follows nothing is forgotten.
    pub fn subscribe(&mut self, new: Subscribe) {
        self.unsubscribe(new.conn);
        if new.devices_of.is_empty() && !new.unassigned_devices && !new.domains {
            return;
        }
        for domain in &new.devices_of {
            self.by_domain.entry(domain.clone()).or_default().insert(new.conn);
        }
        self.subscriptions.insert(new.conn, new);
    }

    /// The connection has ended.
    pub fn unsubscribe(&mut self, conn: ConnId) {
        let Some(subscription) = self.subscriptions.remove(&conn) else { return };
        for domain in subscription.devices_of {
            if let Some(conns) = self.by_domain.get_mut(&domain) {
                conns.remove(&conn);
                if conns.is_empty() {
                    self.by_domain.remove(&domain);
                }
            }
        }
    }

    /// These devices of a domain have changed.
    pub fn devices_changed(&self, domain: &DomainName, keys: impl Into<Arc<[DeviceKey]>>) {
        let Some(conns) = self.by_domain.get(domain) else { return };
        let keys = keys.into();
        for subscription in conns.iter().filter_map(|conn| self.subscriptions.get(conn)) {
            subscription.app.do_send(AppMessage::DataChanged(DataChange::Devices(Arc::clone(&keys))));
        }
    }

    /// The unassigned devices have changed.
    pub fn unassigned_changed(&self) {
        self.notify(&DataChange::ListUnassigned, |subscription| subscription.unassigned_devices);
    }

    /// The domains have changed.
    pub fn domains_changed(&self) {
        self.notify(&DataChange::Domains, |subscription| subscription.domains);
    }

    /// Anything may have changed: signals may have been lost.
    pub fn anything_changed(&self) {
        self.notify(&DataChange::Anything, |_| true);
    }

    fn notify(&self, change: &DataChange, whom: impl Fn(&Subscribe) -> bool) {
        for subscription in self.subscriptions.values().filter(|subscription| whom(subscription)) {
            subscription.app.do_send(AppMessage::DataChanged(change.clone()));
        }
    }
}
