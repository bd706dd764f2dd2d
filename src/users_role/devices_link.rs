//! The connection of one tenant to Devices: [`UsersClient`] on a WebSocket that keeps coming back.
//!
//! A notice counts as delivered when the ping behind it is answered and the connection stays open
//! (`docs/protocol/devices-api.md` 2.5). So the ping is not answered before the orders of all notices in front of it
//! are in the store; if that fails, the connection is given up without an answer, and Devices delivers again. Nothing
//! is read meanwhile, which is what holds the answer back: the library answers a ping when it is asked for the next
//! message.

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
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::core::model::ids::Code;
use crate::core::policy::backoff::Backoff;
use crate::core::session::app::client::{Action, Answer, Ask, AskError, CallTag, Event, Login, UsersClient};
use crate::metrics::{self, Gauge};
use crate::store::StoreError;
use crate::users_role::order_intake::Placing;
use crate::{clock, random};

/// Longest message that is taken; lists come in parts of up to 256 KiB (`docs/protocol/devices-api.md` 1.1).
const MESSAGE_LIMIT: usize = 1 << 20;
/// Name resolution, TCP, TLS and the upgrade together.
const CONNECT_TIME: Duration = Duration::from_secs(20);
/// A message must have left for the kernel within this time.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Asks that may wait to be taken up.
const WAITING: usize = 1024;
/// Orders that are being written at the same time; Devices sends no more notices than that without a pong.
const TOGETHER: usize = 64;
/// After a refused log-in: trying the same password again changes nothing, but somebody may change it.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// A connection that has lasted this long was a good one: the next wait is the first again.
const GOOD: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How the connection to Devices stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStanding {
    /// Being made.
    Connecting,
    /// Logged in.
    Up,
    /// Devices cannot be reached, or the connection was lost; it is tried again.
    Down(Box<str>),
    /// Devices has refused the log-in.
    Refused(Box<str>),
}

enum Command {
    Ask(Ask, oneshot::Sender<Result<Answer, AskError>>),
    Watch(Vec<Code>),
}

/// The ends of what keeps a link up now.
#[derive(Clone)]
struct Ends {
    commands: mpsc::Sender<Command>,
    standing: watch::Receiver<LinkStanding>,
}

/// The asking side. It outlives what keeps the link up.
#[derive(Clone)]
pub(super) struct Link(Arc<RwLock<Ends>>);

impl Link {
    /// A link that nothing keeps up yet.
    pub fn new() -> Self {
        let ends = Ends { commands: mpsc::channel(1).0, standing: watch::channel(LinkStanding::Connecting).1 };
        Self(Arc::new(RwLock::new(ends)))
    }

    fn ends(&self) -> Ends {
        // Both ends are replaced in one piece.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the link up for as long as the future is polled; whoever did so before is not asked any more.
    pub fn keep_up(&self, target: Target, placing: Placing) -> impl Future<Output = ()> + use<> {
        let (commands, receiver) = mpsc::channel(WAITING);
        let (sender, standing) = watch::channel(LinkStanding::Connecting);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Ends { commands, standing };
        let runner = Runner {
            client: UsersClient::new(target.login.clone()),
            waiting: BTreeMap::new(),
            last_ticket: 0,
            standing: sender,
            up: None,
            placing,
            writes: FuturesUnordered::new(),
        };
        runner.run(target, receiver)
    }

    pub async fn ask(&self, ask: Ask) -> Result<Answer, AskError> {
        let (sender, answer) = oneshot::channel();
        self.ends().commands.try_send(Command::Ask(ask, sender)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::TooMany,
            mpsc::error::TrySendError::Closed(_) => AskError::Offline,
        })?;
        answer.await.unwrap_or(Err(AskError::Lost))
    }

    /// These codes wait for their phone; after each log-in they are asked for.
    pub async fn watch(&self, codes: Vec<Code>) {
        // Without a link there is nobody who could ask.
        let _ = self.ends().commands.send(Command::Watch(codes)).await;
    }

    pub fn standing(&self) -> LinkStanding {
        self.ends().standing.borrow().clone()
    }

