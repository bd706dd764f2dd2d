//! Carries out the actions of a simulated phone: transfers, restarts, a new address.

use std::time::Duration;

use tokio::time::Instant;

use super::orders::{CurrentTransfer, Orders, Transferred};
use super::task::Task;
use super::{PhoneEvent, without_query};
use crate::core::model::ids::{Code, Secret};
use crate::core::protocol::script;
use crate::core::session::device::client::Event;
use crate::core::session::device::settings::{Action, Now};
use crate::sim::transport;

impl Task {
    /// The phone starts.
    pub(super) async fn start(&mut self) {
        self.started = Instant::now();
        self.next_poll = Some(self.started);
        self.connection.wake();
        let actions = self.settings.start();
        self.carry_out(actions).await;
    }

    /// The phone restarts: its connection is cut, and everything else waits.
    pub(super) fn restart(&mut self) {
        self.observer.send(PhoneEvent::Restarting);
        self.orders =
            Orders { current: CurrentTransfer::Restart(Instant::now() + self.options.restart), ..Orders::default() };
        self.stop_polling();
        self.connection.pause();
        self.connection.kill();
    }

    /// A simulated phone has no wall clock, only the time since its start.
    fn now(&self) -> Now {
        let minutes = self.started.elapsed().as_nanos() / self.options.minute.as_nanos().max(1);
        Now { hour: None, minutes_up: u32::try_from(minutes).unwrap_or(u32::MAX) }
    }

    pub(super) fn poll_interval(&self) -> Duration {
        self.options.minute * self.settings.poll_minutes(self.now().minutes_up)
    }

    pub(super) async fn type_code(&mut self, code: Code) {
        let actions = self.settings.typed(code.expose());
        self.on(Event::CodeTyped(code)).await;
        self.save_state();
        self.carry_out(actions).await;
    }

    /// Runs a script of the update server.
    pub(super) async fn run_script(&mut self, text: &str) {
        let before = self.settings.provisioning_code();
        let actions = self.settings.run(&script::parse(text), self.now());
        let after = self.settings.provisioning_code();
        match after {
            Some(code) if before != after => self.on(Event::CodeTyped(code)).await,
            // The form is shown again: the typed code was rejected.
            None if before.is_some() => self.on(Event::CodeRemoved).await,
            _ => {}
        }
        self.save_state();
        self.carry_out(actions).await;
    }

    /// Runs a command line from the tunnel; returns its output or an error text.
    pub(super) fn run_line(&mut self, line: &str) -> Result<String, String> {
        let actions = self.settings.run(&script::parse(line), self.now());
        self.save_state();
        let (mut output, mut errors) = (String::new(), String::new());
        for action in actions {
            match action {
                Action::Print(text) => output.push_str(text.expose()),
                Action::Report(command) => errors = format!("not understood: {command}\n"),
                action => self.orders.after_answer.push(action),
            }
        }
        if errors.is_empty() { Ok(output) } else { Err(errors) }
    }

    /// A tunnel session is over; runs its deferred actions.
    pub(super) async fn answer_is_out(&mut self) {
        let actions = std::mem::take(&mut self.orders.after_answer);
        self.carry_out(actions).await;
    }

    async fn carry_out(&mut self, actions: Vec<Action>) {
        self.orders.queue.extend(actions);
        while matches!(self.orders.current, CurrentTransfer::Nothing) {
            let Some(action) = self.orders.queue.pop_front() else { return };
            self.begin(action).await;
        }
    }

    async fn begin(&mut self, action: Action) {
        match action {
            Action::Connect(address) => {
                let address = address.as_ref().map(Secret::expose);
                if address != self.connection.target() {
                    self.observer.send(PhoneEvent::AddressReceived(address.map(|a| without_query(a).into())));
                    self.connection.set_target(address).await;
                }
            }
            Action::ShowForm => self.observer.send(PhoneEvent::FormShown),
            Action::HideForm => self.observer.send(PhoneEvent::FormGone),
            Action::Load(part, order) => {
                let (http, url) = (self.http.clone(), order.url.clone());
                let transfer = Box::pin(async move { transport::load(&http, &url).await });
                self.orders.current = CurrentTransfer::Load(part, order, transfer);
            }
            Action::Put { url, body, last } => {
                let http = self.http.clone();
                let transfer = Box::pin(async move { transport::put(&http, &url, body.expose().into()).await });
                self.orders.current = CurrentTransfer::Put(last, transfer);
            }
            // A simulated phone has no calls: it is always idle.
            Action::Restart { when_idle: _ } => self.restart(),
            Action::PollEvery(_) => {
                let next = Instant::now() + self.poll_interval();
                self.next_poll = Some(self.next_poll.map_or(next, |planned| planned.min(next)));
            }
            Action::PollNow => self.poll_now(),
            // Its output is not shown anywhere.
            Action::Print(_) => {}
            Action::Report(command) => {
                let name = command.split(' ').next().unwrap_or_default();
                self.observer.send(PhoneEvent::Skipped(name.into()));
            }
        }
    }

    /// Handles a finished action; its consequences come before the other queued actions.
    pub(super) async fn transferred(&mut self, transferred: Transferred) {
        let follow_up = match transferred {
            Transferred::Load(part, order, Ok(bytes)) => {
                let serial = order.serial.clone();
                self.observer.send(PhoneEvent::Loaded { part, serial, bytes });
                let actions = self.settings.loaded(part, &order);
                let facts = super::facts(&self.settings.machine, self.options.ip);
                self.on(Event::FactsChanged(Box::new(facts))).await;
                actions
            }
            Transferred::Load(part, _, Err(error)) => {
                self.observer.send(PhoneEvent::LoadFailed { part, error: error.to_string().into() });
                self.orders.drop_dependent();
                self.settings.load_failed();
                Vec::new()
            }
            Transferred::Put(last, Ok(())) => {
                self.observer.send(PhoneEvent::Stored);
                self.settings.stored(last.as_ref())
            }
            Transferred::Put(_, Err(error)) => {
                self.observer.send(PhoneEvent::StoreFailed(error.to_string().into()));
                self.orders.drop_dependent();
                Vec::new()
            }
            Transferred::Restart => return self.start().await,
        };
        self.save_state();
        for action in follow_up.into_iter().rev() {
            self.orders.queue.push_front(action);
        }
        self.carry_out(Vec::new()).await;
    }
}
