//! The app connection of one tenant to Devices: [`UsersClient`] on a WebSocket that reconnects.
//!
//! A notice counts as delivered when the ping behind it is answered and the connection stays open
//! (`docs/protocol/devices-api.md` 2.5). Therefore a ping is answered only after the orders of all notices before it
//! are stored. If storing fails, the connection is dropped without an answer, and Devices delivers again. The answer
//! is held back by not reading: the library answers a ping when it is asked for the next message.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::connection::own::{self, OwnToken};
use crate::core::model::ids::Code;
use crate::core::policy::backoff::Backoff;
use crate::core::session::app::client::{Action, Answer, Ask, AskError, CallTag, Event, Login, UsersClient};
use crate::metrics::{self, Gauge};
use crate::store::StoreError;
use crate::users_role::order_intake::OrderIntake;
use crate::{clock, random};

/// Longest accepted message; lists come in parts of up to 256 KiB (`docs/protocol/devices-api.md` 1.1).
const MESSAGE_LIMIT: usize = 1 << 20;
/// Limit for name resolution, TCP, TLS and the upgrade together.
const CONNECT_TIME: Duration = Duration::from_secs(20);
/// Limit for sending one message.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Bound of the queue of requests.
const WAITING: usize = 1024;
/// Notices being stored concurrently; Devices sends no more without a pong.
const AT_ONCE: usize = 64;
/// Wait after a refused log-in; the password may be corrected meanwhile.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// A connection that has lasted this long resets the back-off.
const STABLE_AFTER: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// State of the connection to Devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// Connecting.
    Connecting,
    /// Logged in.
    Up,
    /// Devices cannot be reached, or the connection was lost; it is retried.
    Down(Box<str>),
    /// Devices has refused the log-in.
    Refused(Box<str>),
}

enum Command {
    Ask(Ask, oneshot::Sender<Result<Answer, AskError>>),
    Watch(Vec<Code>),
}

/// Channels to the runner that currently maintains the link.
#[derive(Clone)]
struct Channels {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<LinkStatus>,
}

/// The requesting side; it outlives the runner.
#[derive(Clone)]
pub(super) struct Link(Arc<RwLock<Channels>>);

impl Link {
    /// A link without a runner.
    pub fn new() -> Self {
        let channels = Channels { commands: mpsc::channel(1).0, status: watch::channel(LinkStatus::Connecting).1 };
        Self(Arc::new(RwLock::new(channels)))
    }

    fn channels(&self) -> Channels {
        // A panic cannot leave it half written: the value is assigned at once.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Maintains the link while the future is polled, replacing an earlier runner.
    pub fn keep_up(&self, target: Target, intake: OrderIntake) -> impl Future<Output = ()> + use<> {
        let (commands, receiver) = mpsc::channel(WAITING);
        let (sender, status) = watch::channel(LinkStatus::Connecting);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Channels { commands, status };
        let runner = Runner {
            client: UsersClient::new(target.login.clone()),
            waiting: BTreeMap::new(),
            last_tag: 0,
            status: sender,
            up: None,
            intake,
            writes: FuturesUnordered::new(),
        };
        runner.run(target, receiver)
    }

    pub async fn ask(&self, ask: Ask) -> Result<Answer, AskError> {
        let (sender, answer) = oneshot::channel();
        self.channels().commands.try_send(Command::Ask(ask, sender)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::TooMany,
            mpsc::error::TrySendError::Closed(_) => AskError::Offline,
        })?;
        answer.await.unwrap_or(Err(AskError::Lost))
    }

    /// Asks for these codes after each log-in.
    pub async fn watch(&self, codes: Vec<Code>) {
        // Without a runner nobody can ask.
        let _ = self.channels().commands.send(Command::Watch(codes)).await;
    }

    pub fn status(&self) -> LinkStatus {
        self.channels().status.borrow().clone()
    }

