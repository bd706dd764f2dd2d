//! In front of all pages: who comes, whether a change comes from a page of ours, headers, and pages for errors.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    self, ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;

use super::page::go;
use super::{Lang, Page, PageError, Pages, assets, cookies};
use crate::accounts::ActiveSession;
use crate::random;

/// What a page may load: our own style and script, nothing inline, and no page of ours within another. What may be in a frame
/// depends on the configuration.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; frame-src ";

/// Sent by the script when the page renews itself: nobody has done anything, so the session is not prolonged.
const BY_ITSELF: &str = "x-by-itself";

/// An error, as a page.
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
    if assets::is_one(request.path()) {
        let mut response = next.call(request).await?.map_into_boxed_body();
        add_headers(&pages, response.headers_mut());
        return Ok(response);
    }
    let (visit, trouble) = match visit(&pages, request.request()).await {
        Ok(visit) => (visit, None),
        Err(error) => (None, Some(error)),
    };
    let fresh = (visit.is_none() && cookies::value(request.request(), cookies::VISIT).is_none()).then(new_mark);
    let page = page_of(&pages, request.request(), visit, fresh.as_deref());
    request.extensions_mut().insert(page.clone());
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let refused = trouble.or_else(|| (changes && !is_ours(&pages, request.request())).then_some(PageError::Form));
    let mut response = if let Some(error) = refused {
        let response = explain(&page, &error, false);
        request.into_response(response)
    } else {
        let by_itself = is_by_itself(request.request());
        let response = next.call(request).await?.map_into_boxed_body();
        explained(&page, response, by_itself)
    };
    if let Some(mark) = fresh {
        // A browser that does not keep it cannot send a form; the page for that says so.
        let _ = response.response_mut().add_cookie(&cookies::cookie(&pages, cookies::VISIT, &mark));
    }
    add_headers(&pages, response.headers_mut());
    Ok(response)
}

fn new_mark() -> String {
    let mut mark = [0; 16];
    random::fill(&mut mark);
    hex::encode(mark)
}

fn is_by_itself(request: &HttpRequest) -> bool {
    let accepts_events = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    accepts_events || request.headers().contains_key(BY_ITSELF)
}

async fn visit(pages: &Pages, request: &HttpRequest) -> Result<Option<ActiveSession>, PageError> {
    let Some(shown) = cookies::value(request, cookies::SESSION) else { return Ok(None) };
    Ok(pages.sign_in.visit(&shown, is_by_itself(request)).await?)
}

fn page_of(pages: &Pages, request: &HttpRequest, visit: Option<ActiveSession>, fresh: Option<&str>) -> Page {
    let chosen = cookies::value(request, cookies::LANGUAGE).and_then(|code| Lang::parse(&code));
    let lang = chosen.unwrap_or_else(|| {
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Lang::accepted(accepted.unwrap_or_default())
    });
    let tied_to = match (&visit, fresh) {
        (Some(_), _) => cookies::value(request, cookies::SESSION).unwrap_or_default(),
        (None, Some(mark)) => mark.to_owned(),
        (None, None) => cookies::value(request, cookies::VISIT).unwrap_or_default(),
    };
    let target = request.uri().path_and_query().map_or("/ui/", |target| target.as_str());
    Page::new(lang, visit, pages.sign_in.form_token(&tied_to), request.path(), target)
}

/// Whether a request that changes something comes from a page of ours. Every browser of today says where a form comes from.
fn is_ours(pages: &Pages, request: &HttpRequest) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return false };
    // On this machine the service has more names than one, and all of them are its own.
    let named = text(header::HOST).is_some_and(|host| {
        let scheme = if pages.secure { "https" } else { "http" };
        origin == format!("{scheme}://{host}")
    });
    origin == pages.origin || named
}

/// The answer, or the page that says why there is none.
fn explained(page: &Page, response: ServiceResponse<BoxBody>, by_itself: bool) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || response.headers().contains_key(CONTENT_TYPE) {
        return response;
    }
    let known = response.response().error().and_then(|error| error.as_error::<PageError>()).cloned();
    let error = known.unwrap_or_else(|| PageError::of_status(status));
    let (request, _) = response.into_parts();
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let page_itself = explain(page, &error, is_get && !by_itself);
    ServiceResponse::new(request, page_itself)
}

fn explain(page: &Page, error: &PageError, leads_to_sign_in: bool) -> HttpResponse {
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
    // An origin is good for a field.
    let policy = HeaderValue::from_str(&format!("{POLICY}{framed}"));
    fields.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static("default-src 'none'")));
    for (name, value) in [
        // With none at all, a browser would not say where a form comes from.
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
