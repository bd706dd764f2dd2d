//! Assembles the OpenAPI 3.1 document of the operators' interface.

use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::{get, method_not_allowed};
use super::{
    Problem, audit, builds, bundles, categories, codes, devices, domains, dry_run, exports, jobs, rollouts, store,
    token,
};
use crate::web::api::{timelines, transfers};

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
    document.merge(bundles::Doc::openapi());
    document.merge(devices::Doc::openapi());
    document.merge(dry_run::Doc::openapi());
    document.merge(transfers::Doc::openapi());
    document.merge(codes::Doc::openapi());
    document.merge(exports::Doc::openapi());
    document.merge(rollouts::Doc::openapi());
    document.merge(timelines::Doc::openapi());
    document.merge(store::Doc::openapi());
    document.merge(audit::Doc::openapi());
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let schemas = &mut document["components"]["schemas"];
    jobs::complete(schemas);
    builds::complete(schemas);
    document
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/openapi.json")
            .route(get().to(|| async { HttpResponse::Ok().json(document()) }))
            .default_service(web::to(method_not_allowed("GET"))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::jobs::config::Kind;

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn every_operation_says_how_it_fails() {
        let document = document();
        for (name, operation) in operations(&document) {
            for status in ["4XX", "5XX"] {
                let content = &operation["responses"][status]["content"];
                assert!(content["application/problem+json"].is_object(), "{name} {status}: {content}");
            }
        }
        assert!(operations(&document).count() > 15);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
        let document = document();
        let mut names = std::collections::HashSet::new();
        for (name, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(names.insert(id), "{name}: {id} is there twice");
            assert!(id.contains('_'), "{name}: {id} does not say what it is about");
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{name}");
        }
    }

    #[test]
    fn no_body_takes_members_that_it_does_not_know() {
        let document = document();

        let schemas = &document["components"]["schemas"];
        for (name, operation) in operations(&document) {
            let Some(body) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
                continue;
            };
            let schema = &schemas[body.rsplit('/').next().unwrap()];
            let one = std::slice::from_ref(schema);
            let alternatives = schema["oneOf"].as_array().map_or(one, Vec::as_slice);
            assert!(alternatives.iter().all(|schema| schema["additionalProperties"] == false), "{name}: {schema}");
        }
        assert_eq!(schemas["ConfigJobBody"]["oneOf"].as_array().unwrap().len(), Kind::ALL.len());
    }
}
