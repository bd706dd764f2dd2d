//! Places of connections that have not proved who they are: performs what `src/core/policy/places.rs` decides.
//!
//! A connection that gives way is told by its [`Signal`], which its task watches. Everything here is shared by the
//! threads of a process under one short lock.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use crate::clock;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::places::{Budget, PlaceId, Places, Room, Standing};
use crate::metrics::{self, Counter, Gauge, PlaceKind, Shortage};

/// Buffers up to this size are not counted: a connection costs about as much anyway.
pub(super) const UNCOUNTED: usize = 8 * 1024;

const AWAITS_PEER: u8 = 0;
const AWAITS_US: u8 = 1;
const AUTHENTICATED: u8 = 2;
const EVICTED: u8 = 3;

/// Bounds of a stock of places.
#[derive(Debug, Clone, Copy)]
pub struct PlaceBounds {
    /// Connections.
    pub connections: usize,
    /// Their memory, in bytes.
    pub memory: usize,
}

/// What a connection without proof waits for, and whether it has to give way; shared with its task.
#[derive(Debug, Default)]
pub struct Signal {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Signal {
    fn standing(&self) -> Standing {
        match self.state.load(Ordering::Relaxed) {
            AWAITS_US => Standing::AwaitsUs,
            AUTHENTICATED => Standing::Authenticated,
            _ => Standing::AwaitsPeer,
        }
    }

    /// Changes what the connection waits for, unless it has to give way.
    pub fn set(&self, standing: Standing) {
        let state = match standing {
            Standing::AwaitsPeer => AWAITS_PEER,
            Standing::AwaitsUs => AWAITS_US,
            Standing::Authenticated => AUTHENTICATED,
        };
        let unless_evicted = |now| (now != EVICTED).then_some(state);
        // Refused only for a connection that ends.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, unless_evicted);
    }

    /// Whether it has shown a credential for its present request.
    pub(super) fn is_authenticated(&self) -> bool {
        self.state.load(Ordering::Relaxed) == AUTHENTICATED
    }

    pub(super) fn evict(&self, kind: PlaceKind, shortage: Shortage) {
        self.state.store(EVICTED, Ordering::Release);
        self.task.wake();
        metrics::count(Counter::Evicted(kind, shortage));
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.state.load(Ordering::Acquire) == EVICTED
    }

    /// Whether the connection has to end; otherwise its task is woken when it has to.
    pub fn poll_evicted(&self, cx: &Context<'_>) -> bool {
        self.task.register(cx.waker());
        self.is_evicted()
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Somebody may give way after this time.
    Yet(Duration),
    /// Nobody gives way.
    Left,
}

/// Makes room for a newcomer among `most`.
pub(super) fn make_room(
    places: &mut Places<Arc<Signal>>,
    kind: PlaceKind,
    newcomer: SourceKey,
    most: usize,
) -> Result<(), NoPlace> {
    match places.make_room(newcomer, clock::now(), most, |signal| signal.standing()) {
        Room::Free => Ok(()),
        Room::Instead(evicted) => {
            evicted.evict(kind, Shortage::Places);
            Ok(())
        }
        Room::Later(after) => Err(NoPlace::Yet(after)),
        Room::None => Err(NoPlace::Left),
    }
}

/// Lets others end as long as the memory is more than the budget.
pub(super) fn keep_budget(places: &mut Places<Arc<Signal>>, kind: PlaceKind, budget: Budget) {
    while let Some(evicted) = places.over_budget(budget) {
        evicted.evict(kind, Shortage::Memory);
    }
}

/// Lets one end because file descriptors are short. Whether one did.
pub(super) fn free_descriptor(places: &mut Places<Arc<Signal>>, kind: PlaceKind, newcomer: SourceKey) -> bool {
    let evicted = places.evict(newcomer, clock::now(), |signal| signal.standing());
    evicted.map(|signal| signal.evict(kind, Shortage::Descriptors)).is_some()
}

/// The places of HTTP connections.
pub struct HttpPlaces {
    kind: PlaceKind,
    bounds: PlaceBounds,
    places: Mutex<Places<Arc<Signal>>>,
}

impl HttpPlaces {
    /// All places are free.
    pub fn new(kind: PlaceKind, bounds: PlaceBounds) -> Self {
        Self { kind, bounds, places: Mutex::default() }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Places<Arc<Signal>>) -> R) -> R {
        act(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a new connection.
    pub fn enter(self: &Arc<Self>, source: SourceKey) -> Result<HttpPlace, NoPlace> {
        let signal = Arc::<Signal>::default();
        let id = self.with(|places| {
            make_room(places, self.kind, source, self.bounds.connections)?;
            Ok(places.enter(source, clock::now(), Arc::clone(&signal)))
        })?;
        Ok(HttpPlace { places: Arc::clone(self), id, signal, counted: Cell::new(0) })
    }

    /// Lets one end because file descriptors are short. Whether one did.
    pub fn free_descriptor(&self, newcomer: SourceKey) -> bool {
        self.with(|places| free_descriptor(places, self.kind, newcomer))
    }

    /// Reports the gauges.
    pub fn report(&self) {
        let (connections, bytes) = self.with(|places| (places.len(), places.bytes()));
        metrics::set(Gauge::Unproven(self.kind), connections as u64);
        metrics::set(Gauge::UnprovenBytes(self.kind), bytes as u64);
    }
}

/// The place of an HTTP connection; free again when dropped.
pub struct HttpPlace {
    places: Arc<HttpPlaces>,
    id: PlaceId,
    signal: Arc<Signal>,
    counted: Cell<usize>,
}

impl HttpPlace {
    /// What it waits for, and whether it has to give way.
    pub const fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// The connection holds so many bytes of requests.
    pub fn weigh(&self, bytes: usize) {
        let bytes = counted(bytes);
        if bytes == self.counted.get() {
            return;
        }
        let (budget, kind) = (Budget::new(self.places.bounds.memory), self.places.kind);
        self.places.with(|places| {
            // The number of an evicted one may belong to another already.
            if !self.signal.is_evicted() {
                self.counted.set(bytes);
                places.weigh(self.id, bytes);
                keep_budget(places, kind, budget);
            }
        });
    }
}

impl Drop for HttpPlace {
    fn drop(&mut self) {
        self.places.with(|places| {
            if !self.signal.is_evicted() {
                places.remove(self.id);
            }
        });
    }
}

/// Bytes as they are counted: in steps, so that not every byte costs a lock.
pub(super) const fn counted(bytes: usize) -> usize {
    if bytes <= UNCOUNTED { 0 } else { bytes.next_multiple_of(UNCOUNTED) }
}
