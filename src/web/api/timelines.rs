//! Timelines of codes and devices, with their blocked reasons.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::caller::Caller;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::{Admin, TimelineReport};
use crate::core::model::ids::{Code, DeviceKey};
use crate::core::policy::blocked_reason::Reason;

/// A timeline with its blocked reason.
#[derive(Serialize, ToSchema)]
struct Timeline {
    /// The newest hundred events of the last thirty days, oldest first.
    steps: Vec<StepView>,
    /// Why the device or code is blocked; absent if everything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    standstill: Option<BlockedReasonView>,
}

/// A timeline event.
#[derive(Serialize, ToSchema)]
struct StepView {
    /// Time, in Unix seconds.
    at: u64,
    /// Kind: `issued`, `revoked`, `found`, `entered`, `other-domain`, `over-quota`, `removed`, `moved`, `update-ordered`,
    /// `updated`, `update-failed`, `configured`, `config-failed`, `cleaned-up`, `port`, `notice-ready`, `notice-sent`,
    /// `notice-settled`.
    #[schema(example = "entered")]
    event: String,
    /// Details, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "code")]
    detail: Option<String>,
}

/// Blocked reason.
#[derive(Serialize, ToSchema)]
struct BlockedReasonView {
    /// Stable name of the reason.
    #[schema(value_type = String, example = "code-not-used")]
    reason: Reason,
    /// The reason as a sentence.
    text: String,
}

impl Timeline {
    fn of(report: TimelineReport) -> Self {
        let steps = report.steps.iter().map(|step| {
            // An event is serialized as a name with at most one text.
            let event = serde_json::to_value(&step.event).unwrap_or_default();
            let text = |member: &str| event.get(member).and_then(Value::as_str).map(str::to_owned);
            StepView { at: step.at.seconds(), event: text("event").unwrap_or_default(), detail: text("detail") }
        });
        let standstill =
            report.blocked_reason.map(|reason| BlockedReasonView { reason: reason.reason, text: reason.text });
        Self { steps: steps.collect(), standstill }
    }
}

fn answer(report: TimelineReport) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Timeline::of(report))
}

/// Show the timeline of a code
#[utoipa::path(get, path = "/api/v1/domains/{domain}/codes/{code}/timeline", tag = "codes",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("code" = String, Path, description = "twelve digits")),
    responses((status = 200, body = Timeline),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn code_timeline(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let code = Code::parse(&path.1).map_err(|_| Problem::not_found("code"))?;
    Ok(answer(admin.code_timeline(&authority, &path.0, code).await?))
}

/// Show the timeline of a device
#[utoipa::path(get, path = "/api/v1/domains/{domain}/devices/{hwId}/timeline", tag = "devices",
    params(("domain" = String, Path, description = "name or number of the domain"),
        ("hwId" = String, Path, description = "hardware identifier of the device")),
    responses((status = 200, body = Timeline),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn device_timeline(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<(String, String)>,
) -> Answer<HttpResponse> {
    let key = DeviceKey::parse(&path.1).map_err(|_| Problem::not_found("device"))?;
    Ok(answer(admin.device_timeline(&authority, &path.0, &key).await?))
}

#[derive(OpenApi)]
#[openapi(paths(code_timeline, device_timeline))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let code = web::resource("/domains/{domain}/codes/{code}/timeline");
    let device = web::resource("/domains/{domain}/devices/{hwId}/timeline");
    config
        .service(code.route(get().to(code_timeline)).default_service(web::to(method_not_allowed("GET"))))
        .service(device.route(get().to(device_timeline)).default_service(web::to(method_not_allowed("GET"))));
}
