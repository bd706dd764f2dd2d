//! Exports of codes and devices of a domain as CSV, read from the store page by page.

use actix_web::{HttpResponse, web};
use futures_util::stream;
use utoipa::OpenApi;

use super::caller::Caller;
use super::codes::category_name;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::{Admin, CodeFilter};
use crate::core::model::device::{CodeState, Way};
use crate::core::model::ids::DeviceId;
use crate::web::csv::{Lines, answer, time};

/// Lines per page.
const PAGE: usize = 1000;

/// All codes as CSV, newest first
#[utoipa::path(get, path = "/api/v1/domains/{domain}/codes.csv", tag = "codes",
    params(("domain" = String, Path, description = "name or number of the domain")),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn codes_csv(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
) -> Answer<HttpResponse> {
    let domain = admin.domain(&authority, &path).await?;
    // Outer option: whether there is a next page. Inner option: where it starts.
    let start = Some(None);
    let pieces = stream::unfold(start, move |position| {
        let (admin, domain, authority) = (admin.clone(), domain.clone(), authority.clone());
        async move {
            let before = position?;
            let (page, next) = match admin.codes(&authority, &domain, before, PAGE, CodeFilter::All).await {
                Ok(page) => page,
                Err(error) => return Some((Err(error.into()), None)),
            };
            let mut lines = Lines::default();
            if before.is_none() {
                let head = ["code", "category", "sip", "rollout", "issued", "validUntil", "state", "device", "port"];
                lines.add(head);
            }
            for listing in page {
                let code = listing.code;
                let (state, device, port) = match &code.state {
                    CodeState::Open => ("open", "", ""),
                    CodeState::Lent { .. } => ("lent", "", ""),
                    CodeState::Used { by, port } => ("used", by.as_str(), port.as_deref().unwrap_or_default()),
                };
                let category = category_name(&domain, code.category).unwrap_or_default();
                let rollout = if code.rollout { "yes" } else { "no" };
                let sip = code.sip.as_deref().unwrap_or_default();
                let (issued, ends) = (time(listing.issued), time(code.valid_until));
                lines.add([code.code.expose(), &category, sip, rollout, &issued, &ends, state, device, port]);
            }
            Some((Ok::<_, Problem>(lines.take()), next.map(Some)))
        }
    });
    answer(HttpResponse::Ok(), "codes.csv", pieces).await
}

/// All devices as CSV, by number
#[utoipa::path(get, path = "/api/v1/domains/{domain}/devices.csv", tag = "devices",
    params(("domain" = String, Path, description = "name or number of the domain")),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn devices_csv(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
) -> Answer<HttpResponse> {
    let domain = admin.domain(&authority, &path).await?;
    let pieces = stream::unfold(Some(DeviceId(0)), move |position| {
        let (admin, domain, authority) = (admin.clone(), domain.clone(), authority.clone());
        async move {
            let after = position?;
            let page = match admin.devices_after(&authority, &domain, after, PAGE).await {
                Ok(page) => page,
                Err(error) => return Some((Err(error.into()), None)),
            };
            let mut lines = Lines::default();
            if after == DeviceId(0) {
                lines.add(["id", "hwId", "name", "product", "version", "type", "category", "way", "entered", "online"]);
            }
            for listing in &page {
                let device = &listing.device;
                let category = category_name(&domain, device.category).unwrap_or_default();
                let way = match device.way {
                    Way::Code => "code",
                    Way::Auto => "auto",
                    Way::Manual => "manual",
                };
                let online = if listing.at.is_some() { "yes" } else { "no" };
                let facts = &device.facts;
                lines.add([
                    &*device.id.0.to_string(),
                    device.key.as_str(),
                    device.shown_name().unwrap_or_default(),
                    &facts.product,
                    &facts.version,
                    &facts.platform,
                    &category,
                    way,
                    &time(device.entered),
                    online,
                ]);
            }
            let next = page.last().filter(|_| page.len() == PAGE).map(|last| last.device.id);
            Some((Ok::<_, Problem>(lines.take()), next))
        }
    });
    answer(HttpResponse::Ok(), "devices.csv", pieces).await
}

#[derive(OpenApi)]
#[openapi(paths(codes_csv, devices_csv))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let (all_codes, all_devices) =
        (web::resource("/domains/{domain}/codes.csv"), web::resource("/domains/{domain}/devices.csv"));
    config
        .service(all_codes.route(get().to(codes_csv)).default_service(web::to(method_not_allowed("GET"))))
        .service(all_devices.route(get().to(devices_csv)).default_service(web::to(method_not_allowed("GET"))));
}
