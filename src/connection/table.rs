//! The open connections of this node: their limits, who gives way when places get scarce, and how the actor of each is
//! reached.
//!
//! It keeps recipients and knows neither the actors nor their protocols. The order in which connections end at a stop
//! is in `src/node/draining.rs`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use actix::Recipient;

use crate::clock;
use crate::connection::messages::{AppMessage, DeviceMessage, DeviceRecipient};
use crate::connection::places::{self, NoPlace, Signal};
use crate::core::model::ids::ConnId;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::places::{Budget, PlaceId, Places, Standing};
use crate::core::protocol::close::Close;
use crate::metrics::{self, Counter, Gauge, Held, Peer, PlaceKind};

/// Connections without proof leave this part of the places to those that have proved who they are.
const KEPT_FOR_PROVEN: usize = 10;

/// Bounds on the number of connections.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Connections of all kinds.
    pub connections: usize,
    /// Memory for the unfinished messages of connections that have not proved who they are, in bytes.
    pub unproven_memory: usize,
    /// Unassigned devices per source address.
    pub unassigned_per_source: usize,
    /// Unassigned devices in all.
    pub unassigned: usize,
}

/// The actor of an open connection.
#[derive(Clone)]
pub(crate) enum OpenConnection {
    Device(DeviceRecipient),
    App(Recipient<AppMessage>),
}

impl OpenConnection {
    const fn peer(&self) -> Peer {
        match self {
            Self::Device(_) => Peer::Device,
            Self::App(_) => Peer::App,
        }
    }

    /// Ends the connection as soon as what is under way on it is finished.
    pub(crate) fn finish(&self) {
        match self {
            Self::Device(device) => device.do_send(DeviceMessage::Finish),
            Self::App(app) => app.do_send(AppMessage::Finish),
        }
    }

    /// Ends the connection now.
    pub(crate) fn end(&self, close: Close) {
        match self {
            Self::Device(device) => device.do_send(DeviceMessage::End(close)),
            Self::App(app) => app.do_send(AppMessage::End(close)),
        }
    }
}

#[derive(Default)]
struct Tables {
    /// Connections that have proved who they are.
    proven: usize,
    /// The others.
    unproven: Places<Arc<Signal>>,
    connections: HashMap<ConnId, OpenConnection>,
    unassigned: HashMap<SourceKey, usize>,
    unassigned_total: usize,
}

/// The connections of this node.
pub struct ConnectionTable {
    capacity: Capacity,
    next: AtomicU64,
    members: Arc<AtomicU64>,
    tables: Mutex<Tables>,
}

