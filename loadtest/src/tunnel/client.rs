//! A blocking device: one socket and a minimal WebSocket, for tests with a single connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::device::facts;
use anyhow::{Context as _, bail};
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{HardwareId, Secret};
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::protocol::sysclient::auth::device_digest;
use provbroker::core::protocol::sysclient::frame::{FromDevice, FromServer, decode_from_server};

/// Limit for each answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Text frame.
pub const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A simulated device that can register.
pub struct Device {
    identify: Identify,
    /// The device password, after the entry.
    password: Option<Secret>,
    stream: Option<TcpStream>,
}

impl Device {
    /// A device that has never connected.
    pub fn new() -> anyhow::Result<Self> {
        let id = HardwareId::parse("tunnel")?;
        let identify = Identify { id, facts: facts(), code: OfferedCode::None, digest: None };
        Ok(Self { identify, password: None, stream: None })
    }

    /// Opens a connection and becomes a member.
    pub fn register(&mut self, server: SocketAddr, path: &str) -> anyhow::Result<()> {
        self.stream = None;
        let mut stream = Self::connect(server)?;
        upgrade(&mut stream, server, path)?;
        self.prove(&mut stream)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(server).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(stream)
    }

    /// Enters if new, else answers the challenge. The administrative password always comes last, because the device
    /// entered by automatic provisioning.
    fn prove(&mut self, stream: &mut TcpStream) -> anyhow::Result<()> {
        send(stream, BINARY, &self.message())?;
        loop {
            match decode_from_server(&receive(stream)?.into())? {
                FromServer::Password(password) => self.password = Some(password),
                FromServer::Challenge(challenge) => {
                    let password = self.password.as_ref().context("challenged without a password")?;
                    let Facts { product, version, .. } = &self.identify.facts;
                    let id = self.identify.id.as_str();
                    self.identify.digest = Some(device_digest(id, product, version, &challenge, password).into());
                    send(stream, BINARY, &self.message())?;
                }
                FromServer::AdminPassword { .. } => return Ok(()),
                other => bail!("unexpected: {other:?}"),
            }
        }
    }

    fn message(&self) -> Vec<u8> {
        FromDevice::Identify(Box::new(self.identify.clone())).encode()
    }

    /// The hardware identifier.
    pub fn id(&self) -> &str {
        self.identify.id.as_str()
    }

    /// Its open connection.
    pub fn into_stream(self) -> Option<TcpStream> {
        self.stream
    }
}

/// Upgrades a connection to a WebSocket.
pub fn upgrade(stream: &mut TcpStream, server: SocketAddr, path: &str) -> anyhow::Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut some = [0; 1024];
    // The server sends nothing on its own, so no bytes follow the head.
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut some).context("answer to the upgrade")?;
        if read == 0 || answer.len() > 4096 {
            bail!("no answer to the upgrade");
        }
        answer.extend_from_slice(&some[..read]);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        bail!("not upgraded: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// Sends one frame with a zero mask, which leaves the payload unchanged.
pub fn send(stream: &mut TcpStream, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
    let mut frame = vec![0x80 | opcode];
    if let Ok(short @ 0..126) = u8::try_from(payload.len()) {
        frame.push(0x80 | short);
    } else {
        frame.push(0xfe);
        frame.extend(u16::try_from(payload.len()).context("message too long")?.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    Ok(stream.write_all(&frame)?)
}

/// Waits for a message; answers pings meanwhile.
pub fn receive(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).context("waiting for a message")?;
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                stream.read_exact(&mut long)?;
                usize::from(u16::from_be_bytes(long))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match head[0] & 15 {
            BINARY | TEXT => return Ok(payload),
            PING => send(stream, PONG, &payload)?,
            CLOSE => bail!("the server closes: {}", String::from_utf8_lossy(payload.get(2..).unwrap_or_default())),
            _ => {}
        }
    }
}
