//! What the Users role tells of requests, as a stream for a page that shows some of them.

use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::core::people::Changed;
use crate::people::News;

/// One item whenever something that concerns the page has changed, or may have.
pub(super) fn follow(news: Receiver<News>, concerns: impl Fn(&Changed) -> bool + 'static) -> impl Stream<Item = ()> {
    stream::unfold((news, concerns), |(mut news, concerns)| async move {
        loop {
            match news.recv().await {
                Ok(News::Changed(changed)) if !concerns(&changed) => {}
                Ok(News::Changed(_) | News::Missed) | Err(RecvError::Lagged(_)) => return Some(((), (news, concerns))),
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// One item after each `pause`: for what nobody tells of.
pub(super) fn now_and_then(pause: Duration) -> impl Stream<Item = ()> {
    let mut ticks = interval_at(Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(ticks, |mut ticks| async move {
        ticks.tick().await;
        Some(((), ticks))
    })
}
