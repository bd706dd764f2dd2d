//! One HTTP connection until it ends or is upgraded: its place, and the time limits of its requests.
//!
//! The HTTP service limits the head of the first request only. Here the whole connection runs under a watch: each
//! further head has to come in time, a request body that is late ends the connection, and so does the need of others
//! for its place. Whoever serves requests says what the connection does ([`current`], [`HttpConnection::begin`]). It
//! must not know what is requested.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Payload;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task_local;
use tokio::time::{Instant, sleep};

use crate::clock;
use crate::connection::client_stream::Encryption;
use crate::connection::places::HttpPlace;
use crate::core::model::time::Tick;
use crate::core::policy::places::Standing;
use crate::metrics::{self, Counter, LatePart};

/// The time for TLS and the head of the first request. Both have limits of their own; this one is for what they miss.
const FIRST: Duration = Duration::from_secs(30);

/// The head of a further request is complete this long after the answer before it, keep-alive included.
const NEXT: Duration = Duration::from_secs(12);

/// A connection that is not in time is closed this much later at most.
const LOOK: Duration = Duration::from_secs(5);

/// A handshake takes at most this long: the HTTP service closes connections without a complete request by then.
const HANDSHAKE: Duration = Duration::from_secs(6);

/// How long a connection is read after an answer that came before the end of its request, so that the answer is not
/// overtaken by a reset.
pub const LINGER: Duration = Duration::from_secs(2);

task_local! {
    static CURRENT: Rc<HttpConnection>;
}

/// The HTTP connection that this task serves.
pub fn current() -> Option<Rc<HttpConnection>> {
    CURRENT.try_with(Rc::clone).ok()
}

/// The present request has shown a valid credential: it keeps its place until it is answered.
pub fn authenticated() {
    let _ = CURRENT.try_with(|connection| connection.authenticate());
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// TLS, or the head of the first request.
    Opening,
    /// A request is served.
    Serving,
    /// Between two requests, or within the head of the second.
    Between(Tick),
}

/// An HTTP connection.
pub struct HttpConnection {
    place: HttpPlace,
    since: Tick,
    phase: Cell<Phase>,
    /// Bytes that were read for the present request.
    read: Cell<usize>,
    /// What is left of a body that was not read to its end. As long as it is there, the HTTP service closes the
    /// connection after the answer instead of reading on for ever.
    rest: RefCell<Option<Payload>>,
}

impl HttpConnection {
    /// A connection at this place.
    pub fn new(place: HttpPlace) -> Rc<Self> {
        let phase = Cell::new(Phase::Opening);
        Rc::new(Self { place, since: clock::now(), phase, read: Cell::default(), rest: RefCell::default() })
    }

    /// A request is served until the returned value is dropped.
    pub fn begin(self: Rc<Self>) -> Serving {
        self.phase.set(Phase::Serving);
        self.restart();
        self.stands(Standing::AwaitsUs);
        Serving(self)
    }

    /// What the connection waits for. A request with a credential stays as it is.
    pub fn stands(&self, standing: Standing) {
        if !self.place.signal().is_authenticated() {
            self.place.signal().set(standing);
        }
    }

    /// The body of the present request was not read to its end.
    pub fn keep_rest(&self, payload: Payload) {
        self.rest.replace(Some(payload));
    }

    fn authenticate(&self) {
        self.place.signal().set(Standing::Authenticated);
        self.place.weigh(0);
    }

    fn restart(&self) {
        self.read.set(0);
        self.place.weigh(0);
    }

    fn has_read(&self, bytes: usize) {
        let read = self.read.get() + bytes;
        self.read.set(read);
        if !self.place.signal().is_authenticated() {
            self.place.weigh(read);
        }
    }

    /// Whether the present head is late.
    fn is_late(&self, now: Tick) -> bool {
        match self.phase.get() {
            Phase::Opening => now.since(self.since) >= FIRST,
            Phase::Serving => false,
            Phase::Between(since) => now.since(since) >= NEXT,
        }
    }

    /// Runs `serving` as the task of this connection, until it ends or the connection has to. `admitted` is dropped
    /// when its handshake is over.
    pub async fn serve<T, P>(self: Rc<Self>, serving: impl Future<Output = T>, admitted: P) -> Option<T> {
        let mut admitted = Some(admitted);
        let mut serving = pin!(CURRENT.scope(Rc::clone(&self), serving));
        let mut timer = pin!(sleep(HANDSHAKE));
        poll_fn(|cx| {
            if let Poll::Ready(served) = serving.as_mut().poll(cx) {
                return Poll::Ready(Some(served));
            }
            if self.place.signal().poll_evicted(cx) {
                return Poll::Ready(None);
            }
            while timer.as_mut().poll(cx).is_ready() {
                drop(admitted.take());
                if self.is_late(clock::now()) {
                    metrics::count(Counter::RequestLate(LatePart::Head));
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(Instant::now() + LOOK);
            }
            Poll::Pending
        })
        .await
    }

    /// Runs `rest` outside of the HTTP service, at the place of this connection; ends early if it has to give way.
    pub async fn hold(self: Rc<Self>, rest: impl Future<Output = ()>) {
        let mut rest = pin!(CURRENT.scope(Rc::clone(&self), rest));
        poll_fn(|cx| {
            if rest.as_mut().poll(cx).is_ready() || self.place.signal().poll_evicted(cx) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

/// A request that is served; it is over when this is dropped.
pub struct Serving(Rc<HttpConnection>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Between(clock::now()));
        self.0.restart();
        self.0.place.signal().set(Standing::AwaitsPeer);
    }
}

/// The stream of an HTTP connection, which counts what is read.
pub struct Metered<T> {
    io: T,
    connection: Option<Rc<HttpConnection>>,
}

impl<T> Metered<T> {
    /// A stream of the connection that this task serves.
    pub fn new(io: T) -> Self {
        Self { io, connection: current() }
    }

    /// The stream and its connection.
    pub fn into_parts(self) -> (T, Option<Rc<HttpConnection>>) {
        (self.io, self.connection)
    }
}

impl<T: Encryption> Encryption for Metered<T> {
    fn is_encrypted(&self) -> bool {
        self.io.is_encrypted()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if let Some(connection) = self.connection.as_ref().filter(|_| read > 0) {
            connection.has_read(read);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
