//! The OpenAPI 3.1 document of the operators' interface, put together from its parts.

use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::only;
use super::{Problem, builds, categories, devices, domains, jobs, moves, token};

#[derive(OpenApi)]
#[openapi(
    info(title = "provbroker", description = "Operators' interface of a provisioning broker for desk phones."),
    components(schemas(Problem)),
    security(("token" = [])),
    modifiers(&Bearer),
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The whole document.
pub fn document() -> Value {
    let mut document = Base::openapi();
    document.merge(token::Doc::openapi());
    document.merge(domains::Doc::openapi());
    document.merge(categories::Doc::openapi());
    document.merge(jobs::Doc::openapi());
    document.merge(builds::Doc::openapi());
    document.merge(devices::Doc::openapi());
    document.merge(moves::Doc::openapi());
    let mut document = serde_json::to_value(document).unwrap_or_default();
    // Each kind of configuration has parameters of its own, which no type of ours can say.
    document["components"]["schemas"]["ConfigJobBody"] = jobs::config_schema();
    document
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/api/v1/openapi.json")
            .route(web::get().to(|| async { HttpResponse::Ok().json(document()) }))
            .default_service(web::to(only("GET"))),
    );
}
