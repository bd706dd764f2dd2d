//! Calls of Devices to the directory (`docs/protocol/directory.md` section 3).

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{DirectoryWeb, retry_after};
use crate::attempts::SecretKind;
use crate::connection::http;
use crate::core::model::ids::{Code, Secret};
use crate::core::protocol::json::Object;
use crate::directory::{Caller, DirectoryError, IssueRequest, MAX_BODY};
use crate::web::client_address::client_of;

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Refused by the directory service.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The body is longer than 4096 bytes.
    #[error("the body is longer than {MAX_BODY} bytes")]
    TooLarge,
    /// The address has only one method, and this is another.
    #[error("this address knows {0} only")]
    Method(&'static str),
}

impl actix_web::ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Directory(DirectoryError::Refused(_)) => StatusCode::BAD_REQUEST,
            Self::Directory(DirectoryError::Unauthorized) => StatusCode::UNAUTHORIZED,
            Self::Directory(DirectoryError::IdempotencyConflict) => StatusCode::CONFLICT,
            Self::Directory(DirectoryError::RateLimited { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Directory(DirectoryError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        let error = match self {
            Self::Directory(DirectoryError::Refused(_)) => "bad_request",
            Self::Directory(DirectoryError::Unauthorized) => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
                "unauthorized"
            }
            Self::Directory(DirectoryError::IdempotencyConflict) => "idempotency_conflict",
            Self::Directory(DirectoryError::RateLimited { retry_after: wait }) => {
                response.insert_header((RETRY_AFTER, retry_after(*wait)));
                "rate_limited"
            }
            Self::Directory(DirectoryError::Unavailable(_)) => "unavailable",
            Self::TooLarge => "too_large",
            Self::Method(allowed) => {
                response.insert_header((ALLOW, *allowed));
                "method_not_allowed"
            }
        };
        let message = match self {
            // The reason without a prefix: the reader of this answer knows that it comes from the directory.
            Self::Directory(DirectoryError::Refused(why)) => why.clone(),
            other => other.to_string(),
        };
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(serde_json::json!({ "error": error, "message": message }))
    }
}

pub(super) async fn issue(
    request: HttpRequest,
    payload: web::Payload,
    web: web::Data<DirectoryWeb>,
) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &web).await?;
    let body = short_body(&request, payload).await?;
    let code_request = read(&body)?;
    let key = match request.headers().get("Idempotency-Key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => return Err(refused("Idempotency-Key is not 1 to 255 visible ASCII characters")),
    };
    let issued = web.service.issue(&caller, &code_request, key.map(|key| (key, &body[..])), (web.clock)()).await?;
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "code": issued.code, "validUntil": issued.valid_until.seconds() })))
}

pub(super) async fn give_back(
    request: HttpRequest,
    code: web::Path<String>,
    web: web::Data<DirectoryWeb>,
) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &web).await?;
    // A malformed code is an unknown code, which is not an error here.
    if let Ok(code) = Code::parse(&code) {
        web.service.give_back(&caller, code).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn only_post() -> Result<HttpResponse, ApiError> {
    Err(ApiError::Method("POST"))
}

pub(super) async fn only_delete() -> Result<HttpResponse, ApiError> {
    Err(ApiError::Method("DELETE"))
}

/// Checked before the body is read, so that unauthorized callers cost no memory. What is named by an attempt is the
/// credential itself, so one that was right before is not delayed by what others try.
async fn caller(request: &HttpRequest, web: &DirectoryWeb) -> Result<Caller, ApiError> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        let caller = web.service.authenticate(None)?;
        http::authenticated();
        return Ok(caller);
    };
    let (scheme, credential) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(DirectoryError::Unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(DirectoryError::Unauthorized.into());
    }
    let credential = Secret::new(credential.trim());
    let reserved =
        web.attempts.reserve(SecretKind::DirectoryCredential, Some(credential.expose()), client_of(request).source());
    let attempt = reserved.await.map_err(|later| DirectoryError::RateLimited { retry_after: later.after })?;
    let caller = web.service.authenticate(Some(&credential));
    match &caller {
        Ok(_) => attempt.right(),
        Err(_) => attempt.wrong_secret(credential.expose().as_bytes()),
    }
    let caller = caller?;
    http::authenticated();
    Ok(caller)
}

async fn short_body(request: &HttpRequest, payload: web::Payload) -> Result<web::Bytes, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if announced.is_some_and(|length: u64| length > MAX_BODY as u64) {
        return Err(ApiError::TooLarge);
    }
    let body = payload.to_bytes_limited(MAX_BODY).await.map_err(|_| ApiError::TooLarge)?;
    body.map_err(|_| refused("the body could not be read"))
}

fn read(body: &[u8]) -> Result<IssueRequest, ApiError> {
    let body = Object::parse(body).map_err(|why| refused(format!("the body is not a JSON object: {why}")))?;
    if !body.has("url") {
        return Err(refused("url is missing"));
    }
    let url = body.str("url").ok_or_else(|| refused("url is not a string"))?.to_owned();
    let rollout = match body.bool("rollout") {
        Some(rollout) => rollout,
        None if body.has("rollout") => return Err(refused("rollout is not true or false")),
        None => false,
    };
    Ok(IssueRequest { url, rollout })
}

fn refused(why: impl Into<String>) -> ApiError {
    DirectoryError::Refused(why.into()).into()
}
