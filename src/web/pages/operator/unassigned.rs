//! Unassigned devices, and their assignment to a domain.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Operator, Page, ROWS, base, go};
use crate::core::model::ids::{CategoryId, DeviceId, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::percent;
use crate::store::UnassignedListing;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/unassigned.html")]
struct UnassignedPage {
    page: Page,
    rows: Vec<Row>,
    next: Option<String>,
    /// Choices of domain and category: value in the form, and displayed text.
    places: Vec<(String, String)>,
}

struct Row {
    key: String,
    product: String,
    version: String,
    online: bool,
    seen: UnixMillis,
}

#[derive(Deserialize)]
struct UnassignedQuery {
    #[serde(default)]
    after: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/operator/unassigned", web::get().to(show)).route("/operator/unassigned", web::post().to(assign));
}

async fn show(operator: Operator, query: web::Query<UnassignedQuery>) -> Answer<HttpResponse> {
    operator.instance_only()?;
    let found = operator.admin.unassigned(&operator.authority, DeviceId(query.after), ROWS).await?;
    let row = |UnassignedListing { device, at }: &UnassignedListing| Row {
        key: device.key.to_string(),
        product: device.facts.product.to_string(),
        version: device.facts.version.to_string(),
        online: at.is_some(),
        seen: device.seen,
    };
    let domains = operator.admin.domains(&operator.authority).await?;
    let places = domains.iter().flat_map(|domain| {
        let place = |category: &crate::core::model::device::Category| {
            (format!("{} {}", category.id.0, domain.name), format!("{} · {}", domain.name, category.name))
        };
        domain.categories.iter().map(place).collect::<Vec<_>>()
    });
    let page = &operator.page;
    page.answer(&UnassignedPage {
        page: page.clone(),
        rows: found.items.iter().map(row).collect(),
        next: found.next.map(|next| format!("/ui/operator/unassigned?after={}", next.0)),
        places: places.collect(),
    })
}

async fn assign(operator: Operator, fields: Fields) -> Answer<HttpResponse> {
    operator.instance_only()?;
    let (category, domain) = fields.get("place").split_once(' ').ok_or(PageError::Unreadable)?;
    let category = category.parse().map(CategoryId).map_err(|_| PageError::Unreadable)?;
    let domain = DomainName::parse(domain).map_err(|_| PageError::Unreadable)?;
    let key = fields.get("device");
    operator.admin.assign_device(&operator.authority, domain.as_str(), key, category).await?;
    Ok(go(&format!("{}/devices/{}?done=1", base(&domain), percent::encode(key))))
}
