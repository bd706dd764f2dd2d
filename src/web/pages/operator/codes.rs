//! The codes of a domain: list, issue, revoke.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, OperatorContext, Page, ROWS, category_name, devices};
use crate::admin::{CodeFilter, OperatorCodeRequest};
use crate::core::model::device::CodeState;
use crate::core::model::ids::Code;
use crate::core::model::time::UnixMillis;
use crate::store::CodeListing;
use crate::web::pages::code::grouped;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/codes.html")]
struct CodesPage {
    page: Page,
    frame: Frame,
    categories: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    state: String,
    /// A code that was just issued.
    fresh: Option<(String, UnixMillis)>,
}

struct Row {
    code: String,
    shown: String,
    sip: String,
    category: String,
    issued: UnixMillis,
    ends: UnixMillis,
    device: Option<(String, String)>,
    site: Option<String>,
    rollout: bool,
    administrative: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    state: String,
    at: Option<u64>,
    code: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/codes";
    config
        .route(at, web::get().to(show))
        .route(at, web::post().to(make))
        .route(&format!("{at}/revoke"), web::post().to(revoke));
}

async fn show(context: OperatorContext, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    answer(&context, wanted.into_inner(), None).await
}

async fn answer(
    context: &OperatorContext,
    wanted: Wanted,
    fresh: Option<(String, UnixMillis)>,
) -> Answer<HttpResponse> {
    let filter = match wanted.state.as_str() {
        "open" => CodeFilter::Open,
        "used" => CodeFilter::Used,
        _ => CodeFilter::All,
    };
    let before = wanted.at.and_then(|at| Some((UnixMillis(at), Code::parse(&wanted.code).ok()?)));
    let (codes, next) = context.admin.codes(&context.authority, &context.domain, before, ROWS, filter).await?;
    let row = |CodeListing { code, issued, .. }: &CodeListing| Row {
        code: code.code.expose().into(),
        shown: grouped(code.code),
        sip: code.sip.as_deref().unwrap_or_default().into(),
        category: category_name(&context.domain, code.category),
        issued: *issued,
        ends: code.valid_until,
        device: match &code.state {
            CodeState::Open | CodeState::Lent { .. } => None,
            CodeState::Used { by, .. } => Some((devices::address(context, by), by.to_string())),
        },
        site: match &code.state {
            CodeState::Lent { site } => Some(site.to_string()),
            _ => None,
        },
        rollout: code.rollout,
        administrative: code.administrative,
    };
    let next = next.map(|(at, code)| {
        context.at(&format!(
            "/codes?state={}&at={}&code={}",
            wanted.state.replace(|c: char| !c.is_ascii_alphabetic(), ""),
            at.0,
            code.expose()
        ))
    });
    let marked = context.domain.categories.iter().filter(|category| category.provisioning);
    context.page.answer(&CodesPage {
        page: context.page.clone(),
        frame: context.frame(),
        categories: marked.map(|category| category.name.to_string()).collect(),
        rows: codes.iter().map(row).collect(),
        next,
        state: wanted.state,
        fresh,
    })
}

async fn make(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let sip = Some(fields.get("sip")).filter(|sip| !sip.is_empty());
    if sip.is_some_and(|sip| sip.chars().count() > 128 || sip.chars().any(char::is_control)) {
        return Err(PageError::Unreadable);
    }
    let request = OperatorCodeRequest {
        category: fields.get("category"),
        sip,
        rollout: fields.has("rollout"),
        administrative: fields.has("administrative"),
    };
    let (_, code) = context.admin.issue_code(&context.authority, context.named(), &request).await?;
    answer(&context, Wanted::default(), Some((grouped(code.code), code.valid_until))).await
}

async fn revoke(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let code = Code::parse(fields.get("code")).map_err(|_| PageError::Unreadable)?;
    context.admin.revoke_code(&context.authority, context.named(), code).await?;
    Ok(context.done("/codes"))
}
