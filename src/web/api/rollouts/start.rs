//! Starts a roll-out: receives a list of users and answers with their codes.
//!
//! A list as CSV is stored in an unnamed temporary file and checked as a whole before the first code is issued. The
//! answer is streamed while the codes are issued. A client that disconnects does not stop the roll-out, and a slow
//! reader delays it only for a limited time; the rows can be read later.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use tokio::sync::mpsc;

use super::shapes::{NewRollout, NewUser, RolloutView, RowState, StartQuery};
use super::{HEAD, line};
use crate::admin::user_csv::Sheet;
use crate::admin::{self, user_csv};
use crate::admin::{Admin, AdminError, RolloutRun, User};
use crate::core::model::device::Domain;
use crate::core::model::ids::RolloutId;
use crate::web::api::body::{self, Shape, media_type};
use crate::web::api::caller::Caller;
use crate::web::api::codes::check_name;
use crate::web::api::{Answer, MAX_JSON, Problem};
use crate::web::csv::{Lines, answer};

/// Longest list of users as CSV, in bytes.
const MAX_CSV: usize = 64 * 1024 * 1024;

type Piece = Result<bytes::Bytes, Problem>;

/// Most pieces of an answer that are queued for a slow reader, and how long the reader may delay the roll-out.
const AHEAD: usize = 8;
const SLOW_READER: Duration = Duration::from_secs(30);

/// Begin a roll-out
///
/// A list as CSV begins with the header `sip` or `sip,name`; columns are separated by `,` or `;`. The answer is CSV, sent while
/// the codes are issued; on an error the connection ends early and the roll-out (see `Location`) has fewer rows than users. A list
/// as JSON is answered when all codes are issued. No code is issued if the list has an error.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/rollouts", tag = "rollouts",
    request_body(content((NewRollout = "application/json"), (String = "text/csv"))),
    params(("domain" = String, Path, description = "name or number of the domain"), StartQuery),
    responses((status = 201, content((RolloutView = "application/json"), (String = "text/csv"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn start_rollout(
    request: HttpRequest,
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
    query: web::Query<StartQuery>,
    sent: web::Payload,
) -> Answer<HttpResponse> {
    let domain = admin.domain(&authority, &path).await?;
    match media_type(&request).as_str() {
        "text/csv" => {
            let missing = |field: &str| AdminError::invalid(field, "required in the query with a list as CSV");
            let name = query.name.as_deref().ok_or_else(|| missing("name"))?;
            let category = query.category.as_deref().ok_or_else(|| missing("category"))?;
            check_name("name", name)?;
            let file = body::store(sent, MAX_CSV).await?;
            let sheet = web::block(move || Sheet::check(file)).await;
            let sheet = sheet.map_err(|_| AdminError::Unavailable("the list was not checked".into()))??;
            let wanted = admin::NewRollout { name, category, administrative: query.administrative.unwrap_or(true) };
            let run = admin.begin_rollout(&authority, &domain, &wanted, sheet.users()).await?;
            stream_rows(&domain, run).await
        }
        "application/json" => {
            if query.name.is_some() || query.category.is_some() || query.administrative.is_some() {
                return Err(Problem::bad_request(
                    "with a list as JSON, name, category and administrative belong in the body",
                ));
            }
            let NewRollout { name, category, administrative, users } =
                body::read(&body::collect(sent, MAX_JSON).await?)?;
            check_name("name", &name)?;
            let user = |Shape(user): Shape<NewUser>| User { sip: user.sip.into(), name: user.name.map(Into::into) };
            let users = user_csv::checked(users.into_iter().map(user).collect())?;
            let wanted = admin::NewRollout { name: &name, category: &category, administrative };
            let run = admin.begin_rollout(&authority, &domain, &wanted, users).await?;
            make_all(&domain, run).await
        }
        _ => Err(Problem::media_type("text/csv or application/json")),
    }
}

fn location(domain: &Domain, id: RolloutId) -> String {
    format!("/api/v1/domains/{}/rollouts/{}", domain.id.0, id.0)
}

/// The answer for a roll-out that has failed before the answer was started. A roll-out without rows is deleted.
async fn broken_off(run: RolloutRun, error: AdminError) -> Problem {
    let rollout = run.rollout();
    let (id, rows, users) = (rollout.id.0, rollout.rows, rollout.users);
    if rows == 0 {
        run.abandon().await;
        return error.into();
    }
    AdminError::Unavailable(format!("{error}; roll-out {id} was broken off with {rows} of {users} codes issued")).into()
}

/// Issues all codes and answers with the roll-out.
async fn make_all(domain: &Domain, mut run: RolloutRun) -> Answer<HttpResponse> {
    loop {
        let batch = run.next().await;
        if let Some(error) = batch.failed {
            return Err(broken_off(run, error).await);
        }
        if batch.rows.is_empty() {
            break;
        }
    }
    let rollout = run.rollout();
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location(domain, rollout.id)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(RolloutView::of(domain, rollout)))
}

/// Streams the rows while their codes are issued.
async fn stream_rows(domain: &Domain, mut run: RolloutRun) -> Answer<HttpResponse> {
    let mut first = run.next().await;
    if let Some(error) = first.failed.take() {
        return Err(broken_off(run, error).await);
    }
    let id = run.rollout().id;
    let (pieces, ready) = mpsc::channel::<Piece>(AHEAD);
    actix_rt::spawn(async move {
        let (mut batch, mut head, mut reader) = (first, true, Some(pieces));
        loop {
            let mut lines = Lines::default();
            if std::mem::take(&mut head) {
                lines.add(HEAD);
            }
            batch.rows.iter().for_each(|row| line(&mut lines, row, RowState::Pending));
            hand_over(&mut reader, Ok(lines.take())).await;
            if let Some(error) = batch.failed {
                return hand_over(&mut reader, Err(error.into())).await;
            }
            batch = run.next().await;
            if batch.rows.is_empty() && batch.failed.is_none() {
                return;
            }
        }
    });
    let pieces = stream::unfold(ready, |mut ready| async move { Some((ready.recv().await?, ready)) });
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location(domain, id)));
    answer(response, "rollout.csv", pieces).await
}

/// Sends a piece to the reader, if it is still connected.
async fn hand_over(reader: &mut Option<mpsc::Sender<Piece>>, piece: Piece) {
    let Some(pieces) = reader else { return };
    if !matches!(tokio::time::timeout(SLOW_READER, pieces.send(piece)).await, Ok(Ok(()))) {
        *reader = None;
    }
}
