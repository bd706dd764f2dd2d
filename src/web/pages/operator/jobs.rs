//! Jobs of a domain, their outcomes, and the build list.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, OperatorContext, Page, ROWS, category_name, devices};
use crate::admin::AdminError;
use crate::core::model::ids::{DeviceId, JobId};
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::config::Kind;
use crate::core::policy::jobs::{Job, Task};
use crate::web::pages::operator::wording::Done;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/jobs.html")]
struct JobsPage {
    page: Page,
    frame: Frame,
    rows: Vec<Row>,
    kinds: Vec<&'static str>,
    categories: Vec<(String, String)>,
    /// The build list: address of the files, and product with its builds.
    builds: Option<(String, Vec<(String, String)>)>,
}

struct Row {
    id: u64,
    what: String,
    category: Option<String>,
    desc: Option<Box<str>>,
    created: UnixMillis,
}

#[derive(Template)]
#[template(path = "operator/job.html")]
struct JobPage {
    page: Page,
    frame: Frame,
    row: Row,
    values: Vec<(String, String)>,
    outcomes: Vec<(String, String, bool, Vec<Done>)>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct At {
    job: u64,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    after: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/jobs";
    config
        .route(at, web::get().to(show))
        .route(&format!("{at}/builds"), web::post().to(set_builds))
        .route(&format!("{at}/{{job}}"), web::get().to(one))
        .route(&format!("{at}/{{job}}/delete"), web::post().to(delete));
}

fn row(context: &OperatorContext, job: &Job) -> Row {
    Row {
        id: job.id.0,
        what: match &job.order.task {
            Task::Update(_) => context.page.t("work.update").into(),
            Task::Config(configuration) => configuration.kind.name().into(),
        },
        category: job.order.category.map(|id| category_name(&context.domain, id)),
        desc: job.order.desc.clone(),
        created: job.created,
    }
}

async fn show(context: OperatorContext) -> Answer<HttpResponse> {
    let jobs = context.admin.jobs(&context.authority, context.named()).await?;
    let builds = match context.admin.builds(&context.authority, context.named()).await {
        Ok(list) => Some(list),
        Err(AdminError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let builds = builds.map(|list| {
        let json = serde_json::to_value(&list.products).unwrap_or_default();
        let products = json.as_object().into_iter().flatten();
        let products = products.map(|(product, build)| (product.clone(), described(build)));
        (list.base_url.to_string(), products.collect())
    });
    let categories = context.domain.categories.iter().map(|c| (c.id.0.to_string(), c.name.to_string()));
    context.page.answer(&JobsPage {
        page: context.page.clone(),
        frame: context.frame(),
        rows: jobs.iter().rev().map(|job| row(&context, job)).collect(),
        kinds: Kind::ALL.iter().map(|kind| kind.name()).collect(),
        categories: categories.collect(),
        builds,
    })
}

/// `firmware 136044, bootcode 136044`
fn described(build: &serde_json::Value) -> String {
    let members = build.as_object().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members.map(|(name, value)| format!("{name} {}", text(value))).collect::<Vec<_>>().join(", ")
}

async fn one(context: OperatorContext, at: web::Path<At>, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let (page, id) = (&context.page, JobId(at.job));
    let job = context.admin.job(&context.authority, context.named(), id).await?;
    let values = match &job.order.task {
        Task::Config(configuration) => {
            let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            configuration.masked().values.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        Task::Update(update) => {
            let hours: Vec<_> = update.hours.allow.iter().map(ToString::to_string).collect();
            let hours = Some(("hours".to_owned(), hours.join(", "))).filter(|(_, hours)| !hours.is_empty());
            std::iter::once(("baseUrl".to_owned(), update.builds.base_url.to_string())).chain(hours).collect()
        }
    };
    let after = DeviceId(wanted.after);
    let found = context.admin.outcomes(&context.authority, context.named(), Some(id), after, ROWS).await?;
    let outcomes = found.items.iter().map(|(listing, outcomes)| {
        let device = &listing.device;
        let name = device.shown_name().unwrap_or(device.key.as_str()).to_owned();
        let done = outcomes.iter().map(|outcome| Done::of(page, outcome)).collect();
        (devices::address(&context, &device.key), name, listing.at.is_some(), done)
    });
    page.answer(&JobPage {
        page: page.clone(),
        frame: context.frame(),
        row: row(&context, &job),
        values,
        outcomes: outcomes.collect(),
        next: found.next.map(|next| context.at(&format!("/jobs/{}?after={}", id.0, next.0))),
    })
}

async fn delete(context: OperatorContext, at: web::Path<At>, _: Fields) -> Answer<HttpResponse> {
    context.admin.delete_job(&context.authority, context.named(), JobId(at.job)).await?;
    Ok(context.done("/jobs"))
}

async fn set_builds(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let builds = BuildList::read(fields.get("builds").as_bytes());
    let builds = builds.map_err(|error| PageError::Refused(error.to_string()))?;
    context.admin.set_builds(&context.authority, context.named(), &builds).await?;
    Ok(context.done("/jobs"))
}
