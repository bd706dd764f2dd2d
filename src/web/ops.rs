//! The operations listener: metrics, health, readiness.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::lifecycle::Shutdown;
use crate::metrics;

/// What the listener shows.
#[derive(Clone)]
pub struct Ops {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The life of the process, and whether the store answers.
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
    // Reading what the kernel says may take a while with very many connections; this thread has devices to serve.
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
