//! The page of a device: facts, timeline, blocked reason, dry run; change and remove.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, OperatorContext, Page, category_name, devices};
use crate::admin::{DeviceChange, Outcome};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{APP_PLATFORM, Device};
use crate::core::model::ids::{CategoryId, DeviceKey};
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::plan::Preview;
use crate::web::pages::operator::wording::{self, Done};
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/device.html")]
struct DevicePage {
    page: Page,
    frame: Frame,
    href: String,
    device: Device,
    online: bool,
    name: String,
    given: String,
    /// `None`: the device cannot have one.
    app_ip: Option<String>,
    category: String,
    categories: Vec<(String, String, bool)>,
    way: &'static str,
    administrative: bool,
    /// The domain hands out a password, and this device has a random one instead.
    random_password: bool,
    ports: Vec<Box<str>>,
    steps: Vec<(UnixMillis, &'static str, String)>,
    blocked: Option<(&'static str, String)>,
    work: Vec<Done>,
    preview: Vec<(String, String)>,
}

/// Path parameters of a device.
#[derive(Deserialize)]
pub(super) struct At {
    key: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/devices/{key}";
    config
        .route(at, web::get().to(show))
        .route(at, web::post().to(change))
        .route(&format!("{at}/remove"), web::post().to(remove));
}

impl At {
    pub(super) fn key(&self) -> Answer<DeviceKey> {
        DeviceKey::parse(&self.key).map_err(|_| PageError::NotFound)
    }
}

async fn show(context: OperatorContext, at: web::Path<At>) -> Answer<HttpResponse> {
    let (page, key) = (&context.page, at.key()?);
    let (authority, named) = (&context.authority, context.named());
    let (_, listing, ports) = context.admin.device(authority, named, key.as_str()).await?;
    let report = context.admin.device_timeline(authority, named, &key).await?;
    let preview = context.admin.dry_run(authority, named, key.as_str()).await?;
    let device = listing.device;
    let categories = context
        .domain
        .categories
        .iter()
        .map(|category| (category.id.0.to_string(), category.name.to_string(), category.id == device.category));
    let step = |step: &crate::core::model::timeline::Step| {
        let (text, more) = wording::step(page, &step.event);
        (step.at, text, more)
    };
    page.answer(&DevicePage {
        page: page.clone(),
        frame: context.frame(),
        href: devices::address(&context, &key),
        online: listing.at.is_some(),
        name: device.shown_name().unwrap_or(key.as_str()).to_owned(),
        given: device.name.as_deref().unwrap_or_default().to_owned(),
        app_ip: may_have_app_ip(&device).then(|| app_ip(&device).to_owned()),
        category: category_name(&context.domain, device.category),
        categories: categories.collect(),
        way: wording::way(page, device.way),
        administrative: device.is_administrative(),
        random_password: device.admin_password.is_some() && !context.domain.admin_password.is_empty(),
        ports,
        steps: report.steps.iter().rev().map(step).collect(),
        blocked: report.blocked_reason.map(|reason| (wording::blocked_reason(page, &reason), reason.text)),
        work: Outcome::of(&device).iter().map(|outcome| Done::of(page, outcome)).collect(),
        preview: lines(page, preview),
        device,
    })
}

fn lines(page: &Page, preview: Preview) -> Vec<(String, String)> {
    let Preview { update, configs, items, clean_up } = preview;
    let update = (!update.is_empty()).then(|| (page.t("work.update").to_owned(), update.join("\n")));
    let configs = configs.into_iter().map(|(kind, _, lines)| (kind.name().to_owned(), lines.join("\n")));
    let items = items.into_iter().map(|item| {
        let values = serde_json::to_string_pretty(&item.shown()).unwrap_or_default();
        (item.kind.name().to_owned(), values)
    });
    let clean_up = (!clean_up.is_empty()).then(|| (page.t("work.clean_up").to_owned(), clean_up.join("\n")));
    update.into_iter().chain(configs).chain(items).chain(clean_up).collect()
}

/// Whether the form has a field for the path of the App IP.
fn may_have_app_ip(device: &Device) -> bool {
    device.app_ip.is_some() || *device.facts.platform == *APP_PLATFORM
}

/// The path of the App IP, or nothing.
fn app_ip(device: &Device) -> &str {
    device.app_ip.as_ref().map_or("", AppIpPath::as_str)
}

async fn change(context: OperatorContext, at: web::Path<At>, fields: Fields) -> Answer<HttpResponse> {
    let key = at.key()?;
    let category = fields.get("category").parse().map(CategoryId).map_err(|_| PageError::Unreadable)?;
    let before = context.admin.device(&context.authority, context.named(), key.as_str()).await?.1.device;
    let category = Some(category).filter(|category| *category != before.category);
    let name = fields.get("name");
    let name = Some(name).filter(|name| *name != before.name.as_deref().unwrap_or_default());
    let path = fields.get("app_ip");
    let app_ip_path = Some(path).filter(|path| may_have_app_ip(&before) && *path != app_ip(&before));
    let change = DeviceChange { name, category, app_ip_path };
    context.admin.change_device(&context.authority, context.named(), key.as_str(), change).await?;
    Ok(super::go(&format!("{}?done=1", devices::address(&context, &key))))
}

async fn remove(context: OperatorContext, at: web::Path<At>, _: Fields) -> Answer<HttpResponse> {
    let key = at.key()?;
    context.admin.remove_device(&context.authority, context.named(), key.as_str()).await?;
    Ok(context.done("/devices"))
}
