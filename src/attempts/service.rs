//! The attempts of one node: reserve, settle, wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::kinds::{AttemptRules, SecretKind};
use super::shared::{Attempt, Shared, TryLater};
use super::waiting_attempt::Waiting;
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::Tick;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::limits::decisions;
use crate::metrics::{self, Attempt as Label, Counter};
use crate::store;

/// Answer to an attempt.
#[derive(Debug)]
pub enum Asked {
    /// The secret may be checked now.
    Now(Attempt),
    /// It waits.
    Later(Waiting),
    /// It is not decided.
    Refused(TryLater),
}

/// The attempts of one node.
pub struct AttemptService {
    pub(super) shared: Arc<Shared>,
}

impl AttemptService {
    /// No attempts yet. `clock` is `clock::now` except in tests.
    pub fn new(
        store: Arc<dyn store::Attempts>,
        rules: AttemptRules,
        clock: impl Fn() -> Tick + Send + Sync + 'static,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(store, rules, clock)) }
    }

    /// Reserves one attempt; waits as long as the rules say. `who` is what it names: an account, a domain, a MAC
    /// address. If the future is dropped, it leaves the queue.
    pub async fn reserve(&self, kind: SecretKind, who: Option<&str>, source: SourceKey) -> Result<Attempt, TryLater> {
        match self.ask(kind, who, source) {
            Asked::Now(attempt) => Ok(attempt),
            Asked::Later(waiting) => waiting.turn().await,
            Asked::Refused(later) => Err(later),
        }
    }

    /// The same without waiting.
    pub fn ask(&self, kind: SecretKind, who: Option<&str>, source: SourceKey) -> Asked {
        let claimant = self.shared.claimant(who, source);
        let shared = &self.shared;
        let now = (shared.clock)();
        let mut turns = Vec::new();
        let mut locked = shared.kind(kind);
        let asked = locked.decisions.ask(claimant, now, &mut turns);
        locked.over_all.asked();
        let turn = if let decisions::Asked::Waits(id) = &asked {
            let (told, turn) = oneshot::channel();
            locked.waiting.insert(*id, told);
            Some(turn)
        } else {
            None
        };
        drop(locked);
        if !turns.is_empty() {
            shared.act(kind, |_, _, all| all.append(&mut turns));
        }
        match &asked {
            decisions::Asked::Now(_) => {}
            decisions::Asked::Waits(_) => metrics::count(Counter::Delayed(kind.label())),
            decisions::Asked::Refused(_) => metrics::count(Counter::TriedTooOften(kind.label())),
        }
        match (asked, turn) {
            (decisions::Asked::Now(ticket), _) => Asked::Now(shared.attempt(kind, ticket)),
            (decisions::Asked::Waits(id), Some(turn)) => {
                Asked::Later(Waiting::new(Arc::clone(shared), kind, id, turn, now))
            }
            (decisions::Asked::Waits(_), None) => Asked::Refused(TryLater::after(Duration::ZERO)),
            (decisions::Asked::Refused(after), _) => Asked::Refused(TryLater::after(after)),
        }
    }

    /// Counts an attempt that was given up for another one while it waited: against the name and the source. It was
    /// not checked, so it is none of those over all: one connection could hold up the codes of everybody otherwise.
    pub fn count_unchecked(&self, kind: SecretKind, who: Option<&str>, source: SourceKey, secret: &[u8]) {
        let (claimant, print) = (self.shared.claimant(who, source), self.shared.fingerprint(secret));
        let counted = self.shared.act(kind, |decisions, now, _| decisions.count_unchecked(claimant, Some(print), now));
        if counted {
            metrics::count(Counter::ReplacedAttempt(kind.label()));
        }
    }

    /// How long the challenge of a device waits, because of wrong digests of this device from this source.
    pub fn challenge_delay(&self, device: &DeviceKey, source: SourceKey) -> Duration {
        if !self.shared.wrong_digests.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.shared.challenges().delay(self.shared.name(device.as_str()), source, (self.shared.clock)())
    }

    /// A device has answered its challenge wrongly.
    pub fn wrong_digest(&self, device: &DeviceKey, source: SourceKey) {
        metrics::count(Counter::WrongAttempt(Label::DeviceDigest));
        let mut challenges = self.shared.challenges();
        challenges.wrong(self.shared.name(device.as_str()), source, (self.shared.clock)());
        self.shared.wrong_digests.store(true, Ordering::Relaxed);
    }

    /// A device has answered its challenge.
    pub fn right_digest(&self, device: &DeviceKey, source: SourceKey) {
        if self.shared.wrong_digests.load(Ordering::Relaxed) {
            self.shared.challenges().right(self.shared.name(device.as_str()), source);
        }
    }

    /// The sources that have used up their free attempts at a kind of secret, and the number of their wrong ones (at
    /// most those that make a difference), the highest number first. For the operators of the instance only.
    pub fn guessing(&self, kind: SecretKind, most: usize) -> Vec<(SourceKey, u32)> {
        let now = (self.shared.clock)();
        self.shared.kind(kind).decisions.guessing(now).take(most).collect()
    }

    /// How many attempts at a kind of secret wait.
    pub fn waiting(&self, kind: SecretKind) -> usize {
        self.shared.kind(kind).decisions.waiting()
    }
}
