//! Cookies of the pages: session, anonymous id (ties forms to a browser without session), known browser, language, and
//! the state of a sign-in at an OpenID provider.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};

use super::Pages;

/// Session.
pub(super) const SESSION: &str = "provbroker_session";
/// Anonymous id of a browser without session.
pub(super) const ANONYMOUS: &str = "provbroker_visit";
/// Known browser: one that has signed in with a password before.
pub(super) const BROWSER: &str = "provbroker_browser";
/// How long it is known, in days: as long as browsers keep a cookie at most.
pub(super) const BROWSER_DAYS: i64 = 400;
/// Chosen language.
pub(super) const LANGUAGE: &str = "provbroker_language";

/// Sealed state of a sign-in at the OpenID provider.
pub(super) const SIGN_IN_STATE: &str = "provbroker_ticket";

/// Path of all cookies.
const PATH: &str = "/ui";

/// A cookie that scripts cannot read and that is not sent with forms of other sites.
pub(super) fn cookie(pages: &Pages, name: &'static str, value: &str) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path(PATH)
        .http_only(true)
        .secure(pages.secure)
        .same_site(SameSite::Lax)
        .finish()
}

/// A cookie that removes the one with this name.
pub(super) fn removal(pages: &Pages, name: &'static str) -> Cookie<'static> {
    let mut cookie = cookie(pages, name, "");
    cookie.make_removal();
    cookie
}

/// The value of a cookie, if the browser sent it.
pub(super) fn value(request: &HttpRequest, name: &str) -> Option<String> {
    request.cookie(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}
