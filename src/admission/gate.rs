//! One gate, shared by the threads of a process: the pure gate of `src/core/policy/admission.rs` under one short lock,
//! with permits and turns that give themselves back when they are dropped.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::{self, Stopwatch};
use crate::core::model::time::Tick;
use crate::core::policy::admission::queue::{QueuePosition, Rank};
use crate::core::policy::admission::{Gate, GateBounds, Refused};
use crate::metrics::{self, Admission, Counter, GateName, Gauge, Timer};

type Answer<L> = Result<Permit<L>, Admission>;
type Waiter<L> = oneshot::Sender<Answer<L>>;

/// What a gate decides about an entry.
pub enum Passage<L: Clone + Eq + Hash> {
    /// Admitted.
    Now(Permit<L>),
    /// It waits in the queue.
    Later(Turn<L>),
    /// Rejected.
    Refused,
}

pub(super) struct SharedGate<L: Clone + Eq + Hash> {
    name: GateName,
    gate: Mutex<Gate<L, Waiter<L>>>,
}

impl<L: Clone + Eq + Hash> SharedGate<L> {
    pub fn new(name: GateName, room: GateBounds) -> Self {
        Self { name, gate: Mutex::new(Gate::new(room)) }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Gate<L, Waiter<L>>) -> R) -> R {
        act(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, outcome: Admission) {
        metrics::count(match self.name {
            GateName::Connection => Counter::ConnectionGate(outcome),
            GateName::Registration => Counter::RegistrationGate(outcome),
        });
    }

    fn permit(self: &Arc<Self>) -> Permit<L> {
        Permit { gate: Arc::clone(self), since: Stopwatch::start(), failed: false }
    }

    /// `short` says why there are no further places, if so.
    pub fn pass(self: &Arc<Self>, rank: Rank, lane: &L, short: Option<Admission>) -> Passage<L> {
        let waits = self.with(|gate| {
            gate.set_exhausted(short.is_some());
            if gate.enter() {
                return None;
            }
            let (waiter, answer) = oneshot::channel();
            Some(gate.wait(rank, lane, waiter, clock::now()).map(|(ticket, displaced)| (ticket, displaced, answer)))
        });
        match waits {
            None => {
                self.count(Admission::AtOnce);
                Passage::Now(self.permit())
            }
            Some(Ok((ticket, displaced, answer))) => {
                if let Some(displaced) = displaced {
                    self.send_away(displaced, short.unwrap_or(Admission::Full));
                }
                Passage::Later(Turn { gate: Arc::clone(self), ticket: Some(ticket), answer })
            }
            Some(Err(why)) => {
                self.count(match why {
                    Refused::Full => short.unwrap_or(Admission::Full),
                    Refused::TooLong => Admission::TooLong,
                });
                Passage::Refused
            }
        }
    }

    pub fn readmit(self: &Arc<Self>) -> Permit<L> {
        self.with(Gate::resume);
        self.permit()
    }

    pub fn waiting(&self) -> usize {
        self.with(|gate| gate.waiting())
    }

    pub fn measure(&self, took: Duration) {
        self.with(|gate| gate.measure(took, false, clock::now()));
    }

    pub fn served_within(&self, time: Duration) -> Option<usize> {
        self.with(|gate| gate.served_within(time))
    }

    pub fn backlog(&self, now: Tick) -> Duration {
        self.with(|gate| gate.backlog(now))
    }

    /// Rejects entries that have waited too long, and admits those that the changed limits allow.
    pub fn maintain(self: &Arc<Self>, now: Tick, narrowed: Option<usize>) {
        while let Some(waiter) = self.with(|gate| gate.expire(now)) {
            self.send_away(waiter, Admission::TooLong);
        }
        if let Some(most) = narrowed {
            self.with(|gate| gate.set_cap(most));
        }
        self.admit(now);
        let (waiting, under_way, limit) = self.with(|gate| (gate.waiting(), gate.under_way(), gate.limit()));
        metrics::set(Gauge::Waiting(self.name), waiting as u64);
        metrics::set(Gauge::UnderWay(self.name), under_way as u64);
        metrics::set(Gauge::AdmissionLimit(self.name), limit as u64);
    }

    fn admit(self: &Arc<Self>, now: Tick) {
        // Outside of the lock, because a permit returned by an entry that was just dropped takes it again.
        while let Some((waiter, waited)) = self.with(|gate| gate.admit(now)) {
            if waiter.send(Ok(self.permit())).is_ok() {
                self.count(Admission::AfterWaiting);
                metrics::observe(Timer::Waited(self.name), waited);
            }
        }
    }

    fn send_away(&self, waiter: Waiter<L>, why: Admission) {
        if waiter.send(Err(why)).is_ok() {
            self.count(why);
        }
    }
}

/// The permit of an admitted entry. It is released when this is dropped.
pub struct Permit<L: Clone + Eq + Hash> {
    gate: Arc<SharedGate<L>>,
    since: Stopwatch,
    failed: bool,
}

impl<L: Clone + Eq + Hash> Permit<L> {
    /// The store did not answer for the admitted work: a reason to admit fewer.
    pub const fn fail(&mut self) {
        self.failed = true;
    }
}

impl<L: Clone + Eq + Hash> Drop for Permit<L> {
    fn drop(&mut self) {
        let (now, took) = (clock::now(), self.since.elapsed());
        self.gate.with(|gate| {
            // The other one is measured by how long the threads take (`src/connection/accept_gate.rs`).
            if self.gate.name == GateName::Registration {
                gate.measure(took, self.failed, now);
            }
            gate.leave();
        });
        self.gate.admit(now);
    }
}

/// A place in the queue; given up when this is dropped.
#[must_use = "it waits only as long as this is kept"]
pub struct Turn<L: Clone + Eq + Hash> {
    gate: Arc<SharedGate<L>>,
    ticket: Option<QueuePosition>,
    answer: oneshot::Receiver<Answer<L>>,
}

impl<L: Clone + Eq + Hash> Turn<L> {
    /// Waits for the permit; `None` if the entry is rejected after all.
    pub async fn wait(mut self) -> Option<Permit<L>> {
        let answer = (&mut self.answer).await;
        self.ticket = None;
        answer.ok()?.ok()
    }
}

impl<L: Clone + Eq + Hash> Drop for Turn<L> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.gate.with(|gate| gate.withdraw(ticket)).is_some()
        {
            self.gate.count(Admission::Gone);
        }
    }
}
