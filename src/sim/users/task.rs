//! The task of one simulated Users service: feeds events to the state machine and performs its actions. Decides
//! nothing.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Status, UsersCommand, UsersEvent, UsersOptions};
use crate::core::session::app::client::{Action, Answer, AskError, CallTag, Event, UsersClient};
use crate::sim::connection::{Connection, ConnectionEvent};
use crate::sim::observe::EventSender;
use crate::sim::transport::Received;
use crate::sim::{Clock, sleep_until_tick};

/// Longest accepted message; lists come in parts of up to 256 KiB (`docs/protocol/devices-api.md` 1.1).
const MESSAGE_LIMIT: usize = 1 << 20;

/// The task of one simulated Users service.
pub(super) struct Task {
    client: UsersClient,
    connection: Connection,
    clock: Clock,
    observer: EventSender<UsersEvent>,
    status: watch::Sender<Status>,
    waiting: BTreeMap<CallTag, oneshot::Sender<Result<Answer, AskError>>>,
    last_tag: u64,
}

impl Task {
    pub(super) fn new(
        options: &UsersOptions,
        observer: EventSender<UsersEvent>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            client: UsersClient::new(options.login.clone()),
            connection: Connection::new(MESSAGE_LIMIT, None, options.reconnect),
            clock: Clock::start(),
            observer,
            status,
            waiting: BTreeMap::new(),
            last_tag: 0,
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, options: UsersOptions, mut commands: mpsc::Receiver<Command>) {
        for code in options.open_codes {
            self.on(Event::Watch(code)).await;
        }
        self.connection.set_target(Some(&options.url)).await;
        loop {
            let wake = self.client.next_wake();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.command(command).await,
                },
                event = self.connection.next() => self.on_connection(event).await,
                () = sleep_until_tick(&self.clock, wake) => self.on(Event::Timer).await,
            }
        }
        self.connection.close(1000, "stopped").await;
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Ask(ask, answer) => {
                self.last_tag += 1;
                let tag = CallTag(self.last_tag);
                self.waiting.insert(tag, answer);
                self.on(Event::Ask(tag, ask)).await;
            }
            Command::Do(order, done) => {
                self.carry_out(order).await;
                // The caller may have stopped waiting.
                let _ = done.send(());
            }
            // Handled by the caller.
            Command::Stop => {}
        }
    }

    async fn carry_out(&mut self, order: UsersCommand) {
        match order {
            UsersCommand::Watch(code) => return self.on(Event::Watch(code)).await,
            UsersCommand::Disconnect => {
                self.connection.pause();
                self.connection.close(1000, "disconnected").await;
            }
            UsersCommand::Kill => {
                self.connection.pause();
                self.connection.kill();
            }
            // No effect while logged in.
            UsersCommand::Reconnect if self.client.is_ready() && self.connection.is_open() => return,
            UsersCommand::Reconnect => self.connection.wake(),
        }
        self.status.send_replace(Status::Offline);
    }

    async fn on_connection(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Opened => {
                self.observer.send(UsersEvent::Connected);
                self.on(Event::Connected).await;
            }
            ConnectionEvent::Failed(error) => {
                let error: Box<str> = error.to_string().into();
                self.status.send_replace(Status::Unreachable(error.clone()));
                self.observer.send(UsersEvent::ConnectFailed(error));
            }
            ConnectionEvent::Received(Received::Text(text)) => self.on(Event::Text(&text)).await,
            ConnectionEvent::Received(Received::Binary(_)) => self.connection.close(1003, "binary message").await,
            ConnectionEvent::Received(Received::Closed(code, reason)) => {
                self.status.send_if_modified(|status| {
                    let was_ready = *status == Status::Ready;
                    if was_ready {
                        *status = Status::Offline;
                    }
                    was_ready
                });
                self.on(Event::Closed).await;
                self.observer.send(UsersEvent::Closed(code, reason));
            }
        }
    }

    async fn on(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.client.on(event, self.clock.now(), &mut actions);
        for action in actions {
            match action {
                Action::Send(text) => self.connection.send_text(text).await,
                Action::Close(code) => self.connection.close(code, "closed by Users").await,
                Action::Ready { domain } => {
                    self.status.send_replace(Status::Ready);
                    self.observer.send(UsersEvent::Ready(domain));
                }
                Action::LoginFailed(error) => {
                    self.connection.pause();
                    self.status.send_replace(Status::Refused(error.clone()));
                    self.observer.send(UsersEvent::LoginFailed(error));
                }
                Action::Answer(tag, answer) => {
                    if let Some(asker) = self.waiting.remove(&tag) {
                        // The caller may have stopped waiting.
                        let _ = asker.send(answer);
                    }
                }
                Action::Notice(notice) => self.observer.send(UsersEvent::Notice(notice)),
                Action::Expired(code) => self.observer.send(UsersEvent::Expired(code)),
                Action::Invalid(what) => self.observer.send(UsersEvent::Invalid(what)),
            }
        }
    }
}
