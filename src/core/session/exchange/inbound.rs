//! The server side of a connection that an exchange, or a user of it, opens to us (`docs/protocol/pbx.md` 1.1;
//! `docs/protocol/appwebsocket.md` 3 to 7).
//!
//! It handles the log-in and the basic requests of any app. After `PbxInfo`, messages of the exchange's interfaces
//! are forwarded to the client, which takes over.

use std::time::Duration;

use crate::core::model::ids::Secret;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::answers;
use crate::core::protocol::appws::build::check_build;
use crate::core::protocol::appws::call::{Call, PbxInfo};
use crate::core::protocol::appws::challenge::{Challenges, FAILURES, VALID};
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::appws::message::{ApiError, Request};
use crate::core::protocol::close::Close;
use crate::core::protocol::json::Object;

/// Limit for the log-in (`docs/protocol/appwebsocket.md` 5).
pub const LOGIN_TIME: Duration = Duration::from_secs(60);

/// Settings shared by all inbound sessions of an instance.
#[derive(Debug, Clone)]
pub struct InboundSettings {
    /// Domain of the instance.
    pub domain: Box<str>,
    /// Name of the Users instance.
    pub instance: Box<str>,
    /// Build number of the pages.
    pub build: Box<str>,
    /// Passwords of the app objects, each with the system name of its exchange; an empty name matches any.
    pub passwords: Vec<(Box<str>, Secret)>,
    /// `PbxInfo` is accepted only with the signed names (`docs/protocol/pbx.md` 1.1).
    pub check_names: bool,
}

/// Actions.
#[derive(Debug, PartialEq, Eq)]
pub enum InboundAction {
    /// Send a text message.
    Send(String),
    /// Close.
    Close(Close),
    /// Check this log-in to this challenge with [`right_password`], and tell the outcome with
    /// [`InboundSession::verified`]. Nothing may be handed in meanwhile.
    Verify(Box<Login>, Box<str>),
    /// A log-in has failed.
    LoginFailed,
    /// A log-in has succeeded: longer messages may be accepted.
    LoggedIn,
    /// The peer is an exchange and has sent `PbxInfo`. A later one replaces it.
    Attached(Box<PbxInfo>),
    /// Forward the message to the exchange client.
    Forward,
    /// `PbxInfo` does not match the log-in and is ignored.
    Forged,
}

#[derive(Debug)]
enum State {
    Outside { challenge: Option<(Box<str>, Tick)>, failures: u8 },
    Verifying { request: Box<Request>, login: Box<Login>, failures: u8 },
    Inside { login: Box<Signed>, attached: bool },
    Closed,
}

/// The names that the digest of a log-in covers.
#[derive(Debug)]
struct Signed {
    domain: Box<str>,
    sip: Box<str>,
    /// `info.appobj`.
    object: Box<str>,
}

/// The server side of one connection that an exchange or a user of it has opened.
#[derive(Debug)]
pub struct InboundSession {
    state: State,
    opened: Tick,
    challenges: Challenges,
}

impl InboundSession {
    /// A session opened at `now`; challenges are derived from `entropy`, 32 random bytes.
    pub const fn new(now: Tick, entropy: [u8; 32]) -> Self {
        let state = State::Outside { challenge: None, failures: 0 };
        Self { state, opened: now, challenges: Challenges::new(entropy) }
    }

    /// When [`Self::timer`] is due.
    pub fn deadline(&self) -> Option<Tick> {
        matches!(self.state, State::Outside { .. }).then(|| self.opened + LOGIN_TIME)
    }

