//! Phones that are to be entered for their users: how many wait, and those that were refused, with the reason; tried again on demand.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, OperatorContext, Page, ROWS, devices};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::RequestId;
use crate::store::{FailedOrder, OrderCounts};
use crate::users_role::TenantStatus;
use crate::web::pages::{Fields, PageError, progress};

#[derive(Template)]
#[template(path = "operator/entries.html")]
struct EntriesPage {
    page: Page,
    frame: Frame,
    /// `None`: nobody looks after the users of this domain here.
    served: Option<Served>,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Served {
    standing: TenantStatus,
    counts: OrderCounts,
}

struct Row {
    id: String,
    name: String,
    sip: String,
    device: (String, String),
    product: String,
    failed: UnixMillis,
    /// What is wrong, and what the backend said of it.
    reason: &'static str,
    more: String,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    from: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/entries";
    config.route(at, web::get().to(show)).route(&format!("{at}/again"), web::post().to(again));
}

async fn show(desk: OperatorContext, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let (page, domain) = (&desk.page, &desk.domain.name);
    let (mut served, mut rows, mut next) = (None, Vec::new(), None);
    if let Some(people) = desk.pages.people_of(domain) {
        served = Some(Served { standing: people.status(domain).await?, counts: people.order_counts(domain).await? });
        // One more tells whether there is another page.
        let mut dead = people.failed_orders(domain, wanted.from, ROWS + 1).await?;
        if dead.len() > ROWS {
            dead.truncate(ROWS);
            next = Some(desk.at(&format!("/entries?from={}", wanted.from + ROWS as u64)));
        }
        rows = dead.into_iter().map(|order| row(&desk, order)).collect();
    }
    page.answer(&EntriesPage { page: page.clone(), frame: desk.frame(), served, rows, next })
}

fn row(desk: &OperatorContext, FailedOrder { order, failed, trouble, why }: FailedOrder) -> Row {
    Row {
        id: order.id.to_string(),
        name: order.name.into(),
        sip: order.sip.into(),
        device: (devices::address(desk, &order.phone.key), order.phone.key.to_string()),
        product: order.phone.product.into(),
        failed,
        reason: desk.page.t(progress::texts(trouble).0),
        more: why.into(),
    }
}

async fn again(desk: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let id = RequestId::parse(fields.get("id")).map_err(|_| PageError::Unreadable)?;
    let people = desk.pages.people_of(&desk.domain.name).ok_or(PageError::NotServed)?;
    if people.retry_order(&desk.domain.name, &id).await? {
        desk.note_here("entry.again", fields.get("sip")).await;
    }
    Ok(desk.done("/entries"))
}
