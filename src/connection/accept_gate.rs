//! The gate of connections: a service in front of TLS and HTTP.
//!
//! A connection passes at once, waits with nothing but its socket, or is rejected. Nothing is parsed before it has its
//! permit, except the header with which a trusted proxy names its client (`client_stream`): that client's address is
//! the one that counts. The permit is for the handshake only: it is released when the connection is upgraded or ended.
//! Which connections are admitted is decided by [`crate::admission`].

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceFactory};
use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::admission::controller::{AdmissionController, Passage, Permit};
use crate::clock::{self, Stopwatch};
use crate::connection::client_stream::{Beginning, ClientStream, ProxyRules, WaitingForHeader};
use crate::core::policy::limits::{PerSecond, SourceKey};
use crate::core::policy::log_limiter::LogLimiter;
use crate::metrics::{self, Counter, ProxyHeaderOutcome};

/// A handshake takes at most this long: the HTTP service closes connections without a complete request by then.
const HANDSHAKE: Duration = Duration::from_secs(6);

/// How often each thread measures how long it takes for all ready tasks.
const MEASURE_EVERY: Duration = Duration::from_millis(20);

/// Answers to rejected connections per second and thread. Further ones are reset without an answer, because answers
/// would cost too much.
const ANSWERS_PER_SECOND: u32 = 200;

/// The gate in front of the service that `inner` makes.
pub struct Gate<F> {
    inner: F,
    admission: Arc<AdmissionController>,
    proxies: ProxyRules,
    plain: bool,
}

impl<F> Gate<F> {
    /// `plain`: peers speak HTTP from the first byte on, so that they can be answered without TLS.
    pub const fn new(inner: F, admission: Arc<AdmissionController>, proxies: ProxyRules, plain: bool) -> Self {
        Self { inner, admission, proxies, plain }
    }
}

/// A connection that has passed, with the address of its client, so that the kernel is asked only once.
pub type Passed = (ClientStream, Option<SocketAddr>);

impl<F> ServiceFactory<TcpStream> for Gate<F>
where
    F: ServiceFactory<Passed, Response = (), Config = ()>,
    F::Future: 'static,
    F::Service: 'static,
    F::Error: 'static,
    F::InitError: 'static,
{
    type Response = ();
    type Error = F::Error;
    type Config = ();
    type Service = Guarded<F::Service>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (admission, proxies, plain) = (Arc::clone(&self.admission), self.proxies.clone(), self.plain);
        let inner = self.inner.new_service(());
        let make = move |inner: Result<F::Service, F::InitError>| {
            let inner = Rc::new(inner?);
            actix_rt::spawn(measure_loop_time(Arc::downgrade(&admission)));
            let answers = Rc::new(RefCell::new(PerSecond::new(if plain { ANSWERS_PER_SECOND } else { 0 })));
            Ok(Guarded {
                entrance: Entrance { inner, admission, answers },
                proxies,
                waiting: WaitingForHeader::default(),
            })
        };
        inner.map(make).boxed_local()
    }
}

/// The gate of one worker.
pub struct Guarded<S> {
    entrance: Entrance<S>,
    proxies: ProxyRules,
    waiting: WaitingForHeader,
}

impl<S> Service<TcpStream> for Guarded<S>
where
    S: Service<Passed, Response = ()> + 'static,
    S::Future: 'static,
    S::Error: 'static,
{
    type Response = ();
    type Error = S::Error;
    type Future = LocalBoxFuture<'static, Result<(), S::Error>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.entrance.inner.poll_ready(cx)
    }

    fn call(&self, io: TcpStream) -> Self::Future {
        let peer = io.peer_addr().ok();
        match peer.map_or(Beginning::Plain, |peer| self.proxies.beginning(peer.ip())) {
            Beginning::Plain => self.entrance.admit(ClientStream::new(io), peer),
            Beginning::Header => {
                let (entrance, waiting, protocol) =
                    (self.entrance.clone(), self.waiting.clone(), self.proxies.protocol);
                let peer = peer.unwrap_or_else(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
                let named = async move {
                    let (outcome, read) = waiting.read(io, peer, protocol).await;
                    record(outcome);
                    match read {
                        Some((io, client)) => entrance.admit(io, Some(client)).await,
                        None => Ok(()),
                    }
                };
                named.boxed_local()
            }
            Beginning::Closed => {
                record(ProxyHeaderOutcome::Stranger);
                reset(&io);
                ready(Ok(())).boxed_local()
            }
        }
    }
}

