//! Bytes on a socket: what a client library would not send or not show.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::peer::guarded;

pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// First byte of a whole frame.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// Connects from the address `from`.
pub async fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let stream = guarded("connecting", socket.connect(to)).await.unwrap();
    // Without this, two short messages in a row would wait for an acknowledgement in between.
    stream.set_nodelay(true).unwrap();
    stream
}

/// A frame of a client, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = header(first, payload.len(), 0x80);
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A header that announces `length` bytes; `mask` is 0x80 for a client, without the mask itself.
pub fn header(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut out = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => out.push(mask | length),
        (_, Ok(length)) => {
            out.push(mask + 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(mask + 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out
}

/// A connection on which anything can be sent.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects without sending anything.
    pub async fn connect(to: SocketAddr) -> Self {
        Self { stream: connect(LOCALHOST, to).await, buffer: Vec::new() }
    }

    /// A connection that is there already.
    pub const fn over(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Connects and opens a WebSocket.
    pub async fn upgrade(to: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(to).await;
        raw.send(upgrade_request(path, "").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        guarded("sending", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Reads the head of an HTTP answer.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await, "ended in the head");
        }
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> bool {
        let mut some = [0; 4096];
        // A reset is an end too.
        let read = guarded("reading", self.stream.read(&mut some)).await.unwrap_or(0);
        self.buffer.extend(&some[..read]);
        read > 0
    }

    /// Reads this many bytes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.need(count).await;
        self.buffer.drain(..count).collect()
    }

    /// Reads to the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn need(&mut self, bytes: usize) {
        while self.buffer.len() < bytes {
            assert!(self.more().await, "ended in a frame");
        }
    }

    /// The next frame of the server: first byte and payload.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        self.need(2).await;
        assert_eq!(self.buffer[1] & 0x80, 0, "a server does not mask");
        let (start, length) = match self.buffer[1] & 0x7f {
            126 => {
                self.need(4).await;
                (4, usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])))
            }
            127 => panic!("longer than anything that the server has to say here"),
            short => (2, usize::from(short)),
        };
        self.need(start + length).await;
        let mut frame: Vec<u8> = self.buffer.drain(..start + length).collect();
        (frame[0], frame.split_off(start))
    }

    /// Expects a close frame; returns its code.
    pub async fn close_code(&mut self) -> u16 {
        let (first, payload) = self.frame().await;
        assert_eq!(first, CLOSE, "a close, not {payload:?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// Expects the server to end the connection without another frame.
    pub async fn ended(&mut self) {
        assert_eq!(self.rest().await, b"");
    }
}

/// A WebSocket upgrade with further header lines.
pub fn upgrade_request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends a request and reads the answer until the server closes.
pub async fn exchange(from: IpAddr, to: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw { stream: connect(from, to).await, buffer: Vec::new() };
    raw.send(request.as_ref()).await;
    let head = raw.head().await;
    let status = head.get(9..12).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head, body: String::from_utf8(raw.rest().await).unwrap() }
}

/// A GET from the address `from`.
pub async fn get_from(from: IpAddr, to: SocketAddr, target: &str) -> Answer {
    exchange(from, to, &format!("GET {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")).await
}

pub async fn get(to: SocketAddr, target: &str) -> Answer {
    get_from(LOCALHOST, to, target).await
}
