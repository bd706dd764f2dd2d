//! Gets, renews and gives back the locks of one PBX, over all nodes (`docs/protocol/pbx.md` section 5).
//!
//! Each lock that is wanted has a task of its own; giving it back ends the task, which then frees it in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::core::policy::backoff::{Backoff, Spread};
use crate::core::session::exchange::event::Lock;
use crate::random;
use crate::store::Locks;

/// How long a lock lives without being renewed (`docs/protocol/pbx.md` section 4, step 1).
const TTL: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);
/// First and longest pause before a lock that somebody else holds is tried again.
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(2), Duration::from_millis(250), Spread::Longer);

/// What has become of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockEvent {
    /// It is held.
    Held(Lock),
    /// It could not be renewed.
    Lost(Lock),
}

struct Holding {
    number: u64,
    /// Dropping it gives the lock back.
    _end: oneshot::Sender<()>,
}

/// See the module.
pub(super) struct LockManager {
    locks: Arc<dyn Locks>,
    /// Begins the name of each lock.
    prefix: Box<str>,
    /// Tells this process from all others.
    holder: Box<str>,
    holdings: BTreeMap<Lock, Holding>,
    last: u64,
    words: mpsc::UnboundedSender<(u64, LockEvent)>,
    heard: mpsc::UnboundedReceiver<(u64, LockEvent)>,
}

impl LockManager {
    pub(super) fn new(locks: Arc<dyn Locks>, prefix: Box<str>) -> Self {
        // There are at most two words for each lock that is wanted, and locks are wanted for orders, which are bounded.
        let (words, heard) = mpsc::unbounded_channel();
        let holder = random::guid().into();
        Self { locks, prefix, holder, holdings: BTreeMap::new(), last: 0, words, heard }
    }

    pub(super) fn acquire(&mut self, lock: Lock) {
        self.last += 1;
        let (end, ended) = oneshot::channel();
        let holding = Hold {
            locks: Arc::clone(&self.locks),
            name: match &lock {
                Lock::Slot => format!("{}/slot", self.prefix),
                Lock::User(user) => format!("{}/user/{user}", self.prefix),
            },
            // Of its own for each holding: one that is given back must not free the next.
            holder: format!("{}/{}", self.holder, self.last),
            number: self.last,
            lock: lock.clone(),
            words: self.words.clone(),
        };
        tokio::spawn(holding.run(ended));
        self.holdings.insert(lock, Holding { number: self.last, _end: end });
    }

    pub(super) fn release(&mut self, lock: &Lock) {
        self.holdings.remove(lock);
    }

    /// What has become of a lock that is still wanted. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> LockEvent {
        loop {
            let Some((number, word)) = self.heard.recv().await else { return std::future::pending().await };
            let (LockEvent::Held(lock) | LockEvent::Lost(lock)) = &word;
            if self.holdings.get(lock).is_some_and(|holding| holding.number == number) {
                if let LockEvent::Lost(lock) = &word {
                    self.holdings.remove(lock);
                }
                return word;
            }
        }
    }
}

/// One lock that is wanted.
struct Hold {
    locks: Arc<dyn Locks>,
    name: String,
    holder: String,
    number: u64,
    lock: Lock,
    words: mpsc::UnboundedSender<(u64, LockEvent)>,
}

impl Hold {
    async fn run(self, ended: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.keep() => {}
            _ = ended => {}
        }
        // If the store does not answer, the lock ends by itself.
        let _ = self.locks.unlock(&self.name, &self.holder).await;
    }

    /// Ends when the lock is lost.
    async fn keep(&self) {
        let mut refusals = 0_u32;
        while !matches!(self.locks.lock(&self.name, &self.holder, TTL).await, Ok(true)) {
            refusals = refusals.saturating_add(1);
            sleep(PAUSES.wait(refusals, random::below(u64::MAX))).await;
        }
        let mut sure_until = Instant::now() + TTL;
        // Whoever waits for the word is gone only when the process ends.
        let _ = self.words.send((self.number, LockEvent::Held(self.lock.clone())));
        loop {
            sleep(RENEW).await;
            let asked = Instant::now();
            match self.locks.lock(&self.name, &self.holder, TTL).await {
                Ok(true) => sure_until = asked + TTL,
                // The store is away for a while: it is still ours until its end.
                Err(_) if Instant::now() + RENEW < sure_until => {}
                Ok(false) | Err(_) => break,
            }
        }
        let _ = self.words.send((self.number, LockEvent::Lost(self.lock.clone())));
    }
}
