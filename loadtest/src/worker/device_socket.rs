//! A non-blocking connection of a simulated device, with a buffer of unsent bytes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConnection, HandshakeKind};
use socket2::{Domain, Socket, Type};

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
        let socket = Socket::new(Domain::for_address(server), Type::STREAM.nonblocking(), None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((IpAddr::V4(Ipv4Addr::new(127, 0, 0, source)), 0)).into())?;
        }
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
            _ => {}
        }
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
