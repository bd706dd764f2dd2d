//! TLS for the peers of the tests: certificates, a client that trusts them, and forwarders into TLS for peers that
//! speak plain.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use provbroker::config::Config;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::peer::guarded;
use super::raw::{self, LOCALHOST};

/// Certificate and key in files.
pub struct Certificate {
    dir: TempDir,
    pem: (String, String),
    /// As shown in a handshake.
    pub der: CertificateDer<'static>,
}

impl Certificate {
    /// A new one for the loopback.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let this = Self {
            dir: tempfile::tempdir().unwrap(),
            pem: (made.cert.pem(), made.signing_key.serialize_pem()),
            der: made.cert.der().clone(),
        };
        this.write(&this);
        this
    }

    /// Replaces the files of this certificate by those of another one.
    pub fn write(&self, other: &Self) {
        std::fs::write(self.chain(), &other.pem.0).unwrap();
        std::fs::write(self.key(), &other.pem.1).unwrap();
    }

    pub fn chain(&self) -> PathBuf {
        self.dir.path().join("chain.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Makes a broker use it.
    pub fn configure(&self, config: &mut Config) {
        (config.tls.certificate, config.tls.key) = (self.chain(), self.key());
        config.server.public_url = config.server.public_url.replacen("http:", "https:", 1);
    }
}

/// A client that trusts `certificates` and remembers its sessions.
#[derive(Clone)]
pub struct Client(TlsConnector);

impl Client {
    pub fn new(certificates: &[&Certificate]) -> Self {
        Self::of_versions(certificates, rustls::ALL_VERSIONS)
    }

    pub fn of_versions(certificates: &[&Certificate], versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.der.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        Self(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    /// A client that offers these application protocols.
    pub fn offering(certificate: &Certificate, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(Self::new(&[certificate]).0.config());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self(TlsConnector::from(Arc::new(config)))
    }

    pub async fn try_connect(&self, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.try_connect_from(LOCALHOST, to).await
    }

    async fn try_connect_from(&self, from: IpAddr, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        guarded("a handshake", self.0.connect(name, raw::connect(from, to).await)).await
    }

    /// Connects, fetches something (and with it a ticket), and closes; returns the handshake and the certificate.
    pub async fn visit(&self, to: SocketAddr) -> Visit {
        let mut stream = self.try_connect(to).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        guarded("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let session = stream.get_ref().1;
        Visit {
            kind: session.handshake_kind().unwrap(),
            version: session.protocol_version().unwrap(),
            certificate: session.peer_certificates().unwrap()[0].clone().into_owned(),
        }
    }

    /// An address of the loopback that forwards plain bytes through TLS to `to`.
    pub async fn way_to(&self, to: SocketAddr) -> SocketAddr {
        self.way_from(LOCALHOST, to).await
    }

    /// The same, from another address.
    pub async fn way_from(&self, from: IpAddr, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = self.clone();
        tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                plain.set_nodelay(true).unwrap();
                let client = client.clone();
                tokio::spawn(async move {
                    let mut sealed = client.try_connect_from(from, to).await.unwrap();
                    // The peers judge how it ends.
                    let _ = copy_bidirectional(&mut plain, &mut sealed).await;
                });
            }
        });
        address
    }
}

/// A TLS listener in front of a plain server, for connections that the broker makes.
pub struct Front {
    pub addr: SocketAddr,
    failed: Arc<AtomicUsize>,
}

impl Front {
    pub async fn start(certificate: &Certificate, to: SocketAddr) -> Self {
        let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der.clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (addr, failed) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&failed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut sealed) = acceptor.accept(stream).await else {
                        count.fetch_add(1, Ordering::Relaxed);
                        return;
                    };
                    let mut plain = raw::connect(LOCALHOST, to).await;
                    // A TLS 1.3 client refuses a certificate only after the handshake of the server is done.
                    if matches!(copy_bidirectional(&mut sealed, &mut plain).await, Ok((0, _)) | Err(_)) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { addr, failed }
    }

    /// Connections on which nothing was received.
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Result of a visit.
#[derive(Debug)]
pub struct Visit {
    pub kind: HandshakeKind,
    pub version: ProtocolVersion,
    pub certificate: CertificateDer<'static>,
}
