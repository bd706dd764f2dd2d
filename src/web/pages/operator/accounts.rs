//! Accounts of this installation: those of the operator's domain, or all.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Operator, Page, go};
use crate::accounts::{AccountAdminError, NewAccount};
use crate::core::model::accounts::{AccountName, Identity, Role};
use crate::core::model::ids::{DomainName, Secret};
use crate::web::pages::{Fields, PageError, account, home};

#[derive(Template)]
#[template(path = "operator/accounts.html")]
struct AccountsPage {
    page: Page,
    accounts: Vec<(Identity, &'static str)>,
    roles: Vec<(&'static str, &'static str)>,
    domain: Option<String>,
    least: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/operator/accounts", web::get().to(show))
        .route("/operator/accounts", web::post().to(make))
        .route("/operator/accounts/password", web::post().to(set_password))
        .route("/operator/accounts/remove", web::post().to(remove));
}

async fn show(operator: Operator) -> Answer<HttpResponse> {
    let page = &operator.page;
    let domain = operator.authority.domain.as_ref();
    let accounts = operator.pages.sign_in.accounts(domain).await.map_err(|error| refused(page, error))?;
    let named = |identity: Identity| {
        let role = home::role_name(page, identity.role);
        (identity, role)
    };
    page.answer(&AccountsPage {
        page: page.clone(),
        accounts: accounts.into_iter().map(named).collect(),
        roles: Role::ALL.into_iter().map(|role| (role.as_str(), home::role_name(page, role))).collect(),
        domain: domain.map(ToString::to_string),
        least: page.tn("account.password_hint", crate::accounts::MIN_PASSWORD),
    })
}

fn refused(page: &Page, error: AccountAdminError) -> PageError {
    account::error_message(page, error).map_or_else(|error| error, PageError::Refused)
}

fn name_of(page: &Page, fields: &Fields) -> Answer<AccountName> {
    AccountName::parse(fields.get("name")).map_err(|_| PageError::Refused(page.t("operator.bad_name").into()))
}

async fn make(operator: Operator, fields: Fields) -> Answer<HttpResponse> {
    let page = &operator.page;
    let name = name_of(page, &fields)?;
    let named = match (&operator.authority.domain, fields.get("domain")) {
        (Some(own), _) => own.as_str(),
        (None, named) => named,
    };
    let domain = match named {
        "" => None,
        named => {
            let bad = || PageError::Refused(page.t("operator.bad_domain").into());
            let domain = DomainName::parse(named).map_err(|_| bad())?;
            Some(operator.admin.domain(&operator.authority, domain.as_str()).await.map_err(|_| bad())?)
        }
    };
    let shown = Some(fields.get("shown")).filter(|shown| !shown.is_empty()).unwrap_or(name.as_str());
    let identity = Identity {
        shown: shown.into(),
        role: Role::parse(fields.get("role")).ok_or(PageError::Unreadable)?,
        domain: domain.as_ref().map(|domain| domain.name.clone()),
        domain_id: domain.as_ref().map(|domain| domain.id),
        sip: fields.get("sip").into(),
        account: name.clone(),
    };
    let new = NewAccount { identity, password: Secret::new(fields.exact("password")) };
    let made = operator.pages.sign_in.make_account(operator.authority.domain.as_ref(), &new).await;
    made.map_err(|error| refused(page, error))?;
    operator.note("accounts.make", name.as_str(), domain.as_ref().map(|domain| &domain.name)).await;
    Ok(go("/ui/operator/accounts?done=1"))
}

async fn set_password(operator: Operator, fields: Fields) -> Answer<HttpResponse> {
    let (page, domain) = (&operator.page, operator.authority.domain.as_ref());
    let (name, password) = (name_of(page, &fields)?, Secret::new(fields.exact("password")));
    let changed = operator.pages.sign_in.set_password(domain, &name, &password).await;
    let identity = changed.map_err(|error| refused(page, error))?;
    operator.note("accounts.password", name.as_str(), identity.domain.as_ref()).await;
    Ok(go("/ui/operator/accounts?done=1"))
}

async fn remove(operator: Operator, fields: Fields) -> Answer<HttpResponse> {
    let page = &operator.page;
    let name = name_of(page, &fields)?;
    let removed = operator.pages.sign_in.remove_account(operator.who(), &name).await;
    let identity = removed.map_err(|error| refused(page, error))?;
    operator.note("accounts.remove", name.as_str(), identity.domain.as_ref()).await;
    Ok(go("/ui/operator/accounts?done=1"))
}
