//! Streams of changes for pages that show phone requests, from the change feed of the Users role.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::core::model::users_role::Changed;
use crate::users_role::RequestChange;

/// One item for each change that may concern the page.
pub(super) fn follow(
    feed: Receiver<RequestChange>,
    concerns: impl Fn(&Changed) -> bool + 'static,
) -> impl Stream<Item = ()> {
    stream::unfold((feed, concerns), |(mut feed, concerns)| async move {
        loop {
            match feed.recv().await {
                Ok(RequestChange::Changed(changed)) if !concerns(&changed) => {}
                Ok(RequestChange::Changed(_) | RequestChange::Missed) | Err(RecvError::Lagged(_)) => {
                    return Some(((), (feed, concerns)));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// The same changes, and one more item `pause` after the last one, for figures that follow changes with a delay.
pub(super) fn and_afterwards(
    changes: impl Stream<Item = ()> + Unpin + 'static,
    pause: Duration,
) -> impl Stream<Item = ()> {
    stream::unfold((changes, false), move |(mut changes, pending)| async move {
        let next = if pending { timeout(pause, changes.next()).await } else { Ok(changes.next().await) };
        match next {
            Ok(change) => change.map(|()| ((), (changes, true))),
            Err(_) => Some(((), (changes, false))),
        }
    })
}

/// One item after each `pause`, for data without change notifications.
pub(super) fn periodically(pause: Duration) -> impl Stream<Item = ()> {
    let mut ticks = interval_at(Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(ticks, |mut ticks| async move {
        ticks.tick().await;
        Some(((), ticks))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn after_the_last_change_comes_one_item_more() {
        for (pause, comes) in [(Duration::ZERO, true), (Duration::from_secs(3600), false)] {
            let (sender, receiver) = mpsc::unbounded_channel();
            let changes = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<()>| async move {
                receiver.recv().await.map(|()| ((), receiver))
            });
            let mut items = Box::pin(and_afterwards(Box::pin(changes), pause));
            assert_eq!(items.next().now_or_never(), None, "nothing has changed yet");
            for _ in 0..2 {
                sender.send(()).unwrap();
                assert_eq!(items.next().await, Some(()));
            }
            if comes {
                assert_eq!(items.next().await, Some(()));
            }
            assert_eq!(items.next().now_or_never(), None, "no more than that");
            drop(sender);
            assert_eq!(items.next().await, None);
        }
    }
}