    /// Closes the session if no log-in has come in time.
    pub fn timer(&mut self, now: Tick, actions: &mut Vec<InboundAction>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.close(Close::TooLate, actions);
        }
    }

    fn close(&mut self, close: Close, actions: &mut Vec<InboundAction>) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            actions.push(InboundAction::Close(close));
        }
    }

    /// Handles a text message.
    pub fn on_text(&mut self, text: &str, now: Tick, settings: &InboundSettings, actions: &mut Vec<InboundAction>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(error) => return self.close(error.close(), actions),
        };
        let call = Call::read(&request);
        match &mut self.state {
            State::Outside { .. } => self.outside(request, call, now, settings, actions),
            State::Inside { login, attached } => match call {
                // After `PbxInfo`, messages with an interface are answers or notices for the client.
                _ if *attached && (request.api.is_some() || request.mt.ends_with("Result")) => {
                    actions.push(InboundAction::Forward);
                }
                Ok(Call::PbxInfo(info)) => {
                    let fits = login.sip == login.object
                        && !login.sip.is_empty()
                        && info.domain.as_deref() == Some(&*login.domain);
                    if fits || !settings.check_names {
                        *attached = true;
                        actions.push(InboundAction::Attached(Box::new(info)));
                    } else {
                        actions.push(InboundAction::Forged);
                    }
                }
                Ok(Call::AppLogin(again)) => {
                    actions.push(InboundAction::Send(answers::login_failed(&request, &again.app, &settings.domain)));
                    self.close(Close::NotAllowed, actions);
                }
                Ok(Call::AppChallenge) => {
                    let challenge = self.challenges.draw();
                    actions.push(InboundAction::Send(answers::challenge(&request, &challenge)));
                }
                Ok(Call::Ignored) => {}
                call => actions.push(InboundAction::Send(basic(&request, call, settings))),
            },
            State::Verifying { .. } | State::Closed => {}
        }
    }

    fn outside(
        &mut self,
        request: Request,
        call: Result<Call, ApiError>,
        now: Tick,
        settings: &InboundSettings,
        actions: &mut Vec<InboundAction>,
    ) {
        if !Call::is_allowed_before_login(&request) {
            return self.close(Close::NotAllowed, actions);
        }
        let State::Outside { challenge, failures } = &mut self.state else { return };
        match call {
            Ok(Call::AppChallenge) => {
                let failures = *failures;
                let drawn = self.challenges.draw();
                actions.push(InboundAction::Send(answers::challenge(&request, &drawn)));
                self.state = State::Outside { challenge: Some((drawn, now)), failures };
            }
            Ok(Call::AppLogin(login)) => {
                let failures = *failures;
                let valid = challenge.take().filter(|(_, since)| now.since(*since) < VALID);
                self.state = State::Verifying { request: Box::new(request), login: login.clone(), failures };
                match valid {
                    Some((challenge, _)) => actions.push(InboundAction::Verify(login, challenge)),
                    // Without a challenge no digest can match.
                    None => self.verified(false, now, settings, actions),
                }
            }
            call => actions.push(InboundAction::Send(basic(&request, call, settings))),
        }
    }

    /// The outcome of [`InboundAction::Verify`].
    pub fn verified(&mut self, right: bool, now: Tick, settings: &InboundSettings, actions: &mut Vec<InboundAction>) {
        let State::Verifying { request, login, failures } = &self.state else { return };
        if right {
            actions.push(InboundAction::Send(answers::login_ok(request, &login.app, &settings.domain)));
            actions.push(InboundAction::LoggedIn);
            self.state = State::Inside { login: Box::new(signed(login)), attached: false };
            return;
        }
        let failures = failures + 1;
        actions.push(InboundAction::Send(answers::login_failed(request, &login.app, &settings.domain)));
        actions.push(InboundAction::LoginFailed);
        self.state = State::Outside { challenge: None, failures };
        if failures >= FAILURES {
            self.close(Close::Refused, actions);
        }
        // The time for the log-in may have run out meanwhile.
        self.timer(now, actions);
    }
}

/// Whether one of the passwords matches. All are tried, so that the time reveals nothing.
pub fn right_password(login: &Login, challenge: &str, settings: &InboundSettings) -> bool {
    let mut fits = false;
    for (domain, password) in &settings.passwords {
        let meant = domain.is_empty() || **domain == *login.domain;
        fits |= login.matches(challenge, password) && meant;
    }
    fits
}

fn signed(login: &Login) -> Signed {
    let object = login.info.as_ref().and_then(|info| {
        let info = Object::parse(info.canonical.as_bytes()).ok()?;
        info.str("appobj").map(Into::into)
    });
    Signed { domain: login.domain.clone(), sip: login.sip.clone(), object: object.unwrap_or_default() }
}

fn basic(request: &Request, call: Result<Call, ApiError>, settings: &InboundSettings) -> String {
    match call {
        Ok(Call::CheckBuild { url }) => {
            let current = check_build(&url, &settings.build, &settings.domain, &settings.instance);
            answers::check_build(request, current.as_deref())
        }
        Ok(Call::KeepAlive) => answers::keep_alive(request),
        Ok(Call::AppInfo { app }) => {
            // The app names of Devices do not apply here.
            request.answer(serde_json::json!({ "app": app, "info": { "apis": {} } }))
        }
        Ok(_) => request.error(ApiError::UnknownMessage),
        Err(error) => request.error(error),
    }
}

#[cfg(test)]
mod tests;
