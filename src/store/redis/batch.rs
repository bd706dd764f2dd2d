//! Round trips that many callers share: what is asked while a batch is on its way goes out as the next batch.
//!
//! There is no timer: the first question leaves once the event loop has gone round, and after that a batch grows only while
//! the one before it is under way, so nobody waits when there is nobody to wait for. A batch takes only questions that were asked before it left: whoever has
//! written something and asks afterwards sees it. It runs as a task of its own, so a caller may go away without harm to the
//! others; a question that nobody waits for any more does not leave.
//!
//! Not here: the deadline. Each caller has its own around its question, and each batch has one. There are never more questions
//! here than callers within their deadlines, and those are as many as connections at most, so the queue has no bound of its
//! own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::connection::thread_number;
use crate::store::{Result, StoreError};

/// Questions in a batch at most. A script gets two arguments for each and unpacks them, for which Lua has room for 7999; and
/// while Redis works at one script it does nothing else.
pub(super) const FULL: usize = 256;

/// A question, and the caller who waits for the answer.
pub(super) struct Asked<Q, A> {
    pub question: Q,
    caller: oneshot::Sender<Result<A>>,
}

impl<Q, A> Asked<Q, A> {
    pub fn answer(self, answer: Result<A>) {
        // A caller that has gone does not want it any more.
        let _ = self.caller.send(answer);
    }
}

/// Questions that go out together.
pub(super) type Batch<Q, A> = Vec<Asked<Q, A>>;

/// Gives each caller its answer, in the order of the questions, or all of them the error.
pub(super) fn answer_all<Q, A>(batch: Batch<Q, A>, answers: Result<impl IntoIterator<Item = Result<A>>>) {
    match answers {
        Ok(answers) => batch.into_iter().zip(answers).for_each(|(asked, answer)| asked.answer(answer)),
        Err(e) => batch.into_iter().for_each(|asked| asked.answer(Err(e.clone()))),
    }
}

struct Waiting<Q, A> {
    questions: VecDeque<Asked<Q, A>>,
    under_way: usize,
}

struct Shared<Q, A> {
    waiting: Mutex<Waiting<Q, A>>,
    at_once: usize,
    send: Box<dyn Fn(Batch<Q, A>) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl<Q, A> Shared<Q, A> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<Q, A>> {
        // Nothing in here panics between two changes that belong together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question in. True if somebody has to take a turn.
    fn put(&self, asked: Asked<Q, A>) -> bool {
        let mut waiting = self.waiting();
        waiting.questions.push_back(asked);
        // A second batch beside one that is under way only if it is full: fewer and larger ones cost less.
        let full = waiting.questions.len().is_multiple_of(FULL);
        let turn = waiting.under_way == 0 || full && waiting.under_way < self.at_once;
        waiting.under_way += usize::from(turn);
        turn
    }
}

/// The right to send batches until nothing waits.
struct Turn<Q, A> {
    shared: Arc<Shared<Q, A>>,
    over: bool,
}

impl<Q, A> Turn<Q, A> {
    async fn run(mut self) {
        loop {
            // Once round the event loop: whoever is about to ask the same comes along. Under load these are many.
            tokio::task::yield_now().await;
            let Some(batch) = self.next() else { return };
            (self.shared.send)(batch).await;
        }
    }

    /// The next batch; `None` ends the turn. Both under one lock, so that no question is left without a turn.
    fn next(&mut self) -> Option<Batch<Q, A>> {
        let mut waiting = self.shared.waiting();
        let mut batch = Vec::new();
        while batch.len() < FULL
            && let Some(asked) = waiting.questions.pop_front()
        {
            if !asked.caller.is_closed() {
                batch.push(asked);
            }
        }
        if batch.is_empty() {
            waiting.under_way -= 1;
            // A storm leaves no large queue behind.
            waiting.questions.shrink_to(FULL);
            self.over = true;
            return None;
        }
        Some(batch)
    }
}

impl<Q, A> Drop for Turn<Q, A> {
    fn drop(&mut self) {
        // The thread ends under it, or a batch has panicked. The next question takes what still waits along.
        if !self.over {
            self.shared.waiting().under_way -= 1;
        }
    }
}

/// Asks for many callers at once, for those of each lane apart: a batch for callers of several threads would have to wake them
/// all.
pub(super) struct Batcher<Q, A>(Box<[Arc<Shared<Q, A>>]>);

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// For callers on `lanes` lanes of `line`; on each of them up to `at_once` batches are under way at the same time. `send`
    /// answers all questions of a batch; those that it drops have failed.
    pub fn new<L, F>(line: &Arc<L>, lanes: usize, at_once: usize, send: fn(Arc<L>, Batch<Q, A>) -> F) -> Self
    where
        L: Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = |_| {
            let line = line.clone();
            let waiting = Mutex::new(Waiting { questions: VecDeque::new(), under_way: 0 });
            let send = Box::new(move |batch| send(line.clone(), batch).boxed());
            Arc::new(Shared { waiting, at_once: at_once.max(1), send })
        };
        Self((0..lanes.max(1)).map(shared).collect())
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let (caller, answered) = oneshot::channel();
        let lane = &self.0[thread_number() % self.0.len()];
        if lane.put(Asked { question, caller }) {
            tokio::spawn(Turn { shared: lane.clone(), over: false }.run());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
