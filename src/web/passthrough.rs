//! Browsers and programs at the web server inside a device: `/{domain}/{instance}/passthrough/DEVICE/KEY/REST?QUERY`
//! (`docs/protocol/sysclient.md` section 8).
//!
//! Here is who gets through, and the plain way through actix; WebSockets go through [`pipe`]. The address holds the key of a
//! session: it appears in no log and no error.

pub mod pipe;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{self, BodyStream, SizedStream};
use actix_web::http::header::{
    self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use crate::app_connection::session_keys::{Admitted, Holder, Keys};
use crate::connection::messages::DeviceRecipient;
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::protocol::percent;
use crate::core::protocol::sysclient::tunnel::request::{Address, BODY_MAX, Draft, Refusal};
use crate::core::protocol::sysclient::tunnel::{Failure, Head};
use crate::core::session::app::rights::Instance;
use crate::core::session::device::event::{Output, TunnelRefused, TunnelRequest};
use crate::device::tunnel::Tunnel;
use crate::lifecycle::InFlight;
use crate::metrics::TunnelUse;
use crate::store::Store;
use crate::tenant::TenantDirectory;
use crate::tenant_cache::Tenants;

/// What a page of a device may do. It comes from our own host, so without this its scripts would be scripts of our origin:
/// whoever controls a phone, or a text that it shows, could act with the cookies and the storage of whoever looks at it. In a
/// sandbox without `allow-same-origin` the page has an origin of its own that nobody else shares. The device's own policy
/// stays; a browser obeys both.
const SANDBOX: &str = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals";

/// A request has this long to come whole; as long as a session may last.
const BODY_TIME: Duration = Duration::from_secs(600);

/// Seconds after which a device may be back.
const RETRY: &str = "5";

/// What requests at passthrough addresses use of the node.
pub struct Passthrough {
    /// The instance in the addresses.
    pub instance: Instance,
    /// Keys of the app sessions that are open.
    pub keys: Arc<Keys>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The domains as records.
    pub tenants: Arc<Tenants>,
    /// Where devices are found.
    pub directory: Arc<TenantDirectory>,
    /// What has to be finished before a stop.
    pub in_flight: InFlight,
}

/// Answers requests at passthrough addresses; every other address is not found.
pub fn routes(passthrough: Arc<Passthrough>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::from(passthrough)).default_service(web::to(serve));
    }
}

/// Why a request gets no answer of a device: a status that the broker makes itself (`docs/protocol/sysclient.md` 8.6),
/// and one short line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(u16, &'static str);

impl Refused {
    pub(super) const KEY: Self = Self(403, "session not open");
    pub(super) const DEVICE: Self = Self(404, "no such device");
    pub(super) const OFFLINE: Self = Self(503, "device not connected");
    pub(super) const TOO_MANY: Self = Self(429, "too many requests at once");
    pub(super) const UNAVAILABLE: Self = Self(503, "try again later");

    pub(super) const fn status(self) -> u16 {
        self.0
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let text = match refusal {
            Refusal::Target => "bad request target",
            Refusal::Head => "bad request head",
            Refusal::Method => "method not allowed",
            Refusal::Body => "request too large",
            Refusal::HeadTooLong => "request head too large",
        };
        Self(refusal.status(), text)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let text =
            if failure == Failure::Timeout { "device did not answer in time" } else { "bad answer of the device" };
        Self(failure.status(), text)
    }
}

impl From<TunnelRefused> for Refused {
    fn from(refused: TunnelRefused) -> Self {
        match refused {
            TunnelRefused::NotMember => Self::OFFLINE,
            TunnelRefused::TooMany => Self::TOO_MANY,
        }
    }
}

/// What follows `/passthrough` in the address of a request, byte for byte; `None` if it is no passthrough address.
pub(super) fn after_passthrough<'a>(raw: &'a str, instance: &Instance) -> Option<&'a str> {
    let (domain, rest) = raw.strip_prefix('/')?.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let (word, rest) = rest.split_at(rest.find('/')?);
    let is = |text, wanted: &str| percent::decode(text).is_ok_and(|text| text == wanted);
    let domain = percent::decode(domain).ok().and_then(|domain| DomainName::parse(&domain).ok())?;
    (domain == instance.domain && is(name, &instance.name) && is(word, "passthrough")).then_some(rest)
}

/// Who has got through.
struct Permit {
    device: DeviceRecipient,
    place: Admitted,
    holder: Holder,
}

/// The checks of `docs/protocol/sysclient.md` 8.1, in their order. How many sessions the device itself has open is
/// known where they are.
async fn admit(services: &Passthrough, address: &Address<'_>) -> Result<Permit, Refused> {
    let holder = services.keys.find(&address.key).ok_or(Refused::KEY)?;
    let key = DeviceKey::parse(&address.device).map_err(|_| Refused::DEVICE)?;
    let found = services.store.find_device(&key).await.map_err(|_| Refused::UNAVAILABLE)?;
    let domain = found.ok_or(Refused::DEVICE)?.domain;
    let reaches = services.tenants.reach(holder.domain.as_ref(), &domain).await.map_err(|_| Refused::UNAVAILABLE)?;
    if !reaches {
        return Err(Refused::DEVICE);
    }
    let device = services.directory.member(&domain, key).await.ok_or(Refused::OFFLINE)?;
    let place = holder.admit().ok_or(Refused::TOO_MANY)?;
    Ok(Permit { device, place, holder })
}

