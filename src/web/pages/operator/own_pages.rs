//! Shows a device's own pages in an isolated frame.

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
    /// Validity of the frame's address, as text.
    minutes: u64,
    /// Address of the frame; `None`: the device is offline, or there is no listener for its pages.
    address: Option<String>,
    online: bool,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/operator/d/{domain}/devices/{key}/pages", web::post().to(open));
}

/// A form and not a link, because opening is recorded in the audit log.
async fn open(context: OperatorContext, at: web::Path<At>, _: Fields) -> Answer<HttpResponse> {
    let key = at.key()?;
    let (_, listing, _) = context.admin.device(&context.authority, context.named(), key.as_str()).await?;
    let online = listing.at.is_some();
    let own = context.pages.own_pages.as_ref().filter(|_| online);
    let address = match own {
        Some(own) => {
            context.note_here("device.open", key.as_str()).await;
            Some(own.address(&key, &context.domain.name, &context.signed.session.hash, context.page.lang()).await?)
        }
        None => None,
    };
    context.page.answer(&OwnPagesPage {
        page: context.page.clone(),
        frame: context.frame(),
        href: devices::address(&context, &key),
        name: listing.device.shown_name().unwrap_or(key.as_str()).to_owned(),
        minutes: context.pages.own_pages.as_ref().map_or(0, |own| own.open_for.as_secs().div_ceil(60)),
        address,
        online,
    })
}
