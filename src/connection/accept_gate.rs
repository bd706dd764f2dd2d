//! The gate of connections: a service in front of TLS and HTTP.
//!
//! A connection passes at once, waits with nothing but its socket, or is rejected. Nothing is parsed before it has its
//! permit. The permit is for the handshake only: it is released when the connection is upgraded or ended. Which
//! connections are admitted is decided by [`crate::admission`].

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
use crate::core::policy::limits::{PerSecond, SourceKey};

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
    plain: bool,
}

impl<F> Gate<F> {
    /// `plain`: peers speak HTTP from the first byte on, so that they can be answered without TLS.
    pub const fn new(inner: F, admission: Arc<AdmissionController>, plain: bool) -> Self {
        Self { inner, admission, plain }
    }
}

/// A connection that has passed, with its source address, so that the kernel is asked only once.
pub type Passed = (TcpStream, Option<SocketAddr>);

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
        let (admission, plain) = (Arc::clone(&self.admission), self.plain);
        let inner = self.inner.new_service(());
        let make = move |inner: Result<F::Service, F::InitError>| {
            let inner = Rc::new(inner?);
            actix_rt::spawn(measure_loop_time(Arc::downgrade(&admission)));
            let answers = Rc::new(RefCell::new(PerSecond::new(if plain { ANSWERS_PER_SECOND } else { 0 })));
            Ok(Guarded { inner, admission, answers })
        };
        inner.map(make).boxed_local()
    }
}

/// The gate of one worker.
pub struct Guarded<S> {
    inner: Rc<S>,
    admission: Arc<AdmissionController>,
    answers: Rc<RefCell<PerSecond>>,
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
        self.inner.poll_ready(cx)
    }

    fn call(&self, io: TcpStream) -> Self::Future {
        let peer = io.peer_addr().ok();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        // Never negative while it is open.
        let descriptor = u64::try_from(io.as_raw_fd()).unwrap_or_default();
        match self.admission.connection(SourceKey::from(address), descriptor) {
            Passage::Now(permit) => serve(self.inner.call((io, peer)), permit).boxed_local(),
            Passage::Later(turn) => {
                let (inner, admission) = (Rc::clone(&self.inner), Arc::clone(&self.admission));
                let answers = Rc::clone(&self.answers);
                let wait = async move {
                    let Some(permit) = turn.wait().await else {
                        reject(&io, &admission, &answers);
                        return Ok(());
                    };
                    // Boxed, so that a waiting connection does not reserve memory for it.
                    serve(inner.call((io, peer)), permit).boxed_local().await
                };
                wait.boxed_local()
            }
            Passage::Refused => {
                reject(&io, &self.admission, &self.answers);
                ready(Ok(())).boxed_local()
            }
        }
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

/// Answers when to come back, if that takes only a few system calls.
fn reject(io: &TcpStream, admission: &AdmissionController, answers: &RefCell<PerSecond>) {
    let socket = socket2::SockRef::from(io);
    if answers.borrow_mut().take(clock::now()).is_err() {
        // A reset is the cheapest end. If it cannot be set, the socket is closed in the usual way.
        let _ = socket.set_linger(Some(Duration::ZERO));
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
