//! What has to be done for the attempts of a node again and again: it reports wrong attempts to the other nodes, applies
//! the limits over all, and shows the figures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::kinds::SecretKind;
use super::service::AttemptService;
use super::shared::Kind;
use crate::clock;
use crate::core::policy::log_limiter::LogLimiter;
use crate::metrics::{self, Gauge};
use crate::random;

/// How often [`AttemptService::maintain`] has to be called.
pub const TICK: Duration = Duration::from_millis(250);

impl AttemptService {
    /// Reports wrong attempts, applies the limits over all, and lets pass whoever's time has come. To be called every
    /// [`TICK`].
    pub async fn maintain(&self) {
        self.forget_old();
        for kind in SecretKind::ALL {
            if let Err(error) = self.exchange_numbers(kind).await {
                static FAILED: LogLimiter = LogLimiter::new();
                if let Some(unsaid) = FAILED.due(clock::now()) {
                    tracing::warn!(%error, unsaid, "wrong attempts not shared with other nodes; trying again");
                }
            }
            self.release(kind).await;
        }
    }

    async fn exchange_numbers(&self, kind: SecretKind) -> crate::store::Result<()> {
        let shared = &self.shared;
        let report = shared.kind(kind).over_all.report((shared.clock)());
        let answer = match report {
            Some(wrong) => {
                let id = random::letters_and_digits(12);
                let answer = shared.store.report_wrong(kind.name(), id.expose(), wrong).await;
                let mut locked = shared.kind(kind);
                match &answer {
                    Ok(known) => locked.over_all.learn(*known),
                    Err(_) => locked.over_all.keep(wrong, (shared.clock)()),
                }
                answer.map(drop)
            }
            None => Ok(()),
        };
        let locked = shared.kind(kind);
        let on = locked.over_all.is_exceeded((shared.clock)());
        let changes = on != locked.decisions.is_braked();
        drop(locked);
        if changes {
            shared.act(kind, |decisions, now, turns| decisions.limit_over_all(on, now, turns));
        }
        answer
    }

    /// Makes the decisions that are allowed over all.
    async fn release(&self, kind: SecretKind) {
        let shared = &self.shared;
        let per_second = shared.rules.of(kind).per_second;
        let ready = {
            let locked = shared.kind(kind);
            if locked.decisions.ready() == 0 { 0 } else { locked.decisions.waiting() }
        };
        if ready == 0 {
            return;
        }
        let want = u32::try_from(ready).unwrap_or(u32::MAX).min(per_second);
        let got = match shared.store.take_decisions(kind.name(), want, per_second).await {
            Ok(got) => got,
            Err(_) => shared.kind(kind).over_all.take_alone(want, (shared.clock)()),
        };
        if got > 0 {
            shared.act(kind, |decisions, now, turns| decisions.release(got, now, turns));
        }
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
