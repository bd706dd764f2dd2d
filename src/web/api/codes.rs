//! `/api/v1/domains/{domain}/codes`: issue, list, show and revoke codes.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::Body;
use super::caller::Caller;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::user_csv::MAX_NAME;
use crate::admin::{Admin, AdminError, CodeFilter, OperatorCodeRequest};
use crate::core::model::device::{CodeState, Domain, IssuedCode};
use crate::core::model::ids::{CategoryId, Code};
use crate::core::model::time::UnixMillis;

/// Codes in one answer: default and maximum.
const PAGE: (usize, usize) = (100, 1000);

/// A code request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCode {
    /// Name or number of the category.
    #[schema(min_length = 1, max_length = 255, example = "Desk phones")]
    category: String,
    /// SIP name of the user who will get the device.
    #[serde(default, deserialize_with = "super::shapes::not_null")]
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)",
        example = "anna",
        nullable = false
    )]
    sip: Option<String>,
    /// Valid for seven days instead of ten minutes.
    #[serde(default)]
    rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    #[serde(default = "super::shapes::yes")]
    #[schema(default = true)]
    administrative: bool,
}

/// A code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeView {
    /// Twelve digits.
    #[schema(pattern = "^[0-9]{12}$", example = "402817739164")]
    code: String,
    /// Number of the category that a device enters with it.
    category_id: u64,
    /// Name of the category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// SIP name of the user who will get the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<String>,
    /// Valid for seven days instead of ten minutes.
    rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    administrative: bool,
    /// When it was issued, in Unix seconds; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<u64>,
    /// End of its validity, in Unix seconds.
    valid_until: u64,
    /// State of the code.
    state: State,
    /// The device that has used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The analogue port that it was used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    /// The site that it is lent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
}

/// State of a code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// No device has used it.
    Open,
    /// A device has used it.
    Used,
    /// It is lent to a site without a connection, which alone lets a device in with it.
    Lent,
}

/// Name of a category.
pub(super) fn category_name(domain: &Domain, id: CategoryId) -> Option<String> {
    domain.categories.iter().find(|category| category.id == id).map(|category| category.name.to_string())
}

impl CodeView {
    fn of(domain: &Domain, code: &IssuedCode, issued: Option<UnixMillis>) -> Self {
        let (state, device, port, site) = match &code.state {
            CodeState::Open => (State::Open, None, None, None),
            CodeState::Used { by, port } => (State::Used, Some(by.to_string()), port.as_deref().map(Into::into), None),
            CodeState::Lent { site } => (State::Lent, None, None, Some(site.to_string())),
        };
        Self {
            code: code.code.expose().into(),
            category_id: code.category.0,
            category: category_name(domain, code.category),
            sip: code.sip.as_deref().map(Into::into),
            rollout: code.rollout,
            administrative: code.administrative,
            issued: issued.map(UnixMillis::seconds),
            valid_until: code.valid_until.seconds(),
            state,
            device,
            port,
            site,
        }
    }
}

/// Filter and page of a list of codes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Most codes in the answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next` of the previous answer.
    #[param(max_length = 40, pattern = r"^[0-9]{1,16}-[0-9]{12}$(?!\n)")]
    cursor: Option<String>,
    /// Only codes in this state.
    #[param(inline)]
    state: Option<StateFilter>,
}

/// Only codes in this state.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StateFilter {
    /// No device has used it.
    Open,
    /// A device has used it.
    Used,
}

/// A page of codes, newest first.
#[derive(Serialize, ToSchema)]
struct CodePage {
    /// The codes. There may be fewer than `limit` although others follow.
    codes: Vec<CodeView>,
    /// `cursor` of the next request; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Reads a position in the list.
fn cursor(text: &str) -> Option<(UnixMillis, Code)> {
    let (issued, code) = text.split_once('-')?;
    Some((UnixMillis(issued.parse().ok()?), Code::parse(code).ok()?))
}

/// Checks the limit of a list.
pub(super) fn limit(asked: Option<usize>, (usual, most): (usize, usize)) -> Answer<usize> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(AdminError::invalid("limit", format!("1 to {most}")).into()),
    }
}

