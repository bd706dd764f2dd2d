//! Admission control of a process: its two gates, and how they are adapted to each other.
//!
//! The gate of *connections* stands before TLS and HTTP; its lanes are source addresses. The gate of *registrations*
//! stands after the identify message, before any work in the store; its lanes are domains, and for devices without one
//! their source addresses. What is not contended passes synchronously, under one short lock and without an actor in
//! between.
//!
//! Nobody who was admitted is shed. The gates must not know what they let in; who waits and who goes next is decided in
//! `src/core/policy/admission.rs`. The caps of `src/connection/table.rs` hold beside them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::core::policy::admission::limit::Bounds;
use crate::core::policy::admission::queue::Rank;
use crate::core::policy::admission::registration::Lane;
use crate::core::policy::admission::{Room, stay_away};
use crate::core::policy::limits::SourceKey;
use crate::core::policy::storm::{Storm, StormDetector};
use crate::metrics::{Admission, GateName};
use crate::random;

use crate::admission::gate::SharedGate;
use crate::admission::process_resources::ProcessResources;

pub use crate::admission::gate::{Passage, Permit, Turn};

/// How often those who wait too long are looked for and the gates adapted to each other.
pub const MAINTENANCE: Duration = Duration::from_millis(50);

/// Memory is looked at once in so many rounds of maintenance.
const LOOK_AT_MEMORY: u32 = 10;

/// Registrations under way: never fewer, so that a slow store does not stop them …
const REGISTRATIONS_FLOOR: usize = 32;
/// … and at the beginning: more than any store here needs to be kept busy.
const REGISTRATIONS_START: usize = 512;

/// Handshakes under way: never fewer, and at the beginning.
const HANDSHAKES_FLOOR: usize = 32;
const HANDSHAKES_START: usize = 256;

/// A thread should be through with everything that is ready within this time, or too much is.
const LOOP_TARGET: Duration = Duration::from_millis(50);

/// Registrations may wait up to this part of the longest wait before handshakes have to: a device that is sent away
/// after its handshake costs as much as half a registration.
const BACKLOG_PART: u32 = 4;

/// Bounds of admission; all of them are counts of this process.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// Registrations under way at most.
    pub registrations: usize,
    /// Handshakes under way at most.
    pub handshakes: usize,
    /// Who may wait at each gate.
    pub waiting: usize,
    /// For how long.
    pub longest: Duration,
    /// A registration should be done within this time.
    pub target: Duration,
    /// Bytes of memory from which on nobody new is let in; 0: never.
    pub memory: u64,
    /// Descriptors that are kept for the store, the operations listener and logs.
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

/// A device that has connected and not said yet who it is; dropped, it is not waited for any more.
pub struct Expected(Arc<AtomicUsize>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AdmissionController {
    /// Nobody is there yet.
    pub fn new(limits: AdmissionLimits) -> Self {
        let room = |limit| Room { limit, waiting: limits.waiting, longest: limits.longest };
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

    /// A connection has come, with this number of its descriptor: nothing of it was read yet. The permit is for its
    /// handshake.
    pub fn connection(&self, source: SourceKey, descriptor: u64) -> Passage<SourceKey> {
        let short = self.resources.short_for(descriptor);
        let short = short.map(|why| if why.memory { Admission::Memory } else { Admission::Descriptors });
        self.connections.pass(Rank::Other, &source, short)
    }

    /// A device has connected and will say who it is. Until then it counts as one that will have to wait.
    pub fn expect_registration(&self) -> Expected {
        self.expected.fetch_add(1, Ordering::Relaxed);
        Expected(Arc::clone(&self.expected))
    }

    /// A device has said who it is. The permit is for the work until it is challenged, a member or recorded.
    pub fn registration(&self, rank: Rank, lane: &Lane) -> Passage<Lane> {
        self.registrations.pass(rank, lane, None)
    }

    /// An admitted device has answered its challenge: it goes on at once, whoever waits.
    pub fn readmit(&self) -> Permit<Lane> {
        self.registrations.readmit()
    }

    /// When somebody who is sent away should come back: random, and the later the more there is to do.
    pub fn retry_after(&self) -> Duration {
        let now = clock::now();
        let (from, spread) = stay_away(self.connections.backlog(now).max(self.registrations.backlog(now)));
        let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX).max(1);
        from + Duration::from_millis(random::below(spread))
    }

    /// How many wait at a gate.
    pub fn waiting(&self, gate: GateName) -> usize {
        match gate {
            GateName::Connection => self.connections.waiting(),
            GateName::Registration => self.registrations.waiting(),
        }
    }

    /// So many devices are known to the store now, and so many of them are connected to no node.
    pub fn record_totals(&self, known: u64, missing: u64) {
        self.storm_detector().saw(known, missing, clock::now());
    }

    /// How the storm stands, if there is one: over all domains and nodes.
    pub fn storm(&self) -> Option<Storm> {
        self.storm_detector().storm()
    }

    fn storm_detector(&self) -> MutexGuard<'_, StormDetector> {
        // Figures are good to use even if a thread died with them.
        self.storm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has to be called every [`MAINTENANCE`].
    pub fn maintain(&self) {
        if self.rounds.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_AT_MEMORY) {
            self.resources.look();
        }
        let now = clock::now();
        self.registrations.maintain(now, None);
        // Handshakes that would lead into a full room are not begun: work comes in as fast as it is done.
        let most = self.registrations.served_within(self.limits.longest / BACKLOG_PART).unwrap_or(usize::MAX);
        let most = most.max(2 * REGISTRATIONS_FLOOR).min(self.limits.waiting);
        // Those who are silent take no more than half of it, or they could shut everybody else out.
        let expected = self.expected.load(Ordering::Relaxed).min(most / 2);
        self.connections.maintain(now, Some(most.saturating_sub(self.registrations.waiting() + expected)));
    }

    /// How long a thread took for everything that was ready. How long a handshake takes would say more of the peer.
    pub fn record_loop_time(&self, took: Duration) {
        self.connections.measure(took);
    }
}

#[cfg(test)]
mod tests;
