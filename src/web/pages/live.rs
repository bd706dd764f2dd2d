//! Server-sent events that tell a page that its data has changed.
//!
//! Events have no content: the script loads the page again, so access is checked in one place only. A stream sends a
//! comment every few seconds, so that proxies keep it open and dead connections are detected. It ends after some
//! minutes, and the browser reconnects by itself. The number of streams is limited per session and per node.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::{Answer, PageError, SignedIn};
use crate::accounts::SignIn;
use crate::lifecycle::Shutdown;
use crate::store::SessionHash;

/// Most streams of a session.
const PER_SESSION: usize = 8;

/// Most streams of the node.
const IN_ALL: usize = 10_000;

/// Interval of keepalive comments. At each one the session is checked, in case that the signal of its end was lost.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Longest stream; then the browser opens a new one.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Changes within this time are combined into one event.
const COMBINE: Duration = Duration::from_millis(700);

/// First event, with the delay after which a browser reconnects.
const HELLO: &str = "retry: 2000\n\nevent: hello\ndata: 1\n\n";

type Count = Arc<Mutex<HashMap<SessionHash, usize>>>;

/// The streams of a node.
pub struct Live {
    count: Count,
    sign_in: Arc<SignIn>,
    shutdown: Shutdown,
}

/// The slot of a stream, released when dropped.
struct StreamSlot {
    count: Count,
    hash: SessionHash,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = count.get_mut(&self.hash) {
            *streams -= 1;
            if *streams == 0 {
                count.remove(&self.hash);
            }
        }
    }
}

struct Streaming {
    changes: Pin<Box<dyn Stream<Item = ()>>>,
    ticks: Interval,
    ends: Instant,
    over: LocalBoxFuture<'static, ()>,
    sign_in: Arc<SignIn>,
    shutdown: Shutdown,
    slot: StreamSlot,
}

impl Live {
    /// Streams of a node; they end when the node stops.
    pub fn new(sign_in: Arc<SignIn>, shutdown: Shutdown) -> Self {
        Self { count: Count::default(), sign_in, shutdown }
    }

    fn slot(&self, hash: &SessionHash) -> Option<StreamSlot> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = count.values().sum();
        let own = count.get(hash).copied().unwrap_or_default();
        if own >= PER_SESSION || all >= IN_ALL {
            return None;
        }
        count.insert(hash.clone(), own + 1);
        Some(StreamSlot { count: Arc::clone(&self.count), hash: hash.clone() })
    }

    /// Starts a stream for `who` with an event for each of `changes`. It ends when `changes` ends.
    pub fn stream(&self, who: &SignedIn, changes: impl Stream<Item = ()> + 'static) -> Answer<HttpResponse> {
        let slot = self.slot(&who.session.hash).ok_or(PageError::TooMany(KEEPALIVE))?;
        let mut ticks = interval_at(Instant::now() + KEEPALIVE, KEEPALIVE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (sign_in, hash, identity) = (Arc::clone(&self.sign_in), who.session.hash.clone(), who.who().clone());
        let streaming = Streaming {
            changes: Box::pin(changes),
            ticks,
            ends: Instant::now() + LONGEST,
            over: async move { sign_in.until_ended(&hash, &identity).await }.boxed_local(),
            sign_in: Arc::clone(&self.sign_in),
            shutdown: self.shutdown.clone(),
            slot,
        };
        let hello = stream::once(async { Ok::<_, PageError>(Bytes::from_static(HELLO.as_bytes())) });
        let events = stream::unfold(streaming, next).map(Ok::<_, PageError>);
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store, no-transform"))
            // Tells proxies not to buffer the answer.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(hello.chain(events)))
    }
}

async fn next(mut streaming: Streaming) -> Option<(Bytes, Streaming)> {
    let event = tokio::select! {
        () = streaming.shutdown.draining() => return None,
        () = tokio::time::sleep_until(streaming.ends) => return None,
        () = &mut streaming.over => return None,
        change = streaming.changes.next() => {
            change?;
            sleep(COMBINE).await;
            while let Some(more) = streaming.changes.next().now_or_never() {
                more?;
            }
            Bytes::from_static(b"event: changed\ndata: 1\n\n")
        }
        _ = streaming.ticks.tick() => {
            // For a signal that was lost. If the store does not answer, the stream stays.
            if streaming.sign_in.has_ended(&streaming.slot.hash).await {
                return None;
            }
            Bytes::from_static(b": still here\n\n")
        }
    };
    Some((event, streaming))
}
