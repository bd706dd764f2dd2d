//! Settings of a domain: passwords, the token of automatic provisioning, who has access.

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

async fn show(desk: OperatorContext) -> Answer<HttpResponse> {
    let access = desk.admin.access(&desk.authority, desk.named()).await?;
    let access: Vec<_> = access.iter().map(DomainName::as_str).collect();
    desk.page.answer(&SettingsPage {
        page: desk.page.clone(),
        frame: desk.frame(),
        has_admin_password: !desk.domain.admin_password.is_empty(),
        has_token: !desk.domain.auto_token.is_empty(),
        access: access.join("\n"),
        is_instance: desk.who().is_instance(),
    })
}

async fn set(desk: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let value = if fields.has("clear") { "" } else { fields.exact("value") };
    let cleared = fields.has("clear");
    if (value.is_empty() && !cleared) || value.chars().count() > 256 || value.chars().any(char::is_control) {
        return Err(PageError::Refused(desk.page.t("operator.bad_password").into()));
    }
    let secret = Some(Secret::new(value));
    let mut change = DomainChange::default();
    let what = match fields.get("which") {
        "password" if !cleared => {
            change.password = secret;
            "domain.password"
        }
        "admin" => {
            change.admin_password = secret;
            "domain.admin_password"
        }
        "token" => {
            change.auto_token = secret;
            "domain.token"
        }
        _ => return Err(PageError::Unreadable),
    };
    desk.admin.change_domain(&desk.authority, desk.named(), &change).await?;
    desk.note_here(what, desk.named()).await;
    Ok(desk.done("/settings"))
}

async fn set_access(desk: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let names: Result<Vec<_>, _> = fields.get("domains").split_whitespace().map(DomainName::parse).collect();
    let names = names.map_err(|_| PageError::Refused(desk.page.t("operator.bad_domain").into()))?;
    desk.admin.set_access(&desk.authority, desk.named(), &names).await?;
    desk.note_here("domain.access", fields.get("domains")).await;
    Ok(desk.done("/settings"))
}

async fn delete(desk: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    desk.instance_only()?;
    if fields.get("name") != desk.named() {
        return Err(PageError::Refused(desk.page.t("operator.name_again").into()));
    }
    desk.admin.delete_domain(&desk.authority, desk.named()).await?;
    // The list of the domain itself is gone with it.
    desk.note("domain.delete", desk.named(), None).await;
    Ok(go("/ui/operator?done=1"))
}
