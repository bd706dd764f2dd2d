//! A device as `docs/protocol/sysclient.md` describes it, which can also break every rule.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::crypto::{rc4, sha256_hex, unhex};
use super::finding::{Step, Transcript, Unexpected, ensure, without_secrets};
use super::socket::{Incoming, Socket};
use super::target::{PATIENCE, Target};
use crate::ws::BINARY;

/// Tunnel event: bytes of a request.
pub const SEND: u32 = 0;
/// Tunnel event: bytes of the answer are wanted.
pub const RECEIVE: u32 = 1;
/// Tunnel event: bytes of the answer.
pub const RECEIVE_RESULT: u32 = 2;
/// Tunnel event: the bytes of the request were taken.
pub const SEND_RESULT: u32 = 3;
/// Tunnel event: the end.
pub const SHUTDOWN: u32 = 4;

/// The answer to a command line of the server.
const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// How long nothing may come where the text says that nothing comes.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// What a server tells a device.
#[derive(Debug)]
pub enum Message {
    /// Type and members.
    Admin(u16, Value),
    /// A message about a tunnel session.
    Tunnel { session: u32, event: u32, data: Vec<u8> },
}

/// An admin message.
pub fn admin(kind: u16, json: &str) -> Vec<u8> {
    [&[1][..], &kind.to_be_bytes(), json.as_bytes()].concat()
}

/// A tunnel message.
pub fn tunnel(session: u32, event: u32, data: &[u8]) -> Vec<u8> {
    [&[2][..], &session.to_be_bytes(), &event.to_be_bytes(), data].concat()
}

/// The identify of a phone.
pub fn phone(id: &str) -> Value {
    json!({
        "id": id, "product": "IP112", "version": "13r3 sr9 [13.6012/136012/300]", "fwBuild": "136012",
        "bcBuild": "136012", "major": "13r3", "fw": "ip112.bin", "bc": "boot112.bin", "mini": false,
        "pbxActive": false, "platform": {"type": "PHONE", "fxs": false},
        "ethIfs": [{"if": "ETH0", "ipv4": "192.0.2.17"}],
    })
}

/// The same with further members.
pub fn with(mut identify: Value, members: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut identify, members) {
        all.extend(more);
    }
    identify
}

/// The digest of an identify.
pub fn digest(identify: &Value, challenge: &str, password: &str) -> String {
    let member = |name: &str| identify[name].as_str().unwrap_or_default();
    sha256_hex(&format!("{}:{}:{}:{challenge}:{password}", member("id"), member("product"), member("version")))
}

/// The plain text of `0003`.
pub fn open_admin_password(members: &Value, password: &str) -> Option<String> {
    let (seed, pwd) = (members["seed"].as_str()?, unhex(members["pwd"].as_str()?)?);
    String::from_utf8(rc4(format!("{seed}:{password}").as_bytes(), &pwd)).ok()
}

/// A device on an open connection. It carries out the command lines of the server by itself.
pub struct Device {
    /// Its connection.
    pub socket: Socket,
    errands: HashSet<u32>,
    /// Whether a text message has come, which is read like a binary one.
    pub texts: bool,
    /// Whether a JSON text has ended with a zero byte.
    pub zeros: bool,
}

impl Device {
    /// Connects with this query, which may be empty.
    pub async fn connect(target: &Target, log: &Transcript, query: &str) -> Step<Self> {
        let mark = if query.is_empty() { "" } else { "?" };
        let socket = Socket::open(target, log, &format!("{}/sysclients{mark}{query}", target.path), "").await?;
        Ok(Self::over(socket))
    }

    /// A device on this connection.
    pub fn over(socket: Socket) -> Self {
        Self { socket, errands: HashSet::new(), texts: false, zeros: false }
    }

    /// Connects and identifies.
    pub async fn identified(target: &Target, log: &Transcript, identify: &Value) -> Step<Self> {
        let mut device = Self::connect(target, log, "").await?;
        device.identify(identify).await?;
        Ok(device)
    }

    /// Sends an admin message.
    pub async fn admin(&mut self, kind: u16, members: &Value) -> Step {
        self.socket.log.sent(format_args!("{kind:04x} {}", without_secrets(members)));
        self.socket.message(BINARY, &admin(kind, &members.to_string())).await
    }

    /// Sends `0000`.
    pub async fn identify(&mut self, identify: &Value) -> Step {
        self.admin(0, identify).await
    }

    /// Sends `0000` with the digest.
    pub async fn answer(&mut self, identify: &Value, challenge: &str, password: &str) -> Step {
        let digest = digest(identify, challenge, password);
        self.identify(&with(identify.clone(), json!({"digest": digest}))).await
    }

    /// Sends a message about a tunnel session.
    pub async fn tunnel(&mut self, session: u32, event: u32, data: &[u8]) -> Step {
        self.socket.log.sent(format_args!("session {session}, event {event}, {} bytes", data.len()));
        self.socket.message(BINARY, &tunnel(session, event, data)).await
    }

