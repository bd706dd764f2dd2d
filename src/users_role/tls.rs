//! TLS client configurations of the Users role: public roots for a remote Devices, and certificates checked by other
//! means than their issuer.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The TLS configuration could not be built.
#[derive(Debug, thiserror::Error)]
#[error("TLS towards Devices: {0}")]
pub struct TlsError(#[from] Error);

/// Trusts certificates that chain to a public root.
pub fn trust_roots() -> Result<Arc<ClientConfig>, TlsError> {
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts the certificate that passes `check`, whatever its issuer, names and dates; the handshake must still prove
/// possession of its key.
pub(super) fn trust_only(
    check: impl Fn(&CertificateDer<'_>) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pinned = Pinned { check, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth())
}

struct Pinned<F> {
    check: F,
    provider: Arc<CryptoProvider>,
}

impl<F> fmt::Debug for Pinned<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pinned(…)")
    }
}

impl<F> ServerCertVerifier for Pinned<F>
where
    F: Fn(&CertificateDer<'_>) -> Result<(), Error> + Send + Sync,
{
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        (self.check)(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{CertificateError, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    struct Server(Arc<ServerConfig>, CertificateDer<'static>);

    impl Server {
        fn new() -> Self {
            let made = rcgen::generate_simple_self_signed(["devices.example".to_owned()]).unwrap();
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
            let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
            let config = builder.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
            Self(Arc::new(config), made.cert.der().clone())
        }

        async fn takes(&self, client: Arc<ClientConfig>) -> bool {
            let (near, far) = tokio::io::duplex(1 << 16);
            let name = ServerName::try_from("of.another.name").unwrap();
            let connecting = TlsConnector::from(client).connect(name, near);
            let accepting = TlsAcceptor::from(Arc::clone(&self.0)).accept(far);
            let (connected, accepted) = tokio::join!(connecting, accepting);
            connected.is_ok() && accepted.is_ok()
        }
    }

    #[tokio::test]
    async fn the_certificate_that_is_asked_for_is_trusted_and_no_other_one() {
        let (one, other) = (Server::new(), Server::new());
        let wanted = one.1.clone();
        let only = trust_only(
            move |shown| {
                if *shown == wanted { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) }
            },
        );
        let client = Arc::new(only.unwrap());
        assert!(one.takes(Arc::clone(&client)).await);
        assert!(!other.takes(client).await);
        assert!(!one.takes(trust_roots().unwrap()).await);
    }
}