/// What follows when the client of a connection is known. Cheap to clone.
struct Entrance<S> {
    inner: Rc<S>,
    admission: Arc<AdmissionController>,
    answers: Rc<RefCell<PerSecond>>,
}

impl<S> Clone for Entrance<S> {
    fn clone(&self) -> Self {
        let (inner, answers) = (Rc::clone(&self.inner), Rc::clone(&self.answers));
        Self { inner, admission: Arc::clone(&self.admission), answers }
    }
}

impl<S> Entrance<S>
where
    S: Service<Passed, Response = ()> + 'static,
    S::Future: 'static,
    S::Error: 'static,
{
    fn admit(&self, io: ClientStream, client: Option<SocketAddr>) -> LocalBoxFuture<'static, Result<(), S::Error>> {
        let address = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| client.ip());
        // Never negative while it is open.
        let descriptor = u64::try_from(io.socket().as_raw_fd()).unwrap_or_default();
        match self.admission.connection(SourceKey::from(address), descriptor) {
            Passage::Now(permit) => serve(self.inner.call((io, client)), permit).boxed_local(),
            Passage::Later(turn) => {
                let Self { inner, admission, answers } = self.clone();
                let wait = async move {
                    let Some(permit) = turn.wait().await else {
                        reject(io.socket(), &admission, &answers);
                        return Ok(());
                    };
                    // Boxed, so that a waiting connection does not reserve memory for it.
                    serve(inner.call((io, client)), permit).boxed_local().await
                };
                wait.boxed_local()
            }
            Passage::Refused => {
                reject(io.socket(), &self.admission, &self.answers);
                ready(Ok(())).boxed_local()
            }
        }
    }
}

/// Counts how a connection has begun, and tells the operator, once a second, why connections are closed.
fn record(outcome: ProxyHeaderOutcome) {
    static CLOSED: LogLimiter = LogLimiter::new();
    metrics::count(Counter::ProxyHeader(outcome));
    let why = match outcome {
        ProxyHeaderOutcome::Client | ProxyHeaderOutcome::Proxy | ProxyHeaderOutcome::Without => return,
        ProxyHeaderOutcome::Stranger => "its source is not in server.trusted_proxies",
        ProxyHeaderOutcome::Missing => "it has no PROXY header, and server.proxy_protocol is \"require\"",
        ProxyHeaderOutcome::Malformed => "its PROXY header is malformed",
        ProxyHeaderOutcome::Unfinished => "it ended within its PROXY header",
        ProxyHeaderOutcome::Late => "its PROXY header did not come in time",
        ProxyHeaderOutcome::Crowded => "too many connections had sent no PROXY header yet",
    };
    if let Some(suppressed) = CLOSED.due(clock::now()) {
        tracing::warn!(why, suppressed, "connection closed before anything else of it was read");
    }
}

async fn serve<T>(serving: impl Future<Output = T>, permit: Permit<SourceKey>) -> T {
    let mut serving = pin!(serving);
    if let Ok(served) = timeout(HANDSHAKE, serving.as_mut()).await {
        return served;
    }
    drop(permit);
    serving.await
}

async fn measure_loop_time(admission: Weak<AdmissionController>) {
    loop {
        sleep(MEASURE_EVERY).await;
        let watch = Stopwatch::start();
        yield_now().await;
        let Some(admission) = admission.upgrade() else { return };
        admission.record_loop_time(watch.elapsed());
    }
}

/// A reset is the cheapest end. If it cannot be set, the socket is closed in the usual way.
fn reset(io: &TcpStream) {
    let _ = socket2::SockRef::from(io).set_linger(Some(Duration::ZERO));
}

/// Answers when to come back, if that takes only a few system calls.
fn reject(io: &TcpStream, admission: &AdmissionController, answers: &RefCell<PerSecond>) {
    let socket = socket2::SockRef::from(io);
    if answers.borrow_mut().take(clock::now()).is_err() {
        reset(io);
        return;
    }
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        admission.retry_after().as_secs().max(1)
    );
    // Received bytes are read first, or closing would send a reset that overtakes the answer. A peer that misses the
    // answer only comes back sooner.
    let _ = (&*socket).read(&mut [0; 2048]);
    let _ = (&*socket).write_all(answer.as_bytes());
}
