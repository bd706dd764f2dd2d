//! An attempt that waits for its turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::kinds::SecretKind;
use super::shared::{Attempt, Shared, TryLater};
use crate::core::model::time::Tick;
use crate::core::policy::limits::decisions::WaitId;

/// Counts end with time, so a turn may come earlier than foreseen; this is how often it is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// An attempt that waits; when dropped, it leaves the queue.
#[must_use = "it leaves the queue when it is dropped"]
pub struct Waiting {
    shared: Arc<Shared>,
    kind: SecretKind,
    id: WaitId,
    turn: oneshot::Receiver<Result<Attempt, TryLater>>,
    until: Option<Tick>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Waiting {
    pub(super) fn new(
        shared: Arc<Shared>,
        kind: SecretKind,
        id: WaitId,
        turn: oneshot::Receiver<Result<Attempt, TryLater>>,
        now: Tick,
    ) -> Self {
        let until = shared.rules.of(kind).longest_wait.map(|longest| now + longest);
        Self { shared, kind, id, turn, until }
    }

    /// Resolves when it may be checked, or will not be.
    pub async fn turn(mut self) -> Result<Attempt, TryLater> {
        loop {
            let now = (self.shared.clock)();
            let due = self.shared.kind(self.kind).decisions.due(self.id, now);
            let mut wait = due.map_or(LOOK, |due| due.since(now).min(LOOK));
            if let Some(until) = self.until {
                if until <= now {
                    return self.turn.try_recv().unwrap_or(Err(TryLater::after(Duration::ZERO)));
                }
                wait = wait.min(until.since(now));
            }
            tokio::select! {
                biased;
                answer = &mut self.turn => return answer.unwrap_or(Err(TryLater::after(Duration::ZERO))),
                () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
            }
            let id = self.id;
            self.shared.act(self.kind, |decisions, now, turns| decisions.advance_for(id, now, turns));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let id = self.id;
        self.shared.kind(self.kind).waiting.remove(&id);
        self.shared.act(self.kind, |decisions, now, turns| decisions.leave(id, now, turns));
    }
}
