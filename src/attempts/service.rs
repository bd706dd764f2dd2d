//! The attempts of one node: reserve, settle, wait.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::kinds::{AttemptRules, SecretKind};
use super::over_all::OverAll;
use super::waiting::Waiting;
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::Tick;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::limits::challenges::Challenges;
use crate::core::policy::limits::decisions::{Claimant, Decisions, Name, Ticket, Turn, Verdict, WaitId};
use crate::core::policy::limits::{decisions, wrong_counts::Fingerprint};
use crate::core::policy::log_limiter::LogLimiter;
use crate::metrics::{self, Attempt as Label, Counter, Gauge};
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
    guessing: u64,
}

/// What attempts refer to.
pub(super) struct Shared {
    pub rules: AttemptRules,
    kinds: [Mutex<Kind>; SecretKind::ALL.len()],
    challenges: Mutex<Challenges>,
    /// Whether a wrong digest may be remembered: a device that proves itself costs no lock then.
    wrong_digests: AtomicBool,
    hash: RandomState,
    pub clock: Box<dyn Fn() -> Tick + Send + Sync>,
    pub store: Arc<dyn store::Attempts>,
}

impl Shared {
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

    fn challenges(&self) -> MutexGuard<'_, Challenges> {
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

    fn attempt(self: &Arc<Self>, kind: SecretKind, ticket: Ticket) -> Attempt {
        Attempt { shared: Arc::clone(self), kind, ticket: Some(ticket) }
    }

    fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint(self.hash.hash_one(secret))
    }

    fn name(&self, who: &str) -> Name {
        Name(self.hash.hash_one(who))
    }

    fn claimant(&self, who: Option<&str>, source: SourceKey) -> Claimant {
        Claimant { name: who.map(|who| self.name(who)), source }
    }

    fn counted(&self, kind: SecretKind) {
        metrics::count(Counter::WrongAttempt(kind.label()));
        let now = (self.clock)();
        self.kind(kind).over_all.count(now);
    }
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
            shared: Arc::new(Shared {
                rules,
                kinds,
                challenges,
                wrong_digests: AtomicBool::new(false),
                hash: RandomState::new(),
                clock: Box::new(clock),
                store,
            }),
        }
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

    /// Counts an attempt that was given up for another one while it waited.
    pub fn count_unchecked(&self, kind: SecretKind, who: Option<&str>, source: SourceKey, secret: &[u8]) {
        let (claimant, print) = (self.shared.claimant(who, source), self.shared.fingerprint(secret));
        let counted = self.shared.act(kind, |decisions, now, _| decisions.count_unchecked(claimant, Some(print), now));
        if counted {
            self.shared.counted(kind);
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

    /// Forgets what no longer makes a difference, and shows the figures.
    pub(super) fn forget_old(&self) {
        static GUESSING: LogLimiter = LogLimiter::new();
        let now = (self.shared.clock)();
        for kind in SecretKind::ALL {
            let mut locked = self.shared.kind(kind);
            locked.decisions.forget_old(now);
            let Kind { decisions, guessing, .. } = &mut *locked;
            let (waiting, braked) = (decisions.waiting() as u64, decisions.is_braked());
            let sources = decisions.guessing(now).count() as u64;
            let more = sources > std::mem::replace(guessing, sources);
            drop(locked);
            metrics::set(Gauge::AttemptsWaiting(kind.label()), waiting);
            metrics::set(Gauge::GuessingSources(kind.label()), sources);
            metrics::set(Gauge::DecisionsBraked(kind.label()), braked.into());
            if more && let Some(unsaid) = GUESSING.due(now) {
                let kind = kind.name();
                tracing::warn!(kind, sources, waiting, unsaid, "source addresses have used up their wrong attempts");
            }
        }
        if self.shared.wrong_digests.load(Ordering::Relaxed) {
            let mut challenges = self.shared.challenges();
            challenges.forget_old(now);
            self.shared.wrong_digests.store(!challenges.is_empty(), Ordering::Relaxed);
        }
    }
}
