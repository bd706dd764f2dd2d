//! The task of one simulated phone: timers, the connection to Devices, the answers of the update address, the state
//! file.
//!
//! The device protocol is decided by [`DeviceClient`], the effect of scripts by
//! [`Settings`](crate::core::session::device::settings); this task performs their actions.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::orders::Orders;
use super::state_file::{self, PersistedState, StateFileError};
use super::{Command, PhoneEvent, PhoneOptions, without_query};
use crate::core::protocol::sysclient::frame::TUNNEL_MAX;
use crate::core::session::device::client::{Action, DeviceClient, Event, Memory};
use crate::core::session::device::settings::Settings;
use crate::sim::connection::{Connection, ConnectionEvent};
use crate::sim::observe::EventSender;
use crate::sim::transport::{self, Answer, DEVICE_SILENCE, LinkError, Received};
use crate::sim::{Clock, sleep_until, sleep_until_tick, web};

/// Longest accepted script, in bytes.
const SCRIPT_LIMIT: usize = 1 << 20;

type PendingPoll = Pin<Box<dyn Future<Output = Result<Answer, LinkError>> + Send>>;

/// The task of one simulated phone.
pub(super) struct Task {
    pub(super) options: PhoneOptions,
    pub(super) http: reqwest::Client,
    pub(super) observer: EventSender<PhoneEvent>,
    clock: Clock,
    pub(super) settings: Settings,
    client: DeviceClient,
    pub(super) connection: Connection,
    /// Incomplete requests of tunnel sessions.
    requests: BTreeMap<u32, Vec<u8>>,
    pub(super) orders: Orders,
    pending_poll: Option<PendingPoll>,
    pub(super) next_poll: Option<Instant>,
    /// Time of the last start of the phone.
    pub(super) started: Instant,
}

