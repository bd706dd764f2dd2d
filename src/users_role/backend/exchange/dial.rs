//! Opens our own connection to an exchange (`docs/protocol/pbx.md` 1.2): WebSocket over TLS, with the certificate
//! checked against a configured authority or fingerprint.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::users_role::tls::trust_only;

/// Longest message accepted from an exchange (`docs/protocol/pbx.md` section 6).
pub(super) const LONGEST: usize = 1 << 20;
/// Limit for name resolution, TCP, TLS and the upgrade together.
const CONNECT_TIME: Duration = Duration::from_secs(20);

/// An open connection.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Which certificates are trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Any public authority.
    Public,
    /// These authorities only, as DER.
    Authorities(Vec<CertificateDer<'static>>),
    /// Exactly this certificate, by its SHA-256.
    Fingerprint([u8; 32]),
}

/// Why the connection failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Timed out.
    #[error("timed out")]
    Timeout,
    /// An error of the WebSocket, TLS or TCP.
    #[error("{0}")]
    Failed(Box<tokio_tungstenite::tungstenite::Error>),
    /// The configured authorities cannot be used.
    #[error("the configured authority cannot be used: {0}")]
    Authority(rustls::Error),
}

/// Opens a connection.
pub(super) async fn dial(url: &str, trust: &Trust) -> Result<Socket, DialError> {
    let connector = connector(trust)?;
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let connecting = connect_async_tls_with_config(url, Some(config), true, connector);
    match timeout(CONNECT_TIME, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(DialError::Failed(Box::new(error))),
        Err(_) => Err(DialError::Timeout),
    }
}

fn connector(trust: &Trust) -> Result<Option<Connector>, DialError> {
    let config = match trust {
        // The default of the library: public roots.
        Trust::Public => return Ok(None),
        Trust::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone()).map_err(DialError::Authority)?;
            }
            let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
            let builder = builder.with_safe_default_protocol_versions().map_err(DialError::Authority)?;
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Fingerprint(fingerprint) => {
            let fingerprint = *fingerprint;
            let pinned = trust_only(move |shown| {
                let seen: [u8; 32] = Sha256::digest(shown.as_ref()).into();
                let right = seen == fingerprint;
                if right { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
            });
            pinned.map_err(DialError::Authority)?
        }
    };
    Ok(Some(Connector::Rustls(Arc::new(config))))
}
