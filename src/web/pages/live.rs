//! Telling a page that something has changed: server-sent events.
//!
//! Events carry nothing but "look again"; the script then reads the page anew, so what somebody may see is decided in one place.
//! A stream says something every few seconds, so that proxies keep it and dead ends are found; it ends after some minutes, and
//! the browser comes back by itself. A session has only so many streams, and so has the node.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::{Answer, PageError, SignedIn};
use crate::accounts::SignIn;
use crate::lifecycle::Shutdown;
use crate::store::SessionHash;

/// Streams of one session at the same time.
const PER_SESSION: usize = 8;

/// Streams of the node at the same time.
const IN_ALL: usize = 10_000;

/// A stream that has nothing to tell says so this often; the session is looked at then, too.
const STILL_HERE: Duration = Duration::from_secs(15);

/// A browser comes back after this time with a new stream.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Of changes that come faster, the last is told.
const PAUSE: Duration = Duration::from_millis(700);

/// After how long a browser comes back.
const HELLO: &str = "retry: 2000\n\nevent: hello\ndata: 1\n\n";

type Count = Arc<Mutex<HashMap<SessionHash, usize>>>;

/// The streams of a node.
pub struct Live {
    count: Count,
    sign_in: Arc<SignIn>,
    shutdown: Shutdown,
}

/// A place of a stream; free when dropped.
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
    sign_in: Arc<SignIn>,
    shutdown: Shutdown,
    place: StreamSlot,
}

impl Live {
    /// Streams that end when the node stops.
    pub fn new(sign_in: Arc<SignIn>, shutdown: Shutdown) -> Self {
        Self { count: Count::default(), sign_in, shutdown }
    }

    fn place(&self, hash: &SessionHash) -> Option<StreamSlot> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = count.values().sum();
        let own = count.get(hash).copied().unwrap_or_default();
        if own >= PER_SESSION || all >= IN_ALL {
            return None;
        }
        count.insert(hash.clone(), own + 1);
        Some(StreamSlot { count: Arc::clone(&self.count), hash: hash.clone() })
    }

    /// A stream that tells `who` of each of `changes`. When they end, so does the stream.
    pub fn stream(&self, who: &SignedIn, changes: impl Stream<Item = ()> + 'static) -> Answer<HttpResponse> {
        let place = self.place(&who.visit.hash).ok_or(PageError::TooMany(STILL_HERE))?;
        let mut ticks = interval_at(Instant::now() + STILL_HERE, STILL_HERE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let streaming = Streaming {
            changes: Box::pin(changes),
            ticks,
            ends: Instant::now() + LONGEST,
            sign_in: Arc::clone(&self.sign_in),
            shutdown: self.shutdown.clone(),
            place,
        };
        let hello = stream::once(async { Ok::<_, PageError>(Bytes::from_static(HELLO.as_bytes())) });
        let events = stream::unfold(streaming, next).map(Ok::<_, PageError>);
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store, no-transform"))
            // For a proxy that collects answers before it hands them on.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(hello.chain(events)))
    }
}

async fn next(mut streaming: Streaming) -> Option<(Bytes, Streaming)> {
    let event = tokio::select! {
        () = streaming.shutdown.draining() => return None,
        () = tokio::time::sleep_until(streaming.ends) => return None,
        change = streaming.changes.next() => {
            change?;
            sleep(PAUSE).await;
            while let Some(more) = streaming.changes.next().now_or_never() {
                more?;
            }
            Bytes::from_static(b"event: changed\ndata: 1\n\n")
        }
        _ = streaming.ticks.tick() => {
            // Whoever has signed out hears nothing any more; while the store is away nobody is sent away.
            if streaming.sign_in.has_ended(&streaming.place.hash).await {
                return None;
            }
            Bytes::from_static(b": still here\n\n")
        }
    };
    Some((event, streaming))
}
