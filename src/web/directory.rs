//! HTTP endpoints of the directory: the calls of Devices, and `/init` for devices (`docs/protocol/directory.md`).
//!
//! This module does HTTP, and asks when a code or a credential may be looked at. The rules for codes are in `DirectoryService`; queries
//! and answers of `/init` are in `core::protocol::init`.

mod api;
mod init;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::CacheDirective::NoStore;
use actix_web::http::header::{CacheControl, ContentType};
use actix_web::{HttpResponse, guard, web};

use crate::attempts::AttemptService;
use crate::core::model::ids::Code;
use crate::core::model::time::Tick;
use crate::directory::DirectoryService;

/// State shared by the routes of the directory.
pub struct DirectoryWeb {
    service: Arc<DirectoryService>,
    attempts: Arc<AttemptService>,
    clock: Box<dyn Fn() -> Tick + Send + Sync>,
    found: Box<dyn Fn(Code) + Send + Sync>,
}

impl DirectoryWeb {
    /// Endpoints of `service`. `clock` is `clock::now` except in tests.
    pub fn new(
        service: Arc<DirectoryService>,
        attempts: Arc<AttemptService>,
        clock: impl Fn() -> Tick + Send + Sync + 'static,
    ) -> Self {
        Self { service, attempts, clock: Box::new(clock), found: Box::new(|_| {}) }
    }

    /// Sets a callback for every valid code that a device has sent. It must not block.
    #[must_use]
    pub fn with_found(mut self, found: impl Fn(Code) + Send + Sync + 'static) -> Self {
        self.found = Box::new(found);
        self
    }
}

/// Seconds for `Retry-After`, rounded up, at least 1.
fn retry_after(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// Adds `/init` in its three forms, `/api/v1/codes` and `/healthz`. Every worker must be given the same `web`.
pub fn routes(web: web::Data<DirectoryWeb>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web)
            .service(
                web::resource(["/init", "/init/{file:.*}"])
                    .guard(guard::fn_guard(init::is_path))
                    .route(web::get().to(init::init))
                    .route(web::head().to(init::init))
                    .default_service(web::to(init::other_method)),
            )
            .service(
                web::resource("/api/v1/codes")
                    .route(web::post().to(api::issue))
                    .default_service(web::to(api::only_post)),
            )
            .service(
                web::resource("/api/v1/codes/{code}")
                    .route(web::delete().to(api::give_back))
                    .default_service(web::to(api::only_delete)),
            )
            .configure(health);
    }
}

/// Adds `/healthz`, which the public listener has with any role (`docs/protocol/directory.md` 3.3).
pub fn health(config: &mut web::ServiceConfig) {
    config.service(web::resource("/healthz").route(web::get().to(healthz)).route(web::head().to(healthz)));
}

/// Liveness of the process; readiness is reported by `/readyz`.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::plaintext()).insert_header(CacheControl(vec![NoStore])).body("ok\n")
}
