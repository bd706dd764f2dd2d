//! Signing in at an OpenID provider: the browser leaves with a ticket in a cookie, and comes back with it.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::error::SignInRefusal;
use super::sign_in::{begin, browser, inside};
use super::{Answer, Group, PageError, Pages, cookies};
use crate::accounts::oidc::{OidcError, Provider, Return, TICKET_LIFETIME};
use crate::core::model::accounts::Role;
use crate::core::policy::oidc_claims::ClaimFault;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries: |_| Vec::new(), routes };

/// Where the provider sends browsers back to; it has to be registered there.
pub const CALLBACK: &str = "/ui/oidc/callback";

/// A provider, and what people call it.
pub struct SignInAt {
    /// The provider.
    pub provider: Provider,
    /// Its name.
    pub name: String,
}

impl From<OidcError> for PageError {
    fn from(error: OidcError) -> Self {
        // Which claim or which check it was is for the operator, not for whoever tries.
        tracing::warn!(%error, "nobody signed in at the provider");
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
struct Wanted {
    #[serde(default)]
    to: String,
}

fn routes(config: &mut web::ServiceConfig) {
    config.route("/oidc/start", web::get().to(leave)).route("/oidc/callback", web::get().to(come_back));
}

/// By `GET`: after a form, the browser would not follow to another site.
async fn leave(pages: web::Data<Pages>, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let at = pages.provider.as_ref().ok_or(PageError::NotFound)?;
    let departure = at.provider.depart(inside(&wanted.to)).await?;
    let mut ticket = cookies::cookie(&pages, cookies::TICKET, &departure.ticket);
    ticket.set_max_age(CookieDuration::try_from(TICKET_LIFETIME).unwrap_or_default());
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, departure.address))
        .insert_header((CACHE_CONTROL, "no-store"))
        .cookie(ticket)
        .finish())
}

async fn come_back(pages: web::Data<Pages>, request: HttpRequest, back: web::Query<Return>) -> Answer<HttpResponse> {
    let at = pages.provider.as_ref().ok_or(PageError::NotFound)?;
    let ticket = cookies::value(&request, cookies::TICKET);
    let arrival = at.provider.arrive(ticket.as_deref(), &back).await?;
    let begun = pages.sign_in.begin(&arrival.identity, browser(&request)).await?;
    let mut answer = begin(&pages, &begun, inside(&arrival.to));
    // A cookie that stays is good for nothing, but is better gone.
    let _ = answer.add_cookie(&cookies::removal(&pages, cookies::TICKET));
    Ok(answer)
}
