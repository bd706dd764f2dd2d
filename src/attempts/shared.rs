//! The state of all attempts of a node, and the right to check one secret.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::kinds::{AttemptRules, SecretKind};
use super::over_all::OverAll;
use crate::core::model::time::Tick;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::limits::challenges::Challenges;
use crate::core::policy::limits::decisions::{Claimant, Decisions, Name, Ticket, Turn, Verdict, WaitId};
use crate::core::policy::limits::wrong_counts::Fingerprint;
use crate::metrics::{self, Counter};
use crate::store;

/// The attempt was not decided: it would have to wait too long, or it is one too many. Nothing was looked up, and
/// nothing is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {} s", after.as_secs())]
pub struct TryLater {
    /// How long it would have waited, at least 5 s.
    pub after: Duration,
}

impl TryLater {
    /// Callers do not come back earlier than this.
    const LEAST: Duration = Duration::from_secs(5);

    pub(super) fn after(wait: Duration) -> Self {
        Self { after: wait.max(Self::LEAST) }
    }
}

/// The right to check one secret, to be settled after the check. If it is dropped unsettled (the store is away, or the
/// caller has gone), nothing is counted.
#[must_use = "an attempt that is not settled counts as one that was never made"]
pub struct Attempt {
    shared: Arc<Shared>,
    kind: SecretKind,
    ticket: Option<Ticket>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Attempt {
    /// The secret was right.
    pub fn right(mut self) {
        self.settle(Verdict::Right);
    }

    /// It was wrong.
    pub fn wrong(mut self) {
        self.settle(Verdict::Wrong(None));
    }

    /// It was wrong; the same secret of the same name and source counts once.
    pub fn wrong_secret(mut self, secret: &[u8]) {
        let print = self.shared.fingerprint(secret);
        self.settle(Verdict::Wrong(Some(print)));
    }

    fn settle(&mut self, verdict: Verdict) {
        let Some(ticket) = self.ticket.take() else { return };
        let counted = self.shared.act(self.kind, |decisions, now, turns| decisions.settle(ticket, verdict, now, turns));
        if counted {
            self.shared.counted(self.kind);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(Verdict::Unchecked);
    }
}

/// The attempts at one kind of secret.
pub(super) struct Kind {
    pub decisions: Decisions,
    pub waiting: HashMap<WaitId, oneshot::Sender<Result<Attempt, TryLater>>>,
    pub over_all: OverAll,
    /// Sources that were guessing when the figures were shown last.
    pub guessing: u64,
}

/// What attempts refer to.
pub(super) struct Shared {
    pub rules: AttemptRules,
    kinds: [Mutex<Kind>; SecretKind::ALL.len()],
    challenges: Mutex<Challenges>,
    /// Whether a wrong digest may be remembered: a device that proves itself costs no lock then.
    pub wrong_digests: AtomicBool,
    hash: RandomState,
    pub clock: Box<dyn Fn() -> Tick + Send + Sync>,
    pub store: Arc<dyn store::Attempts>,
}

impl Shared {
    #[expect(clippy::large_types_passed_by_value, reason = "it is kept")]
    pub fn new(
        store: Arc<dyn store::Attempts>,
        rules: AttemptRules,
        clock: impl Fn() -> Tick + Send + Sync + 'static,
    ) -> Self {
        let kinds = SecretKind::ALL.map(|kind| {
            let rules = *rules.of(kind);
            Mutex::new(Kind {
                decisions: Decisions::new(rules),
                waiting: HashMap::new(),
                over_all: OverAll::new(rules.per_minute, rules.per_second),
                guessing: 0,
            })
        });
        let codes = rules.of(SecretKind::DeviceCode);
        let challenges = Mutex::new(Challenges::new(codes.window, codes.max_keys));
        Self {
            rules,
            kinds,
            challenges,
            wrong_digests: AtomicBool::new(false),
            hash: RandomState::new(),
            clock: Box::new(clock),
            store,
        }
    }

    pub fn kind(&self, kind: SecretKind) -> MutexGuard<'_, Kind> {
        let [code, token, init, log_in, exchange, operator, page, directory] = &self.kinds;
        let kind = match kind {
            SecretKind::DeviceCode => code,
            SecretKind::DeviceToken => token,
            SecretKind::InitCode => init,
            SecretKind::AppLogIn => log_in,
            SecretKind::ExchangeLogIn => exchange,
            SecretKind::OperatorToken => operator,
            SecretKind::PagePassword => page,
            SecretKind::DirectoryCredential => directory,
        };
        // The counts are valid even if a thread has panicked while it held the lock.
        kind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn challenges(&self) -> MutexGuard<'_, Challenges> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of a kind, and tells those whose turn has come.
    pub fn act<R>(
        self: &Arc<Self>,
        kind: SecretKind,
        act: impl FnOnce(&mut Decisions, Tick, &mut Vec<Turn>) -> R,
    ) -> R {
        let mut turns = Vec::new();
        let mut locked = self.kind(kind);
        let result = act(&mut locked.decisions, (self.clock)(), &mut turns);
        let told: Vec<_> = turns.into_iter().map(|turn| self.take_sender(kind, &mut locked, turn)).collect();
        drop(locked);
        // An attempt that nobody takes any more is given back, which needs the lock.
        for (sender, answer) in told {
            match sender {
                Some(sender) => drop(sender.send(answer)),
                None => drop(answer),
            }
        }
        result
    }

    #[allow(clippy::type_complexity)]
    fn take_sender(
        self: &Arc<Self>,
        kind: SecretKind,
        locked: &mut Kind,
        turn: Turn,
    ) -> (Option<oneshot::Sender<Result<Attempt, TryLater>>>, Result<Attempt, TryLater>) {
        match turn {
            Turn::Granted(id, ticket) => (locked.waiting.remove(&id), Ok(self.attempt(kind, ticket))),
            Turn::Dropped(id, after) => {
                metrics::count(Counter::TriedTooOften(kind.label()));
                (locked.waiting.remove(&id), Err(TryLater::after(after)))
            }
        }
    }

    pub fn attempt(self: &Arc<Self>, kind: SecretKind, ticket: Ticket) -> Attempt {
        Attempt { shared: Arc::clone(self), kind, ticket: Some(ticket) }
    }

    pub fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint(self.hash.hash_one(secret))
    }

    pub fn name(&self, who: &str) -> Name {
        Name(self.hash.hash_one(who))
    }

    pub fn claimant(&self, who: Option<&str>, source: SourceKey) -> Claimant {
        Claimant { name: who.map(|who| self.name(who)), source }
    }

    pub fn counted(&self, kind: SecretKind) {
        metrics::count(Counter::WrongAttempt(kind.label()));
        let now = (self.clock)();
        let mut locked = self.kind(kind);
        locked.over_all.count(now);
        // Not with the next report: on a busy machine thousands may come before it.
        if !locked.decisions.is_braked() && locked.over_all.is_exceeded(now) {
            locked.decisions.limit_over_all(true, now, &mut Vec::new());
        }
    }
}
