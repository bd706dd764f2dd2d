//! HTTP endpoints of the directory: the calls of Devices, and `/init` for devices (`docs/protocol/directory.md`).
//!
//! This module does HTTP and the limits for wrong codes only. The rules for codes are in `DirectoryService`; queries
//! and answers of `/init` are in `core::protocol::init`.

mod api;
mod init;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::CacheDirective::NoStore;
use actix_web::http::header::{CacheControl, ContentType};
use actix_web::{HttpResponse, web};

use crate::core::model::ids::Code;
use crate::core::model::time::Tick;
use crate::core::policy::limits::{Attempts, MAX_KEYS, Quota, SourceKey, Window};
use crate::directory::DirectoryService;

/// Limits for wrong codes (`docs/protocol/directory.md` 4.4). They are counted per process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongCodeLimits {
    /// Per MAC address.
    pub per_mac: Quota,
    /// Per source address.
    pub per_source: Quota,
    /// If there are more wrong codes per minute over all sources, every answer to a code is delayed.
    pub per_minute: u64,
    /// That delay.
    pub delay: Duration,
    /// How many MAC addresses, and how many source addresses, are tracked.
    pub max_keys: usize,
}

impl Default for WrongCodeLimits {
    fn default() -> Self {
        const TEN_MINUTES: Duration = Duration::from_secs(600);
        Self {
            per_mac: Quota::new(10, TEN_MINUTES),
            per_source: Quota::new(60, TEN_MINUTES),
            per_minute: 1000,
            delay: Duration::from_secs(2),
            max_keys: MAX_KEYS,
        }
    }
}

/// State shared by the routes of the directory.
pub struct DirectoryWeb {
    service: Arc<DirectoryService>,
    wrong: Mutex<WrongCodes>,
    delay: Duration,
    clock: Box<dyn Fn() -> Tick + Send + Sync>,
    found: Box<dyn Fn(Code) + Send + Sync>,
}

impl DirectoryWeb {
    /// Endpoints of `service`. `clock` is `clock::now` except in tests.
    pub fn new(
        service: Arc<DirectoryService>,
        limits: &WrongCodeLimits,
        clock: impl Fn() -> Tick + Send + Sync + 'static,
    ) -> Self {
        let wrong = Mutex::new(WrongCodes::new(limits));
        Self { service, wrong, delay: limits.delay, clock: Box::new(clock), found: Box::new(|_| {}) }
    }

    /// Sets a callback for every valid code that a device has sent. It must not block.
    #[must_use]
    pub fn with_found(mut self, found: impl Fn(Code) + Send + Sync + 'static) -> Self {
        self.found = Box::new(found);
        self
    }

    fn with_wrong<T>(&self, act: impl FnOnce(&mut WrongCodes) -> T) -> T {
        // The counters are valid even if a thread has panicked while it held the lock.
        act(&mut self.wrong.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counters of wrong codes, in memory only.
struct WrongCodes {
    by_mac: Attempts<Box<str>>,
    by_source: Attempts<SourceKey>,
    over_all: Window,
}

/// Origin of an attempt, as far as known.
struct AttemptSource {
    mac: Option<Box<str>>,
    source: Option<SourceKey>,
}

impl WrongCodes {
    fn new(limits: &WrongCodeLimits) -> Self {
        Self {
            by_mac: Attempts::new(limits.per_mac, limits.max_keys),
            by_source: Attempts::new(limits.per_source, limits.max_keys),
            over_all: Window::new(limits.per_minute, Duration::from_secs(60)),
        }
    }

    fn blocked(&self, origin: &AttemptSource, now: Tick) -> Option<Duration> {
        let by_mac = origin.mac.as_ref().and_then(|mac| self.by_mac.blocked(mac, now));
        let by_source = origin.source.as_ref().and_then(|source| self.by_source.blocked(source, now));
        by_mac.max(by_source)
    }

    fn count(&mut self, origin: &AttemptSource, now: Tick) {
        if let Some(mac) = &origin.mac {
            self.by_mac.count(mac, now);
        }
        if let Some(source) = &origin.source {
            self.by_source.count(source, now);
        }
        self.over_all.count(now);
    }
}

/// Seconds for `Retry-After`, rounded up, at least 1.
fn retry_after(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// Adds `/init`, `/api/v1/codes` and `/healthz`. Every worker must be given the same `web`.
pub fn routes(web: web::Data<DirectoryWeb>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web)
            .service(
                web::resource("/init")
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
