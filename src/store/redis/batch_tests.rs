//! Batches of questions: what they contain, when they are sent, and callers that are dropped.

use std::pin::{Pin, pin};

use tokio::sync::mpsc;

use super::*;

/// A batch that was sent, and the sender that ends it.
type Left = (Batch<usize, usize>, oneshot::Sender<()>);

/// Questions whose batches end when the test says so.
fn batcher(at_once: usize) -> (Batcher<usize, usize>, mpsc::UnboundedReceiver<Left>) {
    async fn leave(wire: Arc<mpsc::UnboundedSender<Left>>, batch: Batch<usize, usize>) {
        let (end, ended) = oneshot::channel();
        wire.send((batch, end)).unwrap();
        let _ = ended.await;
    }
    let (wire, left) = mpsc::unbounded_channel();
    (Batcher::new(&Arc::new(wire), 1, at_once, leave), left)
}

fn questions(batch: &Batch<usize, usize>) -> Vec<usize> {
    batch.iter().map(|asked| asked.question).collect()
}

fn answer((batch, end): Left) {
    let answers: Vec<_> = batch.iter().map(|asked| Ok(asked.question * 10)).collect();
    answer_all(batch, Ok(answers));
    end.send(()).unwrap();
}

/// Asks without waiting for the answer.
fn ask(question: Pin<&mut impl Future<Output = Result<usize>>>) {
    assert!(question.now_or_never().is_none());
}

/// More turns of the event loop than a batch needs to be sent.
async fn turns() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_asked_while_a_batch_is_under_way_is_the_next_batch() {
    let (batcher, mut left) = batcher(4);
    let (mut one, mut two, mut three) = (pin!(batcher.ask(1)), pin!(batcher.ask(2)), pin!(batcher.ask(3)));
    ask(one.as_mut());
    let first = left.recv().await.unwrap();
    assert_eq!(questions(&first.0), [1]);
    ask(two.as_mut());
    ask(three.as_mut());
    turns().await;
    assert!(left.try_recv().is_err(), "one batch is under way, and the next one is not full");
    answer(first);
    assert_eq!(one.await.unwrap(), 10);
    let second = left.recv().await.unwrap();
    assert_eq!(questions(&second.0), [2, 3]);
    answer(second);
    assert_eq!((two.await.unwrap(), three.await.unwrap()), (20, 30));
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_one_before_it() {
    let (batcher, mut left) = batcher(2);
    let mut asking: Vec<_> = (0..4 * FULL).map(|number| Box::pin(batcher.ask(number))).collect();
    for question in &mut asking {
        ask(question.as_mut());
    }
    let (first, second) = (left.recv().await.unwrap(), left.recv().await.unwrap());
    assert_eq!((first.0.len(), second.0.len()), (FULL, FULL));
    turns().await;
    assert!(left.try_recv().is_err(), "two at once");
    answer(second);
    answer(first);
    answer(left.recv().await.unwrap());
    answer(left.recv().await.unwrap());
    for (number, question) in asking.into_iter().enumerate() {
        assert_eq!(question.await.unwrap(), number * 10);
    }
}

#[tokio::test]
async fn a_caller_that_goes_takes_nobody_along() {
    let (batcher, mut left) = batcher(1);
    let mut asking: Vec<_> = (0..4).map(|number| Box::pin(batcher.ask(number))).collect();
    for question in &mut asking {
        ask(question.as_mut());
    }
    drop(asking.remove(1));
    let batch = left.recv().await.unwrap();
    assert_eq!(questions(&batch.0), [0, 2, 3], "nobody waits for it any more");
    drop(asking.remove(1));
    answer(batch);
    assert_eq!(asking.remove(0).await.unwrap(), 0);
    assert_eq!(asking.remove(0).await.unwrap(), 30);
}

#[tokio::test]
async fn an_error_reaches_every_caller_and_the_next_question_leaves() {
    let (batcher, mut left) = batcher(1);
    let (mut one, mut two) = (pin!(batcher.ask(1)), pin!(batcher.ask(2)));
    ask(one.as_mut());
    ask(two.as_mut());
    let (batch, end) = left.recv().await.unwrap();
    answer_all(batch, Err::<Vec<_>, _>(StoreError::Unavailable("store is full".into())));
    for answer in [one.await, two.await] {
        assert!(matches!(answer, Err(StoreError::Unavailable(why)) if why == "store is full"));
    }
    end.send(()).unwrap();

    let mut lost = pin!(batcher.ask(3));
    ask(lost.as_mut());
    drop(left.recv().await.unwrap());
    assert!(matches!(lost.await, Err(StoreError::Unavailable(_))), "a batch that is dropped has failed");
    let mut next = pin!(batcher.ask(4));
    ask(next.as_mut());
    answer(left.recv().await.unwrap());
    assert_eq!(next.await.unwrap(), 40);
}

/// The task of a batch ends with the runtime of the thread that asked first; the others continue.
#[test]
fn the_end_of_a_thread_ends_no_other_one() {
    let (batcher, mut left) = batcher(1);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (ended, other) = (runtime(), runtime());
    let mut one = pin!(batcher.ask(1));
    ended.block_on(async { ask(one.as_mut()) });
    drop(ended);
    let mut two = pin!(batcher.ask(2));
    other.block_on(async {
        ask(two.as_mut());
        let batch = left.recv().await.unwrap();
        assert_eq!(questions(&batch.0), [1, 2], "what still waits is taken along");
        answer(batch);
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (10, 20));
    });
}