    /// Resolves at the next log-in.
    pub async fn logged_in(&self) {
        let mut status = self.channels().status;
        status.mark_unchanged();
        // Fails only when the runner is replaced; callers poll anyway after a while.
        if status.changed().await.is_err() || status.wait_for(|status| *status == LinkStatus::Up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Address and log-in.
pub(super) struct Target {
    pub url: Box<str>,
    pub tls: Arc<ClientConfig>,
    pub own: Option<OwnToken>,
    pub login: Login,
    pub reconnect: Backoff,
}

/// Why a connection has ended.
enum ConnectionEnd {
    Lost(Box<str>),
    Refused,
    /// All requesters are gone.
    Stopped,
}

struct Runner {
    client: UsersClient,
    waiting: BTreeMap<CallTag, oneshot::Sender<Result<Answer, AskError>>>,
    last_tag: u64,
    status: watch::Sender<LinkStatus>,
    up: Option<metrics::Held>,
    intake: OrderIntake,
    /// Notices being stored.
    writes: FuturesUnordered<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Runner {
    async fn run(mut self, target: Target, mut commands: mpsc::Receiver<Command>) {
        let mut failed = 0_u32;
        loop {
            let began = clock::now();
            let end = match connect(&target).await {
                Ok(socket) => self.talk(socket, &mut commands).await,
                Err(why) => ConnectionEnd::Lost(why),
            };
            self.up = None;
            // Notices that were not stored have not been answered.
            self.writes.clear();
            self.on(Event::Closed, &mut Vec::new());
            failed = if clock::now().since(began) >= STABLE_AFTER { 1 } else { failed.saturating_add(1) };
            let wait = match end {
                ConnectionEnd::Stopped => return,
                ConnectionEnd::Refused => REFUSED_WAIT,
                ConnectionEnd::Lost(why) => {
                    tracing::debug!(domain = %self.intake.domain, %why, "no connection to Devices");
                    self.status.send_replace(LinkStatus::Down(why));
                    target.reconnect.wait(failed, random::below(u64::MAX))
                }
            };
            let until = Instant::now() + wait;
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    command = commands.recv() => match command {
                        Some(command) => self.command(command, &mut Vec::new()),
                        None => return,
                    },
                }
            }
        }
    }

    /// Runs an open connection until its end.
    async fn talk(&mut self, mut socket: Socket, commands: &mut mpsc::Receiver<Command>) -> ConnectionEnd {
        let mut texts = Vec::new();
        self.on(Event::Connected, &mut texts);
        loop {
            for act in texts.drain(..) {
                let sent = match act {
                    Outgoing::Text(text) => send(&mut socket, Message::text(text)).await,
                    Outgoing::Close(code) => {
                        let frame = CloseFrame { code: code.into(), reason: "".into() };
                        let _ = send(&mut socket, Message::Close(Some(frame))).await;
                        Err("closed by Users".into())
                    }
                };
                if let Err(why) = sent {
                    let refused = matches!(&*self.status.borrow(), LinkStatus::Refused(_));
                    return if refused { ConnectionEnd::Refused } else { ConnectionEnd::Lost(why) };
                }
            }
            let wake = self.client.next_wake().map(|tick| Instant::now() + tick.since(clock::now()));
            tokio::select! {
                biased;
                Some(written) = self.writes.next() => if let Err(error) = written {
                    return ConnectionEnd::Lost(error.to_string().into());
                },
                message = socket.next(), if self.writes.len() < AT_ONCE => match message {
                    Some(Ok(Message::Text(text))) => self.on(Event::Text(&text), &mut texts),
                    // The pong goes out with the next read, so wait until all notices are stored.
                    Some(Ok(Message::Ping(_))) => {
                        while let Some(written) = self.writes.next().await {
                            if let Err(error) = written {
                                return ConnectionEnd::Lost(error.to_string().into());
                            }
                        }
                    }
                    Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Binary(_))) => return ConnectionEnd::Lost("a binary message".into()),
                    Some(Ok(Message::Close(frame))) => {
                        let _ = socket.next().now_or_never();
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return ConnectionEnd::Lost(format!("closed by Devices with {code}").into());
                    }
                    Some(Err(error)) => return ConnectionEnd::Lost(error.to_string().into()),
                    None => return ConnectionEnd::Lost("connection lost".into()),
                },
                command = commands.recv() => match command {
                    Some(command) => self.command(command, &mut texts),
                    None => return ConnectionEnd::Stopped,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.on(Event::Timer, &mut texts);
                }
            }
        }
    }

    fn command(&mut self, command: Command, out: &mut Vec<Outgoing>) {
        match command {
            Command::Ask(ask, answer) => {
                self.last_tag += 1;
                let tag = CallTag(self.last_tag);
                self.waiting.insert(tag, answer);
                self.on(Event::Ask(tag, ask), out);
            }
            Command::Watch(codes) => codes.into_iter().for_each(|code| self.on(Event::Watch(code), out)),
        }
    }

    fn on(&mut self, event: Event<'_>, out: &mut Vec<Outgoing>) {
        let mut actions = Vec::new();
        self.client.on(event, clock::now(), &mut actions);
        for action in actions {
            match action {
                Action::Send(text) => out.push(Outgoing::Text(text)),
                Action::Close(code) => out.push(Outgoing::Close(code)),
                Action::Ready { .. } => {
                    tracing::info!(domain = %self.intake.domain, "logged in to Devices");
                    self.up = Some(metrics::hold(Gauge::UsersLinks));
                    self.status.send_replace(LinkStatus::Up);
                }
                Action::LoginFailed(error) => {
                    tracing::warn!(domain = %self.intake.domain, %error, "log-in to Devices refused");
                    self.status.send_replace(LinkStatus::Refused(error));
                }
                Action::Answer(tag, answer) => {
                    if let Some(asker) = self.waiting.remove(&tag) {
                        // The caller may have stopped waiting.
                        let _ = asker.send(answer);
                    }
                }
                Action::Notice(notice) => {
                    let intake = self.intake.clone();
                    let write = async move {
                        intake.used(notice.code, &notice.device, notice.port.as_deref(), !notice.asked).await
                    };
                    self.writes.push(write.boxed());
                }
                Action::Expired(code) => {
                    let intake = self.intake.clone();
                    self.writes.push(async move { intake.expired(code).await }.boxed());
                }
                Action::Invalid(what) => tracing::warn!(domain = %self.intake.domain, "Devices has sent {what}"),
            }
        }
    }
}

/// An outgoing frame.
enum Outgoing {
    Text(String),
    Close(u16),
}

async fn connect(target: &Target) -> Result<Socket, Box<str>> {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    let tls = Connector::Rustls(Arc::clone(&target.tls));
    let mut request = (&*target.url).into_client_request().map_err(|error| error.to_string())?;
    if let Some(own) = &target.own {
        let token = HeaderValue::from_str(own.expose()).map_err(|error| error.to_string())?;
        request.headers_mut().insert(own::FIELD, token);
    }
    let connecting = connect_async_tls_with_config(request, Some(config), true, Some(tls));
    match timeout(CONNECT_TIME, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("timed out while connecting".into()),
    }
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Box<str>> {
    match timeout(SEND_TIME, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("timed out while sending".into()),
    }
}
