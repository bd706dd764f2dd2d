//! Settings of a domain: passwords, the token of automatic provisioning, access of other domains.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Frame, OperatorContext, Page, go};
use crate::core::model::ids::{DomainName, Secret};
use crate::store::DomainChange;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/settings.html")]
struct SettingsPage {
    page: Page,
    frame: Frame,
    has_admin_password: bool,
    has_token: bool,
    access: String,
    is_instance: bool,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/settings";
    config
        .route(at, web::get().to(show))
        .route(&format!("{at}/secret"), web::post().to(set))
        .route(&format!("{at}/access"), web::post().to(set_access))
        .route(&format!("{at}/delete"), web::post().to(delete));
}

async fn show(context: OperatorContext) -> Answer<HttpResponse> {
    let access = context.admin.access(&context.authority, context.named()).await?;
    let access: Vec<_> = access.iter().map(DomainName::as_str).collect();
    context.page.answer(&SettingsPage {
        page: context.page.clone(),
        frame: context.frame(),
        has_admin_password: !context.domain.admin_password.is_empty(),
        has_token: !context.domain.auto_token.is_empty(),
        access: access.join("\n"),
        is_instance: context.who().is_instance(),
    })
}

async fn set(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let value = if fields.has("clear") { "" } else { fields.exact("value") };
    let cleared = fields.has("clear");
    if (value.is_empty() && !cleared) || value.chars().count() > 256 || value.chars().any(char::is_control) {
        return Err(PageError::Refused(context.page.t("operator.bad_password").into()));
    }
    let secret = Some(Secret::new(value));
    let mut change = DomainChange::default();
    match fields.get("which") {
        "password" if !cleared => change.password = secret,
        "admin" => change.admin_password = secret,
        "token" => change.auto_token = secret,
        _ => return Err(PageError::Unreadable),
    }
    context.admin.change_domain(&context.authority, context.named(), &change).await?;
    Ok(context.done("/settings"))
}

async fn set_access(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let names: Result<Vec<_>, _> = fields.get("domains").split_whitespace().map(DomainName::parse).collect();
    let names = names.map_err(|_| PageError::Refused(context.page.t("operator.bad_domain").into()))?;
    context.admin.set_access(&context.authority, context.named(), &names).await?;
    Ok(context.done("/settings"))
}

async fn delete(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    context.instance_only()?;
    if fields.get("name") != context.named() {
        return Err(PageError::Refused(context.page.t("operator.name_again").into()));
    }
    context.admin.delete_domain(&context.authority, context.named()).await?;
    Ok(go("/ui/operator?done=1"))
}
