//! `GET /init`: the request of a device for its script (`docs/protocol/directory.md` section 4). Two more paths are the
//! same resource, because a phone appends a file name to an update address that ends with a slash.
//!
//! Unknown, expired, deleted and malformed codes are handled alike: one look-up, one contact, one count. HEAD is
//! handled like GET, because its `Content-Length` would otherwise allow guesses that are not counted.

use std::time::Duration;

use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::web::ReqData;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{DirectoryWeb, retry_after};
use crate::attempts::{SecretKind, TryLater};
use crate::clock::Stopwatch;
use crate::core::model::ids::Code;
use crate::core::protocol::init::{InitCode, InitPath, InitRequest, answer};
use crate::core::protocol::script::Script;
use crate::directory::DirectoryError;
use crate::metrics::{self, Counter, InitAnswer, Timer};
use crate::store::Contact;
use crate::web::client_address::client_of;

/// Longest query, in bytes (`docs/protocol/directory.md` 4.5).
const MAX_QUERY: usize = 4096;

/// `Retry-After` if the store does not answer.
const WAIT_FOR_STORE: Duration = Duration::from_secs(10);

/// Why a device gets no script.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The code was not looked at: after many wrong ones it would have to wait this long, or it is one too many.
    #[error(transparent)]
    TooManyAttempts(#[from] TryLater),
    /// The store does not answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Longer than [`MAX_QUERY`], or with a text that is longer than its own limit.
    #[error("query too long")]
    QueryTooLong,
    /// Neither GET nor HEAD.
    #[error("method not allowed")]
    Method,
}

impl actix_web::ResponseError for InitError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            // The device is not at fault for any error of the directory.
            Self::Directory(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::QueryTooLong => StatusCode::URI_TOO_LONG,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        let text = match self {
            Self::TooManyAttempts(later) => {
                response.insert_header((RETRY_AFTER, retry_after(later.after)));
                Script::try_later().to_string()
            }
            Self::Directory(_) => {
                response.insert_header((RETRY_AFTER, retry_after(WAIT_FOR_STORE)));
                Script::try_later().to_string()
            }
            Self::QueryTooLong => String::new(),
            Self::Method => {
                response.insert_header((ALLOW, "GET, HEAD"));
                String::new()
            }
        };
        response.insert_header((CONTENT_TYPE, TEXT)).insert_header((CACHE_CONTROL, "no-store")).body(text)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Lets the paths of phones through, and keeps for [`init`] what they say.
pub(super) fn is_path(context: &GuardContext<'_>) -> bool {
    let path = InitPath::read(context.head().uri.path());
    let known = path.is_some();
    if let Some(path) = path {
        context.req_data_mut().insert(path);
    }
    known
}

pub(super) async fn init(
    request: HttpRequest,
    path: ReqData<InitPath>,
    web: web::Data<DirectoryWeb>,
) -> Result<HttpResponse, InitError> {
    let watch = Stopwatch::start();
    let answered = serve(&request, path.into_inner(), &web).await;
    metrics::observe(Timer::Init, watch.elapsed());
    metrics::count(Counter::Init(match &answered {
        Ok((kind, _)) => *kind,
        Err(InitError::TooManyAttempts(_)) => InitAnswer::RateLimited,
        Err(InitError::Directory(_)) => InitAnswer::Unavailable,
        Err(InitError::QueryTooLong | InitError::Method) => InitAnswer::BadRequest,
    }));
    let (_, script) = answered?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).insert_header((CACHE_CONTROL, "no-store")).body(script))
}

async fn serve(request: &HttpRequest, path: InitPath, web: &DirectoryWeb) -> Result<(InitAnswer, String), InitError> {
    let query = request.query_string();
    if query.len() > MAX_QUERY {
        return Err(InitError::QueryTooLong);
    }
    let phone = InitRequest::read(path, query).map_err(|_| InitError::QueryTooLong)?;
    let target = match phone.code {
        InitCode::None | InitCode::Prompt => None,
        InitCode::Code(code) => Some(Some(code)),
        InitCode::Malformed => Some(None),
    };
    match target {
        None => {
            let first = first_contact(request, web, &phone, None).await?;
            let kind = if first { InitAnswer::FirstContact } else { InitAnswer::Form };
            Ok((kind, answer(&phone, None, first)))
        }
        Some(code) => with_code(request, web, &phone, code).await,
    }
}

pub(super) async fn other_method() -> Result<HttpResponse, InitError> {
    Err(InitError::Method)
}

async fn with_code(
    request: &HttpRequest,
    web: &DirectoryWeb,
    phone: &InitRequest,
    code: Option<Code>,
) -> Result<(InitAnswer, String), InitError> {
    let source = client_of(request).source();
    let attempt = web.attempts.reserve(SecretKind::InitCode, phone.mac.as_deref(), source).await?;
    let target = web.service.resolve(code).await?;
    match (&target, code) {
        (Some(_), _) => attempt.right(),
        (None, Some(code)) => attempt.wrong_secret(code.expose().as_bytes()),
        // What the phone has sent instead of a code; it repeats that, too.
        (None, None) => attempt.wrong_secret(request.query_string().as_bytes()),
    }
    let good = code.filter(|_| target.is_some());
    let first = first_contact(request, web, phone, good).await?;
    if let Some(code) = good {
        (web.found)(code);
    }
    let kind = if target.is_some() { InitAnswer::Found } else { InitAnswer::Wrong };
    Ok((kind, answer(phone, target.as_deref(), first)))
}

/// Records the contact of a device that sends its MAC address; without one there is no key to record it under.
async fn first_contact(
    request: &HttpRequest,
    web: &DirectoryWeb,
    phone: &InitRequest,
    entered: Option<Code>,
) -> Result<bool, InitError> {
    let Some(mac) = phone.mac.clone() else { return Ok(false) };
    let contact = Contact {
        mac,
        model: phone.model.clone(),
        firmware: phone.firmware.clone(),
        bootcode: phone.bootcode.clone(),
        ip: phone.ip.clone(),
    };
    Ok(web.service.contact(&contact, entered, Some(client_of(request).source()), (web.clock)()).await?)
}
