//! The gate of connections: a service in front of TLS and HTTP.
//!
//! A connection passes at once, waits with nothing but its socket, or is rejected. Nothing is parsed before it has its
//! permit, except the header with which a trusted proxy names its client (`client_stream`): that client's address is
//! the one that counts. The permit is for the handshake only: it is released when the connection is upgraded or ended.
//! Which connections are admitted is decided by [`crate::admission`]. Admitted ones take a place, and run under the
//! watch of `src/connection/http.rs` until they end or are upgraded.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceFactory};
use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::admission::controller::{AdmissionController, Passage};
use crate::clock::{self, Stopwatch};
use crate::connection::client_stream::{Beginning, ClientStream, ProxyRules, WaitingForHeader};
use crate::connection::http::HttpConnection;
use crate::connection::places::{HttpPlace, HttpPlaces, NoPlace};
use crate::connection::table::ConnectionTable;
use crate::core::policy::limits::{PerSecond, SourceKey};
use crate::core::policy::log_limiter::LogLimiter;
use crate::metrics::{self, Counter, ProxyHeaderOutcome};

/// How often each thread measures how long it takes for all ready tasks.
const MEASURE_EVERY: Duration = Duration::from_millis(20);

/// Answers to rejected connections per second and thread. Further ones are reset without an answer, because answers
/// would cost too much.
const ANSWERS_PER_SECOND: u32 = 200;

/// Where connections get their places.
#[derive(Clone)]
pub struct PlaceStocks {
    /// Before an upgrade, or without one.
    pub http: Arc<HttpPlaces>,
    /// After it.
    pub websockets: Arc<ConnectionTable>,
}

impl PlaceStocks {
    /// Lets a connection without proof end, so that a newcomer can have its file descriptor.
    fn free_descriptor(&self, newcomer: SourceKey) -> bool {
        self.http.free_descriptor(newcomer) || self.websockets.free_descriptor(newcomer)
    }
}

/// What the gates of all listeners share.
#[derive(Clone)]
pub struct GateParts {
    /// Who may start.
    pub admission: Arc<AdmissionController>,
    /// Where connections get their places.
    pub stocks: PlaceStocks,
    /// Which connections begin with the header of a proxy.
    pub proxies: ProxyRules,
}

/// The gate in front of the service that `inner` makes.
pub struct Gate<F> {
    inner: F,
    parts: GateParts,
    plain: bool,
}

impl<F> Gate<F> {
    /// `plain`: peers speak HTTP from the first byte on, so that they can be answered without TLS.
    pub const fn new(inner: F, parts: GateParts, plain: bool) -> Self {
        Self { inner, parts, plain }
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
        let (parts, plain) = (self.parts.clone(), self.plain);
        let inner = self.inner.new_service(());
        let make = move |inner: Result<F::Service, F::InitError>| {
            let inner = Rc::new(inner?);
            let GateParts { admission, stocks, proxies } = parts;
            actix_rt::spawn(measure_loop_time(Arc::downgrade(&admission)));
            let answers = Rc::new(RefCell::new(PerSecond::new(if plain { ANSWERS_PER_SECOND } else { 0 })));
            let entrance = Rc::new(Entrance { inner, admission, places: stocks, answers });
            Ok(Guarded { entrance, proxies, waiting: WaitingForHeader::default() })
        };
        inner.map(make).boxed_local()
    }
}

/// The gate of one worker.
pub struct Guarded<S> {
    entrance: Rc<Entrance<S>>,
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
                let (entrance, waiting) = (Rc::clone(&self.entrance), self.waiting.clone());
                let protocol = self.proxies.protocol;
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

/// What follows when the client of a connection is known.
struct Entrance<S> {
    inner: Rc<S>,
    admission: Arc<AdmissionController>,
    places: PlaceStocks,
    answers: Rc<RefCell<PerSecond>>,
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
        let source = SourceKey::from(address);
        let inner = Rc::clone(&self.inner);
        match self.admission.connection(source, descriptor, || self.places.free_descriptor(source)) {
            Passage::Now(permit) => match self.places.http.enter(source) {
                Ok(place) => serve(place, inner.call((io, client)), permit).boxed_local(),
                Err(none) => {
                    let (places, admission) = (Arc::clone(&self.places.http), Arc::clone(&self.admission));
                    let answers = Rc::clone(&self.answers);
                    let wait = async move {
                        let Some(place) = place_after(none, &places, source).await else {
                            reject(io.socket(), &admission, &answers);
                            return Ok(());
                        };
                        serve(place, inner.call((io, client)), permit).boxed_local().await
                    };
                    wait.boxed_local()
                }
            },
            Passage::Later(turn) => {
                let (places, admission) = (Arc::clone(&self.places.http), Arc::clone(&self.admission));
                let answers = Rc::clone(&self.answers);
                let wait = async move {
                    let place = match turn.wait().await {
                        Some(permit) => place(&places, source).await.map(|place| (place, permit)),
                        None => None,
                    };
                    let Some((place, permit)) = place else {
                        reject(io.socket(), &admission, &answers);
                        return Ok(());
                    };
                    // Boxed, so that a waiting connection does not reserve memory for it.
                    serve(place, inner.call((io, client)), permit).boxed_local().await
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

/// A listener without admission: connections only take a place.
pub struct Unguarded<F> {
    inner: F,
    places: Arc<HttpPlaces>,
}

impl<F> Unguarded<F> {
    /// In front of the service that `inner` makes.
    pub const fn new(inner: F, places: Arc<HttpPlaces>) -> Self {
        Self { inner, places }
    }
}

impl<F> ServiceFactory<TcpStream> for Unguarded<F>
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
    type Service = UnguardedService<F::Service>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let places = Arc::clone(&self.places);
        let inner = self.inner.new_service(());
        inner.map(|inner| Ok(UnguardedService { inner: Rc::new(inner?), places })).boxed_local()
    }
}

/// Such a listener on one worker.
pub struct UnguardedService<S> {
    inner: Rc<S>,
    places: Arc<HttpPlaces>,
}

impl<S> Service<TcpStream> for UnguardedService<S>
where
    S: Service<Passed, Response = ()> + 'static,
    S::Future: 'static,
    S::Error: 'static,
{
    type Response = ();
    type Error = S::Error;
    type Future = LocalBoxFuture<'static, Result<(), S::Error>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, io: TcpStream) -> Self::Future {
        let (inner, places) = (Rc::clone(&self.inner), Arc::clone(&self.places));
        let served = async move {
            let peer = io.peer_addr().ok();
            let source = SourceKey::from(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()));
            match place(&places, source).await {
                Some(place) => serve(place, inner.call((ClientStream::new(io), peer)), ()).await,
                None => Ok(()),
            }
        };
        served.boxed_local()
    }
}

/// A place; if somebody may give way soon, after a wait of a second at most.
async fn place(places: &Arc<HttpPlaces>, source: SourceKey) -> Option<HttpPlace> {
    match places.enter(source) {
        Ok(place) => Some(place),
        Err(none) => place_after(none, places, source).await,
    }
}

async fn place_after(none: NoPlace, places: &Arc<HttpPlaces>, source: SourceKey) -> Option<HttpPlace> {
    let NoPlace::Yet(after) = none else { return None };
    sleep(after).await;
    places.enter(source).ok()
}

/// Serves a connection at its place. One that has to give way ends without an answer.
async fn serve<E, P>(place: HttpPlace, serving: impl Future<Output = Result<(), E>>, permit: P) -> Result<(), E> {
    HttpConnection::new(place).serve(serving, permit).await.unwrap_or(Ok(()))
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
