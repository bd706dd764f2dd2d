//! The server's side of one app connection as a state machine (`docs/protocol/appwebsocket.md`,
//! `docs/protocol/devices-api.md`).
//!
//! Several questions to the service may be open; their answers are sent in the order of the requests, because a client
//! that sends no `src` matches them by order. While a log-in is verified the shell must not hand in a message.

use crate::core::model::ids::Secret;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::answers;
use crate::core::protocol::appws::call::{Call, PbxInfo};
use crate::core::protocol::appws::challenge::{Challenges, FAILURES, VALID};
use crate::core::protocol::appws::message::{ApiError, Request};
use crate::core::protocol::close::Close;

use super::event::{Action, Event, Settings};
use super::rights::Rights;
use super::settling::Outcome;
use crate::core::session::app::logged_in::{LoggedIn, check_build};

#[derive(Debug)]
enum State {
    Outside { challenge: Option<(Box<str>, Tick)>, failures: u8 },
    Verifying { request: Box<Request>, app: Box<str>, failures: u8 },
    LoggedIn(Box<LoggedIn>),
    Closed,
}

/// The server side of one app connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    opened: Tick,
    /// When something was last sent after the log-in.
    sent: Tick,
    challenges: Challenges,
}

impl Session {
    /// A connection that was opened `now`; challenges are derived from `entropy`, 32 random bytes.
    pub const fn new(now: Tick, entropy: [u8; 32]) -> Self {
        let state = State::Outside { challenge: None, failures: 0 };
        Self { state, opened: now, sent: now, challenges: Challenges::new(entropy) }
    }

    /// When the next [`Event::Tick`] is due, if ever.
    pub fn deadline(&self, settings: &Settings) -> Option<Tick> {
        match &self.state {
            State::Outside { .. } => Some(self.opened + settings.login_timeout),
            // It came in time; how long its verification takes is bounded by the shell.
            State::Verifying { .. } | State::Closed => None,
            State::LoggedIn(inside) => [inside.deadline(), self.ping_due(settings)].into_iter().flatten().min(),
        }
    }

    /// When a ping is due, so that balancers do not cut the connection (`docs/protocol/appwebsocket.md` section 1).
    fn ping_due(&self, settings: &Settings) -> Option<Tick> {
        (!settings.ping_every.is_zero()).then(|| self.sent + settings.ping_every)
    }

    /// The rights of the log-in.
    pub const fn rights(&self) -> Option<&Rights> {
        match &self.state {
            State::LoggedIn(inside) => Some(&inside.rights),
            _ => None,
        }
    }

    /// What a telephone exchange at the other end has reported of itself.
    pub fn pbx(&self) -> Option<&PbxInfo> {
        match &self.state {
            State::LoggedIn(inside) => inside.pbx.as_deref(),
            _ => None,
        }
    }

    /// Handles an event and appends the resulting actions.
    pub fn on(&mut self, event: Event<'_>, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let before = actions.len();
        self.handle(event, now, settings, actions);
        let sends = |action: &Action| matches!(action, Action::Send(_) | Action::Ping(_) | Action::KeepAlive);
        if actions.iter().skip(before).any(sends) {
            self.sent = now;
        }
    }

