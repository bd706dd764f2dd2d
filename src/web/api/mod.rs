//! The operators' REST interface, `/api/v1/…`: maps HTTP to [`Admin`].
//!
//! Every error is a problem document (RFC 9457). The OpenAPI document at `/api/v1/openapi.json` is generated from the
//! attributes of the handlers and of their types. Rules about objects belong to `admin`, not here. See
//! `docs/operators.md`.

mod audit;
mod body;
mod builds;
mod bundles;
mod caller;
mod categories;
mod codes;
mod cursor;
mod devices;
mod domains;
mod dry_run;
mod exports;
mod in_domain;
mod jobs;
mod on_record;
mod openapi;
mod problem;
mod rollouts;
mod shapes;
mod store;
mod text;
mod timelines;
mod token;
mod transfers;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web;

use crate::admin::Admin;

pub use openapi::document;
pub use problem::Problem;

/// Longest JSON body of the resources that take lists, in bytes.
const MAX_JSON: usize = 1024 * 1024;

/// Longest text of a setting, in characters.
const MAX_TEXT: usize = 256;

/// Result of a handler.
type Answer<T> = Result<T, Problem>;

/// Adds the operators' routes.
pub fn routes(admin: Arc<Admin>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let interface = web::scope("/api/v1")
            .app_data(web::Data::from(admin))
            .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::bad_query(&error).into()))
            .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("address").into()))
            .configure(token::routes)
            .configure(domains::routes)
            .configure(categories::routes)
            .configure(jobs::routes)
            .configure(builds::routes)
            .configure(bundles::routes)
            .configure(devices::routes)
            .configure(dry_run::routes)
            .configure(crate::web::api::transfers::routes)
            .configure(codes::routes)
            .configure(exports::routes)
            .configure(rollouts::routes)
            .configure(crate::web::api::timelines::routes)
            .configure(store::routes)
            .configure(audit::routes)
            .configure(openapi::routes)
            .wrap(from_fn(on_record::on_record));
        config.service(interface);
    }
}
