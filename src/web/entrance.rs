//! The first step of every HTTP request: names that the service does not answer to are refused, and browsers on TLS are
//! told to stay there.
//!
//! A page of a stranger can have its own name point to this machine or into this network (DNS rebinding). Then its
//! script has the origin of that name, and the `Host` of its requests is that name. Pages and REST do not answer to it.
//! Devices may use any name or address, and what they use proves itself otherwise: `/init`, probes and passthrough
//! addresses are not checked.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    STRICT_TRANSPORT_SECURITY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;

use super::api::Problem;
use super::client_address::{ListenerRules, client_of};
use super::pages::Lang;
use super::passthrough::{Passthrough, after_passthrough};
use crate::core::policy::hosts;
use crate::core::protocol::init::InitPath;

/// One year. Without `includeSubDomains`: other names are not this service's business.
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Error page for a browser that used another name.
#[derive(Template)]
#[template(path = "misdirected.html")]
struct MisdirectedPage {
    lang: Lang,
}

/// Wraps all routes of a listener.
pub async fn enter(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody + 'static>>, Error> {
    let Some(rules) = request.app_data::<web::Data<ListenerRules>>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    if !rules.may_enter(request.headers()) {
        return Ok(request.into_response(HttpResponse::Forbidden().finish()).map_into_right_body());
    }
    if rules.own.is_some() || is_open_to_any_name(request.request()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    if !is_named_rightly(&rules, request.request()) {
        let refusal = misdirected(request.request());
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    let strict = rules.strict_transport
        && client_of(request.request()).secure
        && only(request.headers()).is_some_and(|host| !hosts::is_loopback(host));
    let mut response = next.call(request).await?.map_into_left_body();
    if strict {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STRICT);
    }
    Ok(response)
}

/// Addresses that are not pages and not REST. A path that is written differently is checked.
fn is_open_to_any_name(request: &HttpRequest) -> bool {
    let path = request.uri().path();
    let passthrough = request.app_data::<web::Data<Passthrough>>();
    InitPath::read(path).is_some()
        || path == "/healthz"
        || passthrough.is_some_and(|passthrough| after_passthrough(path, &passthrough.instance).is_some())
}

/// The one `Host` of a request.
fn only(fields: &HeaderMap) -> Option<&str> {
    let mut all = fields.get_all(HOST);
    let first = all.next()?;
    all.next().is_none().then(|| first.to_str().ok()).flatten()
}

fn is_named_rightly(rules: &ListenerRules, request: &HttpRequest) -> bool {
    // A request line with a whole address must name the right host, too.
    let in_line = request.uri().authority().is_none_or(|authority| rules.hosts.answer_to(authority.as_str()));
    in_line && only(request.headers()).is_some_and(|host| rules.hosts.answer_to(host))
}

fn misdirected(request: &HttpRequest) -> HttpResponse {
    if request.path().starts_with("/api/") {
        return Problem::misdirected().error_response();
    }
    let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let page = MisdirectedPage { lang: Lang::accepted(accepted.unwrap_or_default()) };
    HttpResponse::build(StatusCode::MISDIRECTED_REQUEST)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        // Rendering one sentence hardly fails; the status would still explain the error.
        .body(page.render().unwrap_or_default())
}

/// Whether a request names this machine itself. Elsewhere delivered passwords open nothing.
pub fn names_this_machine(fields: &HeaderMap) -> bool {
    only(fields).is_some_and(hosts::is_loopback)
}
