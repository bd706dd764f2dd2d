//! `/api/v1/domains/{domain}/builds`: the current build list.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};

use super::body::{Body, Longest, Shape};
use super::caller::Caller;
use super::in_domain::InDomain;
use super::problem::{get, method_not_allowed};
use super::{Answer, MAX_JSON, Problem};
use crate::admin::Admin;
use crate::core::policy::jobs::builds::{Build, BuildList, PRODUCTS_MAX};

/// Build list: firmware and boot code of each product, and the address of the files.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Builds {
    /// Address of the files, without user name, query and fragment; it ends with `/`.
    #[schema(
        max_length = 1024,
        pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,4})?/([A-Za-z0-9._~-]+/)*$(?!\n)",
        example = "https://ap.example.org/fw/136044/"
    )]
    base_url: String,
    /// Builds by product name as reported by devices; at most 5000.
    #[schema(value_type = BTreeMap<String, ProductBuilds>)]
    products: BTreeMap<String, Shape<ProductBuilds>>,
}

/// Builds of a product; at least one of firmware and boot code.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProductBuilds {
    /// Build number of the firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 10, pattern = r"^0*[1-9][0-9]*$(?!\n)", example = "136044")]
    firmware: Option<Box<str>>,
    /// Build number of the boot code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 10, pattern = r"^0*[1-9][0-9]*$(?!\n)", example = "136044")]
    bootcode: Option<Box<str>>,
    /// Firmware file; overrides the name reported by the device and the standard name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, pattern = r"^[.]*[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*$(?!\n)", example = "ip112.bin")]
    firmware_file: Option<Box<str>>,
    /// Boot code file; overrides the name reported by the device and the standard name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, pattern = r"^[.]*[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*$(?!\n)", example = "boot112.bin")]
    bootcode_file: Option<Box<str>>,
}

impl From<Builds> for BuildList {
    fn from(Builds { base_url, products }: Builds) -> Self {
        let build = |(name, Shape(of)): (String, Shape<ProductBuilds>)| {
            let ProductBuilds { firmware, bootcode, firmware_file, bootcode_file } = of;
            (name.into(), Build { firmware, bootcode, firmware_file, bootcode_file })
        };
        Self { base_url: base_url.into(), products: products.into_iter().map(build).collect() }
    }
}

impl From<&BuildList> for Builds {
    fn from(list: &BuildList) -> Self {
        let builds = list.products.iter().map(|(name, build)| {
            let Build { firmware, bootcode, firmware_file, bootcode_file } = build.clone();
            (name.to_string(), Shape(ProductBuilds { firmware, bootcode, firmware_file, bootcode_file }))
        });
        Self { base_url: list.base_url.to_string(), products: builds.collect() }
    }
}

/// Read the build list
#[utoipa::path(get, path = "/api/v1/domains/{domain}/builds", tag = "jobs", params(InDomain),
    responses((status = 200, body = Builds),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_builds(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    Ok(HttpResponse::Ok().json(Builds::from(&admin.builds(&caller.0, &at.domain).await?)))
}

/// Set the build list
///
/// New update jobs use it; existing jobs keep their copy.
#[utoipa::path(put, path = "/api/v1/domains/{domain}/builds", tag = "jobs", params(InDomain), request_body = Builds,
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn set_builds(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<Builds>,
) -> Answer<HttpResponse> {
    admin.set_builds(&caller.0, &at.domain, &body.into()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Adds constraints to the schemas that attributes cannot express: names of products, and that at least one build is required.
pub(super) fn complete(schemas: &mut Value) {
    let products = &mut schemas["Builds"]["properties"]["products"];
    products["maxProperties"] = PRODUCTS_MAX.into();
    products["propertyNames"] = json!({"pattern": r"^[^\x00-\x1f\x7f-\x9f/]{1,128}$(?!\n)"});
    let present = |member: &str| json!({"required": [member], "properties": {member: {"type": "string"}}});
    schemas["ProductBuilds"]["anyOf"] = json!([present("firmware"), present("bootcode")]);
}

#[derive(OpenApi)]
#[openapi(paths(get_builds, set_builds))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/domains/{domain}/builds")
            .app_data(Longest(MAX_JSON))
            .route(get().to(get_builds))
            .route(web::put().to(set_builds))
            .default_service(web::to(method_not_allowed("GET, PUT"))),
    );
}
