//! The task of one PBX: feeds events to the state machine and performs its actions. It decides nothing but when to dial.

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
use crate::core::session::exchange::event::{Action, Event, OrderTag, Outcome};
use crate::lifecycle::Shutdown;
use crate::random;
use crate::store::Locks;
use crate::users_role::backend::Left;
use crate::users_role::backend::exchange::client::{ExchangeClient, exchange};
use crate::users_role::backend::exchange::commands::{Command, LinkCommand};
use crate::users_role::backend::exchange::lock_manager::{LockEvent, LockManager};

/// A message must have left for the kernel within this time.
const SEND_TIME: Duration = Duration::from_secs(10);

/// How a task that has panicked is begun again.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// How the PBX is reached.
enum Way {
    /// Not, and it is not for us to connect.
    None,
    /// Dialled again at this time.
    Pausing(Instant),
    Dialling(Pin<Box<dyn Future<Output = Result<Socket, DialError>> + Send>>),
    Dialled(Box<Socket>),
    /// It has connected to us.
    Attached {
        conn: u64,
        orders: mpsc::Sender<LinkCommand>,
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
    LinkCommand(oneshot::Sender<Outcome>),
    Apps(oneshot::Sender<Vec<PhoneApp>>),
}

struct Task {
    line: Arc<ExchangeClient>,
    keeper: LockManager,
    back_off: DialBackoff,
    way: Way,
    waiting: BTreeMap<OrderTag, Waiting>,
    last: u64,
}

impl ExchangeClient {
    /// Runs until the process stops. A panic costs the mirror and the connection, both of which come again.
    pub(super) fn start(self: &Arc<Self>, locks: Arc<dyn Locks>, shutdown: &Shutdown) {
        let (line, shutdown) = (Arc::clone(self), shutdown.clone());
        tokio::spawn(async move {
            while let Err(error) = tokio::spawn(run(Arc::clone(&line), Arc::clone(&locks), shutdown.clone())).await {
                if shutdown.is_draining() || !error.is_panic() {
                    return;
                }
                tracing::error!(domain = %line.settings.domain, "the client of the PBX has panicked and is begun again");
                *line.exchange() = exchange(&line.settings);
                tokio::time::sleep(AFTER_PANIC).await;
            }
        });
    }
}

/// Runs until the process stops.
async fn run(line: Arc<ExchangeClient>, locks: Arc<dyn Locks>, shutdown: Shutdown) {
    let prefix = format!("pbx/{}/{}", line.settings.domain, line.settings.pbx);
    let way = if line.settings.dial.is_some() { Way::Pausing(Instant::now()) } else { Way::None };
    let mut task = Task {
        line: Arc::clone(&line),
        keeper: LockManager::new(locks, prefix.into()),
        back_off: DialBackoff::default(),
        way,
        waiting: BTreeMap::new(),
        last: 0,
    };
    let mut commands = line.receiver.lock().await;
    loop {
        let wake = line.exchange().next_wake();
        tokio::select! {
            () = shutdown.draining() => break,
            command = commands.recv() => match command {
                Some(command) => task.command(command).await,
                None => break,
            },
            happening = next(&mut task.way) => task.happened(happening).await,
            word = task.keeper.next() => match word {
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

/// What happens next on the way to the PBX. May be dropped and called again without loss.
async fn next(way: &mut Way) -> TaskEvent {
    match way {
        Way::None => std::future::pending().await,
        Way::Pausing(until) => {
            sleep_until(*until).await;
            TaskEvent::Due
        }
        Way::Dialling(dialling) => match dialling.await {
            Ok(socket) => TaskEvent::Dialled(Box::new(socket)),
            Err(error) => TaskEvent::NotReached(error),
        },
        Way::Dialled(socket) => loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return TaskEvent::Text(text.as_str().into()),
                // Pings are answered by the library. Anything else ends the connection.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return TaskEvent::Closed,
            }
        },
        Way::Attached { orders, .. } => {
            orders.closed().await;
            TaskEvent::Closed
        }
    }
}

impl Task {
    fn ticket(&mut self, waiting: Waiting) -> OrderTag {
        self.last += 1;
        self.waiting.insert(OrderTag(self.last), waiting);
        OrderTag(self.last)
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Enter(order, answer) => {
                let ticket = self.ticket(Waiting::LinkCommand(answer));
                self.feed(Event::Enter(ticket, order)).await;
            }
            Command::Apps(answer) => {
                let ticket = self.ticket(Waiting::Apps(answer));
                self.feed(Event::Apps(ticket)).await;
            }
            Command::Attach { conn, info, orders } => {
                if let Way::Attached { orders: before, .. } = &self.way {
                    // If it cannot take even this, it ends with its channel.
                    let _ = before.try_send(LinkCommand::Replaced);
                }
                self.way = Way::Attached { conn, orders };
                self.feed(Event::Attached(&info)).await;
            }
            Command::Text { conn, text } => {
                if matches!(&self.way, Way::Attached { conn: current, .. } if *current == conn) {
                    self.feed(Event::Text(&text)).await;
                }
            }
        }
    }

    async fn happened(&mut self, happening: TaskEvent) {
        match happening {
            TaskEvent::Due => {
                let Some(to) = self.line.settings.dial.clone() else { return };
                self.way = Way::Dialling(Box::pin(async move { dial(&to.url, &to.trust).await }));
            }
            TaskEvent::Dialled(socket) => {
                self.way = Way::Dialled(socket);
                self.feed(Event::Dialled).await;
            }
            TaskEvent::NotReached(error) => {
                tracing::info!(domain = %self.line.settings.domain, %error, "PBX not reached");
                self.pause();
            }
            TaskEvent::Text(text) => self.feed(Event::Text(&text)).await,
            TaskEvent::Closed => {
                tracing::info!(domain = %self.line.settings.domain, "connection with the PBX ended");
                self.pause();
                self.feed(Event::Closed).await;
            }
        }
    }

    /// Dials again after a while, if it is for us to dial.
    fn pause(&mut self) {
        let pause = self.back_off.pause(random::below(u64::MAX));
        self.way = if self.line.settings.dial.is_some() { Way::Pausing(Instant::now() + pause) } else { Way::None };
    }

    async fn feed(&mut self, event: Event<'_>) {
        let mut ended = self.feed_once(event).await;
        while ended {
            self.pause();
            ended = self.feed_once(Event::Closed).await;
        }
    }

    /// True: the connection has ended by what was done.
    async fn feed_once(&mut self, event: Event<'_>) -> bool {
        let mut actions = Vec::new();
        let whole = {
            let mut exchange = self.line.exchange();
            let before = exchange.mirror().knows_all();
            exchange.on(event, clock::now(), &mut actions);
            !before && exchange.mirror().knows_all()
        };
        if whole {
            // Without a listener nobody has a code of us.
            let _ = self.line.leavers.send(Left::Perhaps);
        }
        let mut ended = false;
        for action in actions {
            ended |= self.perform(action).await;
        }
        ended
    }

    async fn perform(&mut self, action: Action) -> bool {
        let domain = &self.line.settings.domain;
        match action {
            Action::Send(text) => return !self.send(text).await,
            Action::Close(code) => {
                self.close(code).await;
                return true;
            }
            Action::Ready => {
                tracing::info!(%domain, "logged in with the PBX");
                self.back_off.logged_in();
            }
            Action::Refused => {
                tracing::warn!(%domain, "the PBX has refused the password");
                self.back_off.refused();
            }
            Action::Acquire(lock) => self.keeper.acquire(lock),
            Action::Release(lock) => self.keeper.release(&lock),
            Action::Done(ticket, outcome) => {
                if let Some(Waiting::LinkCommand(answer)) = self.waiting.remove(&ticket) {
                    // Whoever has ordered may have stopped waiting.
                    let _ = answer.send(outcome);
                }
            }
            Action::PhoneApps(ticket, apps) => {
                if let Some(Waiting::Apps(answer)) = self.waiting.remove(&ticket) {
                    // Whoever has asked may have stopped waiting.
                    let _ = answer.send(apps);
                }
            }
            Action::Deleted(user) => {
                tracing::info!(%domain, %user, "user deleted at the PBX");
                if let Ok(person) = PersonId::parse(user.as_str()) {
                    let _ = self.line.leavers.send(Left::One(person));
                }
            }
            Action::Registered { user, hw } => tracing::info!(%domain, %user, hw, "phone registered at the PBX"),
            Action::Report(report) => tracing::warn!(%domain, ?report, "PBX"),
        }
        false
    }

    /// False: the connection is gone.
    async fn send(&mut self, text: String) -> bool {
        match &mut self.way {
            Way::Dialled(socket) => matches!(timeout(SEND_TIME, socket.send(Message::text(text))).await, Ok(Ok(()))),
            Way::Attached { orders, .. } => orders.try_send(LinkCommand::Text(text)).is_ok(),
            // What was said after the end.
            Way::None | Way::Pausing(_) | Way::Dialling(_) => true,
        }
    }

    async fn close(&mut self, code: u16) {
        match &mut self.way {
            Way::Dialled(socket) => {
                let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                // The other side may be gone.
                let _ = timeout(SEND_TIME, (**socket).close(Some(frame))).await;
            }
            Way::Attached { orders, .. } => {
                // If it cannot take even this, it ends with the channel.
                let _ = orders.try_send(LinkCommand::Close(code));
            }
            Way::None | Way::Pausing(_) | Way::Dialling(_) => {}
        }
    }
}
