//! WebSocket frames on a socket, written and read by a client. The end of a connection is a result, not a panic.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::fuse::Fuse;

/// Only prevents hanging for ever; no test waits for it.
const GUARD: Duration = Duration::from_secs(60);

const MASKED: u8 = 0x80;
/// Two bytes of length follow.
const LENGTH_FOLLOWS: u8 = 126;

/// Waits for something that has to happen.
pub async fn guarded<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.unwrap_or_else(|_| panic!("{what}: nothing has come"))
}

/// The connection has ended: with a close frame, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(pub Option<u16>);

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self(None)
    }
}

pub type Result<T> = std::result::Result<T, Gone>;

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
}

/// The request that opens a WebSocket.
pub fn upgrade(path: &str) -> String {
    format!(
        "GET /example.com/devices{path} HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A whole frame of a client; `kind` is 1 for text, 2 for binary, 9 for ping, 10 for pong.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![0x80 | kind];
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        out.push(MASKED | length);
    } else {
        out.push(MASKED | LENGTH_FOLLOWS);
        out.extend(u16::try_from(payload.len()).expect("short enough").to_be_bytes());
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A client's end of a connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    fuse: Option<Rc<Fuse>>,
    /// Bytes of frames received.
    pub framed: usize,
}

impl Wire {
    /// Connects without sending anything.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        Self::connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), to).await
    }

    async fn connect_from(from: IpAddr, to: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = guarded("connecting", socket.connect(to)).await?;
        Ok(Self { stream, buffer: Vec::new(), fuse: None, framed: 0 })
    }

    /// Connects and opens a WebSocket; every message counts for `fuse`. Gone if the upgrade is refused for now.
    pub async fn open(to: SocketAddr, path: &str, fuse: Option<&Rc<Fuse>>) -> Result<Self> {
        Self::open_from(IpAddr::V4(Ipv4Addr::LOCALHOST), to, path, fuse).await
    }

    /// The same from another address of the loopback.
    pub async fn open_from(from: IpAddr, to: SocketAddr, path: &str, fuse: Option<&Rc<Fuse>>) -> Result<Self> {
        let mut wire = Self::connect_from(from, to).await?;
        wire.write(upgrade(path).as_bytes()).await?;
        let head = wire.head().await?;
        if head.starts_with("HTTP/1.1 503 ") {
            return Err(Gone(None));
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        wire.fuse = fuse.cloned();
        Ok(wire)
    }

    /// Counts every message with this fuse from now on.
    pub fn light(&mut self, fuse: &Rc<Fuse>) {
        self.fuse = Some(Rc::clone(fuse));
    }

    /// Sends bytes unchanged.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(guarded("sending", self.stream.write_all(bytes)).await?)
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        self.write(&frame(kind, payload)).await?;
        self.burn();
        Ok(())
    }

    fn burn(&self) {
        if let Some(fuse) = &self.fuse {
            fuse.message();
        }
    }

    async fn more(&mut self) -> Result<()> {
        let mut some = [0; 4096];
        let read = guarded("reading", self.stream.read(&mut some)).await?;
        self.buffer.extend(&some[..read]);
        if read > 0 { Ok(()) } else { Err(Gone(None)) }
    }

    /// Reads this many bytes.
    pub async fn take(&mut self, bytes: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.more().await?;
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    /// The head of an HTTP answer.
    pub async fn head(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                return Ok(String::from_utf8(self.take(at + 4).await?).unwrap());
            }
            self.more().await?;
        }
    }

    /// The next frame of the server.
    pub async fn next(&mut self) -> Result<Frame> {
        let head = self.take(2).await?;
        let length = match head[1] {
            LENGTH_FOLLOWS => usize::from(u16::from_be_bytes(self.take(2).await?.try_into().expect("two bytes"))),
            127.. => panic!("masked, or longer than anything that the server has to say here"),
            short => usize::from(short),
        };
        let payload = self.take(length).await?;
        self.framed += 2 + if head[1] == LENGTH_FOLLOWS { 2 } else { 0 } + length;
        let frame = match head[0] {
            0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
            0x82 => Frame::Binary(payload),
            0x88 => return Err(Gone(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))),
            0x89 => Frame::Ping(payload),
            0x8a => Frame::Pong,
            other => panic!("first byte {other:#x}"),
        };
        self.burn();
        Ok(frame)
    }

    /// Ends with a reset, as after a power failure of the peer.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// The value of a metric, 0 if it does not exist.
pub async fn metric(ops: SocketAddr, name: &str) -> u64 {
    let mut wire = Wire::connect(ops).await.unwrap();
    wire.write(b"GET /metrics HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n\r\n").await.unwrap();
    while wire.more().await.is_ok() {}
    let text = String::from_utf8(wire.buffer).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().unwrap())
}
