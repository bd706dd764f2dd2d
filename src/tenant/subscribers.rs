//! Which app connections of this node want to know what (`docs/protocol/devices-api.md` 4.6).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::{Message, Recipient};

use crate::core::model::ids::{ConnId, DeviceKey, DomainName};
use crate::core::session::app::event::DataChange;

/// News for a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DataChanged(pub DataChange);

/// From now on a connection wants to know of exactly this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// The connection.
    pub conn: ConnId,
    /// Its actor.
    pub users: Recipient<DataChanged>,
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

/// The connections that want to know something.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    watching: HashMap<ConnId, Subscribe>,
    by_domain: HashMap<DomainName, HashSet<ConnId>>,
}

impl Subscribers {
    /// Takes the place of what the connection wanted to know before; of nothing, it is forgotten.
    pub(crate) fn watch(&mut self, watch: Subscribe) {
        self.forget(watch.conn);
        if watch.devices_of.is_empty() && !watch.unassigned_devices && !watch.domains {
            return;
        }
        for domain in &watch.devices_of {
            self.by_domain.entry(domain.clone()).or_default().insert(watch.conn);
        }
        self.watching.insert(watch.conn, watch);
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        let Some(watch) = self.watching.remove(&conn) else { return };
        for domain in watch.devices_of {
            if let Some(conns) = self.by_domain.get_mut(&domain) {
                conns.remove(&conn);
                if conns.is_empty() {
                    self.by_domain.remove(&domain);
                }
            }
        }
    }

    pub(crate) fn devices(&self, domain: &DomainName, keys: impl Into<Arc<[DeviceKey]>>) {
        let Some(conns) = self.by_domain.get(domain) else { return };
        let keys = keys.into();
        for watch in conns.iter().filter_map(|conn| self.watching.get(conn)) {
            watch.users.do_send(DataChanged(DataChange::Devices(Arc::clone(&keys))));
        }
    }

    pub(crate) fn unassigned_devices(&self) {
        self.tell(&DataChange::ListUnassigned, |watch| watch.unassigned_devices);
    }

    pub(crate) fn domains(&self) {
        self.tell(&DataChange::Domains, |watch| watch.domains);
    }

    pub(crate) fn anything(&self) {
        self.tell(&DataChange::Anything, |_| true);
    }

    fn tell(&self, news: &DataChange, whom: impl Fn(&Subscribe) -> bool) {
        for watch in self.watching.values().filter(|watch| whom(watch)) {
            watch.users.do_send(DataChanged(news.clone()));
        }
    }
}
