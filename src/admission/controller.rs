//! Admission control of a process: its two gates, and how their limits are adapted to each other.
//!
//! The gate of *connections* comes before TLS and HTTP; its lanes are source addresses. The gate of *registrations*
//! comes after the identify message, before any work in the store; its lanes are domains, and for devices without a
//! domain their source addresses. Without contention an entry passes synchronously, under one short lock and without an
//! actor in between.
//!
//! An admission is never revoked. The gates must not know what they admit; who waits and who goes next is decided in
//! `src/core/policy/admission.rs`. The limits of `src/connection/table.rs` apply in addition.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::core::policy::admission::limit::Bounds;
use crate::core::policy::admission::queue::Rank;
use crate::core::policy::admission::registration::Lane;
use crate::core::policy::admission::{GateBounds, retry_after};
use crate::core::policy::limits::SourceKey;
use crate::core::policy::storm::{Storm, StormDetector};
use crate::metrics::{Admission, GateName};
use crate::random;

use crate::admission::gate::SharedGate;
use crate::admission::process_resources::ProcessResources;

pub use crate::admission::gate::{Passage, Permit, Turn};

/// How often expired entries are removed and the limits of the gates adapted to each other.
pub const MAINTENANCE: Duration = Duration::from_millis(50);

/// Memory is measured once in this many calls of maintenance.
const LOOK_AT_MEMORY: u32 = 10;

/// Least limit of concurrent registrations, so that a slow store does not stop them.
const REGISTRATIONS_FLOOR: usize = 32;
/// Initial limit of concurrent registrations: more than any store here needs to be kept busy.
const REGISTRATIONS_START: usize = 512;

/// Least and initial limit of concurrent handshakes.
const HANDSHAKES_FLOOR: usize = 32;
const HANDSHAKES_START: usize = 256;

/// A thread should finish all ready tasks within this time; if it takes longer, there are too many.
const LOOP_TARGET: Duration = Duration::from_millis(50);

/// Handshakes have to wait once registrations wait for more than this part of the longest wait: a device that is
/// rejected after its handshake costs as much as half a registration.
const BACKLOG_PART: u32 = 4;

/// Bounds of admission; all of them are counts of this process.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// Registrations under way at most.
    pub registrations: usize,
    /// Handshakes under way at most.
    pub handshakes: usize,
    /// Entries that may wait at each gate.
    pub waiting: usize,
    /// Longest wait.
    pub longest: Duration,
    /// A registration should be done within this time.
    pub target: Duration,
    /// Bytes of memory from which on no new connection is admitted; 0: no bound.
    pub memory: u64,
    /// File descriptors that are reserved for the store, the operations listener and logs.
    pub reserve: u64,
}

/// Both gates of one process.
pub struct AdmissionController {
    connections: Arc<SharedGate<SourceKey>>,
    registrations: Arc<SharedGate<Lane>>,
    resources: ProcessResources,
    limits: AdmissionLimits,
    rounds: AtomicU32,
    expected: Arc<AtomicUsize>,
    storm: Mutex<StormDetector>,
}

/// A device that has connected and not identified yet. When this is dropped, the device is no longer counted.
pub struct Expected(Arc<AtomicUsize>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AdmissionController {
    /// Empty gates.
    pub fn new(limits: AdmissionLimits) -> Self {
        let room = |limit| GateBounds { limit, waiting: limits.waiting, longest: limits.longest };
        let connections = Bounds {
            floor: HANDSHAKES_FLOOR.min(limits.handshakes),
            ceiling: limits.handshakes,
            start: HANDSHAKES_START,
            target: LOOP_TARGET,
        };
        let registrations = Bounds {
            floor: REGISTRATIONS_FLOOR.min(limits.registrations),
            ceiling: limits.registrations,
            start: REGISTRATIONS_START,
            target: limits.target,
        };
        Self {
            connections: Arc::new(SharedGate::new(GateName::Connection, room(connections))),
            registrations: Arc::new(SharedGate::new(GateName::Registration, room(registrations))),
            resources: ProcessResources::new(limits.memory, limits.reserve),
            limits,
            rounds: AtomicU32::new(0),
            expected: Arc::default(),
            storm: Mutex::default(),
        }
    }

    /// Entry of a new connection with this file descriptor; nothing of it was read yet. The permit is for its
    /// handshake. `free_descriptor` lets another connection end if descriptors are short, and says whether one did.
    pub fn connection(
        &self,
        source: SourceKey,
        descriptor: u64,
        free_descriptor: impl FnOnce() -> bool,
    ) -> Passage<SourceKey> {
        let short = self.resources.short_for(descriptor);
        // The other one closes its descriptor in a moment.
        let short = short.filter(|_| !(self.resources.may_overdraw(descriptor) && free_descriptor()));
        let short = short.map(|why| if why.memory { Admission::Memory } else { Admission::Descriptors });
        self.connections.pass(Rank::Other, &source, short)
    }

    /// A device has connected and will identify. Until then it counts as waiting.
    pub fn expect_registration(&self) -> Expected {
        self.expected.fetch_add(1, Ordering::Relaxed);
        Expected(Arc::clone(&self.expected))
    }

    /// Entry of a device that has identified. The permit is for the work until it is challenged, a member, or recorded
    /// as unassigned.
    pub fn registration(&self, rank: Rank, lane: &Lane) -> Passage<Lane> {
        self.registrations.pass(rank, lane, None)
    }

    /// Admits a device that has answered its challenge at once, before all that wait.
    pub fn readmit(&self) -> Permit<Lane> {
        self.registrations.readmit()
    }

    /// When a rejected peer should come back: random, and later under more load.
    pub fn retry_after(&self) -> Duration {
        let now = clock::now();
        let (from, spread) = retry_after(self.connections.backlog(now).max(self.registrations.backlog(now)));
        let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX).max(1);
        from + Duration::from_millis(random::below(spread))
    }

    /// Number of entries that wait at a gate.
    pub fn waiting(&self, gate: GateName) -> usize {
        match gate {
            GateName::Connection => self.connections.waiting(),
            GateName::Registration => self.registrations.waiting(),
        }
    }

    /// Reports how many devices the store knows, and how many of them are connected to no node.
    pub fn record_totals(&self, known: u64, missing: u64) {
        self.storm_detector().record(known, missing, clock::now());
    }

    /// The current storm over all domains and nodes, if there is one.
    pub fn storm(&self) -> Option<Storm> {
        self.storm_detector().storm()
    }

    fn storm_detector(&self) -> MutexGuard<'_, StormDetector> {
        // The figures are valid even if a thread panicked while it held the lock.
        self.storm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has to be called every [`MAINTENANCE`].
    pub fn maintain(&self) {
        if self.rounds.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_AT_MEMORY) {
            self.resources.look();
        }
        let now = clock::now();
        self.registrations.maintain(now, None);
        // Limits the handshakes to the registrations that can be served in time: further ones would be rejected after
        // their handshake.
        let most = self.registrations.served_within(self.limits.longest / BACKLOG_PART).unwrap_or(usize::MAX);
        let most = most.max(2 * REGISTRATIONS_FLOOR).min(self.limits.waiting);
        // Devices that have not identified take at most half of the limit, or silent ones could block all others.
        let expected = self.expected.load(Ordering::Relaxed).min(most / 2);
        self.connections.maintain(now, Some(most.saturating_sub(self.registrations.waiting() + expected)));
    }

    /// Reports how long a thread took for all ready tasks. The duration of a handshake would depend more on the peer.
    pub fn record_loop_time(&self, took: Duration) {
        self.connections.measure(took);
    }
}

#[cfg(test)]
mod tests;
