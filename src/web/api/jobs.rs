//! `/api/v1/domains/{domain}/jobs`: jobs for updates and configurations.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::{Body, Longest, Shape};
use super::builds::Builds;
use super::caller::Caller;
use super::in_domain::InDomain;
use super::problem::{get, method_not_allowed};
use super::{Answer, MAX_JSON, Problem};
use crate::admin::{Admin, AdminError};
use crate::core::model::ids::{CategoryId, JobId};
use crate::core::policy::jobs::config::schema::json_schema;
use crate::core::policy::jobs::config::{Configuration, Kind};
use crate::core::policy::jobs::{DESCRIPTION_MAX, Hours, Job, Task};

/// Path parameters of a job.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OneJob {
    /// Number or name of the domain.
    #[param(min_length = 1, max_length = 253, example = "example.com")]
    domain: String,
    /// Number of the job.
    job: u64,
}

/// Maintenance hours, in which devices may be updated; empty: always.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HoursBody {
    /// Hours of the day, 0 to 23, each once.
    #[serde(default)]
    #[schema(max_items = 24, example = json!([22, 23, 0, 1]))]
    allow: Vec<u8>,
    /// Offset of these hours from UTC, in minutes.
    #[serde(default)]
    #[schema(minimum = -840, maximum = 840)]
    utc_offset: i16,
}

/// A new update job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateJobBody {
    /// Number of the category; absent: every device of the domain.
    #[serde(default)]
    category: Option<u64>,
    /// Build list; absent: a copy of the domain's current one.
    #[serde(default)]
    #[schema(value_type = Option<Builds>)]
    builds: Option<Shape<Builds>>,
    /// Maintenance hours.
    #[serde(default)]
    #[schema(value_type = Option<HoursBody>)]
    hours: Option<Shape<HoursBody>>,
}

/// A new configuration job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfigJobBody {
    /// Number of the category; absent: every device of the domain.
    #[serde(default)]
    category: Option<u64>,
    /// Description, for people.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    desc: Option<Box<str>>,
    /// Kind of configuration; the latest matching job of every kind applies to a device.
    #[schema(example = "ntp")]
    kind: String,
    /// Parameters of this kind.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

/// A job.
#[derive(Serialize, ToSchema)]
struct JobAnswer {
    /// Number; of two jobs of the same kind the one with the greater number applies.
    id: u64,
    /// When it was made, in Unix seconds.
    created: u64,
    /// Number of the category; absent: every device of the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<u64>,
    /// Description of a configuration job.
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<Box<str>>,
    /// Number of the device configuration that a configuration job belongs to.
    #[serde(rename = "deviceConfig", skip_serializing_if = "Option::is_none")]
    device_config: Option<u64>,
    /// The update, for an update job.
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<UpdateAnswer>,
    /// The configuration, for a configuration job.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ConfigAnswer>,
}

/// An update.
#[derive(Serialize, ToSchema)]
struct UpdateAnswer {
    /// The build list of the job; only if a single job is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    builds: Option<Builds>,
    /// Number of products in the build list.
    products: usize,
    /// Maintenance hours.
    hours: HoursBody,
}