impl ConnectionTable {
    /// No connection yet.
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, next: AtomicU64::new(1), members: Arc::default(), tables: Mutex::default() }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Tables) -> R) -> R {
        act(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a new connection. If there is none left, one that has not proved who it is gives way.
    pub fn admit(self: &Arc<Self>, peer: Peer, source: SourceKey) -> Result<ConnectionSlot, NoPlace> {
        let signal = Arc::<Signal>::default();
        let all = self.capacity.connections;
        let id = self.with(|t| {
            let most = (all - all / KEPT_FOR_PROVEN).min(all.saturating_sub(t.proven));
            places::make_room(&mut t.unproven, PlaceKind::WebSocket, source, most)?;
            Ok(t.unproven.enter(source, clock::now(), Arc::clone(&signal)))
        })?;
        metrics::count(Counter::Accepted(peer));
        let conn = ConnId(self.next.fetch_add(1, Ordering::Relaxed));
        let unproven = RefCell::new(Some(Unproven { id, signal }));
        Ok(ConnectionSlot {
            table: Arc::clone(self),
            conn,
            unproven,
            _counted: metrics::hold(Gauge::Connections(peer)),
        })
    }

    /// Lets a connection that has not proved who it is end because file descriptors are short. Whether one did.
    pub fn free_descriptor(&self, newcomer: SourceKey) -> bool {
        self.with(|t| places::free_descriptor(&mut t.unproven, PlaceKind::WebSocket, newcomer))
    }

    /// Reports the gauges.
    pub fn report(&self) {
        let (connections, bytes) = self.with(|t| (t.unproven.len(), t.unproven.bytes()));
        metrics::set(Gauge::Unproven(PlaceKind::WebSocket), connections as u64);
        metrics::set(Gauge::UnprovenBytes(PlaceKind::WebSocket), bytes as u64);
    }

    /// The actor of an app connection can be ended from now on.
    pub fn register_app(&self, conn: ConnId, app: Recipient<AppMessage>) {
        self.with(|t| t.connections.insert(conn, OpenConnection::App(app)));
    }

    /// The actor of a device connection can be found and ended from now on.
    pub fn register_device(&self, conn: ConnId, device: DeviceRecipient) {
        self.with(|t| t.connections.insert(conn, OpenConnection::Device(device)));
    }

    /// The device connection with this number.
    pub fn device(&self, conn: ConnId) -> Option<DeviceRecipient> {
        self.with(|t| match t.connections.get(&conn) {
            Some(OpenConnection::Device(device)) => Some(Arc::clone(device)),
            Some(OpenConnection::App(_)) | None => None,
        })
    }

    /// A place among the unassigned devices; `None` if the source address or the node has too many.
    pub fn admit_unassigned(self: &Arc<Self>, source: SourceKey) -> Option<UnassignedSlot> {
        let free = self.with(|t| {
            let of_source = t.unassigned.get(&source).copied().unwrap_or(0);
            let free = of_source < self.capacity.unassigned_per_source && t.unassigned_total < self.capacity.unassigned;
            if free {
                t.unassigned.insert(source, of_source + 1);
                t.unassigned_total += 1;
            }
            free
        });
        free.then(|| UnassignedSlot { table: Arc::clone(self), source, _counted: metrics::hold(Gauge::Unassigned) })
    }

    /// How many members there are; counted by the actors of the tenants.
    pub const fn members(&self) -> &Arc<AtomicU64> {
        &self.members
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.with(|t| t.proven + t.unproven.len())
    }

    /// The actor of this connection has ended; its socket may linger.
    pub fn remove(&self, conn: ConnId) {
        self.with(|t| t.connections.remove(&conn));
    }

    /// The actors of all connections of this kind.
    pub(crate) fn registered(&self, peer: Peer) -> Vec<(ConnId, OpenConnection)> {
        self.with(|t| {
            let of_kind = t.connections.iter().filter(|(_, open)| open.peer() == peer);
            of_kind.map(|(conn, open)| (*conn, open.clone())).collect()
        })
    }
}

/// The place of an open connection; free again when dropped.
pub struct ConnectionSlot {
    table: Arc<ConnectionTable>,
    /// The number of the connection.
    pub conn: ConnId,
    /// Until it has proved who it is.
    unproven: RefCell<Option<Unproven>>,
    _counted: Held,
}

struct Unproven {
    id: PlaceId,
    signal: Arc<Signal>,
}

impl ConnectionSlot {
    /// The peer has proved who it is: the connection keeps its place whatever others do.
    pub(super) fn prove(&self) {
        let Some(Unproven { id, signal }) = self.unproven.take() else { return };
        let proven = self.table.with(|t| {
            let there = !signal.is_evicted();
            if there {
                t.unproven.remove(id);
                t.proven += 1;
            }
            there
        });
        if !proven {
            // It ends all the same, and has no place any more.
            self.unproven.replace(Some(Unproven { id, signal }));
        }
    }

    /// What the connection waits for, as long as it has not proved who it is.
    pub(super) fn stands(&self, standing: Standing) {
        if let Some(unproven) = &*self.unproven.borrow() {
            unproven.signal.set(standing);
        }
    }

    /// Whether the connection has to give way; otherwise its task is woken when it has to.
    pub(super) fn poll_evicted(&self, cx: &Context<'_>) -> bool {
        self.unproven.borrow().as_ref().is_some_and(|unproven| unproven.signal.poll_evicted(cx))
    }

    /// The connection holds so many bytes of an unfinished message.
    pub(super) fn weigh(&self, bytes: usize) {
        let unproven = self.unproven.borrow();
        let Some(Unproven { id, signal }) = &*unproven else { return };
        let budget = Budget::new(self.table.capacity.unproven_memory);
        self.table.with(|t| {
            if !signal.is_evicted() {
                t.unproven.weigh(*id, bytes);
                places::keep_budget(&mut t.unproven, PlaceKind::WebSocket, budget);
            }
        });
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let unproven = self.unproven.take();
        self.table.with(|t| {
            match unproven {
                None => t.proven -= 1,
                Some(Unproven { id, signal }) if !signal.is_evicted() => drop(t.unproven.remove(id)),
                Some(_) => {}
            }
            t.connections.remove(&self.conn);
        });
    }
}

/// The place of an unassigned device; free again when dropped.
pub struct UnassignedSlot {
    table: Arc<ConnectionTable>,
    source: SourceKey,
    _counted: Held,
}

impl Drop for UnassignedSlot {
    fn drop(&mut self) {
        self.table.with(|t| {
            t.unassigned_total -= 1;
            if let Some(count) = t.unassigned.get_mut(&self.source) {
                *count -= 1;
                if *count == 0 {
                    t.unassigned.remove(&self.source);
                }
            }
        });
    }
}
