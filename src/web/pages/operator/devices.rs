//! The devices of a domain: filtered, and page by page.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, OperatorContext, Page, ROWS, category_name};
use crate::admin::Filter;
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey};
use crate::core::protocol::percent;
use crate::store::DeviceListing;
use crate::web::pages::PageError;

/// Longest text of a filter, in characters.
const LONGEST: usize = 128;

#[derive(Template)]
#[template(path = "operator/devices.html")]
struct DevicesPage {
    page: Page,
    frame: Frame,
    wanted: Wanted,
    categories: Vec<(String, String, bool)>,
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

pub(super) struct Row {
    pub href: String,
    pub key: String,
    pub name: String,
    pub product: String,
    pub build: String,
    pub category: String,
    pub online: bool,
}

/// Which devices.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    category: String,
    online: String,
    product: String,
    hw: String,
    after: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/operator/d/{domain}/devices", web::get().to(show));
}

/// The page of a device.
pub(super) fn address(desk: &OperatorContext, key: &DeviceKey) -> String {
    desk.at(&format!("/devices/{}", percent::encode(key.as_str())))
}

fn row(desk: &OperatorContext, DeviceListing { device, at }: &DeviceListing) -> Row {
    Row {
        href: address(desk, &device.key),
        key: device.key.to_string(),
        name: device.shown_name().unwrap_or_default().into(),
        product: device.facts.product.to_string(),
        build: device.facts.fw_build.as_deref().unwrap_or_default().into(),
        category: category_name(&desk.domain, device.category),
        online: at.is_some(),
    }
}

async fn show(desk: OperatorContext, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let wanted = wanted.into_inner();
    let long = [&wanted.product, &wanted.hw].into_iter().any(|text| text.chars().count() > LONGEST);
    let after = if wanted.after.is_empty() { Some(0) } else { u64::from_str_radix(&wanted.after, 16).ok() };
    let after = after.filter(|_| !long).ok_or(PageError::Unreadable)?;
    let filter = Filter {
        category: wanted.category.parse().ok().map(CategoryId),
        online: match wanted.online.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        product: Some(wanted.product.trim().to_owned()).filter(|text| !text.is_empty()),
        ..Filter::default()
    };
    let key = wanted.hw.trim();
    let (listings, next) = if key.is_empty() {
        let (_, page) = desk.admin.devices(&desk.authority, desk.named(), &filter, DeviceId(after), ROWS).await?;
        (page.items, page.next)
    } else {
        // One device, by its address, as it stands on its back.
        match desk.admin.device(&desk.authority, desk.named(), key).await {
            Ok((_, listing, _)) => (vec![listing], None),
            Err(crate::admin::AdminError::NotFound(_)) => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        }
    };
    let next = next.map(|next| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("category", &wanted.category), ("online", &wanted.online), ("product", &wanted.product)]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        desk.at(&format!("/devices?{}", query.append_pair("after", &format!("{:x}", next.0)).finish()))
    });
    let categories = desk.domain.categories.iter().map(|category| {
        let id = category.id.0.to_string();
        let chosen = id == wanted.category;
        (id, category.name.to_string(), chosen)
    });
    let page = &desk.page;
    page.answer(&DevicesPage {
        page: page.clone(),
        frame: desk.frame(),
        categories: categories.collect(),
        rows: listings.iter().map(|listing| row(&desk, listing)).collect(),
        next,
        first: after == 0,
        wanted,
    })
}
