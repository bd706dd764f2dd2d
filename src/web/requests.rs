//! Middleware of all listeners: a request body has to come in time, and the connection is told when a request begins and
//! ends (`src/connection/http.rs`).
//!
//! A body may take [`BODY_START`], and beyond that as long as it comes with [`BODY_RATE`]. If it does not, the request is
//! answered with 408, whatever its handler makes of it, and the connection is closed. Handlers bound how long a body may
//! be, and who has not shown a credential may send a short one only (`api`, `pages`).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connection::http::{self, HttpConnection, Serving};
use crate::core::policy::places::Standing;
use crate::metrics::{self, Counter, LatePart};

/// Every body may take this long.
const BODY_START: Duration = Duration::from_secs(10);

/// Bytes per second with which a longer body has to come.
const BODY_RATE: u32 = 16 * 1024;

/// Wraps every listener's routes.
pub async fn watch(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(connection) = http::current() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let serving = Rc::clone(&connection).begin();
    let late = Rc::new(Cell::new(false));
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        request.set_payload(payload);
    } else {
        let body = TimedBody::new(payload, Rc::clone(&connection), Rc::clone(&late));
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    let response = next.call(request).await?.map_into_boxed_body();
    let mut response = if late.get() {
        let answer = HttpResponse::RequestTimeout().body("the body of the request did not come in time\n");
        response.into_response(answer)
    } else {
        response
    };
    if late.get() {
        response.response_mut().head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    connection.stands(Standing::AwaitsPeer);
    Ok(response.map_body(|_, body| BoxBody::new(Answer { body, _serving: serving })))
}

/// The body of an answer; the request is over when it is dropped.
struct Answer {
    body: BoxBody,
    _serving: Serving,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// A request body that fails when it is late.
struct TimedBody {
    /// `None`: it has ended.
    inner: Option<Payload>,
    connection: Rc<HttpConnection>,
    late: Rc<Cell<bool>>,
    since: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
}

impl TimedBody {
    fn new(inner: Payload, connection: Rc<HttpConnection>, late: Rc<Cell<bool>>) -> Self {
        let since = Instant::now();
        let timer = Box::pin(sleep_until(since + BODY_START));
        Self { inner: Some(inner), connection, late, since, received: 0, timer }
    }

    /// When what was received so far has used up its time.
    fn due(&self) -> Instant {
        self.since + BODY_START + Duration::from_secs(self.received) / BODY_RATE
    }
}

impl Stream for TimedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.received = self.received.saturating_add(bytes.len() as u64);
                self.connection.stands(Standing::AwaitsUs);
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(ended) => {
                self.inner = None;
                self.connection.stands(Standing::AwaitsUs);
                Poll::Ready(ended)
            }
            Poll::Pending => {
                self.connection.stands(Standing::AwaitsPeer);
                loop {
                    ready!(self.timer.as_mut().poll(cx));
                    let due = self.due();
                    if due <= Instant::now() {
                        break;
                    }
                    self.timer.as_mut().reset(due);
                }
                self.late.set(true);
                metrics::count(Counter::RequestLate(LatePart::Body));
                Poll::Ready(Some(Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if let Some(rest) = self.inner.take() {
            self.connection.keep_rest(rest);
        }
    }
}
