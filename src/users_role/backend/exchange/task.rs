//! The task of one exchange: feeds events to the state machine and performs its actions. Decides nothing but when to
//! dial.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::dial::{DialError, Socket, dial};
use crate::clock;
use crate::core::model::time::Tick;
use crate::core::model::users_role::PersonId;
use crate::core::session::exchange::apps::PhoneApp;
use crate::core::session::exchange::dial_backoff::DialBackoff;
use crate::core::session::exchange::event::{Action, Event, OrderTag, Outcome, Report};
use crate::core::session::exchange::guid::Guid;
use crate::lifecycle::Shutdown;
use crate::metrics::{self, Counter};
use crate::random;
use crate::store::Locks;
use crate::users_role::backend::UserRemoval;
use crate::users_role::backend::exchange::commands::{Command, ConnectionCommand};
use crate::users_role::backend::exchange::handle::{ExchangeHandle, new_client};
use crate::users_role::backend::exchange::lock_manager::{LockEvent, LockManager};

/// Limit for sending one message.
const SEND_TIME: Duration = Duration::from_secs(10);

/// Pause before a task that has panicked is started again.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// State of the connection to the exchange.
enum LinkState {
    /// Not connected; the exchange has to connect to us.
    None,
    /// Not connected; dialled again at this time.
    Pausing(Instant),
    Dialling(Pin<Box<dyn Future<Output = Result<Socket, DialError>> + Send>>),
    Dialled(Box<Socket>),
    /// The exchange has connected to us.
    Attached {
        conn: u64,
        commands: mpsc::Sender<ConnectionCommand>,
    },
}

enum TaskEvent {
    Dialled(Box<Socket>),
    NotReached(DialError),
    Due,
    Text(String),
    Closed,
}

enum Waiting {
    Entry(oneshot::Sender<Outcome>),
    Apps(oneshot::Sender<Vec<PhoneApp>>),
}

struct Task {
    handle: Arc<ExchangeHandle>,
    locks: LockManager,
    backoff: DialBackoff,
    link: LinkState,
    waiting: BTreeMap<OrderTag, Waiting>,
    last: u64,
}

impl ExchangeHandle {
    /// Runs the task until the process stops. A panic loses the mirror and the connection; both are rebuilt.
    pub(super) fn start(self: &Arc<Self>, locks: Arc<dyn Locks>, shutdown: &Shutdown) {
        let (handle, shutdown) = (Arc::clone(self), shutdown.clone());
        tokio::spawn(async move {
            while let Err(error) = tokio::spawn(run(Arc::clone(&handle), Arc::clone(&locks), shutdown.clone())).await {
                if shutdown.is_draining() || !error.is_panic() {
                    return;
                }
                tracing::error!(domain = %handle.settings.domain, "exchange client panicked; restarting it");
                *handle.client() = new_client(&handle.settings);
                tokio::time::sleep(AFTER_PANIC).await;
            }
        });
    }
}

/// Runs until the process stops.
async fn run(handle: Arc<ExchangeHandle>, locks: Arc<dyn Locks>, shutdown: Shutdown) {
    let prefix = format!("pbx/{}/{}", handle.settings.domain, handle.settings.pbx);
    let link = if handle.settings.dial.is_some() { LinkState::Pausing(Instant::now()) } else { LinkState::None };
    let mut task = Task {
        handle: Arc::clone(&handle),
        locks: LockManager::new(locks, prefix.into()),
        backoff: DialBackoff::default(),
        link,
        waiting: BTreeMap::new(),
        last: 0,
    };
    let mut commands = handle.receiver.lock().await;
    loop {
        let wake = handle.client().next_wake();
        tokio::select! {
            () = shutdown.draining() => break,
            command = commands.recv() => match command {
                Some(command) => task.command(command).await,
                None => break,
            },
            event = next(&mut task.link) => task.on_event(event).await,
            lock_event = task.locks.next() => match lock_event {
                LockEvent::Held(lock) => task.feed(Event::Held(lock)).await,
                LockEvent::Lost(lock) => task.feed(Event::Lost(lock)).await,
            },
            () = until(wake) => task.feed(Event::Timer).await,
        }
    }
    task.close(1001).await;
}

async fn until(tick: Option<Tick>) {
    match tick {
        Some(tick) => sleep(tick.since(clock::now())).await,
        None => std::future::pending().await,
    }
}

/// The next event of the connection. Cancel-safe.
async fn next(link: &mut LinkState) -> TaskEvent {
    match link {
        LinkState::None => std::future::pending().await,
        LinkState::Pausing(until) => {
            sleep_until(*until).await;
            TaskEvent::Due
        }
        LinkState::Dialling(dialling) => match dialling.await {
            Ok(socket) => TaskEvent::Dialled(Box::new(socket)),
            Err(error) => TaskEvent::NotReached(error),
        },
        LinkState::Dialled(socket) => loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return TaskEvent::Text(text.as_str().into()),
                // The library answers pings. Any other frame ends the connection.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return TaskEvent::Closed,
            }
        },
        LinkState::Attached { commands, .. } => {
            commands.closed().await;
            TaskEvent::Closed
        }
    }
}

