//! From which address a request comes.

use std::net::IpAddr;

use actix_web::HttpRequest;

/// The address of the client, for the audit log and for limits.
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}
