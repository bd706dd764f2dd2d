//! Which app connections of this node want to know what (`devices-api.md` 4.6).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::{Message, Recipient};

use crate::core::ids::{ConnId, DeviceKey, DomainName};
use crate::core::users::event::News;

/// News for a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Tidings(pub News);

/// From now on a connection wants to know of exactly this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Watch {
    /// The connection.
    pub conn: ConnId,
    /// Its actor.
    pub users: Recipient<Tidings>,
    /// Domains whose devices are followed.
    pub devices_of: Vec<DomainName>,
    /// Whether the unassigned devices are.
    pub strangers: bool,
    /// Whether the domains are.
    pub domains: bool,
}

/// A connection has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unwatch(pub ConnId);

/// The connections that want to know something.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    watching: HashMap<ConnId, Watch>,
    by_domain: HashMap<DomainName, HashSet<ConnId>>,
}

impl Watchers {
    /// Takes the place of what the connection wanted to know before; of nothing, it is forgotten.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.forget(watch.conn);
        if watch.devices_of.is_empty() && !watch.strangers && !watch.domains {
            return;
        }
        for domain in &watch.devices_of {
            self.by_domain.entry(domain.clone()).or_default().insert(watch.conn);
        }
        self.watching.insert(watch.conn, watch);
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
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

    pub(super) fn devices(&self, domain: &DomainName, keys: impl Into<Arc<[DeviceKey]>>) {
        let Some(conns) = self.by_domain.get(domain) else { return };
        let keys = keys.into();
        for watch in conns.iter().filter_map(|conn| self.watching.get(conn)) {
            watch.users.do_send(Tidings(News::Devices(Arc::clone(&keys))));
        }
    }

    pub(super) fn strangers(&self) {
        self.tell(&News::Strangers, |watch| watch.strangers);
    }

    pub(super) fn domains(&self) {
        self.tell(&News::Domains, |watch| watch.domains);
    }

    pub(super) fn anything(&self) {
        self.tell(&News::Anything, |_| true);
    }

    fn tell(&self, news: &News, whom: impl Fn(&Watch) -> bool) {
        for watch in self.watching.values().filter(|watch| whom(watch)) {
            watch.users.do_send(Tidings(news.clone()));
        }
    }
}
