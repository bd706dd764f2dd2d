//! Exports of the codes of a roll-out: as CSV, and as cards for printing, one for each user.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::stream;
use serde::Deserialize;

use super::rows::State;
use super::{Administrator, Answer, Page, PageError, address, code};
use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Row, UsersRoleRollout};
use crate::store::SessionHash;
use crate::users_role::UsersRole;
use crate::web::csv::{self, Lines};
use crate::web::pages::Pages;

/// Rows per piece of the CSV.
const PIECE: usize = 500;

/// Rows per page of cards: as many as a browser can lay out quickly.
const CARDS: usize = 500;

#[derive(Template)]
#[template(path = "rollout/cards.html")]
struct CardsPage {
    page: Page,
    href: String,
    rollout: UsersRoleRollout,
    cards: Vec<Card>,
    from: u64,
    to: u64,
    next: Option<String>,
}

struct Card {
    name: String,
    sip: String,
    code: String,
    ends: UnixMillis,
    qr: Option<code::Qr>,
}

#[derive(Deserialize)]
struct CardsQuery {
    #[serde(default)]
    from: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/rollouts/{id:\\d+}/codes.csv", web::get().to(codes))
        .route("/rollouts/{id:\\d+}/cards", web::get().to(cards));
}

struct Reading {
    users_role: Arc<UsersRole>,
    domain: DomainName,
    page: Page,
    id: RolloutId,
    now: UnixMillis,
    from: Option<u64>,
    pages: web::Data<Pages>,
    session: SessionHash,
}

async fn codes(administrator: Administrator, id: web::Path<u64>) -> Answer<HttpResponse> {
    let id = RolloutId(*id);
    administrator.users_role.rollout(&administrator.domain, id).await?;
    let reading = Reading {
        users_role: Arc::clone(&administrator.users_role),
        domain: administrator.domain.clone(),
        page: administrator.page.clone(),
        id,
        now: administrator.users_role.now(&administrator.domain).await?,
        from: Some(0),
        pages: administrator.pages.clone(),
        session: administrator.signed.session.hash.clone(),
    };
    let pieces = stream::try_unfold(reading, |mut reading| async move {
        let Some(from) = reading.from else { return Ok(None) };
        // A long list is read for minutes.
        if from > 0 && reading.pages.sign_in.has_ended(&reading.session).await {
            return Err(PageError::SignIn);
        }
        let rows = reading.users_role.rows(&reading.domain, reading.id, from, PIECE).await?;
        let mut lines = Lines::default();
        if from == 0 {
            lines.add(["sip", "name", "code", "state", "valid until", "device"]);
        }
        for row in &rows {
            add(&mut lines, &reading.page, row, reading.now);
        }
        reading.from = (rows.len() == PIECE).then_some(from + PIECE as u64);
        Ok(Some((lines.take(), reading)))
    });
    administrator.note("rollout.download", &id.0.to_string()).await;
    csv::answer(HttpResponse::Ok(), &format!("codes-{}.csv", id.0), pieces).await
}

fn add(lines: &mut Lines, page: &Page, row: &Row, now: UnixMillis) {
    let request = row.request.as_ref();
    let open = request.filter(|request| request.is_open(now));
    let ends = open.map(|request| csv::time(request.valid_until)).unwrap_or_default();
    // Groups of digits, because a spreadsheet would convert twelve digits to a number without leading zeros.
    let code = open.map(|request| code::grouped(request.code)).unwrap_or_default();
    let device = request.and_then(|request| Some(request.phone.as_ref()?.key.as_str())).unwrap_or_default();
    let state = page.t(State::of(row, now).text());
    lines.add([&*row.sip, &*row.name, &code, state, &ends, device]);
}

async fn cards(
    administrator: Administrator,
    id: web::Path<u64>,
    query: web::Query<CardsQuery>,
) -> Answer<HttpResponse> {
    let (id, from, page) = (RolloutId(*id), query.from, &administrator.page);
    let (users_role, domain) = (&administrator.users_role, &administrator.domain);
    let rollout = users_role.rollout(domain, id).await?;
    let now = users_role.now(domain).await?;
    let rows = users_role.rows(domain, id, from, CARDS).await?;
    let to = from + rows.len() as u64;
    let card = |row: &Row| {
        let request = row.request.as_ref().filter(|request| request.is_open(now))?;
        Some(Card {
            name: row.name.to_string(),
            sip: row.sip.to_string(),
            code: code::grouped(request.code),
            ends: request.valid_until,
            qr: code::Qr::of(request.code),
        })
    };
    page.answer(&CardsPage {
        page: page.clone(),
        href: address(id),
        cards: rows.iter().filter_map(card).collect(),
        next: (to < rollout.rows).then(|| format!("{}/cards?from={to}", address(id))),
        rollout,
        from: from + 1,
        to,
    })
}
