//! Entry orders of a domain: how many wait, and the failed ones with their reasons, which an operator can start again.

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
    /// `None`: the Users role of this process does not serve this domain.
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
    /// The problem, and the text of the backend.
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

async fn show(context: OperatorContext, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let (page, domain) = (&context.page, &context.domain.name);
    let (mut served, mut rows, mut next) = (None, Vec::new(), None);
    if let Some(users_role) = context.pages.users_role_of(domain) {
        served =
            Some(Served { standing: users_role.status(domain).await?, counts: users_role.order_counts(domain).await? });
        // One more tells whether there is another page.
        let mut dead = users_role.failed_orders(domain, wanted.from, ROWS + 1).await?;
        if dead.len() > ROWS {
            dead.truncate(ROWS);
            next = Some(context.at(&format!("/entries?from={}", wanted.from + ROWS as u64)));
        }
        rows = dead.into_iter().map(|order| row(&context, order)).collect();
    }
    page.answer(&EntriesPage { page: page.clone(), frame: context.frame(), served, rows, next })
}

fn row(context: &OperatorContext, FailedOrder { order, failed, trouble, why }: FailedOrder) -> Row {
    Row {
        id: order.id.to_string(),
        name: order.name.into(),
        sip: order.sip.into(),
        device: (devices::address(context, &order.phone.key), order.phone.key.to_string()),
        product: order.phone.product.into(),
        failed,
        reason: context.page.t(progress::texts(trouble).0),
        more: why.into(),
    }
}

async fn again(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let id = RequestId::parse(fields.get("id")).map_err(|_| PageError::Unreadable)?;
    let users_role = context.pages.users_role_of(&context.domain.name).ok_or(PageError::NotServed)?;
    if users_role.retry_order(&context.domain.name, &id).await? {
        context.note_here("entry.again", fields.get("sip")).await;
    }
    Ok(context.done("/entries"))
}