    /// Resolves at the next log-in.
    pub async fn logged_in(&self) {
        let mut standing = self.ends().standing;
        standing.mark_unchanged();
        // It cannot fail before the link is kept up by somebody else; whoever waits looks again after a while anyway.
        if standing.changed().await.is_err()
            || standing.wait_for(|standing| *standing == LinkStanding::Up).await.is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

/// Where to and as whom.
pub(super) struct Target {
    pub url: Box<str>,
    pub tls: Arc<ClientConfig>,
    pub login: Login,
    pub reconnect: Backoff,
}

/// Why a connection has ended.
enum End {
    Lost(Box<str>),
    Refused,
    /// Nobody asks any more.
    Stopped,
}

struct Runner {
    client: UsersClient,
    waiting: BTreeMap<CallTag, oneshot::Sender<Result<Answer, AskError>>>,
    last_ticket: u64,
    standing: watch::Sender<LinkStanding>,
    up: Option<metrics::Held>,
    placing: Placing,
    /// Orders on their way into the store.
    writes: FuturesUnordered<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Runner {
    async fn run(mut self, target: Target, mut commands: mpsc::Receiver<Command>) {
        let mut failed = 0_u32;
        loop {
            let began = clock::now();
            let end = match connect(&target).await {
                Ok(socket) => self.talk(socket, &mut commands).await,
                Err(why) => End::Lost(why),
            };
            self.up = None;
            // What was not written was not answered either.
            self.writes.clear();
            self.on(Event::Closed, &mut Vec::new());
            failed = if clock::now().since(began) >= GOOD { 1 } else { failed.saturating_add(1) };
            let wait = match end {
                End::Stopped => return,
                End::Refused => REFUSED_WAIT,
                End::Lost(why) => {
                    tracing::debug!(domain = %self.placing.domain, %why, "no connection to Devices");
                    self.standing.send_replace(LinkStanding::Down(why));
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

    /// Speaks on an open connection until its end.
    async fn talk(&mut self, mut socket: Socket, commands: &mut mpsc::Receiver<Command>) -> End {
        let mut texts = Vec::new();
        self.on(Event::Connected, &mut texts);
        loop {
            for act in texts.drain(..) {
                let sent = match act {
                    Out::Text(text) => send(&mut socket, Message::text(text)).await,
                    Out::Close(code) => {
                        let frame = CloseFrame { code: code.into(), reason: "".into() };
                        let _ = send(&mut socket, Message::Close(Some(frame))).await;
                        Err("closed by Users".into())
                    }
                };
                if let Err(why) = sent {
                    let refused = matches!(&*self.standing.borrow(), LinkStanding::Refused(_));
                    return if refused { End::Refused } else { End::Lost(why) };
                }
            }
            let wake = self.client.next_wake().map(|tick| Instant::now() + tick.since(clock::now()));
            tokio::select! {
                biased;
                Some(written) = self.writes.next() => if let Err(error) = written {
                    return End::Lost(error.to_string().into());
                },
                message = socket.next(), if self.writes.len() < TOGETHER => match message {
                    Some(Ok(Message::Text(text))) => self.on(Event::Text(&text), &mut texts),
                    // It is answered when the next message is asked for: not before everything is written.
                    Some(Ok(Message::Ping(_))) => {
                        while let Some(written) = self.writes.next().await {
                            if let Err(error) = written {
                                return End::Lost(error.to_string().into());
                            }
                        }
                    }
                    Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Binary(_))) => return End::Lost("a binary message".into()),
                    Some(Ok(Message::Close(frame))) => {
                        let _ = socket.next().now_or_never();
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return End::Lost(format!("closed by Devices with {code}").into());
                    }
                    Some(Err(error)) => return End::Lost(error.to_string().into()),
                    None => return End::Lost("connection lost".into()),
                },
                command = commands.recv() => match command {
                    Some(command) => self.command(command, &mut texts),
                    None => return End::Stopped,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.on(Event::Timer, &mut texts);
                }
            }
        }
    }

    fn command(&mut self, command: Command, out: &mut Vec<Out>) {
        match command {
            Command::Ask(ask, answer) => {
                self.last_ticket += 1;
                let ticket = CallTag(self.last_ticket);
                self.waiting.insert(ticket, answer);
                self.on(Event::Ask(ticket, ask), out);
            }
            Command::Watch(codes) => codes.into_iter().for_each(|code| self.on(Event::Watch(code), out)),
        }
    }

    fn on(&mut self, event: Event<'_>, out: &mut Vec<Out>) {
        let mut actions = Vec::new();
        self.client.on(event, clock::now(), &mut actions);
        for action in actions {
            match action {
                Action::Send(text) => out.push(Out::Text(text)),
                Action::Close(code) => out.push(Out::Close(code)),
                Action::Ready { .. } => {
                    tracing::info!(domain = %self.placing.domain, "logged in to Devices");
                    self.up = Some(metrics::hold(Gauge::UsersLinks));
                    self.standing.send_replace(LinkStanding::Up);
                }
                Action::LoginFailed(error) => {
                    tracing::warn!(domain = %self.placing.domain, %error, "log-in to Devices refused");
                    self.standing.send_replace(LinkStanding::Refused(error));
                }
                Action::Answer(ticket, answer) => {
                    if let Some(asker) = self.waiting.remove(&ticket) {
                        // The asker may have stopped waiting.
                        let _ = asker.send(answer);
                    }
                }
                Action::Notice(notice) => {
                    let placing = self.placing.clone();
                    let write = async move {
                        placing.used(notice.code, &notice.device, notice.port.as_deref(), !notice.asked).await
                    };
                    self.writes.push(write.boxed());
                }
                Action::Expired(code) => {
                    let placing = self.placing.clone();
                    self.writes.push(async move { placing.expired(code).await }.boxed());
                }
                Action::Strange(what) => tracing::warn!(domain = %self.placing.domain, "Devices has sent {what}"),
            }
        }
    }
}

/// What is to go out.
enum Out {
    Text(String),
    Close(u16),
}

async fn connect(target: &Target) -> Result<Socket, Box<str>> {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    let tls = Connector::Rustls(Arc::clone(&target.tls));
    let connecting = connect_async_tls_with_config(&*target.url, Some(config), true, Some(tls));
    match timeout(CONNECT_TIME, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("not reached in time".into()),
    }
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Box<str>> {
    match timeout(SEND_TIME, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("Devices takes no messages".into()),
    }
}
