//! `/api/v1/audit`: what was changed, by whom and from where.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::caller::Caller;
use super::codes::limit;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::{Admin, AdminError};
use crate::core::model::accounts::AuditEntry;
use crate::core::model::time::UnixMillis;

/// Entries per page: default and maximum.
const PAGE: (usize, usize) = (100, 1000);

/// Query of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Number or name of a domain: only what was done in it. A token of a domain sees its own domain only.
    #[param(min_length = 1, max_length = 253, example = "example.com")]
    domain: Option<String>,
    /// Continue here: `next` of the previous answer.
    #[param(max_length = 81, pattern = r"^[0-9]{1,16}-[A-Za-z0-9-]{1,64}$(?!\n)")]
    cursor: Option<String>,
    /// Entries in the answer, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditView {
    /// Unix seconds.
    at: u64,
    /// By what the one who did it is known: `account`, `instance` or `domain` (their password), or `app`.
    by: &'static str,
    /// The account, the domain or the app; empty for the password of the instance.
    who: String,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What was done.
    #[schema(example = "device.remove")]
    what: String,
    /// To what.
    to: String,
    /// In which domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(AuditEntry { at, action, .. }: AuditEntry) -> Self {
        Self {
            at: at.seconds(),
            by: action.by.as_str(),
            who: action.who.into(),
            from: action.from.map(|from| from.to_string()),
            what: action.what.into(),
            to: action.to.into(),
            domain: action.domain.map(|domain| domain.as_str().into()),
        }
    }
}

/// A page of changes.
#[derive(Serialize, ToSchema)]
struct AuditPage {
    /// The changes, newest first.
    entries: Vec<AuditView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List what was changed
///
/// Newest first. What is done through the pages, this interface and apps; kept for 180 days.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", params(AuditQuery),
    responses((status = 200, body = AuditPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_audit(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    query: web::Query<AuditQuery>,
) -> Answer<HttpResponse> {
    let limit = limit(query.limit, PAGE)?;
    let bad = || AdminError::invalid("cursor", "this is not a cursor of a previous answer");
    let before = match &query.cursor {
        Some(cursor) => {
            let (at, mark) = cursor.split_once('-').ok_or_else(bad)?;
            let number = (1..=16).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            let known = (1..=64).contains(&mark.len()) && mark.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !number || !known {
                return Err(bad().into());
            }
            Some((UnixMillis(at.parse().map_err(|_| bad())?), mark))
        }
        None => None,
    };
    let entries = admin.audit_entries(&authority, query.domain.as_deref(), before, limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|last| format!("{}-{}", last.at.0, last.mark));
    let page = AuditPage { entries: entries.into_iter().map(AuditView::from).collect(), next };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(page))
}

#[derive(OpenApi)]
#[openapi(paths(list_audit))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let list = web::resource("/audit");
    config.service(list.route(get().to(list_audit)).default_service(web::to(method_not_allowed("GET"))));
}
