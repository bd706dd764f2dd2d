//! Cookies of the pages: that of a session, one that ties forms to a browser before there is a session, the
//! language, and what is taken along to an OpenID provider.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};

use super::Pages;

/// Of a session.
pub(super) const SESSION: &str = "provbroker_session";
/// Of a browser without a session.
pub(super) const VISIT: &str = "provbroker_visit";
/// Of the language that was chosen.
pub(super) const LANGUAGE: &str = "provbroker_language";

/// Of somebody who is at the OpenID provider and will come back.
pub(super) const TICKET: &str = "provbroker_ticket";

/// Where all of them are sent.
const PATH: &str = "/ui";

/// A cookie that scripts cannot read and other sites do not send along with what they submit.
pub(super) fn cookie(pages: &Pages, name: &'static str, value: &str) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path(PATH)
        .http_only(true)
        .secure(pages.secure)
        .same_site(SameSite::Lax)
        .finish()
}

/// What takes a cookie away.
pub(super) fn removal(pages: &Pages, name: &'static str) -> Cookie<'static> {
    let mut cookie = cookie(pages, name, "");
    cookie.make_removal();
    cookie
}

/// The value of a cookie, if the browser sent it.
pub(super) fn value(request: &HttpRequest, name: &str) -> Option<String> {
    request.cookie(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}
