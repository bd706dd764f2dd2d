//! The stream over transports with buffers of any size, and against peers that break the rules.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio_rustls::TlsConnector;

use super::*;

type Client = tokio_rustls::client::TlsStream<DuplexStream>;

/// A transport that counts what is written to it.
struct Counted {
    line: DuplexStream,
    writes: usize,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.line).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}

/// Both ends of a connection on a transport that holds `line` bytes.
async fn pair(version: &'static SupportedProtocolVersion, line: usize) -> (TlsStream<Counted>, Client) {
    // No ticket is read during the handshake.
    pair_with(version, line, 0).await
}

async fn pair_with(
    version: &'static SupportedProtocolVersion,
    line: usize,
    tickets: usize,
) -> (TlsStream<Counted>, Client) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(chain, key).unwrap();
    server.send_tls13_tickets = tickets;
    let server = Arc::new(server);
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let (ours, theirs) = duplex(line);
    let ours = Counted { line: ours, writes: 0 };
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("localhost").unwrap();
    let (server, client) = tokio::join!(TlsStream::accept(ours, server), connector.connect(name, theirs));
    (server.unwrap(), client.unwrap())
}

/// Every split of a record, and more than one at once.
#[tokio::test]
async fn both_directions_at_once_on_any_line() {
    let long: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    for version in [&version::TLS13, &version::TLS12] {
        // Shorter ones do not hold what the client wants to be rid of before it reads on in a handshake.
        for line in [61, 64, 1000, 100_000] {
            let (server, client) = pair(version, line).await;
            let ((mut read, mut write), (mut their_read, mut their_write)) = (split(server), split(client));
            let (mut here, mut there) = (vec![0; long.len()], vec![0; long.len()]);
            let sent = async {
                write.write_all(&long).await?;
                write.flush().await
            };
            let theirs = async {
                their_write.write_all(&long).await?;
                their_write.flush().await
            };
            let all = tokio::join!(sent, theirs, read.read_exact(&mut here), their_read.read_exact(&mut there));
            assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
            assert!(here == long && there == long);
            let server = read.unsplit(write);
            assert!(server.incoming.capacity() + server.opened.len() + server.sealed.capacity() == 0, "idle");
        }
    }
}

#[tokio::test]
async fn each_side_may_say_farewell_first() {
    let (mut server, mut client) = pair(&version::TLS13, 1000).await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0);
    server.write_all(b"still").await.unwrap();
    server.shutdown().await.unwrap();
    assert!(server.write_all(b"no more").await.is_err());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"still");
}

#[tokio::test]
async fn a_line_that_is_cut_is_an_error() {
    let (mut server, client) = pair(&version::TLS12, 1000).await;
    drop(client.into_inner());
    assert_eq!(server.read(&mut [0; 9]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_was_changed_on_its_way_breaks_the_connection_off() {
    for garbage in [&[23, 3, 3, 0, 40][..], &[0xff; 50], &[22, 3, 3, 0, 4, 24, 0xff, 0xff, 0xff]] {
        let (mut server, client) = pair(&version::TLS13, 1000).await;
        let (mut line, _) = client.into_inner();
        line.write_all(&[garbage, &[0; 40]].concat()).await.unwrap();
        let mut byte = [0];
        for _ in 0..2 {
            assert_eq!(server.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
            // More of it changes nothing.
            line.write_all(garbage).await.unwrap();
        }
        assert!(server.write_all(b"x").await.is_err());
        server.shutdown().await.unwrap();
        let mut alert = Vec::new();
        line.read_to_end(&mut alert).await.unwrap();
        assert!(!alert.is_empty() && alert.len() < 100, "an alert: {alert:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_bounded() {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new())));
    let (ours, mut line) = duplex(1000);
    let shaking = tokio::spawn(TlsStream::accept(ours, config));
    // A client hello of 16 MB, in records of 16 KiB.
    let mut record = [vec![22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff], vec![0; 0x3ffc]].concat();
    let mut sent = 0;
    while line.write_all(&record).await.is_ok() {
        sent += record.len();
        record = [vec![22, 3, 1, 0x40, 0], vec![0; 0x4000]].concat();
    }
    assert!(sent < 128 * 1024, "{sent} bytes were taken");
    assert!(shaking.await.unwrap().is_err());
}

/// What it comes to without waiting.
fn at_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_ticket_goes_out_with_the_first_answer() {
    let (mut server, mut client) = pair_with(&version::TLS13, 10_000, 1).await;
    let before = server.io.writes;
    server.write_all(b"answer").await.unwrap();
    assert_eq!(server.io.writes - before, 1);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}

#[tokio::test]
async fn a_ticket_goes_out_while_nothing_comes() {
    let (mut server, _client) = pair_with(&version::TLS13, 10_000, 1).await;
    let before = server.io.writes;
    assert!(at_once(server.read(&mut [0; 9])).is_pending());
    assert_eq!(server.io.writes - before, 1);
    assert!(at_once(server.read(&mut [0; 9])).is_pending());
    assert_eq!(server.io.writes - before, 1, "once");
}

/// Whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_reads_does_not_take_the_turn_of_who_writes() {
    let (mut server, mut client) = pair(&version::TLS13, 100).await;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut writer = Context::from_waker(&waker);
    while Pin::new(&mut server).poll_write(&mut writer, &[0; 400]).is_ready() {}
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut hello = [0; 5];
    server.read_exact(&mut hello).await.unwrap();
    assert!(at_once(server.read(&mut hello)).is_pending());
    assert!(!woken.0.load(Ordering::Relaxed));
    assert!(at_once(client.read(&mut [0; 9])).is_pending(), "a part of a record");
    assert!(woken.0.load(Ordering::Relaxed));
}
