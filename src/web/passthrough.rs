//! Passthrough: HTTP requests of browsers and programs to the web server inside a device, at
//! `/{domain}/{instance}/passthrough/DEVICE/KEY/REST?QUERY` (`docs/protocol/sysclient.md` section 8).
//!
//! This module checks the access and relays plain requests through actix; [`pipe`] carries WebSockets. The address
//! contains the key of a session, so addresses must not appear in logs and errors.

pub mod pipe;

use std::sync::Arc;

use actix_web::body::{self, BodyStream, SizedStream};
use actix_web::http::header::{
    self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;

use crate::app_connection::session_keys::{Admitted, Holder, Keys};
use crate::connection;
use crate::connection::messages::DeviceRecipient;
use crate::core::model::ids::{DeviceKey, DomainId, DomainName};
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

/// Content security policy for pages of devices. They are served from our host, so without a sandbox their scripts
/// would run in our origin: whoever controls a device, or a text that it shows, could use the cookies and storage of
/// the user. In a sandbox without `allow-same-origin` the page has a unique origin. A policy of the device itself is
/// not passed on: it could send reports, and with them the key in the address, to anywhere.
const SANDBOX: &str = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals";

/// `Retry-After` in seconds if a device is not connected.
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
    /// Work that has to be finished before a stop.
    pub in_flight: InFlight,
}

/// Answers requests at passthrough addresses; every other address is not found.
pub fn routes(passthrough: Arc<Passthrough>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::from(passthrough)).default_service(web::to(serve));
    }
}

/// Why a request was not relayed: a status of the broker itself (`docs/protocol/sysclient.md` 8.6) and one short line.
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

/// The part of a request's address after `/passthrough`, unchanged; `None` if it is not a passthrough address.
pub(super) fn after_passthrough<'a>(raw: &'a str, instance: &Instance) -> Option<&'a str> {
    let (domain, rest) = raw.strip_prefix('/')?.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let (word, rest) = rest.split_at(rest.find('/')?);
    let is = |text, wanted: &str| percent::decode(text).is_ok_and(|text| text == wanted);
    let domain = percent::decode(domain).ok().and_then(|domain| DomainName::parse(&domain).ok())?;
    (domain == instance.domain && is(name, &instance.name) && is(word, "passthrough")).then_some(rest)
}

/// A permitted request.
struct Permit {
    device: DeviceRecipient,
    admitted: Admitted,
    access: Access,
}

/// The access of a session to a domain. It can end while a request is under way.
struct Access {
    holder: Holder,
    tenants: Arc<Tenants>,
    changes: watch::Receiver<u64>,
    domain: DomainName,
    id: DomainId,
}

impl Access {
    /// Returns when the session of the key has ended, or reaches the domain no more.
    async fn ended(&mut self) {
        let Self { holder, tenants, changes, domain, id } = self;
        let grant = holder.grant.clone();
        let withdrawn = async {
            while tenants.reaches(grant.as_deref(), domain, *id) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = holder.ended() => {}
            () = withdrawn => {}
        }
    }
}

/// The checks of `docs/protocol/sysclient.md` 8.1, in their order. How many sessions the device itself has open is
/// known where they are.
async fn admit(services: &Passthrough, address: &Address<'_>) -> Result<Permit, Refused> {
    let changes = services.tenants.rights_changed();
    let holder = services.keys.find(&address.key).ok_or(Refused::KEY)?;
    if !services.tenants.holds(holder.grant.as_deref()) {
        return Err(Refused::KEY);
    }
    let key = DeviceKey::parse(&address.device).map_err(|_| Refused::DEVICE)?;
    let found = services.store.find_device(&key).await.map_err(|_| Refused::UNAVAILABLE)?;
    let domain = found.ok_or(Refused::DEVICE)?.domain;
    let record = services.tenants.find(&domain).await.map_err(|_| Refused::UNAVAILABLE)?;
    let id = record.ok_or(Refused::DEVICE)?.id;
    if !services.tenants.reaches(holder.grant.as_deref(), &domain, id) {
        return Err(Refused::DEVICE);
    }
    let device = services.directory.member(&domain, key).await.ok_or(Refused::OFFLINE)?;
    let admitted = holder.admit().ok_or(Refused::TOO_MANY)?;
    let access = Access { holder, tenants: Arc::clone(&services.tenants), changes, domain, id };
    Ok(Permit { device, admitted, access })
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
    connection::http::authenticated();
    let Permit { device, admitted, mut access } = permit;
    // The place is taken until the answer is complete.
    let ended = async move {
        access.ended().await;
        drop(admitted);
    };
    relay(request, &address.target(), payload, device, Box::pin(ended), |_: &mut Head| {}).await.map(guarded)
}

