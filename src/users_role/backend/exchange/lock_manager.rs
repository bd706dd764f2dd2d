//! Acquires, renews and releases the locks of one exchange, which hold across all nodes (`docs/protocol/pbx.md`
//! section 5).
//!
//! Each lock has a task of its own; releasing it ends the task, which then deletes the lock in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::core::policy::backoff::{Backoff, Spread};
use crate::core::session::exchange::event::Lock;
use crate::random;
use crate::store::Locks;

/// TTL of a lock that is not renewed (`docs/protocol/pbx.md` section 4, step 1).
const TTL: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);
/// First and longest pause between attempts to get a lock that another node holds.
const RETRY_PAUSES: Backoff = Backoff::doubling(Duration::from_millis(2), Duration::from_millis(250), Spread::Longer);

/// Event of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockEvent {
    /// Acquired.
    Held(Lock),
    /// Lost: it could not be renewed in time.
    Lost(Lock),
}

struct HeldLock {
    number: u64,
    /// Dropping it releases the lock.
    _end: oneshot::Sender<()>,
}

/// The locks that one exchange client holds or waits for.
pub(super) struct LockManager {
    locks: Arc<dyn Locks>,
    /// Prefix of the lock names.
    prefix: Box<str>,
    /// Identifies this process as holder.
    holder: Box<str>,
    holdings: BTreeMap<Lock, HeldLock>,
    last: u64,
    events: mpsc::UnboundedSender<(u64, LockEvent)>,
    received: mpsc::UnboundedReceiver<(u64, LockEvent)>,
}

impl LockManager {
    pub(super) fn new(locks: Arc<dyn Locks>, prefix: Box<str>) -> Self {
        // Unbounded, but holds at most two events per lock, and locks are bounded by the orders under way.
        let (events, received) = mpsc::unbounded_channel();
        let holder = random::guid().into();
        Self { locks, prefix, holder, holdings: BTreeMap::new(), last: 0, events, received }
    }

    pub(super) fn acquire(&mut self, lock: Lock) {
        self.last += 1;
        let (end, ended) = oneshot::channel();
        let holding = LockTask {
            locks: Arc::clone(&self.locks),
            name: match &lock {
                Lock::Slot => format!("{}/slot", self.prefix),
                Lock::User(user) => format!("{}/user/{user}", self.prefix),
            },
            // Unique per acquisition, so that releasing an old one cannot free the next.
            holder: format!("{}/{}", self.holder, self.last),
            number: self.last,
            lock: lock.clone(),
            events: self.events.clone(),
        };
        tokio::spawn(holding.run(ended));
        self.holdings.insert(lock, HeldLock { number: self.last, _end: end });
    }

    pub(super) fn release(&mut self, lock: &Lock) {
        self.holdings.remove(lock);
    }

    /// The next event of a lock that has not been released. Cancel-safe.
    pub(super) async fn next(&mut self) -> LockEvent {
        loop {
            let Some((number, event)) = self.received.recv().await else { return std::future::pending().await };
            let (LockEvent::Held(lock) | LockEvent::Lost(lock)) = &event;
            if self.holdings.get(lock).is_some_and(|holding| holding.number == number) {
                if let LockEvent::Lost(lock) = &event {
                    self.holdings.remove(lock);
                }
                return event;
            }
        }
    }
}

/// The task of one lock.
struct LockTask {
    locks: Arc<dyn Locks>,
    name: String,
    holder: String,
    number: u64,
    lock: Lock,
    events: mpsc::UnboundedSender<(u64, LockEvent)>,
}

impl LockTask {
    async fn run(self, ended: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.keep() => {}
            _ = ended => {}
        }
        // If this fails, the lock expires.
        let _ = self.locks.unlock(&self.name, &self.holder).await;
    }

    /// Acquires and renews; returns when the lock is lost.
    async fn keep(&self) {
        let mut refusals = 0_u32;
        while !matches!(self.locks.lock(&self.name, &self.holder, TTL).await, Ok(true)) {
            refusals = refusals.saturating_add(1);
            sleep(RETRY_PAUSES.wait(refusals, random::below(u64::MAX))).await;
        }
        let mut sure_until = Instant::now() + TTL;
        // The receiver only goes away when the process ends.
        let _ = self.events.send((self.number, LockEvent::Held(self.lock.clone())));
        loop {
            sleep(RENEW).await;
            let asked = Instant::now();
            match self.locks.lock(&self.name, &self.holder, TTL).await {
                Ok(true) => sure_until = asked + TTL,
                // The store is unavailable, but the lock has not expired yet.
                Err(_) if Instant::now() + RENEW < sure_until => {}
                Ok(false) | Err(_) => break,
            }
        }
        let _ = self.events.send((self.number, LockEvent::Lost(self.lock.clone())));
    }
}