/// A configuration.
#[derive(Serialize, ToSchema)]
struct ConfigAnswer {
    /// Kind.
    kind: &'static str,
    /// Parameters; secrets are shown as `hidden`.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

/// Jobs.
#[derive(Serialize, ToSchema)]
struct JobsAnswer {
    /// The jobs of the domain, oldest first.
    jobs: Vec<JobAnswer>,
}

/// Adds constraints to the schemas that attributes cannot express.
pub(super) fn complete(schemas: &mut Value) {
    // Each kind of configuration has its own parameters.
    schemas["ConfigJobBody"] = config_schema();
    let hours = &mut schemas["HoursBody"]["properties"]["allow"];
    hours["items"] = json!({"type": "integer", "minimum": 0, "maximum": 23});
    hours["uniqueItems"] = true.into();
}

/// [`ConfigJobBody`] as a JSON Schema: one alternative for each kind, generated from the table that checks the parameters.
fn config_schema() -> Value {
    let mut schema = json_schema();
    for kind in schema["oneOf"].as_array_mut().into_iter().flatten() {
        kind["properties"]["category"] = json!({
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Number of the category; absent: every device of the domain.",
        });
        kind["properties"]["desc"] = json!({"type": ["string", "null"], "minLength": 1, "maxLength": DESCRIPTION_MAX, "description": "Description, for people."});
        kind["additionalProperties"] = false.into();
    }
    schema["description"] = "A new configuration job.".into();
    schema
}

impl JobAnswer {
    fn of(job: &Job, whole: bool) -> Self {
        let (update, config) = match &job.order.task {
            Task::Update(update) => {
                let builds = whole.then(|| Builds::from(&*update.builds));
                let Hours { allow, utc_offset } = update.hours.clone();
                let hours = HoursBody { allow, utc_offset };
                (Some(UpdateAnswer { builds, products: update.builds.products.len(), hours }), None)
            }
            Task::Config(configuration) => {
                let values = configuration.masked().values;
                (None, Some(ConfigAnswer { kind: configuration.kind.name(), values }))
            }
        };
        let category = job.order.category.map(|category| category.0);
        let (desc, device_config) = (job.order.desc.clone(), job.config.map(|id| id.0));
        Self { id: job.id.0, created: job.created.seconds(), category, desc, device_config, update, config }
    }
}

async fn created(caller: &Caller, admin: &Admin, at: &InDomain, job: &Job) -> Answer<HttpResponse> {
    let domain = admin.domain(&caller.0, &at.domain).await?;
    let place = format!("/api/v1/domains/{}/jobs/{}", domain.id.0, job.id.0);
    Ok(HttpResponse::Created().insert_header((LOCATION, place)).json(JobAnswer::of(job, true)))
}

/// List jobs
#[utoipa::path(get, path = "/api/v1/domains/{domain}/jobs", tag = "jobs", params(InDomain),
    responses((status = 200, body = JobsAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_jobs(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    let jobs = admin.jobs(&caller.0, &at.domain).await?;
    Ok(HttpResponse::Ok().json(JobsAnswer { jobs: jobs.iter().map(|job| JobAnswer::of(job, false)).collect() }))
}

/// Make an update job
///
/// The latest matching update job applies to a device. Without a build list the job gets a copy of the domain's current one.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/update-jobs", tag = "jobs", params(InDomain),
    request_body = UpdateJobBody,
    responses((status = 201, body = JobAnswer, headers(("Location" = String, description = "Address of the job"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The domain has no build list"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn create_update_job(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<UpdateJobBody>,
) -> Answer<HttpResponse> {
    let UpdateJobBody { category, builds, hours } = body;
    let HoursBody { allow, utc_offset } = hours.map(|Shape(hours)| hours).unwrap_or_default();
    let hours = Hours { allow, utc_offset };
    let (category, builds) = (category.map(CategoryId), builds.map(|Shape(builds)| builds.into()));
    let job = admin.create_update_job(&caller.0, &at.domain, category, builds, hours).await?;
    created(&caller, &admin, &at, &job).await
}

/// Make a configuration job
///
/// The latest matching job of every kind applies to a device. Omitted options are reset to the device's default.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/config-jobs", tag = "jobs", params(InDomain),
    request_body = ConfigJobBody,
    responses((status = 201, body = JobAnswer, headers(("Location" = String, description = "Address of the job"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn create_config_job(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<ConfigJobBody>,
) -> Answer<HttpResponse> {
    let ConfigJobBody { category, desc, kind, values } = body;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = kind.ok_or_else(|| AdminError::invalid("kind", "there is no such kind of configuration"))?;
    let configuration = Configuration { kind, values };
    let job = admin.create_config_job(&caller.0, &at.domain, category.map(CategoryId), desc, configuration).await?;
    created(&caller, &admin, &at, &job).await
}

/// Read a job
#[utoipa::path(get, path = "/api/v1/domains/{domain}/jobs/{job}", tag = "jobs", params(OneJob),
    responses((status = 200, body = JobAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_job(caller: Caller, admin: web::Data<Admin>, at: web::Path<OneJob>) -> Answer<HttpResponse> {
    let job = admin.job(&caller.0, &at.domain, JobId(at.job)).await?;
    Ok(HttpResponse::Ok().json(JobAnswer::of(&job, true)))
}

/// Delete a job
///
/// The job before it applies again.
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/jobs/{job}", tag = "jobs", params(OneJob),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn delete_job(caller: Caller, admin: web::Data<Admin>, at: web::Path<OneJob>) -> Answer<HttpResponse> {
    admin.delete_job(&caller.0, &at.domain, JobId(at.job)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(OpenApi)]
#[openapi(paths(list_jobs, create_update_job, create_config_job, get_job, delete_job))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains/{domain}/jobs")
                .route(get().to(list_jobs))
                .default_service(web::to(method_not_allowed("GET"))),
        )
        .service(
            web::resource("/domains/{domain}/update-jobs")
                .app_data(Longest(MAX_JSON))
                .route(web::post().to(create_update_job))
                .default_service(web::to(method_not_allowed("POST"))),
        )
        .service(
            web::resource("/domains/{domain}/config-jobs")
                .app_data(Longest(MAX_JSON))
                .route(web::post().to(create_config_job))
                .default_service(web::to(method_not_allowed("POST"))),
        )
        .service(
            web::resource("/domains/{domain}/jobs/{job}")
                .route(get().to(get_job))
                .route(web::delete().to(delete_job))
                .default_service(web::to(method_not_allowed("GET, DELETE"))),
        );
}
