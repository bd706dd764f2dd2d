//! Makes a job: an update, or a configuration from the parameters of its kind.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, Frame, OperatorContext, Page};
use crate::admin::AdminError;
use crate::core::model::ids::CategoryId;
use crate::core::policy::jobs::Hours;
use crate::core::policy::jobs::config::schema::Type;
use crate::core::policy::jobs::config::{Configuration, Kind};
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/make_job.html")]
struct MakePage {
    page: Page,
    frame: Frame,
    kind: &'static str,
    category: String,
    desc: String,
    categories: Vec<(String, String)>,
    fields: Vec<Input>,
    wrong: Option<String>,
}

/// A parameter as a field of the form.
// The flags are independent properties from the schema.
#[allow(clippy::struct_excessive_bools)]
struct Input {
    name: &'static str,
    about: &'static str,
    value: String,
    control: Control,
    required: bool,
    secret: bool,
    per_device: bool,
    wrong: bool,
}

enum Control {
    Text(Option<usize>),
    Block,
    Number(i64, i64),
    Choice(Vec<&'static str>),
}

#[derive(Deserialize)]
struct Wanted {
    kind: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/jobs";
    config
        .route(&format!("{at}/new"), web::get().to(show))
        .route(&format!("{at}/new"), web::post().to(make))
        .route(&format!("{at}/update"), web::post().to(update));
}

fn kind_of(name: &str) -> Answer<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(PageError::NotFound)
}

fn category_of(fields: &Fields) -> Answer<Option<CategoryId>> {
    match fields.get("category") {
        "" => Ok(None),
        id => id.parse().map(|id| Some(CategoryId(id))).map_err(|_| PageError::Unreadable),
    }
}

async fn show(context: OperatorContext, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    answer(&context, kind_of(&wanted.kind)?, None, None)
}

fn answer(
    context: &OperatorContext,
    kind: Kind,
    typed: Option<&Fields>,
    wrong: Option<(String, String)>,
) -> Answer<HttpResponse> {
    let input = |field: &crate::core::policy::jobs::config::schema::Field| Input {
        name: field.name,
        about: field.about,
        value: typed.map(|typed| typed.exact(&format!("v.{}", field.name)).to_owned()).unwrap_or_default(),
        control: match field.kind {
            Type::Text(max) => Control::Text(Some(max)),
            Type::Form(_) => Control::Text(None),
            Type::Block(..) => Control::Block,
            Type::Number(min, max) => Control::Number(min, max),
            Type::Flag => Control::Choice(vec!["true", "false"]),
            Type::Choice(words) => Control::Choice(words.to_vec()),
        },
        required: field.required,
        secret: field.secret,
        per_device: field.per_device,
        wrong: wrong.as_ref().is_some_and(|(name, _)| name == &format!("values.{}", field.name)),
    };
    let categories = context.domain.categories.iter().map(|c| (c.id.0.to_string(), c.name.to_string()));
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = MakePage {
        page: context.page.clone(),
        frame: context.frame(),
        kind: kind.name(),
        category: typed.map(|typed| typed.get("category").to_owned()).unwrap_or_default(),
        desc: typed.map(|typed| typed.get("desc").to_owned()).unwrap_or_default(),
        categories: categories.collect(),
        fields: kind.schema().fields().map(input).collect(),
        wrong: wrong.map(|(name, why)| format!("{}: {why}", name.trim_start_matches("values."))),
    };
    context.page.answer_with(status, &template)
}

/// The typed values in the types of the parameters, without empty ones. An invalid number stays a text, which the later
/// check reports.
fn values(kind: Kind, fields: &Fields) -> Map<String, Value> {
    let typed = kind.schema().fields().filter_map(|field| {
        let text = fields.exact(&format!("v.{}", field.name));
        let text = if matches!(field.kind, Type::Block(..)) { text.replace("\r\n", "\n") } else { text.to_owned() };
        if text.is_empty() {
            return None;
        }
        let value = match field.kind {
            Type::Number(..) => text.trim().parse::<i64>().map_or_else(|_| Value::String(text.clone()), Value::from),
            Type::Flag => match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(text),
            },
            _ => Value::String(text),
        };
        Some((field.name.to_owned(), value))
    });
    typed.collect()
}

async fn make(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let kind = kind_of(fields.get("kind"))?;
    let configuration = Configuration { kind, values: values(kind, &fields) };
    let desc = Some(fields.get("desc")).filter(|desc| !desc.is_empty()).map(Into::into);
    let made = context
        .admin
        .create_config_job(&context.authority, context.named(), category_of(&fields)?, desc, configuration)
        .await;
    match made {
        Ok(job) => Ok(context.done(&format!("/jobs/{}", job.id.0))),
        Err(AdminError::Invalid { field, why } | AdminError::Unfit { field, why }) => {
            answer(&context, kind, Some(&fields), Some((field, why)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn update(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let hours = fields.get("hours").split([',', ' ']).filter(|hour| !hour.is_empty());
    let allow = hours.map(str::parse::<u8>).collect::<Result<Vec<_>, _>>();
    let allow = allow.map_err(|_| PageError::Refused(context.page.t("operator.bad_hours").into()))?;
    let utc_offset = match fields.get("offset") {
        "" => 0,
        minutes => minutes.parse().map_err(|_| PageError::Unreadable)?,
    };
    let hours = Hours { allow, utc_offset };
    let job = context
        .admin
        .create_update_job(&context.authority, context.named(), category_of(&fields)?, None, hours)
        .await?;
    Ok(context.done(&format!("/jobs/{}", job.id.0)))
}
