//! Authenticates callers by the bearer token of a request.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use super::Problem;
use crate::admin::{Admin, Authority};
use crate::connection::http;
use crate::web::client_address::client_of;

/// The authority of the caller. A handler that takes it answers 401 without a valid token.
pub(super) struct Caller(pub Authority);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let admin = request.app_data::<web::Data<Admin>>().cloned();
        let request = request.clone();
        Box::pin(async move {
            // Of one request there is one authority, although the body is read only for a caller, too.
            if let Some(known) = request.extensions().get::<Authority>() {
                return Ok(Self(known.clone()));
            }
            let (Some(admin), Some(token)) = (admin, token) else { return Err(Problem::unauthorized()) };
            let authority = admin.authority(&token).await?.ok_or_else(Problem::unauthorized)?;
            let authority = authority.from(Some(client_of(&request).address));
            // For `on_record`, which checks that a change stands in the audit log.
            request.extensions_mut().insert(authority.clone());
            http::authenticated();
            Ok(Self(authority))
        })
    }
}