impl Task {
    pub(super) fn new(
        options: PhoneOptions,
        http: reqwest::Client,
        observer: EventSender<PhoneEvent>,
    ) -> Result<Self, StateFileError> {
        let state =
            options.state_file.as_deref().map(|path| state_file::load(path, &options.id)).transpose()?.flatten();
        let (memory, settings) = match state {
            Some(PersistedState { memory, mut settings }) => {
                settings.machine.ip = options.ip.to_string().into();
                (memory, settings)
            }
            None => (Memory::default(), super::orders::as_delivered(&options)),
        };
        let facts = super::facts(&settings.machine, options.ip);
        Ok(Self {
            client: DeviceClient::new(options.id.clone(), facts, memory),
            connection: Connection::new(TUNNEL_MAX, Some(DEVICE_SILENCE), options.reconnect),
            clock: Clock::start(),
            requests: BTreeMap::new(),
            orders: Orders::default(),
            pending_poll: None,
            next_poll: None,
            started: Instant::now(),
            options,
            http,
            observer,
            settings,
        })
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.start().await;
        loop {
            let wake = self.client.next_wake();
            let may_poll = self.pending_poll.is_none();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.command(command).await,
                },
                event = self.connection.next() => self.on_connection(event).await,
                transferred = self.orders.next() => self.transferred(transferred).await,
                answer = answered(&mut self.pending_poll) => {
                    self.pending_poll = None;
                    self.script(answer).await;
                }
                () = sleep_until(self.next_poll), if may_poll => self.poll(),
                () = sleep_until_tick(&self.clock, wake) => self.on(Event::Timer).await,
            }
        }
        self.connection.close(1000, "stopped").await;
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::TypeCode(code) => self.type_code(code).await,
            Command::Run(line) => {
                self.run_script(&line).await;
            }
            Command::Close => self.connection.close(1000, "closed by the phone").await,
            Command::Kill => self.connection.kill(),
            Command::Restart => self.restart(),
            // Handled by the caller.
            Command::Stop => {}
        }
    }

    /// A pending answer would be outdated.
    pub(super) fn poll_now(&mut self) {
        self.pending_poll = None;
        self.next_poll = Some(Instant::now());
    }

    pub(super) fn stop_polling(&mut self) {
        self.pending_poll = None;
        self.next_poll = None;
    }

    fn poll(&mut self) {
        self.next_poll = None;
        let address = self.settings.update_url();
        if address.expose().starts_with('?') {
            // There is no update address, only its query.
            return;
        }
        let shown = without_query(address.expose()).into();
        self.observer
            .send(PhoneEvent::ScriptAsked { address: shown, code: self.settings.provisioning_code().is_some() });
        let http = self.http.clone();
        self.pending_poll = Some(Box::pin(async move { transport::get(&http, address.expose(), SCRIPT_LIMIT).await }));
    }

    async fn script(&mut self, answer: Result<Answer, LinkError>) {
        self.next_poll = Some(Instant::now() + self.poll_interval());
        match answer {
            Ok(Answer { status, body }) => {
                let text = String::from_utf8_lossy(&body);
                let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
                self.observer.send(PhoneEvent::ScriptFetched { status, lines });
                if status == 200 {
                    self.run_script(&text).await;
                }
            }
            Err(error) => self.observer.send(PhoneEvent::ScriptFailed(error.to_string().into())),
        }
    }

    async fn on_connection(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Opened => {
                let address = self.connection.target().map(without_query).unwrap_or_default();
                self.observer.send(PhoneEvent::Connected(address.into()));
                self.on(Event::Connected).await;
            }
            ConnectionEvent::Failed(error) => self.observer.send(PhoneEvent::ConnectFailed(error.to_string().into())),
            ConnectionEvent::Received(Received::Binary(message)) => self.on(Event::Message(message)).await,
            ConnectionEvent::Received(Received::Text(_)) => self.connection.close(1003, "text message").await,
            ConnectionEvent::Received(Received::Closed(code, reason)) => {
                self.requests.clear();
                self.on(Event::Closed).await;
                self.observer.send(PhoneEvent::Closed(code, reason));
                self.answer_is_out().await;
            }
        }
    }

    /// Feeds an event to the client and performs the resulting actions.
    pub(super) async fn on(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut answer_is_out = false;
        // A served page is another event; each request causes at most two, so this ends.
        while let Some(event) = events.pop_front() {
            let mut actions = Vec::new();
            self.client.on(event, self.clock.now(), &mut actions);
            for action in actions {
                match action {
                    Action::Send(bytes) => self.connection.send_binary(bytes).await,
                    Action::Close(code) => self.connection.close(code, "closed by the phone").await,
                    Action::KeepPassword(password) => {
                        self.save_state();
                        self.observer.send(PhoneEvent::PasswordReceived(password));
                    }
                    Action::KeepAdminPassword(password) => {
                        self.save_state();
                        self.observer.send(PhoneEvent::AdminPasswordReceived(password));
                    }
                    Action::Web(session, bytes) => {
                        if let Some(answer) = self.web(session, &bytes) {
                            events.extend([Event::WebBytes(session, answer), Event::WebClosed(session)]);
                        }
                    }
                    Action::WebClose(session) => {
                        self.requests.remove(&session);
                        answer_is_out = true;
                    }
                    Action::Observed(observation) => self.observer.send(observation.into()),
                }
            }
        }
        if answer_is_out {
            // It may close this connection, which is another event.
            Box::pin(self.answer_is_out()).await;
        }
    }

    /// The local web server: collects bytes of a request, returns the full answer when the request is complete.
    fn web(&mut self, session: u32, bytes: &[u8]) -> Option<Bytes> {
        let mut request = self.requests.remove(&session).unwrap_or_default();
        request.extend_from_slice(bytes);
        let machine = self.settings.machine.clone();
        let version = machine.version();
        let page = self.options.page.clone();
        let info =
            web::PhoneInfo { id: &machine.mac, product: &machine.product, version: &version, page: page.as_deref() };
        let Some(served) = web::serve(&request, info, &mut |line| self.run_line(line)) else {
            self.requests.insert(session, request);
            return None;
        };
        self.observer.send(PhoneEvent::PageServed { what: served.what, status: served.status });
        Some(served.answer.into())
    }

    /// Writes the state file, if there is one. It is small, so the blocking write is done on the runtime.
    pub(super) fn save_state(&mut self) {
        let Some(path) = &self.options.state_file else { return };
        let state = PersistedState { memory: self.client.memory().clone(), settings: self.settings.clone() };
        if let Err(error) = state_file::save(path, &state) {
            self.observer.send(PhoneEvent::NotKept(error.to_string().into()));
        }
    }
}

async fn answered(pending_poll: &mut Option<PendingPoll>) -> Result<Answer, LinkError> {
    match pending_poll {
        Some(pending_poll) => pending_poll.await,
        None => std::future::pending().await,
    }
}
