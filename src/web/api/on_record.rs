//! Middleware of the interface: what changes something stands in the audit log.
//!
//! The operations of [`Admin`] record what they do. Should one forget it, the call itself is recorded here, so that a
//! new operation is on record in any case; `tests/end_to_end/audit.rs` finds that it has forgotten it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use crate::admin::{Admin, Authority};

/// Wraps every operation.
pub(super) async fn on_record<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.call(request).await?;
    if reads || !response.status().is_success() {
        return Ok(response);
    }
    let request = response.request();
    // Without an authority nothing was changed: a token was asked for.
    let authority = request.extensions().get::<Authority>().cloned();
    if let (Some(authority), Some(admin)) = (authority, request.app_data::<web::Data<Admin>>())
        && !authority.has_recorded()
    {
        let pattern = request.match_pattern().unwrap_or_default();
        tracing::warn!(method = %request.method(), pattern, "an operation has recorded nothing");
        admin.record_call(&authority, request.method().as_str(), &pattern).await;
    }
    Ok(response)
}
