//! Sign-in with name and password, and sign-out.

use std::time::Duration;

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::page::go;
use super::{Answer, Fields, Group, Page, PageError, Pages, SignedIn, cookies};
use crate::accounts::{NewSession, PasswordSignIn, SignInError};
use crate::core::model::accounts::Role;
use crate::core::model::ids::Secret;
use crate::web::client_address::client_of;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries: |_| Vec::new(), routes };

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    to: String,
    name: String,
    wrong: Option<String>,
    /// Link to the OpenID provider: address and text.
    provider: Option<(String, String)>,
    /// Whether there is a form for accounts of this installation.
    local: bool,
}

#[derive(Deserialize)]
struct ShowQuery {
    #[serde(default)]
    to: String,
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-in").route(web::get().to(show)).route(web::post().to(enter)))
        .route("/sign-out", web::post().to(leave));
}

/// Restricts the target after sign-in to addresses within the pages; the target comes from the address and is not
/// trusted.
pub(super) fn inside_pages(to: &str) -> &str {
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

async fn show(pages: web::Data<Pages>, page: Page, query: web::Query<ShowQuery>) -> Answer<HttpResponse> {
    let to = inside_pages(&query.to);
    if page.who().is_some() {
        return Ok(go(to));
    }
    page.answer(&template(&pages, &page, to, "", None))
}

async fn enter(pages: web::Data<Pages>, request: HttpRequest, page: Page, fields: Fields) -> Answer<HttpResponse> {
    if !pages.local_accounts {
        return Err(PageError::NotFound);
    }
    let client = client_of(&request);
    let password = Secret::new(fields.exact("password"));
    let to = inside_pages(fields.get("to"));
    let known = cookies::value(&request, cookies::BROWSER);
    let entered = pages.sign_in.by_password(PasswordSignIn {
        name: fields.get("name"),
        password: &password,
        source: client.source(),
        from: Some(client.address),
        browser_cookie: known.as_deref(),
        browser: browser(&request),
    });
    let (status, wrong) = match entered.await {
        Ok(begun) => return Ok(begin(&pages, &begun, to)),
        Err(SignInError::Wrong) => (StatusCode::UNPROCESSABLE_ENTITY, page.t("sign_in.wrong").to_owned()),
        Err(SignInError::Delivered) => (StatusCode::UNPROCESSABLE_ENTITY, page.t("sign_in.delivered").to_owned()),
        Err(SignInError::TryLater(wait)) => (StatusCode::TOO_MANY_REQUESTS, try_later(&page, wait)),
        Err(SignInError::Busy) => return Err(PageError::TooMany(Duration::from_secs(5))),
        Err(SignInError::Store(error)) => return Err(error.into()),
    };
    page.answer_with(status, &template(&pages, &page, to, fields.get("name"), Some(wrong)))
}

/// Text for a password that was not looked at.
pub(super) fn try_later(page: &Page, wait: Duration) -> String {
    // Rounded up, so that nobody comes too early.
    page.tn("sign_in.try_later", wait.as_millis().div_ceil(1000))
}

/// The `User-Agent` of the browser.
pub(super) fn browser(request: &HttpRequest) -> &str {
    request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}

/// Sets the cookie of a new session and redirects.
pub(super) fn begin(pages: &Pages, begun: &NewSession, to: &str) -> HttpResponse {
    let mut answer = HttpResponse::SeeOther();
    answer
        .insert_header((LOCATION, to))
        .cookie(cookies::cookie(pages, cookies::SESSION, begun.cookie_value.expose()))
        .cookie(cookies::removal(pages, cookies::ANONYMOUS));
    if let Some(known) = &begun.browser_cookie {
        let mut cookie = cookies::cookie(pages, cookies::BROWSER, known.expose());
        cookie.set_max_age(CookieDuration::days(cookies::BROWSER_DAYS));
        answer.cookie(cookie);
    }
    answer.finish()
}

/// Removes the cookie of the session and redirects.
pub(super) fn signed_out(pages: &Pages) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/ui/sign-in"))
        .cookie(cookies::removal(pages, cookies::SESSION))
        .finish()
}

async fn leave(pages: web::Data<Pages>, signed: SignedIn, _: Fields) -> Answer<HttpResponse> {
    pages.sign_in.sign_out(&signed.session).await?;
    Ok(signed_out(&pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_within_the_pages_are_targets() {
        for good in ["/ui/", "/ui/account", "/ui/operator/example.com/devices?online=yes"] {
            assert_eq!(inside_pages(good), good);
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
            assert_eq!(inside_pages(bad), "/ui/", "{bad}");
        }
    }
}
