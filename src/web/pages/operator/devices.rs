//! The devices of a domain, with filters and pages.

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
    filter_query: DevicesQuery,
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

/// Filter and page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DevicesQuery {
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
pub(super) fn address(context: &OperatorContext, key: &DeviceKey) -> String {
    context.at(&format!("/devices/{}", percent::encode(key.as_str())))
}

fn row(context: &OperatorContext, DeviceListing { device, at }: &DeviceListing) -> Row {
    Row {
        href: address(context, &device.key),
        key: device.key.to_string(),
        name: device.shown_name().unwrap_or_default().into(),
        product: device.facts.product.to_string(),
        build: device.facts.fw_build.as_deref().unwrap_or_default().into(),
        category: category_name(&context.domain, device.category),
        online: at.is_some(),
    }
}

async fn show(context: OperatorContext, filter_query: web::Query<DevicesQuery>) -> Answer<HttpResponse> {
    let filter_query = filter_query.into_inner();
    let long = [&filter_query.product, &filter_query.hw].into_iter().any(|text| text.chars().count() > LONGEST);
    let after = if filter_query.after.is_empty() { Some(0) } else { u64::from_str_radix(&filter_query.after, 16).ok() };
    let after = after.filter(|_| !long).ok_or(PageError::Unreadable)?;
    let filter = Filter {
        category: filter_query.category.parse().ok().map(CategoryId),
        online: match filter_query.online.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        product: Some(filter_query.product.trim().to_owned()).filter(|text| !text.is_empty()),
        ..Filter::default()
    };
    let key = filter_query.hw.trim();
    let (listings, next) = if key.is_empty() {
        let (_, page) =
            context.admin.devices(&context.authority, context.named(), &filter, DeviceId(after), ROWS).await?;
        (page.items, page.next)
    } else {
        // A hardware address, as printed on the back of the device.
        match context.admin.device(&context.authority, context.named(), key).await {
            Ok((_, listing, _)) => (vec![listing], None),
            Err(crate::admin::AdminError::NotFound(_)) => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        }
    };
    let next = next.map(|next| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            [("category", &filter_query.category), ("online", &filter_query.online), ("product", &filter_query.product)]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        context.at(&format!("/devices?{}", query.append_pair("after", &format!("{:x}", next.0)).finish()))
    });
    let categories = context.domain.categories.iter().map(|category| {
        let id = category.id.0.to_string();
        let chosen = id == filter_query.category;
        (id, category.name.to_string(), chosen)
    });
    let page = &context.page;
    page.answer(&DevicesPage {
        page: page.clone(),
        frame: context.frame(),
        categories: categories.collect(),
        rows: listings.iter().map(|listing| row(&context, listing)).collect(),
        next,
        first: after == 0,
        filter_query,
    })
}