/// Checks a name: not empty, not too long, no control characters.
pub(super) fn check_name(field: &str, text: &str) -> Answer<()> {
    let why = match text.chars().count() {
        _ if text.trim().is_empty() => "it is empty",
        length if length > MAX_NAME => "it is longer than 128 characters",
        _ if text.chars().any(char::is_control) => "it contains control characters",
        _ => return Ok(()),
    };
    Err(AdminError::invalid(field, why).into())
}

fn code_of(text: &str) -> Answer<Code> {
    Code::parse(text).map_err(|_| Problem::not_found("code"))
}

/// Issue a code
#[utoipa::path(post, path = "/api/v1/domains/{domain}/codes", tag = "codes", request_body = NewCode,
    params(("domain" = String, Path, description = "name or number of the domain")),
    responses((status = 201, body = CodeView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn issue_code(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
    Body(body): Body<NewCode>,
) -> Answer<HttpResponse> {
    if let Some(sip) = &body.sip {
        check_name("sip", sip)?;
    }
    let code_request = OperatorCodeRequest {
        category: &body.category,
        sip: body.sip.as_deref(),
        rollout: body.rollout,
        administrative: body.administrative,
    };
    let (domain, code) = admin.issue_code(&authority, &path, &code_request).await?;
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(CodeView::of(&domain, &code, None)))
}

/// List codes, newest first
#[utoipa::path(get, path = "/api/v1/domains/{domain}/codes", tag = "codes",
    params(("domain" = String, Path, description = "name or number of the domain"), ListQuery),
    responses((status = 200, body = CodePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_codes(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Answer<HttpResponse> {
    let limit = limit(query.limit, PAGE)?;
    let before = match &query.cursor {
        Some(text) => Some(
            cursor(text).ok_or_else(|| AdminError::invalid("cursor", "this is not a cursor of a previous answer"))?,
        ),
        None => None,
    };
    let filter = match query.state {
        None => CodeFilter::All,
        Some(StateFilter::Open) => CodeFilter::Open,
        Some(StateFilter::Used) => CodeFilter::Used,
    };
    let domain = admin.domain(&authority, &path).await?;
    let (codes, next) = admin.codes(&authority, &domain, before, limit, filter).await?;
    let codes = codes.iter().map(|listing| CodeView::of(&domain, &listing.code, Some(listing.issued))).collect();
    let next = next.map(|(issued, code)| format!("{}-{}", issued.0, code.expose()));
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(CodePage { codes, next }))
}

/// Show a code
#[utoipa::path(get, path = "/api/v1/domains/{domain}/codes/{code}", tag = "codes",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("code" = String, Path, description = "twelve digits")),
    responses((status = 200, body = CodeView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_code(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, code) = admin.code(&authority, &path.0, code_of(&path.1)?).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(CodeView::of(&domain, &code, None)))
}

/// Revoke an open code
///
/// Afterwards it is treated like an unknown code. A used code is refused with 409.
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/codes/{code}", tag = "codes",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("code" = String, Path, description = "twelve digits")),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn revoke_code(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    admin.revoke_code(&authority, &path.0, code_of(&path.1)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(OpenApi)]
#[openapi(paths(issue_code, list_codes, get_code, revoke_code))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let all = web::resource("/domains/{domain}/codes");
    let one = web::resource("/domains/{domain}/codes/{code}");
    config
        .service(
            all.route(get().to(list_codes))
                .route(web::post().to(issue_code))
                .default_service(web::to(method_not_allowed("GET, POST"))),
        )
        .service(
            one.route(get().to(get_code))
                .route(web::delete().to(revoke_code))
                .default_service(web::to(method_not_allowed("GET, DELETE"))),
        );
}
