//! Middleware of all pages: session, check of the origin of changes, security headers, and error pages
//! (`docs/security.md`).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    self, ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;

use super::page::go;
use super::{Lang, Page, PageError, Pages, assets, cookies};
use crate::accounts::ActiveSession;
use crate::connection::http;
use crate::core::model::hex;
use crate::random;
use crate::web::client_address::client_of;

/// Content security policy: only our own style and script, nothing inline, and no page of ours in a frame. The origin
/// of frames, which depends on the configuration, is appended.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; frame-src ";

/// Header that the script sends when the page refreshes itself. Such a request does not prolong the session.
const AUTOMATIC: &str = "x-by-itself";

/// An error page.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    title: &'static str,
    what_to_do: String,
    details: Option<String>,
}

/// Wraps every page.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let pages = request.app_data::<web::Data<Pages>>().cloned().ok_or(PageError::Internal)?;
    if assets::is_asset(request.path()) {
        let mut response = next.call(request).await?.map_into_boxed_body();
        add_headers(&pages, response.headers_mut());
        return Ok(response);
    }
    let (session, trouble) = match find_session(&pages, request.request()).await {
        Ok(session) => {
            if session.is_some() {
                http::authenticated();
            }
            (session, None)
        }
        Err(error) => (None, Some(error)),
    };
    let fresh =
        (session.is_none() && cookies::value(request.request(), cookies::ANONYMOUS).is_none()).then(new_anonymous_id);
    let page = page_of(&pages, request.request(), session, fresh.as_deref());
    request.extensions_mut().insert(page.clone());
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let over_tls = client_of(request.request()).secure;
    let refused =
        trouble.or_else(|| (changes && !has_own_origin(&pages, request.request())).then_some(PageError::Form));
    let mut response = if let Some(error) = refused {
        let response = error_page(&page, &error, false);
        request.into_response(response)
    } else {
        let automatic = is_automatic(request.request());
        let response = next.call(request).await?.map_into_boxed_body();
        with_error_page(&page, response, automatic)
    };
    if let Some(id) = fresh {
        // A browser without cookies cannot send forms; the error page explains that.
        let _ = response.response_mut().add_cookie(&cookies::cookie(&pages, cookies::ANONYMOUS, &id));
    }
    if over_tls && !pages.secure {
        keep_to_tls(response.headers_mut());
    }
    add_headers(&pages, response.headers_mut());
    Ok(response)
}

/// Has the browser send the cookies of this answer over TLS only.
fn keep_to_tls(fields: &mut HeaderMap) {
    let cookies: Vec<_> = fields.remove(SET_COOKIE).collect();
    for cookie in cookies {
        let secure = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat());
        fields.append(SET_COOKIE, secure.unwrap_or(cookie));
    }
}

fn new_anonymous_id() -> String {
    let mut id = [0; 16];
    random::fill(&mut id);
    hex::encode(id)
}

fn is_automatic(request: &HttpRequest) -> bool {
    let accepts_events = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    accepts_events || request.headers().contains_key(AUTOMATIC)
}

async fn find_session(pages: &Pages, request: &HttpRequest) -> Result<Option<ActiveSession>, PageError> {
    let Some(cookie) = cookies::value(request, cookies::SESSION) else { return Ok(None) };
    Ok(pages.sign_in.use_session(&cookie, is_automatic(request), Some(client_of(request).address)).await?)
}

fn page_of(pages: &Pages, request: &HttpRequest, session: Option<ActiveSession>, fresh: Option<&str>) -> Page {
    let chosen = cookies::value(request, cookies::LANGUAGE).and_then(|code| Lang::parse(&code));
    let lang = chosen.unwrap_or_else(|| {
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Lang::accepted(accepted.unwrap_or_default())
    });
    let tied_to = match (&session, fresh) {
        (Some(_), _) => cookies::value(request, cookies::SESSION).unwrap_or_default(),
        (None, Some(id)) => id.to_owned(),
        (None, None) => cookies::value(request, cookies::ANONYMOUS).unwrap_or_default(),
    };
    let target = request.uri().path_and_query().map_or("/ui/", |target| target.as_str());
    Page::new(lang, session, pages.sign_in.form_token(&tied_to), request.path(), target)
}

/// Whether a change comes from one of our pages. All current browsers send the origin of a form.
fn has_own_origin(pages: &Pages, request: &HttpRequest) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return false };
    // The service may be reached by several names, for example on loopback; those that it answers to were checked before.
    let named = text(header::HOST).is_some_and(|host| {
        let scheme = if pages.secure || client_of(request).secure { "https" } else { "http" };
        origin == format!("{scheme}://{host}")
    });
    origin == pages.origin || named
}

/// The answer, or the error page for it.
fn with_error_page(page: &Page, response: ServiceResponse<BoxBody>, automatic: bool) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || response.headers().contains_key(CONTENT_TYPE) {
        return response;
    }
    let known = response.response().error().and_then(|error| error.as_error::<PageError>()).cloned();
    let error = known.unwrap_or_else(|| PageError::of_status(status));
    let (request, _) = response.into_parts();
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let page_itself = error_page(page, &error, is_get && !automatic);
    ServiceResponse::new(request, page_itself)
}

fn error_page(page: &Page, error: &PageError, leads_to_sign_in: bool) -> HttpResponse {
    if *error == PageError::SignIn && leads_to_sign_in {
        let to: String = url::form_urlencoded::byte_serialize(page.target().as_bytes()).collect();
        return go(&format!("/ui/sign-in?to={to}"));
    }
    let (title, what_to_do) = error.texts();
    let seconds = match error {
        PageError::TooMany(wait) => wait.as_millis().div_ceil(1000).max(1),
        _ => 5,
    };
    let what_to_do = page.lang().filled(what_to_do, &[("seconds", &seconds.to_string())]);
    let details = match error {
        PageError::Refused(why) => Some(why.clone()),
        _ => None,
    };
    let template = ErrorPage { page: page.clone(), title: page.t(title), what_to_do, details };
    let answer = page.answer_with(error.status(), &template);
    let mut answer = answer.unwrap_or_else(|_| HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR));
    if error.status() == StatusCode::SERVICE_UNAVAILABLE || matches!(error, PageError::TooMany(_)) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
    }
    answer
}

fn add_headers(pages: &Pages, fields: &mut HeaderMap) {
    let framed = pages.own_pages.as_ref().map_or("'none'", |own| &own.origin);
    // An origin is a valid header value.
    let policy = HeaderValue::from_str(&format!("{POLICY}{framed}"));
    fields.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static("default-src 'none'")));
    for (name, value) in [
        // With `no-referrer`, browsers would not send the origin of a form.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        if !fields.contains_key(&name) {
            fields.insert(name, HeaderValue::from_static(value));
        }
    }
}
