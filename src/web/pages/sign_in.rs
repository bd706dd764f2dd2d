//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::page::go;
use super::{Answer, Fields, Group, Page, PageError, Pages, SignedIn, cookies};
use crate::accounts::{NewSession, SignInError};
use crate::core::model::accounts::Role;
use crate::core::model::ids::Secret;
use crate::core::policy::limits::SourceKey;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries: |_| Vec::new(), routes };

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    to: String,
    name: String,
    wrong: Option<String>,
    /// What leads to the OpenID provider: address and text.
    provider: Option<(String, String)>,
    /// There is a form for accounts of this installation.
    local: bool,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    to: String,
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-in").route(web::get().to(show)).route(web::post().to(enter)))
        .route("/sign-out", web::post().to(leave));
}

/// A place within the pages: what an address from outside may lead to after signing in.
pub(super) fn inside(to: &str) -> &str {
    let sound =
        to.starts_with("/ui/") && !to.contains("//") && to.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b'\\');
    if sound { to } else { "/ui/" }
}

fn template(pages: &Pages, page: &Page, to: &str, name: &str, wrong: Option<String>) -> SignInPage {
    let provider = pages.provider.as_ref().map(|at| {
        let to: String = byte_serialize(to.as_bytes()).collect();
        (format!("/ui/oidc/start?to={to}"), page.tn("sign_in.with", &at.name))
    });
    let (to, name, local) = (to.into(), name.into(), pages.local_accounts);
    SignInPage { page: page.clone(), to, name, wrong, provider, local }
}

async fn show(pages: web::Data<Pages>, page: Page, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let to = inside(&wanted.to);
    if page.who().is_some() {
        return Ok(go(to));
    }
    page.answer(&template(&pages, &page, to, "", None))
}

async fn enter(pages: web::Data<Pages>, request: HttpRequest, page: Page, fields: Fields) -> Answer<HttpResponse> {
    if !pages.local_accounts {
        return Err(PageError::NotFound);
    }
    let source = request.peer_addr().map(|peer| SourceKey::from(peer.ip()));
    let password = Secret::new(fields.exact("password"));
    let to = inside(fields.get("to"));
    let entered = pages.sign_in.by_password(fields.get("name"), &password, source, browser(&request)).await;
    let wrong = match entered {
        Ok(begun) => return Ok(begin(&pages, &begun, to)),
        Err(SignInError::Wrong) => page.t("sign_in.wrong").to_owned(),
        Err(SignInError::Delivered) => page.t("sign_in.delivered").to_owned(),
        Err(SignInError::Blocked(wait)) => page.tn("sign_in.blocked", wait.as_secs().div_ceil(60).max(1)),
        Err(SignInError::Busy) => return Err(PageError::TooMany(std::time::Duration::from_secs(5))),
        Err(SignInError::Store(error)) => return Err(error.into()),
    };
    page.answer_with(StatusCode::UNPROCESSABLE_ENTITY, &template(&pages, &page, to, fields.get("name"), Some(wrong)))
}

/// What the browser calls itself.
pub(super) fn browser(request: &HttpRequest) -> &str {
    request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}

/// Hands a new session to the browser, always with a new number.
pub(super) fn begin(pages: &Pages, begun: &NewSession, to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .cookie(cookies::cookie(pages, cookies::SESSION, begun.shown.expose()))
        .cookie(cookies::removal(pages, cookies::VISIT))
        .finish()
}

/// Takes the session from the browser.
pub(super) fn over(pages: &Pages) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/ui/sign-in"))
        .cookie(cookies::removal(pages, cookies::SESSION))
        .finish()
}

async fn leave(pages: web::Data<Pages>, signed: SignedIn, _: Fields) -> Answer<HttpResponse> {
    pages.sign_in.sign_out(&signed.visit).await?;
    Ok(over(&pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_the_pages_are_led_to() {
        for good in ["/ui/", "/ui/account", "/ui/operator/example.com/devices?online=yes"] {
            assert_eq!(inside(good), good);
        }
        for bad in [
            "",
            "/",
            "/api/v1",
            "//evil.example/ui/",
            "https://evil.example/ui/",
            "/ui//evil",
            "/ui/\\evil",
            "/ui/\n",
            "/ui/ ü",
        ] {
            assert_eq!(inside(bad), "/ui/", "{bad}");
        }
    }
}
