//! One connection of a simulated device: a socket that never blocks, and what it has not taken yet.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

/// A connection that is open or being made.
pub struct Line {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Line {
    /// Begins to connect, from 127.0.0.`source` if one is given.
    pub fn connect(server: SocketAddr, source: Option<u8>, registry: &Registry, token: Token) -> io::Result<Self> {
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
        Ok(Self { stream, unsent: Vec::new() })
    }

    /// Sends, or keeps what cannot be sent yet.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Sends what was kept.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let sent = self.write(&unsent)?;
            self.unsent.extend_from_slice(&unsent[sent..]);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            // It is not connected yet, or takes no more for now.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(0),
            result => result,
        }
    }

    /// Reads; `None`: there is nothing more for now, `Some(0)`: the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
            result => result.map(Some),
        }
    }
}

/// `EINPROGRESS`; the standard library has no stable name for it.
const IN_PROGRESS: i32 = 115;