/// Sends a request for `target` to a device and starts the answer, whose head `shape` may change. The answer is broken
/// off when `ended` returns; it is kept until the answer is complete.
pub(super) async fn relay(
    request: &HttpRequest,
    target: &str,
    payload: web::Payload,
    device: DeviceRecipient,
    mut ended: LocalBoxFuture<'static, ()>,
    shape: impl FnOnce(&mut Head),
) -> Result<HttpResponse, Refused> {
    let draft = draft(request.method(), target, request.headers(), false)?;
    let body = tokio::select! {
        body = collect(request, payload) => body?,
        () = &mut ended => return Err(Refused::KEY),
    };
    let (bytes, expects) = draft.with_body(&body)?;
    let mut tunnel = Tunnel::open(device, TunnelRequest { bytes, expects }, TunnelUse::Passthrough);
    let output = tokio::select! {
        output = tunnel.next() => output,
        () = &mut ended => return Err(Refused::KEY),
    };
    match output {
        Output::Head(mut head) => {
            shape(&mut head);
            Ok(respond(request, &head, tunnel, ended))
        }
        Output::Failed(failure) | Output::Abort(failure) => Err(failure.into()),
        Output::Refused(refused) => Err(refused.into()),
        // These events do not occur before a head.
        Output::Body(_) | Output::Sent | Output::Done => Err(Failure::NotHttp.into()),
    }
}

fn draft(method: &Method, target: &str, fields: &header::HeaderMap, upgrade: bool) -> Result<Draft, Refusal> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    Draft::new(method.as_str(), target, &fields, upgrade)
}

/// Reads the whole body of a request. A body that is announced as too long is not read.
async fn collect(request: &HttpRequest, mut payload: web::Payload) -> Result<BytesMut, Refused> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > BODY_MAX as u64) {
        return Err(Refusal::Body.into());
    }
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
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

/// Adds the header fields of all passthrough answers: the key in the address must not be sent on as a referrer, and the
/// answer belongs to its session (`docs/protocol/devices-api.md` section 5).
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

/// Starts the answer; its body is read from the device as fast as the client reads it.
fn respond(request: &HttpRequest, head: &Head, tunnel: Tunnel, ended: LocalBoxFuture<'static, ()>) -> HttpResponse {
    let mut response = builder(head.status);
    for field in &head.fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field.value)) {
            response.append_header((name, value));
        }
    }
    let pieces = stream(tunnel, ended);
    match head.length {
        // actix keeps the length of a 304; a 204 has none.
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
                // HTTP/1.0 has no chunked encoding: the end of the connection is the end of the body.
                response.force_close();
                let mut response = response.body(BodyStream::new(pieces));
                response.head_mut().no_chunking(true);
                return response;
            }
            response.body(BodyStream::new(pieces))
        }
    }
}

/// The body of an answer. An error aborts it, so that the client notices that it is incomplete. If the client
/// disconnects, the stream is dropped, which ends the session at once; so does the end of the access.
fn stream(tunnel: Tunnel, ended: LocalBoxFuture<'static, ()>) -> impl Stream<Item = Result<Bytes, Failure>> {
    stream::unfold(Some((tunnel, ended)), |open| async {
        let (mut tunnel, mut ended) = open?;
        loop {
            let output = tokio::select! {
                biased;
                () = &mut ended => return Some((Err(Failure::Lost), None)),
                output = tunnel.next() => output,
            };
            return match output {
                Output::Body(bytes) => Some((Ok(bytes), Some((tunnel, ended)))),
                Output::Head(_) | Output::Sent => continue,
                Output::Done | Output::Refused(_) => None,
                Output::Failed(failure) | Output::Abort(failure) => Some((Err(failure), None)),
            };
        }
    })
}
