//! The operations listener: metrics, health, readiness.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::lifecycle::Shutdown;
use crate::metrics;

/// State of the operations listener.
#[derive(Clone)]
pub struct Ops {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Readiness of the process and of the store.
    pub shutdown: Shutdown,
}

/// Adds `/metrics`, `/healthz` and `/readyz`.
pub fn routes(ops: Ops) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(ops))
            .route("/metrics", web::get().to(render))
            .route("/healthz", web::get().to(|| async { HttpResponse::Ok().body("ok\n") }))
            .route("/readyz", web::get().to(ready));
    }
}

async fn render(ops: web::Data<Ops>) -> HttpResponse {
    // Reading `/proc` can be slow with very many connections, and would block a thread that serves devices.
    match web::block(move || metrics::render(&ops.metrics)).await {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn ready(ops: web::Data<Ops>) -> HttpResponse {
    let readiness = ops.shutdown.readiness();
    let status = StatusCode::from_u16(readiness.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    HttpResponse::build(status).body(format!("{}\n", readiness.as_str()))
}
