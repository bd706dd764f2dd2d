//! A WebSocket client that sends anything and shows everything: first bytes of frames, close codes, the end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::finding::{Step, Transcript, Unexpected};
use super::target::{PATIENCE, Stream, Target};
use crate::ws::{self, BINARY, CLOSE, PING, PONG};

/// Text frame.
pub const TEXT: u8 = 1;

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping, which has been answered.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame.
    Close(u16),
    /// The end of the connection.
    End,
}

/// An open WebSocket.
pub struct Socket {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// The messages of the check.
    pub log: Transcript,
    /// Head of the answer to the upgrade.
    pub head: String,
    /// Whether every frame of the server was final, unmasked and without reserved bits.
    pub plain: bool,
    /// Pings so far.
    pub pings: Vec<Vec<u8>>,
}

impl Socket {
    /// Opens a WebSocket at this path and query, with further header lines.
    pub async fn open(target: &Target, log: &Transcript, path: &str, more: &str) -> Step<Self> {
        let stream = target.connect().await?;
        log.sent(format_args!("GET {}", path.split('?').next().unwrap_or_default()));
        let mut this =
            Self { stream, buffer: Vec::new(), log: log.clone(), head: String::new(), plain: true, pings: Vec::new() };
        let mut request = ws::upgrade_request(&target.authority(), path);
        request.truncate(request.len() - 2);
        request.extend_from_slice(more.as_bytes());
        request.extend_from_slice(b"\r\n");
        this.write(&request).await?;
        let until = Instant::now() + PATIENCE;
        loop {
            match ws::upgrade_answer(&this.buffer) {
                Ok(Some((101, length))) => {
                    let rest = this.buffer.split_off(length);
                    this.head = String::from_utf8_lossy(&this.buffer).into_owned();
                    this.buffer = rest;
                    return Ok(this);
                }
                Ok(Some((status, _))) => return Err(Unexpected(format!("HTTP status {status} instead of 101"))),
                Err(()) => return Err("no HTTP answer".into()),
                Ok(None) => match this.more(until).await? {
                    Some(true) => {}
                    Some(false) => return Err("the connection ended before an answer to the upgrade".into()),
                    None => return Err("no answer to the upgrade in 10 s".into()),
                },
            }
        }
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Step {
        let until = Instant::now() + PATIENCE;
        timeout_at(until, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
        .map_err(|_| Unexpected("nothing could be sent for 10 s".into()))??;
        Ok(())
    }

    /// Sends a frame with this first byte.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) -> Step {
        let mut out = Vec::new();
        ws::put_any_frame(&mut out, first, payload);
        self.write(&out).await
    }

    /// Sends a whole message.
    pub async fn message(&mut self, opcode: u8, payload: &[u8]) -> Step {
        self.frame(0x80 | opcode, payload).await
    }

    /// Reads on: `Some(false)` at the end, `None` when the time is over.
    async fn more(&mut self, until: Instant) -> Step<Option<bool>> {
        self.buffer.reserve(16_384);
        match timeout_at(until, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(read)) => Ok(Some(read > 0)),
            // A reset is an end, and so is TLS that ends without saying so.
            Ok(Err(_)) => Ok(Some(false)),
            Err(_) => Ok(None),
        }
    }

    /// What comes next before this moment; `None` if nothing does.
    pub async fn next_until(&mut self, until: Instant) -> Step<Option<Incoming>> {
        loop {
            if let Some((first, payload, rest)) = ws::take_any_frame(&self.buffer) {
                self.plain &= first & 0xf0 == 0x80 && self.buffer[1] & 0x80 == 0;
                let (payload, rest) = (payload.to_vec(), rest.to_vec());
                self.buffer = rest;
                match first & 15 {
                    TEXT => return Ok(Some(Incoming::Text(payload))),
                    BINARY => return Ok(Some(Incoming::Binary(payload))),
                    PING => {
                        self.pings.push(payload.clone());
                        self.message(PONG, &payload).await?;
                        return Ok(Some(Incoming::Ping(payload)));
                    }
                    PONG => return Ok(Some(Incoming::Pong(payload))),
                    CLOSE => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        self.log.came(format_args!("close {code}"));
                        return Ok(Some(Incoming::Close(code)));
                    }
                    other => return Err(Unexpected(format!("a frame with opcode {other}"))),
                }
            }
            match self.more(until).await? {
                Some(true) => {}
                Some(false) => return Ok(Some(Incoming::End)),
                None => return Ok(None),
            }
        }
    }

    /// The code of the close frame that comes within this time, whatever comes before it.
    pub async fn close_code(&mut self, wait: Duration) -> Step<u16> {
        let until = Instant::now() + wait;
        loop {
            match self.next_until(until).await? {
                Some(Incoming::Close(code)) => return Ok(code),
                Some(Incoming::End) => return Err("the connection ended without a close frame".into()),
                Some(_) => {}
                None => return Err(Unexpected(format!("no close frame in {} s", wait.as_secs()))),
            }
        }
    }

    /// Fails unless the connection is closed with this code.
    pub async fn expect_close(&mut self, code: u16) -> Step {
        match self.close_code(PATIENCE).await? {
            its if its == code => Ok(()),
            its => Err(Unexpected(format!("close code {its} instead of {code}"))),
        }
    }

    /// Whether the server has ended the connection within this time after its close frame.
    pub async fn ends(&mut self, wait: Duration) -> Step<bool> {
        let until = Instant::now() + wait;
        loop {
            match self.next_until(until).await? {
                Some(Incoming::End) => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// Waits for the pong to a ping sent now: the connection is open.
    pub async fn is_open(&mut self) -> Step {
        self.message(PING, b"open?").await?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.next_until(until).await? {
                Some(Incoming::Pong(payload)) if payload == b"open?" => return Ok(()),
                Some(Incoming::Close(code)) => return Err(Unexpected(format!("closed with {code}"))),
                Some(Incoming::End) => return Err("the connection has ended".into()),
                Some(_) => {}
                None => return Err("no pong in 10 s".into()),
            }
        }
    }
}