    /// The next message within this time, but command lines of the server.
    pub async fn next(&mut self, wait: Duration) -> Step<Option<Message>> {
        let until = Instant::now() + wait;
        loop {
            let mut bytes = match self.socket.next_until(until).await? {
                None => return Ok(None),
                Some(Incoming::Binary(bytes)) => bytes,
                Some(Incoming::Ping(_) | Incoming::Pong(_)) => continue,
                Some(Incoming::Text(bytes)) => {
                    self.texts = true;
                    bytes
                }
                Some(Incoming::Close(code)) => return Err(Unexpected(format!("closed with {code}"))),
                Some(Incoming::End) => return Err("the connection has ended".into()),
            };
            if bytes.first() == Some(&1) && bytes.last() == Some(&0) {
                self.zeros = true;
                bytes.pop();
            }
            let message = read(&bytes)?;
            match message {
                Message::Admin(kind, members) => {
                    self.socket.log.came(format_args!("{kind:04x} {}", without_secrets(&members)));
                    return Ok(Some(Message::Admin(kind, members)));
                }
                Message::Tunnel { session, event, data } => {
                    if event == SEND && data.starts_with(b"GET /!") {
                        self.errands.insert(session);
                    }
                    if !self.errands.contains(&session) {
                        self.socket.log.came(format_args!("session {session}, event {event}, {} bytes", data.len()));
                        return Ok(Some(Message::Tunnel { session, event, data }));
                    }
                    self.errand(session, event).await?;
                }
            }
        }
    }

    /// Carries out a command line.
    async fn errand(&mut self, session: u32, event: u32) -> Step {
        let (event, data) = match event {
            SEND => (SEND_RESULT, &b""[..]),
            RECEIVE => (RECEIVE_RESULT, DONE),
            SHUTDOWN => {
                self.errands.remove(&session);
                (SHUTDOWN, &b""[..])
            }
            other => return Err(Unexpected(format!("tunnel event {other} of the server"))),
        };
        self.socket.message(BINARY, &tunnel(session, event, data)).await
    }

    /// The next admin message.
    pub async fn receive(&mut self) -> Step<(u16, Value)> {
        match self.next(PATIENCE).await? {
            Some(Message::Admin(kind, members)) => Ok((kind, members)),
            Some(Message::Tunnel { event, .. }) => Err(Unexpected(format!("tunnel event {event}"))),
            None => Err("nothing in 10 s".into()),
        }
    }

    /// An admin message of this type.
    pub async fn expect(&mut self, kind: u16) -> Step<Value> {
        let (its, members) = self.receive().await?;
        ensure(its == kind, || format!("{its:04x} instead of {kind:04x}"))?;
        Ok(members)
    }

    /// `0001`.
    pub async fn expect_password(&mut self) -> Step<String> {
        let members = self.expect(1).await?;
        Ok(members["password"].as_str().ok_or("0001 without a text password")?.to_owned())
    }

    /// `0002`.
    pub async fn expect_challenge(&mut self) -> Step<String> {
        let members = self.expect(2).await?;
        Ok(members["challenge"].as_str().ok_or("0002 without a text challenge")?.to_owned())
    }

    /// The next message about a tunnel session of somebody else.
    pub async fn expect_tunnel(&mut self, wanted: u32) -> Step<(u32, Vec<u8>)> {
        loop {
            match self.next(PATIENCE).await? {
                // The administrative password may still be on its way.
                Some(Message::Admin(3, _)) => {}
                Some(Message::Tunnel { session, event, data }) if event == wanted => return Ok((session, data)),
                Some(Message::Tunnel { event, .. }) => {
                    return Err(Unexpected(format!("tunnel event {event} instead of {wanted}")));
                }
                Some(Message::Admin(kind, _)) => return Err(Unexpected(format!("{kind:04x} instead of a request"))),
                None => return Err(Unexpected(format!("no tunnel event {wanted} in 10 s"))),
            }
        }
    }

    /// Fails if an admin message comes within a short time, or the connection ends.
    pub async fn silent(&mut self) -> Step {
        let until = Instant::now() + SILENCE;
        while Instant::now() < until {
            match self.next(until - Instant::now()).await? {
                None => return Ok(()),
                Some(Message::Admin(kind, _)) => return Err(Unexpected(format!("{kind:04x} instead of silence"))),
                Some(Message::Tunnel { .. }) => {}
            }
        }
        Ok(())
    }

    /// Goes on carrying out command lines for this time.
    pub async fn stay(&mut self, time: Duration) -> Step {
        let until = Instant::now() + time;
        while self.next(until.saturating_duration_since(Instant::now())).await?.is_some() {}
        Ok(())
    }
}

/// Reads a message of the server.
fn read(bytes: &[u8]) -> Step<Message> {
    let (kind, rest) = bytes.split_first().ok_or("an empty message")?;
    match kind {
        1 => {
            let (number, json) = rest.split_first_chunk::<2>().ok_or("an admin message without a type")?;
            let members: Map<String, Value> =
                serde_json::from_slice(json).map_err(|error| Unexpected(format!("no JSON object: {error}")))?;
            Ok(Message::Admin(u16::from_be_bytes(*number), Value::Object(members)))
        }
        2 => {
            let head = rest
                .split_first_chunk::<4>()
                .and_then(|(session, rest)| Some((session, rest.split_first_chunk::<4>()?)));
            let (session, (event, data)) = head.ok_or("a tunnel message without a header")?;
            Ok(Message::Tunnel {
                session: u32::from_be_bytes(*session),
                event: u32::from_be_bytes(*event),
                data: data.to_vec(),
            })
        }
        other => Err(Unexpected(format!("a message that begins with {other:02x}"))),
    }
}
