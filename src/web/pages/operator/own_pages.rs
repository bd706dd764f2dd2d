//! A device's own pages, in a frame that shares nothing with this one.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::device::At;
use super::{Answer, Frame, OperatorContext, Page, devices};
use crate::web::pages::Fields;

#[derive(Template)]
#[template(path = "operator/own_pages.html")]
struct OwnPagesPage {
    page: Page,
    frame: Frame,
    href: String,
    name: String,
    /// How long the frame works.
    minutes: u64,
    /// What the frame shows; `None`: the device is offline, or this service has no listener for it.
    address: Option<String>,
    online: bool,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/operator/d/{domain}/devices/{key}/pages", web::post().to(open));
}

/// By a form, and not by a link: it is a deed, and it is listed.
async fn open(desk: OperatorContext, at: web::Path<At>, _: Fields) -> Answer<HttpResponse> {
    let key = at.key()?;
    let (_, listing, _) = desk.admin.device(&desk.authority, desk.named(), key.as_str()).await?;
    let online = listing.at.is_some();
    let own = desk.pages.own_pages.as_ref().filter(|_| online);
    let address = match own {
        Some(own) => {
            desk.note_here("device.open", key.as_str()).await;
            Some(own.address(&key, &desk.domain.name, &desk.signed.visit.hash, desk.page.lang()).await?)
        }
        None => None,
    };
    desk.page.answer(&OwnPagesPage {
        page: desk.page.clone(),
        frame: desk.frame(),
        href: devices::address(&desk, &key),
        name: listing.device.shown_name().unwrap_or(key.as_str()).to_owned(),
        minutes: desk.pages.own_pages.as_ref().map_or(0, |own| own.open_for.as_secs().div_ceil(60)),
        address,
        online,
    })
}
