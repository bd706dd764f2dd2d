//! A WebSocket connection that reconnects by itself.
//!
//! The owner polls [`Connection::next`] in its `select!`; every end, whoever caused it, is reported there. Knows no
//! protocol.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::transport::{Link, LinkError, Received};

type Dialing = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

enum State {
    /// No address, or paused.
    Idle,
    Waiting(Instant),
    Dialing(Dialing),
    Open(Box<Link>),
    /// Ended, not reported to the owner yet.
    Ended(Option<u16>, Box<str>),
}

/// Events of a connection.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// It is open.
    Opened,
    /// It could not be opened; it is retried.
    Failed(LinkError),
    /// A message or the end; after an end it reconnects.
    Received(Received),
}

/// A WebSocket connection that reconnects after every end and every failed attempt.
pub struct Connection {
    target: Option<Box<str>>,
    state: State,
    /// Longest accepted message, in bytes.
    limit: usize,
    silence: Option<Duration>,
    reconnect: Duration,
    /// Does not reconnect until resumed.
    paused: bool,
}

impl Connection {
    /// A connection without address. `reconnect` is the wait before the next attempt after an end or a failure; the
    /// others are those of [`Link::connect`].
    pub fn new(limit: usize, silence: Option<Duration>, reconnect: Duration) -> Self {
        Self { target: None, state: State::Idle, limit, silence, reconnect, paused: false }
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// The address.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Sets the address. An open connection to another address is closed with 1000.
    pub async fn set_target(&mut self, target: Option<&str>) {
        if self.target() == target {
            return;
        }
        self.target = target.map(Into::into);
        if self.is_open() {
            self.close(1000, "address changed").await;
        } else if !matches!(self.state, State::Ended(..)) {
            self.state = State::Idle;
        }
    }

    /// Stops reconnecting until [`Self::wake`]. An open connection stays open.
    pub fn pause(&mut self) {
        self.paused = true;
        if !matches!(self.state, State::Open(_) | State::Ended(..)) {
            self.state = State::Idle;
        }
    }

    /// Resumes connecting, immediately if not connected.
    pub fn wake(&mut self) {
        self.paused = false;
        if matches!(self.state, State::Waiting(_)) {
            self.state = State::Idle;
        }
    }

    /// Closes with a code and waits briefly for the echo. The end is reported by [`Self::next`].
    pub async fn close(&mut self, code: u16, why: &str) {
        if self.is_open()
            && let State::Open(link) = std::mem::replace(&mut self.state, State::Ended(Some(code), why.into()))
        {
            link.close(code).await;
        }
    }

    /// Drops the TCP connection without a close frame, as a crashed program does.
    pub fn kill(&mut self) {
        if self.is_open() {
            self.state = State::Ended(None, "killed".into());
        }
    }

    /// Sends a binary message; without an open connection it is dropped.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        if let State::Open(link) = &mut self.state {
            let sent = link.send_binary(bytes).await;
            self.check(sent);
        }
    }

    /// Sends a text message; without an open connection it is dropped.
    pub async fn send_text(&mut self, text: String) {
        if let State::Open(link) = &mut self.state {
            let sent = link.send_text(text).await;
            self.check(sent);
        }
    }

    fn check(&mut self, sent: Result<(), LinkError>) {
        if let Err(error) = sent {
            self.state = State::Ended(None, error.to_string().into());
        }
    }

    /// The next event. Cancel-safe; without an address it never resolves.
    pub async fn next(&mut self) -> ConnectionEvent {
        loop {
            match &mut self.state {
                State::Idle => match &self.target {
                    Some(target) if !self.paused => {
                        let (target, limit, silence) = (target.clone(), self.limit, self.silence);
                        self.state =
                            State::Dialing(Box::pin(async move { Link::connect(&target, limit, silence).await }));
                    }
                    _ => std::future::pending().await,
                },
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.state = State::Idle;
                }
                State::Dialing(dialing) => match dialing.await {
                    Ok(link) => {
                        self.state = State::Open(Box::new(link));
                        return ConnectionEvent::Opened;
                    }
                    Err(error) => {
                        self.wait();
                        return ConnectionEvent::Failed(error);
                    }
                },
                State::Open(link) => {
                    let received = link.receive().await;
                    if matches!(received, Received::Closed(..)) {
                        self.wait();
                    }
                    return ConnectionEvent::Received(received);
                }
                State::Ended(code, why) => {
                    let ended = Received::Closed(*code, std::mem::take(why));
                    self.wait();
                    return ConnectionEvent::Received(ended);
                }
            }
        }
    }

    fn wait(&mut self) {
        self.state = State::Waiting(Instant::now() + self.reconnect);
    }
}
