//! The server side of one tunnel session: one HTTP request and its answer (`sysclient.md` 7.2 to 7.4 and 8.4).

use bytes::Bytes;

use super::answer::Answer;
use super::{Failure, Head, Limits};
use crate::core::sysclient::frame::{DeviceEvent, ServerEvent};
use crate::core::time::Tick;

/// What is to be done, in the order in which it stands in the list.
///
/// The HTTP client gets one [`Action::Head`], any number of [`Action::Body`] and one [`Action::Done`]; or it gets, at any point
/// before `Done`, one [`Action::Failed`] or [`Action::Abort`]. The session number is occupied until [`Action::Release`] or
/// [`Action::Retire`], which may come later than the end of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to the device, with the number of the session.
    Send(ServerEvent),
    /// Begin the answer to the HTTP client.
    Head(Head),
    /// Pass these bytes on, and call [`Exchange::taken`] once the HTTP client has them.
    Body(Bytes),
    /// The answer is complete.
    Done,
    /// There is no answer, and no head has gone out: answer with [`Failure::status`].
    Failed(Failure),
    /// The answer cannot be completed: abort it, so that the HTTP client sees that.
    Abort(Failure),
    /// The session is over; its number is free.
    Release,
    /// The session is over, but the device has not confirmed: its number must not be used again on this connection.
    Retire,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A send is unanswered.
    Sending,
    /// A receive is unanswered.
    Receiving,
    /// The HTTP client has not yet taken the bytes that came last.
    Holding,
    /// The shutdown is sent and not confirmed. The answer has ended.
    Closing,
    Over,
}

/// One request and its answer.
///
/// Every method that takes `now` returns what is to be done because of it. Call [`Exchange::expire`] at [`Exchange::deadline`],
/// which may change with every call.
#[derive(Debug)]
pub struct Exchange {
    session: u32,
    limits: Limits,
    state: State,
    /// What has not yet been sent.
    request: Bytes,
    answer: Answer,
    head_sent: bool,
    any_result: bool,
    /// End of the present wait.
    step: Option<Tick>,
    /// End of the whole session.
    end: Tick,
}

impl Exchange {
    /// Opens a session. `request` is the whole request, its head at most [`REQUEST_HEAD_MAX`](super::REQUEST_HEAD_MAX) bytes
    /// long; `head_only` says that its method is HEAD.
    pub fn open(session: u32, request: Bytes, head_only: bool, limits: Limits, now: Tick) -> (Self, Vec<Action>) {
        let mut exchange = Self {
            session,
            limits,
            state: State::Sending,
            request,
            answer: Answer::new(head_only),
            head_sent: false,
            any_result: false,
            step: None,
            end: now + limits.session,
        };
        let first = exchange.send(now);
        (exchange, vec![first])
    }

    /// The session number.
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// Whether the session is over. Nothing more will be done.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// When [`Exchange::expire`] wants to be called; `None` when the session is over.
    pub fn deadline(&self) -> Option<Tick> {
        match self.state {
            State::Over => None,
            State::Closing => self.step,
            State::Sending | State::Receiving | State::Holding => Some(self.step.map_or(self.end, |t| t.min(self.end))),
        }
    }

    /// The device sent an event of this session.
    pub fn device(&mut self, event: DeviceEvent, now: Tick) -> Vec<Action> {
        match (self.state, event) {
            (State::Closing, DeviceEvent::Shutdown) => {
                self.state = State::Over;
                vec![Action::Release]
            }
            // What was under way when the shutdown went out is thrown away; a result for no send carries nothing.
            (State::Closing | State::Over, _) | (State::Receiving | State::Holding, DeviceEvent::SendResult) => {
                Vec::new()
            }
            (State::Sending, DeviceEvent::SendResult) if self.request.is_empty() => vec![self.receive(now)],
            (State::Sending, DeviceEvent::SendResult) => vec![self.send(now)],
            (State::Receiving, DeviceEvent::ReceiveResult(bytes)) => self.result(bytes, now),
            (State::Sending | State::Holding, DeviceEvent::ReceiveResult(_)) => self.fail(Failure::Unasked, now),
            (State::Sending | State::Receiving | State::Holding, DeviceEvent::Shutdown) => self.ended_by_device(),
        }
    }

    /// The HTTP client has taken all bytes that were passed on so far.
    pub fn taken(&mut self, now: Tick) -> Vec<Action> {
        if self.state == State::Holding { vec![self.receive(now)] } else { Vec::new() }
    }

    /// The HTTP client has gone away.
    pub fn abandon(&mut self, now: Tick) -> Vec<Action> {
        match self.state {
            State::Sending | State::Receiving | State::Holding => vec![self.shutdown(now)],
            State::Closing | State::Over => Vec::new(),
        }
    }

    /// The connection to the device is lost.
    pub fn lost(&mut self) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Sending | State::Receiving | State::Holding => vec![self.failure(Failure::Lost)],
            State::Closing | State::Over => Vec::new(),
        }
    }

    /// Time has passed; nothing happens before the [`deadline`](Self::deadline).
    pub fn expire(&mut self, now: Tick) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        if self.state == State::Closing {
            self.state = State::Over;
            return vec![Action::Retire];
        }
        self.fail(Failure::Timeout, now)
    }

    fn send(&mut self, now: Tick) -> Action {
        let piece = self.request.split_to(self.request.len().min(self.limits.send));
        self.step = Some(now + self.limits.send_result);
        Action::Send(ServerEvent::Send(piece))
    }

    fn receive(&mut self, now: Tick) -> Action {
        let wait = if self.any_result { self.limits.next_result } else { self.limits.first_result };
        self.state = State::Receiving;
        self.step = Some(now + wait);
        Action::Send(ServerEvent::Receive(self.limits.receive))
    }

    fn shutdown(&mut self, now: Tick) -> Action {
        self.state = State::Closing;
        self.step = Some(now + self.limits.confirmation);
        self.request = Bytes::new();
        Action::Send(ServerEvent::Shutdown)
    }

    fn result(&mut self, bytes: Bytes, now: Tick) -> Vec<Action> {
        self.any_result = true;
        let progress = match self.answer.push(bytes) {
            Ok(progress) => progress,
            Err(failure) => return self.fail(failure, now),
        };
        let mut actions = Vec::with_capacity(4);
        if let Some(head) = progress.head {
            self.head_sent = true;
            actions.push(Action::Head(head));
        }
        let any_body = !progress.body.is_empty();
        if any_body {
            actions.push(Action::Body(progress.body));
        }
        if progress.complete {
            actions.extend([self.shutdown(now), Action::Done]);
        } else if any_body {
            self.state = State::Holding;
            self.step = None;
        } else {
            actions.push(self.receive(now));
        }
        actions
    }

    /// Both shutdowns have been sent with our confirmation, so the number is free at once.
    fn ended_by_device(&mut self) -> Vec<Action> {
        let outcome = match self.answer.end() {
            Ok(()) => Action::Done,
            Err(failure) => self.failure(failure),
        };
        self.state = State::Over;
        vec![Action::Send(ServerEvent::Shutdown), outcome, Action::Release]
    }

    fn fail(&mut self, failure: Failure, now: Tick) -> Vec<Action> {
        vec![self.shutdown(now), self.failure(failure)]
    }

    const fn failure(&self, failure: Failure) -> Action {
        if self.head_sent { Action::Abort(failure) } else { Action::Failed(failure) }
    }
}
