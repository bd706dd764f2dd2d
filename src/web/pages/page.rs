//! The request of a page as templates see it: language, user, form token, navigation.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use askama::Template;

use super::{Answer, GROUPS, Lang, PageError};
use crate::accounts::ActiveSession;
use crate::core::model::accounts::{Identity, Role};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;

/// An entry of the navigation.
#[derive(Debug, Clone)]
pub struct NavEntry {
    /// Address.
    pub href: String,
    /// Text.
    pub text: String,
    /// The current page is this one, or below it.
    pub here: bool,
}

/// A request for a page. Cheap to clone.
#[derive(Clone)]
pub struct Page(Rc<Inner>);

struct Inner {
    lang: Lang,
    session: Option<ActiveSession>,
    token: String,
    path: String,
    target: String,
}

impl Page {
    pub(super) fn new(lang: Lang, session: Option<ActiveSession>, token: String, path: &str, target: &str) -> Self {
        Self(Rc::new(Inner { lang, session, token, path: path.into(), target: target.into() }))
    }

    /// The language.
    pub fn lang(&self) -> Lang {
        self.0.lang
    }

    /// The text of a key.
    pub fn t(&self, key: &str) -> &'static str {
        self.0.lang.text(key)
    }

    /// The text of a key with a number or name for `{n}`.
    // Templates pass numbers and short texts by value.
    #[allow(clippy::needless_pass_by_value)]
    pub fn tn(&self, key: &str, n: impl ToString) -> String {
        self.0.lang.filled(key, &[("n", &n.to_string())])
    }

    /// The form token, for the field `token`.
    pub fn token(&self) -> &str {
        &self.0.token
    }

    /// The hidden field with the form token, as safe HTML.
    pub fn token_field(&self) -> String {
        format!("<input type=\"hidden\" name=\"token\" value=\"{}\">", self.token())
    }

    /// The path of the request.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Path and query of the request.
    pub fn target(&self) -> &str {
        &self.0.target
    }

    /// Whether the page is shown after a successful change, as marked in the address.
    pub fn done(&self) -> bool {
        self.target().split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair == "done=1"))
    }

    /// The signed-in user, if any.
    pub fn who(&self) -> Option<&Identity> {
        self.0.session.as_ref().map(|session| &session.session.identity)
    }

    /// The navigation.
    pub(super) fn nav(&self) -> Vec<NavEntry> {
        let Some(who) = self.who() else { return Vec::new() };
        let mine = GROUPS.iter().filter(|group| group.roles.contains(&who.role));
        mine.flat_map(|group| (group.entries)(self)).collect()
    }

    /// An entry of the navigation, marked as current if the path begins with its address.
    pub fn entry(&self, href: &str, text: &str) -> NavEntry {
        let here = self.path().strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        NavEntry { href: href.into(), text: text.into(), here }
    }

    /// A time for `datetime` of `<time>`; the script shows it in the time zone of the browser.
    pub fn time(&self, at: &UnixMillis) -> String {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.seconds());
        humantime::format_rfc3339_seconds(at).to_string()
    }

    /// Remaining time as minutes and seconds; the script counts it down.
    pub fn countdown(&self, seconds: &u64) -> String {
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
    }

    /// Renders a template.
    pub fn answer(&self, template: &impl Template) -> Answer<HttpResponse> {
        self.answer_with(StatusCode::OK, template)
    }

    /// Renders a template with another status than 200.
    pub fn answer_with(&self, status: StatusCode, template: &impl Template) -> Answer<HttpResponse> {
        let body = template.render().map_err(|error| {
            tracing::error!(%error, "template not rendered");
            PageError::Internal
        })?;
        Ok(HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(body))
    }
}

/// Redirects to another page after a form was processed.
pub fn go(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((actix_web::http::header::LOCATION, to))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

impl FromRequest for Page {
    type Error = PageError;
    type Future = Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // The guard has inserted it.
        ready(request.extensions().get::<Self>().cloned().ok_or(PageError::Internal))
    }
}

/// A signed-in user. Access is decided by this value only.
#[derive(Clone)]
pub struct SignedIn {
    /// The request.
    pub page: Page,
    /// The session.
    pub session: ActiveSession,
}

impl SignedIn {
    /// The identity of the user.
    pub fn who(&self) -> &Identity {
        &self.session.session.identity
    }

    /// Refuses other roles.
    pub fn only(&self, role: Role) -> Answer<()> {
        if self.who().role == role { Ok(()) } else { Err(PageError::NotAllowed) }
    }

    /// The domain of the user; an operator of the instance has none.
    pub fn domain(&self) -> Answer<&DomainName> {
        self.who().domain.as_ref().ok_or(PageError::NotFound)
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let page = Page::from_request(request, payload).into_inner();
        ready(page.and_then(|page| {
            let session = page.0.session.clone().ok_or(PageError::SignIn)?;
            Ok(Self { page, session })
        }))
    }
}
