//! The page "My account": own sessions, sign-out everywhere, change of the password.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::page::go;
use super::{Answer, Fields, Group, NavEntry, Page, PageError, Pages, SignedIn, home, sign_in};
use crate::accounts::{AccountAdminError, MIN_PASSWORD};
use crate::core::model::accounts::{Role, WebSession};
use crate::core::model::ids::Secret;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries, routes };

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    name: String,
    shown: String,
    role: &'static str,
    domain: Option<String>,
    sip: String,
    sessions: Vec<Row>,
    least: String,
    /// The account is one of the OpenID provider, which keeps the password.
    of_provider: bool,
    /// Result of a change of the password: message, and whether it succeeded.
    result: Option<(String, bool)>,
}

struct Row {
    hash: String,
    session: WebSession,
    this_one: bool,
}

fn entries(page: &Page) -> Vec<NavEntry> {
    vec![page.entry("/ui/account", page.t("account.nav"))]
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/account", web::get().to(show))
        .route("/account/password", web::post().to(change_password))
        .route("/account/sessions/end", web::post().to(end))
        .route("/account/sessions/end-all", web::post().to(end_all));
}

async fn show(pages: web::Data<Pages>, signed: SignedIn) -> Answer<HttpResponse> {
    answer(&pages, &signed, None).await
}

async fn answer(pages: &Pages, signed: &SignedIn, result: Option<(String, bool)>) -> Answer<HttpResponse> {
    let (page, who) = (&signed.page, signed.who());
    let row = |(hash, session): (crate::store::SessionHash, WebSession)| Row {
        this_one: hash == signed.session.hash,
        hash: hash.as_str().into(),
        session,
    };
    let status =
        if result.as_ref().is_some_and(|(_, good)| !good) { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = AccountPage {
        page: page.clone(),
        name: who.account.to_string(),
        shown: who.shown.to_string(),
        role: home::role_name(page, who.role),
        domain: who.domain.as_ref().map(ToString::to_string),
        sip: who.sip.to_string(),
        sessions: pages.sign_in.sessions(who).await?.into_iter().map(row).collect(),
        of_provider: who.account.is_of_provider(),
        least: page.tn("account.password_hint", MIN_PASSWORD),
        result,
    };
    page.answer_with(status, &template)
}

/// The message for an error with a password or an account.
pub(super) fn error_message(page: &Page, error: AccountAdminError) -> Answer<String> {
    Ok(match error {
        AccountAdminError::Short => page.tn("account.short", MIN_PASSWORD),
        AccountAdminError::Wrong => page.t("account.wrong").into(),
        AccountAdminError::TryLater(wait) => sign_in::try_later(page, wait),
        AccountAdminError::Reserved => page.t("account.reserved").into(),
        AccountAdminError::Exists => page.t("account.exists").into(),
        AccountAdminError::TooMany => page.t("account.too_many").into(),
        AccountAdminError::Own => page.t("account.own").into(),
        AccountAdminError::Identity(_) => page.t("account.identity").into(),
        AccountAdminError::Unknown => return Err(PageError::NotFound),
        AccountAdminError::Busy => return Err(PageError::TooMany(std::time::Duration::from_secs(5))),
        AccountAdminError::Store(error) => return Err(error.into()),
    })
}

async fn change_password(pages: web::Data<Pages>, signed: SignedIn, fields: Fields) -> Answer<HttpResponse> {
    let (page, new) = (&signed.page, fields.exact("new"));
    if new != fields.exact("again") {
        return answer(&pages, &signed, Some((page.t("account.not_same").into(), false))).await;
    }
    let (old, new) = (Secret::new(fields.exact("old")), Secret::new(new));
    let result = match pages.sign_in.change_password(&signed.session, &old, &new).await {
        Ok(()) => (page.t("account.changed").into(), true),
        Err(error) => (error_message(page, error)?, false),
    };
    answer(&pages, &signed, Some(result)).await
}

async fn end(pages: web::Data<Pages>, signed: SignedIn, fields: Fields) -> Answer<HttpResponse> {
    let hash = fields.get("session");
    pages.sign_in.end_session(&signed.session, hash).await?;
    let own = hash == signed.session.hash.as_str();
    Ok(if own { sign_in::signed_out(&pages) } else { go("/ui/account") })
}

async fn end_all(pages: web::Data<Pages>, signed: SignedIn, _: Fields) -> Answer<HttpResponse> {
    pages.sign_in.sign_out_everywhere(&signed.session).await?;
    Ok(sign_in::signed_out(&pages))
}
