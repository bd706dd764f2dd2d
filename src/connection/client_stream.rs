//! A TCP connection after the header of the PROXY protocol, if it had one.
//!
//! The header is read before admission, TLS and HTTP, and only from proxies that the configuration trusts; of all
//! others no byte is read here. Reading is bounded in time, bytes and number: the oldest connection that has sent no
//! header yet gives way to a new one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::ProxyProtocol;
use crate::core::policy::proxies::TrustedProxies;
use crate::core::protocol::proxy_header::{self, ProxyHeader};
use crate::metrics::ProxyHeaderOutcome as Outcome;

/// A header takes at most this long. The specification asks for at least 3 s, so that a lost packet can be sent again.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Connections of one worker that have sent no header yet.
const WAITING: usize = 1024;

/// Bytes read at first. A header is usually the whole first packet, or the TLS greeting follows it.
const FIRST_READ: usize = 1024;

/// Which connections begin with a header of the PROXY protocol.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    /// Whose headers count.
    pub trusted: Arc<TrustedProxies>,
    /// Whether they may or have to send one.
    pub protocol: ProxyProtocol,
}

/// What to do with a new connection before anything of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It has no header.
    Plain,
    /// Its header has to be read; without one, it is closed or passes as it is.
    Header,
    /// It has no right to a header, and nobody passes without one.
    Closed,
}

impl ProxyRules {
    /// How a connection from this address begins.
    pub fn beginning(&self, peer: IpAddr) -> Beginning {
        match self.protocol {
            ProxyProtocol::Off => Beginning::Plain,
            _ if self.trusted.trusts(peer) => Beginning::Header,
            ProxyProtocol::Accept => Beginning::Plain,
            ProxyProtocol::Require => Beginning::Closed,
        }
    }
}

/// A TCP connection of which the header of its proxy has been read.
pub struct ClientStream {
    io: TcpStream,
    /// Read together with the header.
    unread: Bytes,
    /// The client speaks TLS to the proxy, as the header says.
    tls_at_proxy: bool,
}

/// Whether the way from the client to here, or to the proxy in front, is encrypted.
pub trait Encryption {
    /// It is.
    fn is_encrypted(&self) -> bool;
}

impl Encryption for ClientStream {
    fn is_encrypted(&self) -> bool {
        self.tls_at_proxy
    }
}

/// The connection belongs to a client that spoke TLS, to this process or to its proxy. A mark in the data of a
/// connection.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

impl ClientStream {
    /// A connection without a header.
    pub const fn new(io: TcpStream) -> Self {
        Self { io, unread: Bytes::new(), tls_at_proxy: false }
    }

    /// The socket.
    pub const fn socket(&self) -> &TcpStream {
        &self.io
    }
}

/// The connections of one worker whose header has not come yet.
#[derive(Clone, Default)]
pub struct WaitingForHeader(Rc<RefCell<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// By age; a connection ends when its sender is dropped.
    connections: BTreeMap<u64, oneshot::Sender<()>>,
}

impl WaitingForHeader {
    /// Reads the header of a connection of a trusted proxy. Returns the connection and the address of its client; `None`
    /// if it has to be closed.
    pub async fn read(
        &self,
        io: TcpStream,
        peer: SocketAddr,
        protocol: ProxyProtocol,
    ) -> (Outcome, Option<(ClientStream, SocketAddr)>) {
        let (place, crowded) = self.enter();
        let reading = timeout(HEADER_TIME, read(io, peer, protocol));
        let outcome = tokio::select! {
            biased;
            read = reading => read.unwrap_or((Outcome::Late, None)),
            _ = crowded => (Outcome::Crowded, None),
        };
        drop(place);
        outcome
    }

    fn enter(&self) -> (Place, oneshot::Receiver<()>) {
        let mut waiting = self.0.borrow_mut();
        if waiting.connections.len() >= WAITING {
            waiting.connections.pop_first();
        }
        let number = waiting.next;
        waiting.next += 1;
        let (sender, crowded) = oneshot::channel();
        waiting.connections.insert(number, sender);
        (Place { all: Rc::clone(&self.0), number }, crowded)
    }
}

