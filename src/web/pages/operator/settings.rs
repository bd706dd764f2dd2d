//! Settings of a domain: passwords, the token of automatic provisioning, access of other domains.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Frame, OperatorContext, Page, go};
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::script::encode::auto_provisioning_url;
use crate::core::protocol::script::ready::auto_provisioning_line;
use crate::store::DomainChange;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/settings.html")]
struct SettingsPage {
    page: Page,
    frame: Frame,
    has_admin_password: bool,
    has_token: bool,
    /// What leads into each provisioning category, if the token was just set. It contains the token.
    ways_in: Vec<WayIn>,
    access: String,
    is_instance: bool,
}

/// What leads devices into a category by automatic provisioning (`docs/protocol/update-script.md` 5.1).
struct WayIn {
    category: String,
    url: Secret,
    /// The line of an update script, unless it would be too long.
    line: Option<Secret>,
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
    answer(&context, Vec::new()).await
}

async fn answer(context: &OperatorContext, ways_in: Vec<WayIn>) -> Answer<HttpResponse> {
    let access = context.admin.access(&context.authority, context.named()).await?;
    let access: Vec<_> = access.iter().map(DomainName::as_str).collect();
    context.page.answer(&SettingsPage {
        page: context.page.clone(),
        frame: context.frame(),
        has_admin_password: !context.domain.admin_password.is_empty(),
        has_token: !context.domain.auto_token.is_empty() || !ways_in.is_empty(),
        ways_in,
        access: access.join("\n"),
        is_instance: context.who().is_instance(),
    })
}

/// What leads into each provisioning category with this token.
fn ways_in(context: &OperatorContext, token: &Secret) -> Vec<WayIn> {
    let (base, domain) = (&*context.pages.devices_url, context.named());
    let marked = context.domain.categories.iter().filter(|category| category.provisioning);
    let way_in = |category: &str| WayIn {
        category: category.to_owned(),
        url: auto_provisioning_url(base, domain, token, category),
        line: auto_provisioning_line(base, domain, token, category).ok(),
    };
    marked.map(|category| way_in(&category.name)).collect()
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
    // A secret is shown once, as a code is.
    match change.auto_token.filter(|token| !token.is_empty()).map(|token| ways_in(&context, &token)) {
        Some(ways_in) if !ways_in.is_empty() => answer(&context, ways_in).await,
        _ => Ok(context.done("/settings")),
    }
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
