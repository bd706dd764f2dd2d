//! `POST /api/v1/token`: exchanges a password for a short-lived token.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::body::OpenBody;
use super::problem::method_not_allowed;
use super::{Answer, Problem};
use crate::admin::Admin;
use crate::core::model::ids::Secret;
use crate::web::client_address::client_of;

/// Domain and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// Name of the domain; absent or empty: the whole instance.
    #[serde(default)]
    #[schema(example = "example.com")]
    domain: Option<String>,
    /// Password of the domain, or of the instance.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// A new token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenAnswer {
    /// Send it as `Authorization: Bearer …`.
    token: String,
    /// How long it is valid, in seconds.
    expires_in: u64,
    /// The token gives access to all domains.
    instance: bool,
    /// The domain that it gives access to.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
}

/// Exchange a password for a token
#[utoipa::path(post, path = "/api/v1/token", tag = "access", security(()), request_body = Credentials,
    responses((status = 200, body = TokenAnswer), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn create_token(
    request: HttpRequest,
    admin: web::Data<Admin>,
    OpenBody(body): OpenBody<Credentials>,
) -> Answer<HttpResponse> {
    let client = client_of(&request);
    let source = Some(client.source()).filter(|_| !client.own);
    let fresh = admin.log_in(body.domain.as_deref(), &body.password, source).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(TokenAnswer {
        token: fresh.token.expose().into(),
        expires_in: fresh.valid.as_secs(),
        instance: fresh.authority.domain.is_none(),
        domain: fresh.authority.domain.map(|domain| domain.as_str().into()),
    }))
}

#[derive(OpenApi)]
#[openapi(paths(create_token))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/token")
            .route(web::post().to(create_token))
            .default_service(web::to(method_not_allowed("POST"))),
    );
}
