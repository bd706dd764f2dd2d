//! `…/devices/{hwId}/move`, `…/devices/{hwId}/offers`, `…/offers`, `…/outcomes`: transfers of devices between domains,
//! and outcomes of jobs.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::Body;
use super::caller::Caller;
use super::cursor::{self, limit_of, number_of};
use super::problem::{get, method_not_allowed};
use super::shapes::{DeviceDoc, OutcomeDoc};
use super::{Answer, Problem};
use crate::admin::Admin;
use crate::core::model::ids::{CategoryId, JobId};

/// Destination of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Destination {
    /// Number or name of the other domain.
    #[schema(min_length = 1, max_length = 253, example = "other.example")]
    to: String,
    /// Number of a category of that domain.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    category: u64,
}

/// Move a device to another domain at once
///
/// The device must be online. Only with the instance password; other callers offer the device, and the other domain accepts it.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/devices/{hwId}/move", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    request_body = Destination,
    responses((status = 200, body = DeviceDoc),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Not online"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn move_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    Body(body): Body<Destination>,
) -> Answer<web::Json<DeviceDoc>> {
    let (domain, hw_id) = path.into_inner();
    let category = CategoryId(body.category);
    let (to, device) = admin.move_device(&authority, &domain, &hw_id, &body.to, category).await?;
    Ok(web::Json(DeviceDoc::of(&to, &device, true)))
}

/// Domain that a device is offered to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOffer {
    /// Number or name of the other domain.
    #[schema(min_length = 1, max_length = 253, example = "other.example")]
    to: String,
}

/// Offer a device to another domain
///
/// The other domain can accept or refuse the offer for 7 days. The answer does not reveal whether the other domain exists.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/devices/{hwId}/offers", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    request_body = NewOffer,
    responses((status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn offer_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    Body(body): Body<NewOffer>,
) -> Answer<HttpResponse> {
    let (domain, hw_id) = path.into_inner();
    admin.offer_device(&authority, &domain, &hw_id, &body.to).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A device that is offered by another domain.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OfferDoc {
    /// Hardware identifier.
    hw_id: String,
    /// The domain that offers it.
    from: String,
    /// Product name.
    product: String,
    /// Type.
    #[serde(rename = "type")]
    kind: String,
    /// It is connected, so that the offer can be accepted.
    online: bool,
}

/// Devices that are offered to a domain.
#[derive(Serialize, ToSchema)]
struct Offers {
    offers: Vec<OfferDoc>,
}

/// List the devices that other domains offer
#[utoipa::path(get, path = "/api/v1/domains/{domain}/offers", tag = "devices",
    params(("domain" = String, Path, description = "Number or name")),
    responses((status = 200, body = Offers),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_offers(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    domain: web::Path<String>,
) -> Answer<web::Json<Offers>> {
    let offers = admin.offers(&authority, &domain).await?;
    let doc = |offer: crate::admin::OfferListing| OfferDoc {
        hw_id: offer.device.key.to_string(),
        from: offer.device.domain.as_str().into(),
        product: offer.device.facts.product.to_string(),
        kind: offer.device.facts.platform.to_string(),
        online: offer.online,
    };
    Ok(web::Json(Offers { offers: offers.into_iter().map(doc).collect() }))
}

/// Acceptance of an offer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    /// Number of the category that the device enters.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    category: u64,
}

/// Accept an offered device
///
/// The device must be online.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/offers/{hwId}", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    request_body = Acceptance,
    responses((status = 200, body = DeviceDoc),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Not online"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn accept_offer(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    Body(body): Body<Acceptance>,
) -> Answer<web::Json<DeviceDoc>> {
    let (domain, hw_id) = path.into_inner();
    let (domain, device) = admin.accept_offer(&authority, &domain, &hw_id, CategoryId(body.category)).await?;
    Ok(web::Json(DeviceDoc::of(&domain, &device, true)))
}

/// Refuse an offered device
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/offers/{hwId}", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn refuse_offer(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, hw_id) = path.into_inner();
    admin.refuse_offer(&authority, &domain, &hw_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Filter and page of a list of outcomes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OutcomesQuery {
    /// Only outcomes of the job with this number.
    #[param(maximum = 9_007_199_254_740_991_i64)]
    job: Option<u64>,
    /// `next` of the previous page.
    #[param(pattern = r"^[0-9a-f]{1,13}$(?!\n)")]
    cursor: Option<String>,
    /// Most devices in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
}

/// Outcomes of the work for a device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeviceOutcomes {
    /// Number of the device.
    id: u64,
    /// Hardware identifier.
    hw_id: String,
    /// It is connected.
    online: bool,
    work: Vec<OutcomeDoc>,
}

/// A page of outcomes.
#[derive(Serialize, ToSchema)]
struct OutcomePage {
    /// Devices with work, sorted by number.
    devices: Vec<DeviceOutcomes>,
    /// Value of `cursor` for the next page; absent at the end of the list. A short page need not be the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List the outcomes of jobs
#[utoipa::path(get, path = "/api/v1/domains/{domain}/outcomes", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), OutcomesQuery),
    responses((status = 200, body = OutcomePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_outcomes(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    domain: web::Path<String>,
    query: web::Query<OutcomesQuery>,
) -> Answer<web::Json<OutcomePage>> {
    let (after, limit) = (cursor::read(query.cursor.as_deref())?, limit_of(query.limit)?);
    let page = admin.outcomes(&authority, &domain, number_of("job", query.job)?.map(JobId), after, limit).await?;
    let of_device = |(listing, work): &(crate::store::DeviceListing, Vec<crate::admin::Outcome>)| DeviceOutcomes {
        id: listing.device.id.0,
        hw_id: listing.device.key.to_string(),
        online: listing.at.is_some(),
        work: work.iter().map(OutcomeDoc::of).collect(),
    };
    let devices = page.items.iter().map(of_device).collect();
    Ok(web::Json(OutcomePage { devices, next: page.next.map(cursor::write) }))
}

#[derive(OpenApi)]
#[openapi(paths(move_device, offer_device, list_offers, accept_offer, refuse_offer, list_outcomes))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains/{domain}/devices/{hwId}/move")
                .route(web::post().to(move_device))
                .default_service(web::to(method_not_allowed("POST"))),
        )
        .service(
            web::resource("/domains/{domain}/devices/{hwId}/offers")
                .route(web::post().to(offer_device))
                .default_service(web::to(method_not_allowed("POST"))),
        )
        .service(
            web::resource("/domains/{domain}/offers")
                .route(get().to(list_offers))
                .default_service(web::to(method_not_allowed("GET"))),
        )
        .service(
            web::resource("/domains/{domain}/offers/{hwId}")
                .route(web::post().to(accept_offer))
                .route(web::delete().to(refuse_offer))
                .default_service(web::to(method_not_allowed("POST, DELETE"))),
        )
        .service(
            web::resource("/domains/{domain}/outcomes")
                .route(get().to(list_outcomes))
                .default_service(web::to(method_not_allowed("GET"))),
        );
}
