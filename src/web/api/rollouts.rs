//! `/api/v1/domains/{domain}/rollouts`: roll-outs, one code for each of many users.

mod shapes;
mod start;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use futures_util::stream;
use utoipa::OpenApi;

use self::shapes::{RemoveQuery, Removed, RolloutList, RolloutView, RowPage, RowState, RowView, RowsQuery};
use super::caller::Caller;
use super::codes::limit;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::{Admin, AdminError, MAX_USERS};
use crate::core::model::device::CodeState;
use crate::core::model::ids::RolloutId;
use crate::store::RolloutRow;
use crate::web::csv::{Lines, answer, time};

/// Rows in one answer: default and maximum.
const PAGE: (usize, usize) = (100, 1000);

/// Header of the CSV with rows.
const HEAD: [&str; 5] = ["sip", "name", "code", "validUntil", "state"];

fn id_of(text: &str) -> Answer<RolloutId> {
    text.parse().map(RolloutId).map_err(|_| Problem::not_found("roll-out"))
}

fn line(lines: &mut Lines, row: &RolloutRow, state: RowState) {
    let name = row.name.as_deref().unwrap_or_default();
    lines.add([&*row.sip, name, row.code.expose(), &time(row.valid_until), state.name()]);
}

/// List roll-outs, newest first
#[utoipa::path(get, path = "/api/v1/domains/{domain}/rollouts", tag = "rollouts",
    params(("domain" = String, Path, description = "name or number of the domain")),
    responses((status = 200, body = RolloutList),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_rollouts(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
) -> Answer<HttpResponse> {
    let (domain, all) = admin.rollouts(&authority, &path).await?;
    let rollouts = all.iter().map(|rollout| RolloutView::of(&domain, rollout)).collect();
    Ok(HttpResponse::Ok().json(RolloutList { rollouts }))
}

/// Show a roll-out
#[utoipa::path(get, path = "/api/v1/domains/{domain}/rollouts/{id}", tag = "rollouts",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("id" = u64, Path, description = "number of the roll-out")),
    responses((status = 200, body = RolloutView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_rollout(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, rollout) = admin.rollout(&authority, &path.0, id_of(&path.1)?).await?;
    Ok(HttpResponse::Ok().json(RolloutView::of(&domain, &rollout)))
}

/// Delete a roll-out
///
/// Its codes stay valid, unless `revoke` asks to revoke the open ones.
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/rollouts/{id}", tag = "rollouts",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("id" = u64, Path, description = "number of the roll-out"), RemoveQuery),
    responses((status = 200, body = Removed),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn delete_rollout(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    query: web::Query<RemoveQuery>,
) -> Answer<HttpResponse> {
    let revoke = query.revoke.unwrap_or_default();
    let revoked = admin.remove_rollout(&authority, &path.0, id_of(&path.1)?, revoke).await?;
    Ok(HttpResponse::Ok().json(Removed { revoked }))
}

/// List the users of a roll-out and the states of their codes
#[utoipa::path(get, path = "/api/v1/domains/{domain}/rollouts/{id}/rows", tag = "rollouts",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("id" = u64, Path, description = "number of the roll-out"), RowsQuery),
    responses((status = 200, body = RowPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_rollout_rows(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    query: web::Query<RowsQuery>,
) -> Answer<HttpResponse> {
    let (limit, from) = (limit(query.limit, PAGE)?, query.cursor.unwrap_or_default());
    if from > MAX_USERS {
        return Err(AdminError::invalid("cursor", "this is not a cursor of a previous answer").into());
    }
    let domain = admin.domain(&authority, &path.0).await?;
    let page = admin.rollout_rows(&authority, &domain, id_of(&path.1)?, from, limit).await?;
    let next = (page.len() == limit).then(|| from + page.len() as u64);
    let rows = page.into_iter().map(|(row, state)| RowView {
        sip: row.sip.into(),
        name: row.name.map(Into::into),
        code: row.code.expose().into(),
        valid_until: row.valid_until.seconds(),
        state: RowState::of(state.as_ref()),
        device: state.and_then(|state| match state {
            CodeState::Used { by, .. } => Some(by.to_string()),
            CodeState::Open | CodeState::Lent { .. } => None,
        }),
    });
    let page = RowPage { rows: rows.collect(), next };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(page))
}

/// Export the users of a roll-out and the states of their codes as CSV
#[utoipa::path(get, path = "/api/v1/domains/{domain}/rollouts/{id}/rows.csv", tag = "rollouts",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("id" = u64, Path, description = "number of the roll-out")),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn rollout_rows_csv(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, id) = (admin.domain(&authority, &path.0).await?, id_of(&path.1)?);
    let pieces = stream::unfold(Some(0), move |position| {
        let (admin, domain, authority) = (admin.clone(), domain.clone(), authority.clone());
        async move {
            let from = position?;
            let page = match admin.rollout_rows(&authority, &domain, id, from, PAGE.1).await {
                Ok(page) => page,
                Err(error) => return Some((Err(error.into()), None)),
            };
            let mut lines = Lines::default();
            if from == 0 {
                lines.add(HEAD);
            }
            for (row, state) in &page {
                line(&mut lines, row, RowState::of(state.as_ref()));
            }
            let next = (page.len() == PAGE.1).then(|| from + page.len() as u64);
            Some((Ok::<_, Problem>(lines.take()), next))
        }
    });
    answer(HttpResponse::Ok(), "rollout.csv", pieces).await
}

#[derive(OpenApi)]
#[openapi(paths(
    start::start_rollout,
    list_rollouts,
    get_rollout,
    delete_rollout,
    list_rollout_rows,
    rollout_rows_csv
))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let all = web::resource("/domains/{domain}/rollouts");
    let one = web::resource("/domains/{domain}/rollouts/{id}");
    let (page, sheet) = (
        web::resource("/domains/{domain}/rollouts/{id}/rows"),
        web::resource("/domains/{domain}/rollouts/{id}/rows.csv"),
    );
    config
        .service(
            all.route(get().to(list_rollouts))
                .route(web::post().to(start::start_rollout))
                .default_service(web::to(method_not_allowed("GET, POST"))),
        )
        .service(
            one.route(get().to(get_rollout))
                .route(web::delete().to(delete_rollout))
                .default_service(web::to(method_not_allowed("GET, DELETE"))),
        )
        .service(page.route(get().to(list_rollout_rows)).default_service(web::to(method_not_allowed("GET"))))
        .service(sheet.route(get().to(rollout_rows_csv)).default_service(web::to(method_not_allowed("GET"))));
}
