//! Sign-in at an OpenID provider: redirects the browser to the provider with a sealed state in a cookie, and handles
//! its return.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::error::SignInRefusal;
use super::sign_in::{begin, browser, inside_pages};
use super::{Answer, Group, PageError, Pages, cookies};
use crate::accounts::oidc::{Callback, OidcError, Provider, STATE_LIFETIME};
use crate::core::model::accounts::Role;
use crate::core::policy::oidc_claims::ClaimFault;
use crate::web::client_address::client_of;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries: |_| Vec::new(), routes };

/// Redirect address, which must be registered at the provider.
pub const CALLBACK: &str = "/ui/oidc/callback";

/// A provider with its displayed name.
pub struct SignInAt {
    /// The provider.
    pub provider: Provider,
    /// Its name.
    pub name: String,
}

impl From<OidcError> for PageError {
    fn from(error: OidcError) -> Self {
        // The details are for the operator only.
        tracing::warn!(%error, "sign-in at the provider failed");
        Self::Turned(match error {
            OidcError::Down(_) => SignInRefusal::Down,
            OidcError::Denied(_) => SignInRefusal::Denied,
            OidcError::Over => SignInRefusal::Over,
            OidcError::Refused(_) | OidcError::AnotherIssuer | OidcError::Token(_) => SignInRefusal::Untrusted,
            OidcError::NoDomain(_) | OidcError::Claims(ClaimFault::Domain(_) | ClaimFault::Unverified) => {
                SignInRefusal::Domain
            }
            OidcError::Claims(ClaimFault::Role(_)) => SignInRefusal::Role,
            OidcError::Claims(ClaimFault::Account(_) | ClaimFault::Sip(_)) => SignInRefusal::Name,
            OidcError::Busy => return Self::TooMany(std::time::Duration::from_secs(5)),
            OidcError::Store(error) => return error.into(),
        })
    }
}

#[derive(Deserialize)]
struct StartQuery {
    #[serde(default)]
    to: String,
}

fn routes(config: &mut web::ServiceConfig) {
    config.route("/oidc/start", web::get().to(start)).route("/oidc/callback", web::get().to(finish));
}

/// A link (`GET`) and not a form, because our policy forbids browsers to follow a form's redirect to another site.
async fn start(pages: web::Data<Pages>, query: web::Query<StartQuery>) -> Answer<HttpResponse> {
    let at = pages.provider.as_ref().ok_or(PageError::NotFound)?;
    let started = at.provider.start(inside_pages(&query.to)).await?;
    let mut state = cookies::cookie(&pages, cookies::SIGN_IN_STATE, &started.state);
    state.set_max_age(CookieDuration::try_from(STATE_LIFETIME).unwrap_or_default());
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, started.address))
        .insert_header((CACHE_CONTROL, "no-store"))
        .cookie(state)
        .finish())
}

async fn finish(pages: web::Data<Pages>, request: HttpRequest, callback: web::Query<Callback>) -> Answer<HttpResponse> {
    let at = pages.provider.as_ref().ok_or(PageError::NotFound)?;
    let state = cookies::value(&request, cookies::SIGN_IN_STATE);
    let finished = at.provider.finish(state.as_deref(), &callback).await?;
    let begun = pages.sign_in.begin(&finished.identity, browser(&request), Some(client_of(&request).address)).await?;
    let mut answer = begin(&pages, &begun, inside_pages(&finished.to));
    // The state cannot be used again; the cookie is removed for tidiness.
    let _ = answer.add_cookie(&cookies::removal(&pages, cookies::SIGN_IN_STATE));
    Ok(answer)
}