impl Task {
    fn tag(&mut self, waiting: Waiting) -> OrderTag {
        self.last += 1;
        self.waiting.insert(OrderTag(self.last), waiting);
        OrderTag(self.last)
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Enter(order, answer) => {
                let tag = self.tag(Waiting::Entry(answer));
                self.feed(Event::Enter(tag, order)).await;
            }
            Command::Apps(answer) => {
                let tag = self.tag(Waiting::Apps(answer));
                self.feed(Event::Apps(tag)).await;
            }
            Command::Attach { conn, info, commands } => {
                if let LinkState::Attached { commands: before, .. } = &self.link {
                    // If its queue is full, it ends when the channel closes.
                    let _ = before.try_send(ConnectionCommand::Replaced);
                }
                self.link = LinkState::Attached { conn, commands };
                self.feed(Event::Attached(&info)).await;
            }
            Command::Text { conn, text } => {
                if matches!(&self.link, LinkState::Attached { conn: current, .. } if *current == conn) {
                    self.feed(Event::Text(&text)).await;
                }
            }
        }
    }

    async fn on_event(&mut self, event: TaskEvent) {
        match event {
            TaskEvent::Due => {
                let Some(to) = self.handle.settings.dial.clone() else { return };
                self.link = LinkState::Dialling(Box::pin(async move { dial(&to.url, &to.trust).await }));
            }
            TaskEvent::Dialled(socket) => {
                self.link = LinkState::Dialled(socket);
                self.feed(Event::Dialled).await;
            }
            TaskEvent::NotReached(error) => {
                tracing::info!(domain = %self.handle.settings.domain, %error, "exchange not reached");
                self.pause();
            }
            TaskEvent::Text(text) => self.feed(Event::Text(&text)).await,
            TaskEvent::Closed => {
                tracing::info!(domain = %self.handle.settings.domain, "connection to the exchange ended");
                self.pause();
                self.feed(Event::Closed).await;
            }
        }
    }

    /// Schedules the next attempt, if we are the one to dial.
    fn pause(&mut self) {
        let pause = self.backoff.pause(random::below(u64::MAX));
        self.link = if self.handle.settings.dial.is_some() {
            LinkState::Pausing(Instant::now() + pause)
        } else {
            LinkState::None
        };
    }

    async fn feed(&mut self, event: Event<'_>) {
        let mut ended = self.feed_once(event).await;
        while ended {
            self.pause();
            ended = self.feed_once(Event::Closed).await;
        }
    }

    /// Handles one event. True: this has ended the connection.
    async fn feed_once(&mut self, event: Event<'_>) -> bool {
        let mut actions = Vec::new();
        let completed = {
            let mut client = self.handle.client();
            let before = client.mirror().knows_all();
            client.on(event, clock::now(), &mut actions);
            !before && client.mirror().knows_all()
        };
        if completed {
            // No receiver: no tenant watches for removed users.
            let _ = self.handle.removals.send(UserRemoval::CheckAll);
        }
        let mut ended = false;
        for action in actions {
            ended |= self.perform(action).await;
        }
        ended
    }

    async fn perform(&mut self, action: Action) -> bool {
        let domain = &self.handle.settings.domain;
        match action {
            Action::Send(text) => return !self.send(text).await,
            Action::Close(code) => {
                self.close(code).await;
                return true;
            }
            Action::Ready => {
                tracing::info!(%domain, "logged in to the exchange");
                self.backoff.logged_in();
            }
            Action::Refused => {
                tracing::warn!(%domain, "the exchange has refused the password");
                self.backoff.refused();
            }
            Action::Acquire(lock) => self.locks.acquire(lock),
            Action::Release(lock) => self.locks.release(&lock),
            Action::Done(tag, outcome) => {
                if let Some(Waiting::Entry(answer)) = self.waiting.remove(&tag) {
                    // The caller may have stopped waiting.
                    let _ = answer.send(outcome);
                }
            }
            Action::PhoneApps(tag, apps) => {
                if let Some(Waiting::Apps(answer)) = self.waiting.remove(&tag) {
                    // The caller may have stopped waiting.
                    let _ = answer.send(apps);
                }
            }
            Action::Deleted(user) => {
                tracing::info!(%domain, %user, "user deleted at the exchange");
                if let Ok(person) = PersonId::parse(user.as_str()) {
                    let _ = self.handle.removals.send(UserRemoval::One(person));
                }
            }
            Action::Registered { user, hw } => tracing::info!(%domain, %user, hw, "phone registered at the exchange"),
            Action::Report(Report::ObjectCreated { user, created }) => {
                metrics::count(Counter::ObjectCreated);
                let created = created.as_ref().map(Guid::as_str);
                tracing::error!(%domain, %user, created, "the exchange has created an object instead of changing a user");
            }
            Action::Report(report) => tracing::warn!(%domain, ?report, "report of the exchange client"),
        }
        false
    }

    /// Sends a message. False: the connection has ended.
    async fn send(&mut self, text: String) -> bool {
        match &mut self.link {
            LinkState::Dialled(socket) => {
                matches!(timeout(SEND_TIME, socket.send(Message::text(text))).await, Ok(Ok(())))
            }
            LinkState::Attached { commands, .. } => commands.try_send(ConnectionCommand::Text(text)).is_ok(),
            // Actions that follow the end of the connection.
            LinkState::None | LinkState::Pausing(_) | LinkState::Dialling(_) => true,
        }
    }

    async fn close(&mut self, code: u16) {
        match &mut self.link {
            LinkState::Dialled(socket) => {
                let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                // The peer may be gone already.
                let _ = timeout(SEND_TIME, (**socket).close(Some(frame))).await;
            }
            LinkState::Attached { commands, .. } => {
                // If its queue is full, it ends when the channel closes.
                let _ = commands.try_send(ConnectionCommand::Close(code));
            }
            LinkState::None | LinkState::Pausing(_) | LinkState::Dialling(_) => {}
        }
    }
}
