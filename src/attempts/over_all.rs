//! Wrong attempts over all nodes, and the brake when there are too many.
//!
//! Each node reports its wrong attempts in batches and learns those of the others with the answer. As long as nothing
//! wrong happens here, the store is asked once a minute at most. If the store is away, the node goes by what it knows.

use std::time::Duration;

use super::AttemptService;
use super::kinds::SecretKind;
use crate::clock;
use crate::core::model::time::Tick;
use crate::core::policy::limits::{PerSecond, Window};
use crate::core::policy::log_limiter::LogLimiter;
use crate::random;

/// How often [`AttemptService::maintain`] has to be called.
pub const TICK: Duration = Duration::from_millis(250);

/// How often the number over all is read while decisions are limited, or may soon be.
const WATCHED: Duration = Duration::from_secs(1);

/// How often it is read otherwise, if there are attempts at all.
const IDLE: Duration = Duration::from_secs(60);

/// What a node knows of the wrong attempts at one kind of secret over all nodes.
pub(super) struct OverAll {
    limit: u64,
    /// Wrong attempts that were not reported yet.
    unreported: u32,
    /// Those of this node within the last minute.
    own: Window,
    /// Those of all nodes, when the store was asked last.
    known: u64,
    asked_store: Option<Tick>,
    /// There was an attempt since.
    active: bool,
    /// Decisions of this second while the store is away.
    alone: PerSecond,
}

impl OverAll {
    pub fn new(limit: u64, per_second: u32) -> Self {
        Self {
            limit,
            unreported: 0,
            own: Window::new(limit, Duration::from_secs(60)),
            known: 0,
            asked_store: None,
            active: false,
            alone: PerSecond::new(per_second),
        }
    }

    /// A wrong attempt.
    pub fn count(&mut self, now: Tick) {
        self.unreported = self.unreported.saturating_add(1);
        self.own.count(now);
    }

    /// There was an attempt.
    pub const fn asked(&mut self) {
        self.active = true;
    }

    /// Takes what is to be reported now; `None`: the store need not be asked.
    fn report(&mut self, now: Tick) -> Option<u32> {
        let since = self.asked_store.map(|at| now.since(at));
        let watched = self.known.saturating_mul(2) > self.limit;
        let due = match since {
            None => true,
            Some(since) => since >= WATCHED && watched || since >= IDLE && self.active,
        };
        if self.unreported == 0 && !due {
            return None;
        }
        self.asked_store = Some(now);
        self.active = false;
        Some(std::mem::take(&mut self.unreported))
    }
}

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
                    Ok(known) => locked.over_all.known = *known,
                    Err(_) => {
                        let over_all = &mut locked.over_all;
                        over_all.unreported = over_all.unreported.saturating_add(wrong);
                        over_all.known = over_all.own.events((shared.clock)());
                    }
                }
                answer.map(drop)
            }
            None => Ok(()),
        };
        let locked = shared.kind(kind);
        let over_all = &locked.over_all;
        let now = (shared.clock)();
        let on = over_all.known.max(over_all.own.events(now)) > over_all.limit;
        let changes = on != locked.decisions.is_braked();
        drop(locked);
        if changes {
            shared.act(kind, |decisions, now, turns| decisions.set_brake(on, now, turns));
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
            Err(_) => {
                let mut locked = shared.kind(kind);
                let now = (shared.clock)();
                (0..want).map_while(|_| locked.over_all.alone.take(now).ok()).map(|()| 1).sum()
            }
        };
        if got > 0 {
            shared.act(kind, |decisions, now, turns| decisions.release(got, now, turns));
        }
    }
}