async fn serve(request: HttpRequest, payload: web::Payload, services: web::Data<Passthrough>) -> HttpResponse {
    let raw = request.uri().path_and_query().map_or("", |target| target.as_str());
    let Some(rest) = after_passthrough(raw, &services.instance) else { return HttpResponse::NotFound().finish() };
    answer(&services, &request, rest, payload).await.unwrap_or_else(|Refused(status, text)| {
        let mut response = builder(status);
        if status == 503 {
            response.insert_header((RETRY_AFTER, RETRY));
        }
        guarded(response.content_type("text/plain").body(format!("{text}\n")))
    })
}

async fn answer(
    services: &Passthrough,
    request: &HttpRequest,
    rest: &str,
    payload: web::Payload,
) -> Result<HttpResponse, Refused> {
    let address = Address::read(rest).ok_or(Refused::KEY)?;
    let permit = admit(services, &address).await?;
    let unchanged = |_: &mut Head| {};
    relay(request, &address.target(), payload, permit.device, Some(permit.place), unchanged).await.map(guarded)
}

/// Asks a device for `target` and begins its answer, whose head `shape` may change. A `place` is kept until the answer is over.
pub(super) async fn relay(
    request: &HttpRequest,
    target: &str,
    payload: web::Payload,
    device: DeviceRecipient,
    place: Option<Admitted>,
    shape: impl FnOnce(&mut Head),
) -> Result<HttpResponse, Refused> {
    let draft = draft(request.method(), target, request.headers(), false)?;
    let (bytes, expects) = draft.with_body(&collect(request, payload).await?)?;
    let mut tunnel = Tunnel::open(device, TunnelRequest { bytes, expects }, TunnelUse::Passthrough);
    match tunnel.next().await {
        Output::Head(mut head) => {
            shape(&mut head);
            Ok(respond(request, &head, tunnel, place))
        }
        Output::Failed(failure) | Output::Abort(failure) => Err(failure.into()),
        Output::Refused(refused) => Err(refused.into()),
        // Nothing of these comes before a head.
        Output::Body(_) | Output::Sent | Output::Done => Err(Failure::NotHttp.into()),
    }
}

fn draft(method: &Method, target: &str, fields: &header::HeaderMap, upgrade: bool) -> Result<Draft, Refusal> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    Draft::new(method.as_str(), target, &fields, upgrade)
}

/// The whole body of a request. What is announced too long is not read.
async fn collect(request: &HttpRequest, mut payload: web::Payload) -> Result<BytesMut, Refused> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > BODY_MAX as u64) {
        return Err(Refusal::Body.into());
    }
    let mut body = BytesMut::new();
    let end = Instant::now() + BODY_TIME;
    while let Some(piece) = timeout_at(end, payload.next()).await.map_err(|_| Refusal::Head)? {
        let piece = piece.map_err(|_| Refusal::Head)?;
        if body.len() + piece.len() > BODY_MAX {
            return Err(Refusal::Body.into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn builder(status: u16) -> HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY))
}

/// Adds what every answer at a passthrough address has: the key in the address must not travel on, and the answer belongs to
/// its session (`docs/protocol/devices-api.md` section 5).
fn guarded(mut response: HttpResponse) -> HttpResponse {
    let fields = response.headers_mut();
    for (name, value) in [(REFERRER_POLICY, "no-referrer"), (CACHE_CONTROL, "private")] {
        if !fields.contains_key(&name) {
            fields.insert(name, HeaderValue::from_static(value));
        }
    }
    fields.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    response
}

/// Begins the answer; its body is read from the device as fast as the client takes it.
fn respond(request: &HttpRequest, head: &Head, tunnel: Tunnel, place: Option<Admitted>) -> HttpResponse {
    let mut response = builder(head.status);
    for field in &head.fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field.value)) {
            response.append_header((name, value));
        }
    }
    let pieces = stream(tunnel, place);
    match head.length {
        // actix leaves the length of a 304 alone, and of a 204 there is none.
        Some(length) if head.status == 304 => {
            response.insert_header((header::CONTENT_LENGTH, length));
            response.body(body::None::new())
        }
        _ if matches!(head.status, 204 | 304) => response.body(body::None::new()),
        Some(length) if request.method() == Method::HEAD => {
            response.body(SizedStream::new(length, stream::empty::<Result<Bytes, Failure>>()))
        }
        None if request.method() == Method::HEAD => response.body(body::None::new()),
        Some(length) => response.body(SizedStream::new(length, pieces)),
        None => {
            if request.version() < Version::HTTP_11 {
                // It knows no chunks. The end of the connection is the end of the body.
                response.force_close();
                let mut response = response.body(BodyStream::new(pieces));
                response.head_mut().no_chunking(true);
                return response;
            }
            response.body(BodyStream::new(pieces))
        }
    }
}

/// The body of an answer. An error aborts the answer, so that the client sees that it is incomplete; dropping it, because the
/// client has gone, ends the session at once.
fn stream(tunnel: Tunnel, place: Option<Admitted>) -> impl Stream<Item = Result<Bytes, Failure>> {
    stream::unfold(Some((tunnel, place)), |open| async {
        let (mut tunnel, place) = open?;
        loop {
            return match tunnel.next().await {
                Output::Body(bytes) => Some((Ok(bytes), Some((tunnel, place)))),
                Output::Head(_) | Output::Sent => continue,
                Output::Done | Output::Refused(_) => None,
                Output::Failed(failure) | Output::Abort(failure) => Some((Err(failure), None)),
            };
        }
    })
}
