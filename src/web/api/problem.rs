//! Errors as problem documents (RFC 9457).

use actix_web::error::QueryPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, Route, guard, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::AdminError;

/// Why a request failed (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of problem, a relative address without content: `not-found`, `conflict`, `invalid`, `quota`, …
    #[serde(rename = "type")]
    #[schema(example = "invalid")]
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Readable explanation of this case.
    detail: Box<str>,
    /// The invalid member of the request, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<str>>,
    /// With `quota`: the key of the configuration that sets the quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "quotas.devices")]
    quota: Option<&'static str>,
    #[serde(skip)]
    allow: Option<&'static str>,
    /// `Retry-After`, if not that of all others.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    fn new(kind: &'static str, title: &'static str, status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into().into(),
            field: None,
            quota: None,
            allow: None,
            retry_after: None,
        }
    }

    /// The request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad-request", "The request cannot be understood", StatusCode::BAD_REQUEST, detail)
    }

    /// The query is malformed.
    pub fn bad_query(error: &QueryPayloadError) -> Self {
        Self::bad_request(format!("query: {error}"))
    }

    /// The object does not exist.
    pub fn not_found(what: &str) -> Self {
        Self::new("not-found", "Not found", StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// The request names a host that this service does not answer to.
    pub fn misdirected() -> Self {
        let detail = "this service does not answer to the host of this request: use that of server.public_url, or add it \
                      to server.hosts";
        Self::new("misdirected", "Wrong host", StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// The request has no valid token.
    pub fn unauthorized() -> Self {
        let detail = "a token is needed: POST /api/v1/token, then Authorization: Bearer …";
        Self::new("unauthorized", "No valid token", StatusCode::UNAUTHORIZED, detail)
    }

    /// The body is longer than this many bytes.
    pub fn too_large(most: usize) -> Self {
        let detail = format!("the body is longer than {most} bytes");
        Self::new("too-large", "Body too large", StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// The media type of the body is not supported at this address.
    pub fn media_type(wanted: &str) -> Self {
        let detail = format!("the body must be {wanted}");
        Self::new("media-type", "Unsupported media type", StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// The method is not supported at this address.
    pub fn method(allow: &'static str) -> Self {
        let detail = format!("this address supports only {allow}");
        let problem = Self::new("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED, detail);
        Self { allow: Some(allow), ..problem }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        match error {
            AdminError::NotFound(what) => Self::not_found(what),
            AdminError::Conflict(_) => Self::new("conflict", "Against the present state", StatusCode::CONFLICT, detail),
            AdminError::Invalid { field, why } => {
                let problem = Self::new("invalid", "Invalid member", StatusCode::UNPROCESSABLE_ENTITY, why);
                Self { field: Some(field.into()), ..problem }
            }
            AdminError::Unfit { field, why } => {
                let problem = Self::new("conflict", "Against the present state", StatusCode::CONFLICT, why);
                Self { field: Some(field.into()), ..problem }
            }
            AdminError::NotAllowed(_) | AdminError::Ended => {
                Self::new("forbidden", "Not allowed", StatusCode::FORBIDDEN, detail)
            }
            AdminError::TooMany(_) => Self::new("too-many", "Too many", StatusCode::TOO_MANY_REQUESTS, detail),
            AdminError::OverQuota(over) => {
                let problem = Self::new("quota", "The domain has as much as it may have", StatusCode::CONFLICT, detail);
                Self { quota: Some(over.kind.key()), ..problem }
            }
            AdminError::TryLater(wait) => {
                let problem = Self::new("too-many", "Too many", StatusCode::TOO_MANY_REQUESTS, detail);
                // Rounded up, so that clients do not come too early.
                Self { retry_after: Some(wait.as_secs().saturating_add(1).max(5)), ..problem }
            }
            AdminError::Unavailable(_) => {
                Self::new("unavailable", "Try again later", StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json")).insert_header((CACHE_CONTROL, "no-store"));
        if let Some(allow) = self.allow {
            let head = if allow.starts_with("GET") { ", HEAD" } else { "" };
            response.insert_header((ALLOW, format!("{allow}{head}")));
        }
        match self.status_code() {
            StatusCode::UNAUTHORIZED => drop(response.insert_header((WWW_AUTHENTICATE, "Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                response.insert_header((RETRY_AFTER, self.retry_after.unwrap_or(5)));
            }
            _ => {}
        }
        // Plain members can always be serialized.
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

/// A route for `GET` and `HEAD`; `HEAD` is answered without the body.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// For `default_service` of a resource: answers other methods with 405. `allow` lists the methods, `GET` first.
pub(super) fn method_not_allowed(
    allow: &'static str,
) -> impl Fn(HttpRequest) -> std::future::Ready<Result<HttpResponse, Problem>> + Clone {
    move |_| std::future::ready(Err(Problem::method(allow)))
}
