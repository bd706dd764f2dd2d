//! The server under test: where it is, and plain connections to it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::finding::{Step, Transcript, Unexpected};

/// Longest wait for anything that has to come at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A host with a path, and how it is reached.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// The path, without a slash at its end.
    pub path: String,
}

impl Target {
    /// Reads an address. Who names neither a file nor that certificates are not checked trusts nobody.
    pub fn parse(address: &str, ca: Option<&Path>, insecure: bool) -> anyhow::Result<Self> {
        let url = Url::parse(address).with_context(|| format!("no address: {address}"))?;
        let tls = match url.scheme() {
            "ws" | "http" => None,
            "wss" | "https" => Some(connector(ca, insecure)?),
            other => bail!("{address}: {other} is none of ws, wss, http and https"),
        };
        ensure!(url.query().is_none() && url.fragment().is_none(), "{address}: no query and no fragment, please");
        let host = url.host_str().with_context(|| format!("{address}: no host"))?.to_owned();
        let port = url.port_or_known_default().with_context(|| format!("{address}: no port"))?;
        Ok(Self { host, port, tls, path: url.path().trim_end_matches('/').to_owned() })
    }

    /// Value of `Host`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A connection on which nothing has been sent.
    pub async fn connect(&self) -> Step<Box<dyn Stream>> {
        let connect = async {
            let stream = TcpStream::connect((self.host.trim_matches(['[', ']']), self.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else { return Ok::<Box<dyn Stream>, Unexpected>(Box::new(stream)) };
            let name = ServerName::try_from(self.host.clone()).map_err(|error| Unexpected(error.to_string()))?;
            Ok(Box::new(tls.connect(name, stream).await?))
        };
        match timeout(PATIENCE, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Unexpected(format!("no connection: {error}"))),
            Err(_) => Err("no connection in 10 s".into()),
        }
    }

    /// One request on a connection of its own, until the server closes.
    pub async fn request(&self, log: &Transcript, method: &str, target: &str, more: &str) -> Step<HttpAnswer> {
        let (fields, body) = more.split_once("\r\n\r\n").unwrap_or((more, ""));
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
        let host = self.authority();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n{body}");
        self.bytes(log, request.as_bytes()).await
    }

    /// The same with any bytes.
    pub async fn bytes(&self, log: &Transcript, request: &[u8]) -> Step<HttpAnswer> {
        let mut stream = self.connect().await?;
        let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        log.sent(String::from_utf8_lossy(line));
        stream.write_all(request).await?;
        let mut all = Vec::new();
        match timeout(PATIENCE, stream.read_to_end(&mut all)).await {
            // A server that closes without the end of TLS has answered all the same.
            Ok(Ok(_) | Err(_)) => {}
            Err(_) => return Err("no whole answer in 10 s".into()),
        }
        let answer = HttpAnswer::parse(&all);
        log.came(answer.as_ref().map_or("no answer", |answer| answer.head.lines().next().unwrap_or_default()));
        answer.ok_or_else(|| "no HTTP answer".into())
    }
}

/// An answer over HTTP.
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    /// Everything behind the head.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.get(9..12)?.parse().ok()?;
        let mut body = bytes[end + 4..].to_vec();
        let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
        if chunked {
            body = unchunked(&body)?;
        }
        Some(Self { status, head, body })
    }

    /// A header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `None` if the last chunk is missing.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(all);
        }
        all.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 4 + length..)?;
    }
}

fn connector(ca: Option<&Path>, insecure: bool) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if insecure {
        let any = Arc::new(AnyCertificate(provider));
        let config = builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
        return Ok(TlsConnector::from(Arc::new(config)));
    }
    let Some(ca) = ca else { bail!("over TLS name the certificate to trust with --tls-ca, or use --insecure") };
    let mut roots = RootCertStore::empty();
    let text = fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.with_context(|| format!("{}: no PEM", ca.display()))?)?;
    }
    ensure!(!roots.is_empty(), "{}: no certificate", ca.display());
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

/// Accepts every certificate; signatures are checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    Ok(bytes)
}
