//! The server's side of one tunnel session: one HTTP request and its answer (`docs/protocol/sysclient.md` 7.2 to 7.4
//! and 8.4), or after an upgrade a byte pipe (8.5).

use bytes::Bytes;

use super::answer::Answer;
use super::{Expects, Failure, Head, Limits};
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::frame::{DeviceEvent, ServerEvent};

/// What the caller has to do, in order.
///
/// The HTTP client gets one [`Action::Head`], any number of [`Action::Body`] and one [`Action::Done`]; or, at any
/// point before `Done`, one [`Action::Failed`] or [`Action::Abort`]. The session number stays in use until
/// [`Action::Release`] or [`Action::Retire`], which may follow later than the end of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to the device, with the number of the session.
    Send(ServerEvent),
    /// Begin the answer to the HTTP client.
    Head(Head),
    /// Pass these bytes on, and call [`HttpExchange::taken`] once the HTTP client has them.
    Body(Bytes),
    /// Only after an upgrade: the device has the bytes given to [`HttpExchange::client`], which may be called again.
    Sent,
    /// The answer is complete.
    Done,
    /// There is no answer, and no head was sent: answer with [`Failure::status`].
    Failed(Failure),
    /// The answer cannot be completed: abort it, so that the HTTP client sees that.
    Abort(Failure),
    /// The session is over; its number is free.
    Release,
    /// The session is over, but the device has not confirmed it: its number must not be reused on this connection.
    Retire,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A send is not answered yet.
    Sending,
    /// A receive is not answered yet.
    Receiving,
    /// The HTTP client has not taken the last bytes yet.
    Holding,
    /// A byte pipe. A send and a receive may each be open; without an open receive the client has not taken the last
    /// bytes yet.
    Piping {
        sending: bool,
        receiving: bool,
    },
    /// The shutdown was sent and is not confirmed yet. The answer has ended.
    Closing,
    Over,
}

/// One HTTP request and its answer.
///
/// Every method that takes `now` returns the resulting actions. Call [`HttpExchange::expire`] at
/// [`HttpExchange::deadline`], which may change with every call.
#[derive(Debug)]
pub struct HttpExchange {
    session: u32,
    limits: Limits,
    state: State,
    /// The part of the request that was not sent yet.
    request: Bytes,
    answer: Answer,
    head_sent: bool,
    any_result: bool,
    /// End of the current wait.
    step: Option<Tick>,
    /// End of the whole session.
    end: Tick,
}