/// The place of one connection; it is given back when this is dropped.
struct Place {
    all: Rc<RefCell<Waiting>>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.borrow_mut().connections.remove(&self.number);
    }
}

async fn read(
    mut io: TcpStream,
    peer: SocketAddr,
    protocol: ProxyProtocol,
) -> (Outcome, Option<(ClientStream, SocketAddr)>) {
    let mut bytes = BytesMut::with_capacity(FIRST_READ);
    loop {
        // Never more than a longest header and what came with its last byte.
        match io.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return (Outcome::Unfinished, None),
        }
        let (length, outcome, client, tls_at_proxy) = match proxy_header::read(&bytes) {
            ProxyHeader::Incomplete => continue,
            ProxyHeader::Malformed => return (Outcome::Malformed, None),
            ProxyHeader::Absent if protocol == ProxyProtocol::Require => return (Outcome::Missing, None),
            ProxyHeader::Absent => (0, Outcome::Without, None, false),
            ProxyHeader::Complete { length, client, tls } => {
                let outcome = if client.is_some() { Outcome::Client } else { Outcome::Proxy };
                (length, outcome, client, tls)
            }
        };
        bytes.advance(length);
        let client = client.map_or(peer, |client| SocketAddr::new(client, 0));
        return (outcome, Some((ClientStream { io, unread: bytes.freeze(), tls_at_proxy }, client)));
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        buffer.put_slice(&this.unread.split_to(this.unread.len().min(buffer.remaining())));
        if this.unread.is_empty() {
            // An empty slice would keep the whole buffer alive.
            this.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    struct Pair {
        near: TcpStream,
        far: TcpStream,
        peer: SocketAddr,
    }

    async fn pair() -> Pair {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, peer) = listener.accept().await.unwrap();
        Pair { near, far, peer }
    }

    #[tokio::test]
    async fn a_header_in_pieces_is_taken_off_and_the_rest_is_kept() {
        let Pair { near, mut far, peer } = pair().await;
        let waiting = WaitingForHeader::default();
        let reading = waiting.read(near, peer, ProxyProtocol::Require);
        let writing = async {
            for piece in ["P", "ROXY TCP4 192.0.2.7 10.0.", "0.1 1 2\r", "\nGET / HTT"] {
                far.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            far.write_all(b"P/1.1").await.unwrap();
            far.shutdown().await.unwrap();
        };
        let ((outcome, read), ()) = tokio::join!(reading, writing);
        let (mut stream, client) = read.unwrap();
        assert_eq!((outcome, client.ip()), (Outcome::Client, IpAddr::from([192, 0, 2, 7])));
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "GET / HTTP/1.1");
        assert!(waiting.0.borrow().connections.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_header_passes_whole_or_is_closed() {
        for (protocol, expected) in
            [(ProxyProtocol::Accept, Outcome::Without), (ProxyProtocol::Require, Outcome::Missing)]
        {
            let Pair { near, mut far, peer } = pair().await;
            // The first byte could begin a header.
            far.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
            far.shutdown().await.unwrap();
            let (outcome, read) = WaitingForHeader::default().read(near, peer, protocol).await;
            assert_eq!(outcome, expected);
            if let Some((mut stream, client)) = read {
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                assert_eq!((&*all, client), ("POST / HTTP/1.1\r\n", peer));
            }
        }
    }

    #[tokio::test]
    async fn the_oldest_that_has_sent_none_gives_way() {
        let waiting = WaitingForHeader::default();
        let (_place, crowded) = waiting.enter();
        let mut later: Vec<_> = (1..WAITING).map(|_| waiting.enter()).collect();
        let newest = waiting.enter();
        assert!(crowded.await.is_err());
        assert_eq!(waiting.0.borrow().connections.len(), WAITING);
        assert!(later.iter_mut().all(|(_, crowded)| crowded.try_recv() == Err(oneshot::error::TryRecvError::Empty)));
        drop((later, newest));
        assert!(waiting.0.borrow().connections.is_empty());
    }
}
