//! `/api/v1/domains/{domain}/devices…` and `/api/v1/unassigned`: devices of a domain, and unassigned devices.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::Body;
use super::caller::Caller;
use super::cursor::{self, limit_of, number_of, text_of};
use super::problem::{get, method_not_allowed};
use super::shapes::{DeviceDoc, UnassignedDoc};
use super::{Answer, Problem};
use crate::admin::{Admin, Filter};
use crate::core::model::ids::{CategoryId, DeviceKey};

/// Most characters of hardware identifiers in one request, with commas. A longer address would be refused without a reason,
/// because every character may take twelve bytes there.
const MAX_IDS: usize = 4000;

/// Filter and page of a list of devices.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DevicesQuery {
    /// Only in the category with this number.
    #[param(maximum = 9_007_199_254_740_991_i64)]
    category: Option<u64>,
    /// Only with this type: `PHONE`, `GW`, `VA`, `DECT`, `APP_PLATFORM`.
    #[serde(rename = "type")]
    #[param(max_length = 64)]
    kind: Option<String>,
    /// Only online devices (true) or offline devices (false).
    online: Option<bool>,
    /// Only with this text in the product name.
    #[param(max_length = 128)]
    product: Option<String>,
    /// Only these hardware identifiers, separated by commas.
    #[param(max_length = 4000)]
    hw_ids: Option<String>,
    /// `next` of the previous page.
    #[param(pattern = r"^[0-9a-f]{1,13}$(?!\n)")]
    cursor: Option<String>,
    /// Most devices in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
}