impl HttpExchange {
    /// Opens a session. `request` is the whole request, with a head of at most
    /// [`REQUEST_HEAD_MAX`](super::REQUEST_HEAD_MAX) bytes.
    pub fn open(session: u32, request: Bytes, expects: Expects, limits: Limits, now: Tick) -> (Self, Vec<Action>) {
        let mut exchange = Self {
            session,
            limits,
            state: State::Sending,
            request,
            answer: Answer::new(expects),
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

    /// Whether the session is over. No action follows.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether the answer is incomplete. Always false in a pipe.
    pub const fn is_under_way(&self) -> bool {
        matches!(self.state, State::Sending | State::Receiving | State::Holding)
    }

    /// When to call [`HttpExchange::expire`]; `None` when the session is over.
    pub fn deadline(&self) -> Option<Tick> {
        match self.state {
            State::Over => None,
            // A pipe has no timers for receives, and lasts until one side ends it.
            State::Closing | State::Piping { .. } => self.step,
            State::Sending | State::Receiving | State::Holding => Some(self.step.map_or(self.end, |t| t.min(self.end))),
        }
    }

    /// Handles an event of the device.
    pub fn device(&mut self, event: DeviceEvent, now: Tick) -> Vec<Action> {
        match (self.state, event) {
            (State::Closing, DeviceEvent::Shutdown) => {
                self.state = State::Over;
                vec![Action::Release]
            }
            // Events that crossed our shutdown are dropped; a send result without a send carries nothing.
            (State::Closing | State::Over, _) | (State::Receiving | State::Holding, DeviceEvent::SendResult) => {
                Vec::new()
            }
            (State::Sending, DeviceEvent::SendResult) if self.request.is_empty() => vec![self.receive(now)],
            (State::Sending, DeviceEvent::SendResult) => vec![self.send(now)],
            (State::Receiving, DeviceEvent::ReceiveResult(bytes)) => self.result(bytes, now),
            (State::Piping { sending: true, .. }, DeviceEvent::SendResult) if !self.request.is_empty() => {
                vec![self.send(now)]
            }
            (State::Piping { sending: true, receiving }, DeviceEvent::SendResult) => {
                self.state = State::Piping { sending: false, receiving };
                self.step = None;
                vec![Action::Sent]
            }
            (State::Piping { sending: false, .. }, DeviceEvent::SendResult) => Vec::new(),
            (State::Piping { sending, receiving: true }, DeviceEvent::ReceiveResult(bytes)) => {
                if bytes.is_empty() {
                    return vec![self.shutdown(now), Action::Done];
                }
                self.state = State::Piping { sending, receiving: false };
                vec![Action::Body(bytes)]
            }
            (
                State::Sending | State::Holding | State::Piping { receiving: false, .. },
                DeviceEvent::ReceiveResult(_),
            ) => self.fail(Failure::Unasked, now),
            (State::Sending | State::Receiving | State::Holding | State::Piping { .. }, DeviceEvent::Shutdown) => {
                self.ended_by_device()
            }
        }
    }

    /// The HTTP client has taken all bytes passed on so far.
    pub fn taken(&mut self, now: Tick) -> Vec<Action> {
        match self.state {
            State::Holding => vec![self.receive(now)],
            State::Piping { sending, receiving: false } => {
                self.state = State::Piping { sending, receiving: true };
                vec![Action::Send(ServerEvent::Receive(self.limits.receive))]
            }
            _ => Vec::new(),
        }
    }

    /// Sends bytes of the client into the pipe. Must not be called again before [`Action::Sent`]; before the answer
    /// 101 there is no pipe, and the bytes are dropped.
    pub fn client(&mut self, bytes: Bytes, now: Tick) -> Vec<Action> {
        let State::Piping { sending: false, receiving } = self.state else { return Vec::new() };
        self.state = State::Piping { sending: true, receiving };
        self.request = bytes;
        vec![self.send(now)]
    }

    /// The last send has to wait for others. Its timer does not run until [`HttpExchange::send_released`].
    pub fn send_deferred(&mut self) {
        self.step = None;
    }

    /// The waiting send is sent now.
    pub fn send_released(&mut self, now: Tick) {
        self.step = Some(now + self.limits.send_result);
    }

    /// The HTTP client has gone away.
    pub fn abandon(&mut self, now: Tick) -> Vec<Action> {
        match self.state {
            State::Sending | State::Receiving | State::Holding | State::Piping { .. } => vec![self.shutdown(now)],
            State::Closing | State::Over => Vec::new(),
        }
    }

    /// The connection to the device is lost.
    pub fn lost(&mut self) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Sending | State::Receiving | State::Holding | State::Piping { .. } => {
                vec![self.failure(Failure::Lost)]
            }
            State::Closing | State::Over => Vec::new(),
        }
    }

    /// Handles an expired timer; has no effect before the [`deadline`](Self::deadline).
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
        let any_body = !progress.body.is_empty();
        if let Some(head) = progress.head {
            self.head_sent = true;
            if head.status == 101 {
                return self.pipe(head, progress.body);
            }
            actions.push(Action::Head(head));
        }
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

    /// The answer is 101, and these bytes followed its head.
    fn pipe(&mut self, head: Head, first: Bytes) -> Vec<Action> {
        let receiving = first.is_empty();
        self.state = State::Piping { sending: false, receiving };
        self.step = None;
        let next =
            if receiving { Action::Send(ServerEvent::Receive(self.limits.receive)) } else { Action::Body(first) };
        vec![Action::Head(head), next]
    }

    /// Both shutdowns are sent with our confirmation, so the number is free at once.
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