    fn handle(&mut self, event: Event<'_>, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        match event {
            Event::Text(text) => self.on_text(text, now, settings, actions),
            Event::Verified(rights, key) => self.on_verified(rights, key, settings, actions),
            Event::End(close) => self.close(close, actions),
            Event::Tick => self.on_tick(now, settings, actions),
            Event::Pong(payload) => {
                if let State::LoggedIn(inside) = &mut self.state {
                    inside.settling.pong(payload, now);
                }
            }
            Event::Answered(number, answer) => {
                if let State::LoggedIn(inside) = &mut self.state {
                    inside.on_answer(number, answer, now, settings, actions);
                }
            }
            Event::DataChange(news) => {
                if let State::LoggedIn(inside) = &mut self.state
                    && inside.on_change(news, now, actions)
                {
                    self.close(Close::Overload, actions);
                }
            }
            Event::Flushed => {
                if let State::LoggedIn(inside) = &mut self.state {
                    inside.on_flushed(now, actions);
                }
            }
            Event::Deliver(domain, deliveries) => {
                if let State::LoggedIn(inside) = &mut self.state {
                    inside.deliver(domain, &deliveries, now, actions);
                }
            }
        }
    }

    fn close(&mut self, close: Close, actions: &mut Vec<Action>) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            actions.push(Action::Close(close));
        }
    }

    fn on_text(&mut self, text: &str, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(error) => return self.close(error.close(), actions),
        };
        let call = Call::read(&request);
        match &mut self.state {
            State::LoggedIn(inside) => {
                inside.settling.message(now);
                match call {
                    Ok(Call::AppLogin(login)) => {
                        actions.push(Action::Send(answers::login_failed(&request, &login.app, &settings.domain)));
                        self.close(Close::NotAllowed, actions);
                    }
                    Ok(Call::AppChallenge) => {
                        let challenge = self.challenges.draw();
                        actions.push(Action::Send(answers::challenge(&request, &challenge)));
                    }
                    call => {
                        if inside.on_call(request, call, now, settings, actions) {
                            self.close(Close::NotReading, actions);
                        }
                    }
                }
            }
            State::Outside { .. } => self.on_call_outside(request, call, now, settings, actions),
            State::Verifying { .. } | State::Closed => {}
        }
    }

    fn on_call_outside(
        &mut self,
        request: Request,
        call: Result<Call, ApiError>,
        now: Tick,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        if !Call::is_allowed_before_login(&request) {
            return self.close(Close::NotAllowed, actions);
        }
        let State::Outside { challenge, failures } = &mut self.state else { return };
        let answer = match call {
            Ok(Call::AppChallenge) => {
                let failures = *failures;
                let drawn = self.challenges.draw();
                let answer = answers::challenge(&request, &drawn);
                self.state = State::Outside { challenge: Some((drawn, now)), failures };
                answer
            }
            Ok(Call::AppLogin(login)) => {
                let failures = *failures;
                let valid = challenge.take().filter(|(_, since)| now.since(*since) < VALID);
                let app = login.app.clone();
                // Without a challenge no digest can match; the answer is that of any failed log-in.
                self.state = State::Verifying { request: Box::new(request), app, failures };
                return match valid {
                    Some((challenge, _)) => actions.push(Action::Verify(login, challenge)),
                    None => self.on_verified(None, Secret::default(), settings, actions),
                };
            }
            Ok(Call::CheckBuild { url }) => check_build(&request, &url, settings),
            Ok(Call::KeepAlive) => answers::keep_alive(&request),
            Ok(_) => return self.close(Close::NotAllowed, actions),
            Err(error) => request.error(error),
        };
        actions.push(Action::Send(answer));
    }

    fn on_verified(
        &mut self,
        rights: Option<Box<Rights>>,
        key: Secret,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let State::Verifying { request, app, failures } = &self.state else { return };
        let Some(rights) = rights else {
            let failures = failures + 1;
            actions.push(Action::Send(answers::login_failed(request, app, &settings.domain)));
            actions.push(Action::LoginFailed);
            self.state = State::Outside { challenge: None, failures };
            if failures >= FAILURES {
                self.close(Close::Refused, actions);
            }
            return;
        };
        actions.push(Action::Send(answers::login_ok(request, app, &settings.domain)));
        actions.push(Action::Enlist(rights.clone()));
        self.state = State::LoggedIn(Box::new(LoggedIn::new(*rights, key, settings)));
    }

    fn on_tick(&mut self, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let pings = self.ping_due(settings).is_some_and(|due| due <= now);
        match &mut self.state {
            State::Outside { .. } if now.since(self.opened) >= settings.login_timeout => {
                self.close(Close::TooLate, actions);
            }
            State::LoggedIn(inside) => {
                while let Some(outcome) = inside.settling.next(now) {
                    match outcome {
                        Outcome::Settled(domain, codes) => {
                            for code in &codes {
                                inside.waiting.remove(code);
                            }
                            actions.push(Action::Settle(domain, codes));
                        }
                        Outcome::Silent => return self.close(Close::Unacknowledged, actions),
                    }
                }
                let before = actions.len();
                inside.pump(now, actions);
                if pings && !actions.iter().skip(before).any(|action| matches!(action, Action::Send(_))) {
                    actions.push(Action::KeepAlive);
                }
            }
            State::Outside { .. } | State::Verifying { .. } | State::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests;
