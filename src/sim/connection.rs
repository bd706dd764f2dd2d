//! A connection that keeps coming back: dials, is open for a while, waits, dials again.
//!
//! The owner polls [`Connection::next`] in its `select!` and learns of everything there, so a connection ends on one path only,
//! whoever ended it. What is said on it is none of its business.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::transport::{Link, LinkError, Received};

type Dialing = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

enum State {
    /// There is no address, or it was told to rest.
    Idle,
    Waiting(Instant),
    Dialing(Dialing),
    Open(Box<Link>),
    /// It has ended, and the owner has yet to learn of it.
    Ended(Option<u16>, Box<str>),
}

/// What has happened to a connection.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// It is open.
    Opened,
    /// It could not be opened; the next attempt comes by itself.
    Failed(LinkError),
    /// A message, or the end; after an end the next attempt comes by itself.
    Received(Received),
}

/// See the module.
pub struct Connection {
    target: Option<Box<str>>,
    state: State,
    /// Longest message that is taken, in bytes.
    limit: usize,
    silence: Option<Duration>,
    reconnect: Duration,
    /// Neither dials nor waits until told to.
    paused: bool,
}

impl Connection {
    /// A connection without address. `reconnect` is the wait between an end, or a failed attempt, and the next attempt; the
    /// other two are those of [`Link::connect`].
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

    /// Sets the address. An open connection to another one is closed with 1000.
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

    /// Dials no more, until woken. An open connection stays open.
    pub fn pause(&mut self) {
        self.paused = true;
        if !matches!(self.state, State::Open(_) | State::Ended(..)) {
            self.state = State::Idle;
        }
    }

    /// Dials, at once if it is not connected.
    pub fn wake(&mut self) {
        self.paused = false;
        if matches!(self.state, State::Waiting(_)) {
            self.state = State::Idle;
        }
    }

    /// Closes with a code and waits a moment for the echo. The owner learns of the end by [`Self::next`].
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

    /// What happens next. May be dropped and called again without loss; without an address it waits for ever.
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
