//! A non-blocking connection of a simulated device, with a buffer of unsent bytes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConnection, HandshakeKind};
use socket2::{Domain, Socket, Type};

/// Ports of connections from a source address that is given.
const PORTS: RangeInclusive<u16> = 10_000..=60_999;

/// A connection that is open or connecting.
pub struct DeviceSocket {
    stream: TcpStream,
    /// Unused over TLS, which buffers itself.
    unsent: Vec<u8>,
    tls: Option<Box<ClientConnection>>,
}

impl DeviceSocket {
    /// Starts connecting, from 127.0.0.`source` if given.
    pub fn connect(
        server: SocketAddr,
        source: Option<u8>,
        tls: Option<ClientConnection>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let socket = open(server, source)?;
        let mut stream = TcpStream::from_std(socket.into());
        stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, unsent: Vec::new(), tls: tls.map(Box::new) })
    }

    /// Sends, buffering what cannot be sent yet.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes)?;
            return self.flush();
        }
        let sent = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Sends buffered bytes.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Err(error) if is_for_later(&error) => return Ok(()),
                    result => result?,
                };
            }
            return Ok(());
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let sent = self.write(&unsent)?;
            self.unsent.extend_from_slice(&unsent[sent..]);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if is_for_later(&error) => Ok(0),
            result => result,
        }
    }

    /// Reads; `None`: nothing more for now, `Some(0)`: the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.tls.is_some() {
            return self.read_tls(buffer);
        }
        match self.stream.read(buffer) {
            Err(error) if is_for_later(&error) => Ok(None),
            result => result.map(Some),
        }
    }

    fn read_tls(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let Some(tls) = &mut self.tls else { return Ok(None) };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Some(0)),
                result => return result.map(Some),
            }
            match tls.read_tls(&mut self.stream) {
                Err(error) if is_for_later(&error) => return Ok(None),
                Ok(0) => return Ok(Some(0)),
                result => result?,
            };
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            self.flush()?;
        }
    }

    /// Whether a read of this length, with more room, has drained the socket.
    pub fn is_drained_by(&self, length: usize, room: usize) -> bool {
        // A TLS record does not tell whether more follows.
        self.tls.is_none() && length < room
    }

    /// Whether a TLS session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

/// Not connected yet, or would block.
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// `EINPROGRESS`; the standard library has no stable name for it.
const IN_PROGRESS: i32 = 115;

/// A socket that is connecting to `server`, from 127.0.0.`source` if given.
fn open(server: SocketAddr, source: Option<u8>) -> io::Result<Socket> {
    let Some(source) = source else {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM.nonblocking(), None)?;
        return connecting(socket, server);
    };
    let mut last = io::Error::from(ErrorKind::AddrInUse);
    for _ in PORTS {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM.nonblocking(), None)?;
        socket.set_reuse_address(true)?;
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), next_port()));
        match socket.bind(&address.into()).and_then(|()| connecting(socket, server)) {
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => last = error,
            done => return done,
        }
    }
    Err(last)
}

fn connecting(socket: Socket, server: SocketAddr) -> io::Result<Socket> {
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// The next port to try. The kernel takes a millisecond and more to find a free port at one address with thousands of
/// connections; counting up finds one at once.
fn next_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(*PORTS.end() - *PORTS.start()) + 1;
    // Each process starts somewhere else.
    let begin = std::process::id().wrapping_mul(7919);
    let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
    PORTS.start() + u16::try_from(offset).unwrap_or_default()
}