impl DevicesQuery {
    fn filter(&self) -> Answer<Filter> {
        let ids = |ids: &String| {
            // A malformed identifier matches no device.
            let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
            ids.filter_map(|id| DeviceKey::parse(id).ok()).collect()
        };
        Ok(Filter {
            category: number_of("category", self.category)?.map(CategoryId),
            kind: text_of("type", self.kind.as_ref(), 64)?,
            online: self.online,
            product: text_of("product", self.product.as_ref(), 128)?,
            keys: text_of("hwIds", self.hw_ids.as_ref(), MAX_IDS)?.as_ref().map(ids),
        })
    }
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
struct DevicePage {
    /// The devices, sorted by number.
    devices: Vec<DeviceDoc>,
    /// Value of `cursor` for the next page; absent at the end of the list. A short page need not be the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List the devices of a domain
#[utoipa::path(get, path = "/api/v1/domains/{domain}/devices", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), DevicesQuery),
    responses((status = 200, body = DevicePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_devices(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    domain: web::Path<String>,
    query: web::Query<DevicesQuery>,
) -> Answer<web::Json<DevicePage>> {
    let (after, limit) = (cursor::read(query.cursor.as_deref())?, limit_of(query.limit)?);
    let (domain, page) = admin.devices(&authority, &domain, &query.filter()?, after, limit).await?;
    let devices = page.items.iter().map(|l| DeviceDoc::of(&domain, &l.device, l.at.is_some())).collect();
    Ok(web::Json(DevicePage { devices, next: page.next.map(cursor::write) }))
}

/// Assignment of an unassigned device to a domain.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Assignment {
    /// Hardware identifier of a device that is unassigned and online.
    #[schema(min_length = 1, max_length = 64, example = "00903341a0b1")]
    hw_id: String,
    /// Number of the category.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    category: u64,
}

/// Assign an unassigned device to a domain
///
/// The device must be online, because it receives its new password and the administrative password at once. Only with the
/// instance password.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/devices", tag = "devices",
    params(("domain" = String, Path, description = "Number or name")), request_body = Assignment,
    responses((status = 201, body = DeviceDoc),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Not online, or not unassigned"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn assign_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    domain: web::Path<String>,
    Body(body): Body<Assignment>,
) -> Answer<HttpResponse> {
    let category = CategoryId(body.category);
    let (domain, device) = admin.assign_device(&authority, &domain, &body.hw_id, category).await?;
    Ok(HttpResponse::Created().json(DeviceDoc::of(&domain, &device, true)))
}

/// Show a device
#[utoipa::path(get, path = "/api/v1/domains/{domain}/devices/{hwId}", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    responses((status = 200, body = DeviceDoc),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<web::Json<DeviceDoc>> {
    let (domain, hw_id) = path.into_inner();
    let (domain, listing, ports) = admin.device(&authority, &domain, &hw_id).await?;
    let doc = DeviceDoc::of(&domain, &listing.device, listing.at.is_some());
    Ok(web::Json(doc.with_ports(&ports)))
}

/// Changes of a device; absent members stay unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeviceChange {
    /// The name, which overrides the name set on the device; empty: removes it.
    #[serde(default, deserialize_with = "super::shapes::not_null")]
    #[schema(value_type = String, required = false, max_length = 128, pattern = r"^[^\x00-\x1f\x7f]*$(?!\n)")]
    name: Option<String>,
    /// Number of the category.
    #[serde(default, deserialize_with = "super::shapes::not_null")]
    #[schema(value_type = u64, required = false, maximum = 9_007_199_254_740_991_i64)]
    category: Option<u64>,
    /// Path of the App IP, such as `ip/`, only for devices of type `APP_PLATFORM`; empty: removes it.
    #[serde(default, deserialize_with = "super::shapes::not_null")]
    #[schema(value_type = String, required = false, max_length = 128, pattern = r"^[-A-Za-z0-9._~/]*$(?!\n)")]
    app_ip_path: Option<String>,
}

/// Rename a device, give it another category, or set the path of its App IP
#[utoipa::path(patch, path = "/api/v1/domains/{domain}/devices/{hwId}", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    request_body = DeviceChange,
    responses((status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn change_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
    Body(body): Body<DeviceChange>,
) -> Answer<HttpResponse> {
    let (domain, hw_id) = path.into_inner();
    let change = crate::admin::DeviceChange {
        name: body.name.as_deref(),
        category: body.category.map(CategoryId),
        app_ip_path: body.app_ip_path.as_deref(),
    };
    admin.change_device(&authority, &domain, &hw_id, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Remove a device from its domain
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/devices/{hwId}", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn remove_device(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, hw_id) = path.into_inner();
    admin.remove_device(&authority, &domain, &hw_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// `next` of the previous page.
    #[param(pattern = r"^[0-9a-f]{1,13}$(?!\n)")]
    cursor: Option<String>,
    /// Most devices in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
}

/// A page of unassigned devices.
#[derive(Serialize, ToSchema)]
struct UnassignedPage {
    /// The devices, sorted by number.
    devices: Vec<UnassignedDoc>,
    /// Value of `cursor` for the next page; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List the devices that belong to no domain
///
/// Only with the instance password.
#[utoipa::path(get, path = "/api/v1/unassigned", tag = "devices", params(PageQuery),
    responses((status = 200, body = UnassignedPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_unassigned(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    part: web::Query<PageQuery>,
) -> Answer<web::Json<UnassignedPage>> {
    let (after, limit) = (cursor::read(part.cursor.as_deref())?, limit_of(part.limit)?);
    let page = admin.unassigned(&authority, after, limit).await?;
    let devices = page.items.iter().map(UnassignedDoc::of).collect();
    Ok(web::Json(UnassignedPage { devices, next: page.next.map(cursor::write) }))
}

#[derive(OpenApi)]
#[openapi(paths(list_devices, assign_device, get_device, change_device, remove_device, list_unassigned))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains/{domain}/devices")
                .route(get().to(list_devices))
                .route(web::post().to(assign_device))
                .default_service(web::to(method_not_allowed("GET, POST"))),
        )
        .service(
            web::resource("/domains/{domain}/devices/{hwId}")
                .route(get().to(get_device))
                .route(web::patch().to(change_device))
                .route(web::delete().to(remove_device))
                .default_service(web::to(method_not_allowed("GET, PATCH, DELETE"))),
        )
        .service(
            web::resource("/unassigned")
                .route(get().to(list_unassigned))
                .default_service(web::to(method_not_allowed("GET"))),
        );
}
