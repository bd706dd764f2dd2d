//! Batches the questions of many callers into shared round trips: what is asked while a batch is in flight goes out
//! with the next one.
//!
//! There is no timer: the first question is sent after one turn of the event loop, and then a batch grows only while
//! the one before it is in flight, so a single caller does not wait. A batch contains only questions that were asked
//! before it was sent: a caller that has written something and asks afterwards sees it. A batch runs as a task of its
//! own, so a caller may be dropped without harm to the others. A question whose caller is gone is not sent.
//!
//! The deadline is not set here: each caller has its own around its question, and each batch has one. There are never
//! more questions than callers within their deadlines, which are at most as many as connections, so the queue has no
//! limit of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::connection::thread_number;
use crate::store::{Result, StoreError};

/// Limit of questions in a batch. A script gets two arguments for each and unpacks them, of which Lua allows 7999;
/// and Redis does nothing else while it runs a script.
pub(super) const FULL: usize = 256;

/// A question, and the caller that waits for the answer.
pub(super) struct Asked<Q, A> {
    pub question: Q,
    caller: oneshot::Sender<Result<A>>,
}

impl<Q, A> Asked<Q, A> {
    pub fn answer(self, answer: Result<A>) {
        // A caller that is gone does not need the answer.
        let _ = self.caller.send(answer);
    }
}

/// Questions that are sent together.
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
    in_flight: usize,
}

struct Shared<Q, A> {
    waiting: Mutex<Waiting<Q, A>>,
    at_once: usize,
    send: Box<dyn Fn(Batch<Q, A>) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl<Q, A> Shared<Q, A> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<Q, A>> {
        // Nothing panics between two changes that belong together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a question. True if a task has to be started that sends batches.
    fn put(&self, asked: Asked<Q, A>) -> bool {
        let mut waiting = self.waiting();
        waiting.questions.push_back(asked);
        // A second batch is sent beside one in flight only if it is full: fewer and larger batches cost less.
        let full = waiting.questions.len().is_multiple_of(FULL);
        let start = waiting.in_flight == 0 || full && waiting.in_flight < self.at_once;
        waiting.in_flight += usize::from(start);
        start
    }
}

/// A task that sends batches until the queue is empty.
struct SendTask<Q, A> {
    shared: Arc<Shared<Q, A>>,
    over: bool,
}

impl<Q, A> SendTask<Q, A> {
    async fn run(mut self) {
        loop {
            // One turn of the event loop lets other tasks add their questions. Under load there are many.
            tokio::task::yield_now().await;
            let Some(batch) = self.next() else { return };
            (self.shared.send)(batch).await;
        }
    }

    /// The next batch; `None` ends the task. Both under one lock, so that no question stays in the queue without a
    /// task.
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
            waiting.in_flight -= 1;
            // Frees the memory of a long queue after a storm.
            waiting.questions.shrink_to(FULL);
            self.over = true;
            return None;
        }
        Some(batch)
    }
}

impl<Q, A> Drop for SendTask<Q, A> {
    fn drop(&mut self) {
        // The runtime of the thread has ended, or a batch has panicked. The next question starts a task for all that
        // wait.
        if !self.over {
            self.shared.waiting().in_flight -= 1;
        }
    }
}

/// Batches the questions of each lane separately: a batch for callers on several threads would have to wake all of
/// them.
pub(super) struct Batcher<Q, A>(Box<[Arc<Shared<Q, A>>]>);

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// For callers on `lanes` lanes of `client`; on each of them up to `at_once` batches are in flight at the same
    /// time. `send` answers all questions of a batch; those that it drops have failed.
    pub fn new<L, F>(client: &Arc<L>, lanes: usize, at_once: usize, send: fn(Arc<L>, Batch<Q, A>) -> F) -> Self
    where
        L: Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = |_| {
            let client = client.clone();
            let waiting = Mutex::new(Waiting { questions: VecDeque::new(), in_flight: 0 });
            let send = Box::new(move |batch| send(client.clone(), batch).boxed());
            Arc::new(Shared { waiting, at_once: at_once.max(1), send })
        };
        Self((0..lanes.max(1)).map(shared).collect())
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let (caller, answered) = oneshot::channel();
        let lane = &self.0[thread_number() % self.0.len()];
        if lane.put(Asked { question, caller }) {
            tokio::spawn(SendTask { shared: lane.clone(), over: false }.run());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
