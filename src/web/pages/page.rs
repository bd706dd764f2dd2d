//! What a template knows of the request that it answers: language, visitor, token, navigation.

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
    /// Where it leads.
    pub href: String,
    /// What it says.
    pub text: String,
    /// The page is there, or below it.
    pub here: bool,
}

/// A request that a page answers. Cheap to clone.
#[derive(Clone)]
pub struct Page(Rc<Inner>);

struct Inner {
    lang: Lang,
    visit: Option<ActiveSession>,
    token: String,
    path: String,
    target: String,
}

impl Page {
    pub(super) fn new(lang: Lang, visit: Option<ActiveSession>, token: String, path: &str, target: &str) -> Self {
        Self(Rc::new(Inner { lang, visit, token, path: path.into(), target: target.into() }))
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
    // Numbers and short texts; a template has them as they come.
    #[allow(clippy::needless_pass_by_value)]
    pub fn tn(&self, key: &str, n: impl ToString) -> String {
        self.0.lang.filled(key, &[("n", &n.to_string())])
    }

    /// What a form sends back in its field `token`.
    pub fn token(&self) -> &str {
        &self.0.token
    }

    /// That field; safe to be put into a template as it is.
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

    /// Whether the page is shown after something was done: the address says so.
    pub fn done(&self) -> bool {
        self.target().split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair == "done=1"))
    }

    /// Who has come, if they are signed in.
    pub fn who(&self) -> Option<&Identity> {
        self.0.visit.as_ref().map(|visit| &visit.session.identity)
    }

    /// The navigation.
    pub(super) fn nav(&self) -> Vec<NavEntry> {
        let Some(who) = self.who() else { return Vec::new() };
        let mine = GROUPS.iter().filter(|group| group.roles.contains(&who.role));
        mine.flat_map(|group| (group.entries)(self)).collect()
    }

    /// An entry of the navigation that is marked where the path begins with it.
    pub fn entry(&self, href: &str, text: &str) -> NavEntry {
        let here = self.path().strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        NavEntry { href: href.into(), text: text.into(), here }
    }

    /// A point in time, for `datetime` of `<time>`; the script shows it in the time zone of the browser.
    pub fn time(&self, at: &UnixMillis) -> String {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.seconds());
        humantime::format_rfc3339_seconds(at).to_string()
    }

    /// A time that is left, as a clock shows it; the script counts it down.
    pub fn countdown(&self, seconds: &u64) -> String {
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
    }

    /// Renders a template.
    pub fn answer(&self, template: &impl Template) -> Answer<HttpResponse> {
        self.answer_with(StatusCode::OK, template)
    }

    /// Renders a template for another status than 200.
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

/// Leads on to another page after a form was taken.
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
        // The guard has put it there.
        ready(request.extensions().get::<Self>().cloned().ok_or(PageError::Internal))
    }
}

/// Somebody who is signed in. What they see is decided by this alone.
#[derive(Clone)]
pub struct SignedIn {
    /// The request.
    pub page: Page,
    /// The session.
    pub visit: ActiveSession,
}

impl SignedIn {
    /// Who it is.
    pub fn who(&self) -> &Identity {
        &self.visit.session.identity
    }

    /// Refuses other roles.
    pub fn only(&self, role: Role) -> Answer<()> {
        if self.who().role == role { Ok(()) } else { Err(PageError::NotAllowed) }
    }

    /// The domain that they belong to; an operator of the instance belongs to none.
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
            let visit = page.0.visit.clone().ok_or(PageError::SignIn)?;
            Ok(Self { page, visit })
        }))
    }
}
