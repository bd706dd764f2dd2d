//! `…/devices/{hwId}/dry-run`: what the jobs would send to a device.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{OpenApi, ToSchema};

use super::caller::Caller;
use super::problem::method_not_allowed;
use super::{Answer, Problem};
use crate::admin::Admin;
use crate::core::policy::jobs::plan::Preview;

/// What the jobs of the domain would send to a device, in this order, regardless of what it has already. Secrets are shown as
/// `hidden`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DryRun {
    /// The lines that order an update; empty if the device runs these builds.
    update: Vec<String>,
    /// The lines of each kind of configuration, without the lines that save and activate it.
    configs: Vec<ConfigLines>,
    /// Device configurations that a device of another vendor receives instead of lines.
    items: Vec<Item>,
    /// The clean-up lines for a device that has entered by code.
    clean_up: Vec<String>,
}

/// Lines of one kind of configuration.
#[derive(Serialize, ToSchema)]
struct ConfigLines {
    /// Kind.
    #[schema(example = "ntp")]
    kind: &'static str,
    /// Number of the job: the latest job of this kind that matches the device.
    job: u64,
    /// The lines.
    lines: Vec<String>,
}

/// A device configuration for a device of another vendor.
#[derive(Serialize, ToSchema)]
struct Item {
    /// Number of the configuration.
    id: u64,
    /// Type.
    #[schema(example = "NTP")]
    kind: &'static str,
    /// The members of its type.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

impl From<Preview> for DryRun {
    fn from(Preview { update, configs, items, clean_up }: Preview) -> Self {
        let lines = configs.into_iter().map(|(kind, job, lines)| ConfigLines { kind: kind.name(), job: job.0, lines });
        let items = items.iter().map(|item| Item { id: item.id.0, kind: item.kind.name(), values: item.shown() });
        Self { update, configs: lines.collect(), items: items.collect(), clean_up }
    }
}

/// Show what a device would be sent
///
/// Nothing is sent.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/devices/{hwId}/dry-run", tag = "devices",
    params(("domain" = String, Path, description = "Number or name"), ("hwId" = String, Path)),
    responses((status = 200, body = DryRun),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn dry_run(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (domain, hw_id) = path.into_inner();
    // It is a POST only because its answer is not to be stored.
    authority.set_recorded();
    let preview = admin.dry_run(&authority, &domain, &hw_id).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(DryRun::from(preview)))
}

#[derive(OpenApi)]
#[openapi(paths(dry_run))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/domains/{domain}/devices/{hwId}/dry-run")
            .route(web::post().to(dry_run))
            .default_service(web::to(method_not_allowed("POST"))),
    );
}
