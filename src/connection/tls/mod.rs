//! TLS of the public listener: turns an accepted TCP connection into a stream for HTTP.
//!
//! TLS 1.3 and 1.2 by rustls. The certificate is read from files and again when they change (`identity`); sessions are
//! resumed by tickets whose keys all nodes share (`tickets`). The number of concurrent handshakes is limited by
//! [`crate::admission`].

mod identity;
mod stream;
mod tickets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactory, fn_service};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::time::timeout;

pub use self::identity::{Identity, IdentityError};
pub use self::stream::TlsStream;
pub use self::tickets::{READ_KEYS, Tickets};
use crate::config::TlsVersion;
use crate::connection::accept_gate::Passed;
use crate::connection::client_stream::ClientStream;
use crate::metrics::{self, Counter, Handshake};

/// How often the files of the certificate are checked.
pub const LOOK_AT_FILES: Duration = Duration::from_secs(2);

/// Makes TLS streams of TCP connections.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    timeout: Duration,
}

/// The suites with SHA-256 go first: processors have instructions for it and for AES, but none for SHA-384, which would
/// take a tenth of a handshake.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        )
    });
    provider
}

impl Tls {
    /// TLS with this certificate; `oldest` is the lowest allowed version. Sessions are resumed if there are `tickets`.
    /// A handshake fails after `timeout`.
    pub fn new(
        identity: Arc<Identity>,
        tickets: Option<Arc<Tickets>>,
        oldest: TlsVersion,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let versions = match oldest {
            TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
        let mut config = builder.with_protocol_versions(versions)?.with_no_client_auth().with_cert_resolver(identity);
        config.ignore_client_order = true;
        // HTTP/2 has no upgrade to the protocols of this service.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Only tickets: sessions kept in memory would be unknown to other nodes and after a restart.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Each ticket costs time and bytes; a client that returns uses one and gets a new one.
        config.send_tls13_tickets = usize::from(tickets.is_some());
        if let Some(tickets) = tickets {
            config.ticketer = tickets;
        }
        Ok(Self { config: Arc::new(config), timeout })
    }

    /// The handshakes, as a service between a TCP listener and HTTP.
    pub fn service(
        &self,
    ) -> impl ServiceFactory<
        Passed,
        Config = (),
        Response = (TlsStream<ClientStream>, Protocol, Option<SocketAddr>),
        Error = DispatchError,
        InitError = (),
    > + use<> {
        let tls = self.clone();
        fn_service(move |(io, peer): Passed| {
            let tls = tls.clone();
            async move { Ok((tls.shake_hands(io).await?, Protocol::Http1, peer)) }
        })
    }

    async fn shake_hands(&self, io: ClientStream) -> Result<TlsStream<ClientStream>, DispatchError> {
        let shaking = TlsStream::accept(io, Arc::clone(&self.config));
        let (outcome, stream) = match timeout(self.timeout, shaking).await {
            Ok(Ok(stream)) => (outcome(&stream), Ok(stream)),
            Ok(Err(error)) => (Handshake::Failed, Err(DispatchError::Io(error))),
            Err(_) => (Handshake::TimedOut, Err(DispatchError::SlowRequestTimeout)),
        };
        metrics::count(Counter::TlsHandshake(outcome));
        if let Err(error) = &stream {
            tracing::debug!(%error, "TLS handshake failed");
        }
        stream
    }
}

fn outcome(session: &TlsStream<ClientStream>) -> Handshake {
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    match (session.protocol_version(), resumed) {
        (Some(ProtocolVersion::TLSv1_3), false) => Handshake::Full13,
        (Some(ProtocolVersion::TLSv1_3), true) => Handshake::Resumed13,
        (_, false) => Handshake::Full12,
        (_, true) => Handshake::Resumed12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_without_sha_384_go_first() {
        let names: Vec<_> = provider().cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        let first_384 = names.iter().position(|name| name.contains("SHA384")).unwrap();
        assert!(names[first_384..].iter().all(|name| name.contains("SHA384")), "{names:?}");
        assert_eq!(names[0], "TLS13_AES_128_GCM_SHA256");
    }
}
