//! The service client's side of an app connection as a state machine (`docs/protocol/appwebsocket.md`,
//! `docs/protocol/devices-api.md`).
//!
//! It logs in, sends requests, matches answers to them, and keeps the list of open codes. After a reconnect it asks
//! for each open code again, because a notice may have been missed. It opens no connection, reads no clock and does
//! not repeat a failed log-in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::json;

use crate::core::model::ids::{Code, DeviceKey, Secret};
use crate::core::model::time::Tick;
use crate::core::protocol::appws::login::{self, AppIdentity};
use crate::core::protocol::json::Object;

mod answers;
#[cfg(test)]
mod tests;

pub use answers::{Answer, AskError, DeviceInfo};

use answers::Asked;

/// A `KeepAlive` is sent after this long without a message of our own (`docs/protocol/appwebsocket.md` 7.4).
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// A request fails after this long without an answer. The service itself waits up to 10 s for a directory.
pub const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Requests that may wait for an answer at the same time.
pub const MAX_PENDING: usize = 10_000;
/// Codes that may be open at the same time; a roll-out has one for each user.
pub const MAX_OPEN: usize = 200_000;
/// Number of codes whose notice has come that are remembered, to recognise a repeated notice; the oldest are
/// forgotten.
pub const MAX_DONE: usize = 200_000;
/// Rate at which open codes are asked for after a reconnect. The service allows 50 requests a second, so other
/// requests still get through.
pub const RESUME_PER_SECOND: usize = 40;

const SECOND: Duration = Duration::from_secs(1);

/// The user who logs in, and the password. `sip`, `guid` and `dn` may be empty (`docs/protocol/appwebsocket.md` 3.2).
#[derive(Debug, Clone)]
pub struct Login {
    /// Name of the app; determines the rights.
    pub app: Box<str>,
    /// Domain of the user.
    pub domain: Box<str>,
    /// SIP name of the user.
    pub sip: Box<str>,
    /// GUID of the user.
    pub guid: Box<str>,
    /// Display name.
    pub dn: Box<str>,
    /// Password of the domain or of the instance.
    pub password: Secret,
}

/// Identifies a request to the caller; returned with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallTag(pub u64);

/// A request to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The categories for provisioning; with a device type only those that apply to it.
    Categories {
        /// Device type, `PHONE`.
        kind: Option<Box<str>>,
    },
    /// A new code. It stays open until its notice arrives or the service no longer knows it.
    Code {
        /// Name of the category.
        category: Box<str>,
        /// SIP name of the user who will get the device.
        sip: Option<Box<str>>,
        /// Long validity.
        rollout: bool,
    },
    /// The device that has used a code; if there is none yet, the code counts as open from now on.
    Provisioned(Code),
    /// The present state of the phones of the domain with these keys; at most a thousand.
    Phones(Vec<DeviceKey>),
}

/// Input of the client.
#[derive(Debug)]
pub enum Event<'a> {
    /// The WebSocket is open.
    Connected,
    /// A text message has arrived.
    Text(&'a str),
    /// The WebSocket is closed.
    Closed,
    /// A request of the caller.
    Ask(CallTag, Ask),
    /// A code of an earlier run that is still open.
    Watch(Code),
    /// The time of [`UsersClient::next_wake`] has come.
    Timer,
}

/// Output of the client, in order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Close with a code.
    Close(u16),
    /// The log-in has succeeded; requests are possible now.
    Ready {
        /// Domain of the instance.
        domain: Box<str>,
    },
    /// The log-in has failed, with the error that the service gave.
    LoginFailed(Box<str>),
    /// The answer to an ask.
    Answer(CallTag, Result<Answer, AskError>),
    /// A device has used a code. The notice of a code may be repeated.
    Notice(Notice),
    /// An open code has become unknown to the service: it expired without being used.
    Expired(Code),
    /// The service sent something invalid: a description without content.
    Invalid(&'static str),
}

/// A device has used a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The code.
    pub code: Code,
    /// The device; for an analogue port its gateway.
    pub device: DeviceInfo,
    /// The analogue port, if the code was for one.
    pub port: Option<Box<str>>,
    /// Learned by asking after a reconnect, not from a notice.
    pub asked: bool,
    /// A notice of this code was reported before.
    pub again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offline,
    Challenging,
    LoggingIn,
    Ready,
}

/// A service client. It outlives its connections.
#[derive(Debug)]
pub struct UsersClient {
    login: Login,
    state: State,
    last_src: u64,
    pending: BTreeMap<u64, Asked>,
    open: BTreeSet<Code>,
    done: BTreeSet<Code>,
    done_order: VecDeque<Code>,
    /// Open codes that have not been asked for since the log-in.
    resume: VecDeque<Code>,
    resume_window: (Tick, usize),
    last_sent: Tick,
}

impl UsersClient {
    /// A client that is not connected.
    pub const fn new(login: Login) -> Self {
        Self {
            login,
            state: State::Offline,
            last_src: 0,
            pending: BTreeMap::new(),
            open: BTreeSet::new(),
            done: BTreeSet::new(),
            done_order: VecDeque::new(),
            resume: VecDeque::new(),
            resume_window: (Tick(0), 0),
            last_sent: Tick(0),
        }
    }

    /// Whether the log-in has succeeded on this connection.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// The codes that no device has used yet.
    pub fn open_codes(&self) -> impl Iterator<Item = Code> {
        self.open.iter().copied()
    }

    /// When [`Event::Timer`] is due.
    pub fn next_wake(&self) -> Option<Tick> {
        if self.state == State::Offline {
            return None;
        }
        let answer = self.pending.values().next().map(|asked| asked.since + ANSWER_TIME);
        let resume = (!self.resume.is_empty()).then_some(self.resume_window.0 + SECOND);
        [Some(self.last_sent + KEEP_ALIVE), answer, resume].into_iter().flatten().min()
    }

    /// Handles an event and appends the resulting actions.
    pub fn on(&mut self, event: Event<'_>, now: Tick, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => {
                self.state = State::Challenging;
                self.send(&json!({"mt": "AppChallenge"}), now, actions);
            }
            Event::Text(text) => match Object::parse(text.as_bytes()) {
                Ok(message) => self.message(&message, now, actions),
                Err(_) => {
                    actions.extend([Action::Invalid("a message that is not a JSON object"), Action::Close(1007)]);
                }
            },
            Event::Closed => self.closed(actions),
            Event::Ask(ticket, ask) => self.ask(ticket, ask, now, actions),
            Event::Watch(code) => {
                if self.open.len() < MAX_OPEN && self.open.insert(code) && self.is_ready() {
                    self.resume.push_back(code);
                    self.resume_some(now, actions);
                }
            }
            Event::Timer => self.timer(now, actions),
        }
    }

    fn send(&mut self, message: &serde_json::Value, now: Tick, actions: &mut Vec<Action>) {
        self.last_sent = now;
        actions.push(Action::Send(message.to_string()));
    }

    fn closed(&mut self, actions: &mut Vec<Action>) {
        self.state = State::Offline;
        self.resume.clear();
        let lost = std::mem::take(&mut self.pending).into_values().filter_map(|asked| asked.ticket);
        actions.extend(lost.map(|ticket| Action::Answer(ticket, Err(AskError::Lost))));
    }

    fn message(&mut self, message: &Object, now: Tick, actions: &mut Vec<Action>) {
        match (message.str("mt").unwrap_or_default(), self.state) {
            ("AppChallengeResult", State::Challenging) => self.log_in(message, now, actions),
            ("AppLoginResult", State::LoggingIn) if message.bool("ok") == Some(true) => {
                self.state = State::Ready;
                actions.push(Action::Ready { domain: message.str("domain").unwrap_or_default().into() });
                self.resume = self.open.iter().copied().collect();
                self.resume_some(now, actions);
            }
            ("AppLoginResult", State::LoggingIn) => {
                let error = message.str("error").unwrap_or("log-in refused");
                actions.extend([Action::LoginFailed(error.into()), Action::Close(1000)]);
            }
            ("DeviceProvisioned", State::Ready) => self.notice(message, actions),
            (_, State::Ready) => self.result(message, actions),
            _ => {}
        }
    }

    fn log_in(&mut self, message: &Object, now: Tick, actions: &mut Vec<Action>) {
        let Some(challenge) = message.str("challenge").filter(|text| !text.is_empty()) else {
            actions.extend([Action::Invalid("a challenge that is empty"), Action::Close(1002)]);
            return;
        };
        let Login { app, domain, sip, guid, dn, password } = &self.login;
        let identity = AppIdentity { app, domain, sip, guid, dn, info: None };
        let text = login::write_login(&identity, None, challenge, password);
        self.state = State::LoggingIn;
        self.last_sent = now;
        actions.push(Action::Send(text));
    }

    fn notice(&mut self, message: &Object, actions: &mut Vec<Action>) {
        let code = message.str("code").and_then(|text| Code::parse(text).ok());
        let (Some(code), Some(device)) = (code, DeviceInfo::read(message)) else {
            actions.push(Action::Invalid("a notice without code or device"));
            return;
        };
        self.used(code, device, message.str("port").map(Into::into), false, actions);
    }

    fn used(&mut self, code: Code, device: DeviceInfo, port: Option<Box<str>>, asked: bool, actions: &mut Vec<Action>) {
        self.open.remove(&code);
        let again = !self.done.insert(code);
        if !again {
            self.done_order.push_back(code);
        }
        if self.done_order.len() > MAX_DONE
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        actions.push(Action::Notice(Notice { code, device, port, asked, again }));
    }

    /// Asks for the next open codes, as many as the rate allows.
    fn resume_some(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if now.since(self.resume_window.0) >= SECOND {
            self.resume_window = (now, 0);
        }
        while self.resume_window.1 < RESUME_PER_SECOND && self.pending.len() < MAX_PENDING {
            let Some(code) = self.resume.pop_front() else { return };
            // Its notice may have arrived in the meantime.
            if self.open.contains(&code) {
                self.resume_window.1 += 1;
                self.request(None, Ask::Provisioned(code), now, actions);
            }
        }
    }

    fn timer(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if self.state == State::Offline {
            return;
        }
        while let Some(entry) = self.pending.first_entry()
            && now.since(entry.get().since) >= ANSWER_TIME
        {
            let asked = entry.remove();
            match (asked.ticket, asked.ask) {
                (Some(ticket), _) => actions.push(Action::Answer(ticket, Err(AskError::Timeout))),
                (None, Ask::Provisioned(code)) => self.resume.push_back(code),
                (None, _) => {}
            }
        }
        if self.is_ready() {
            self.resume_some(now, actions);
        } else if now.since(self.last_sent) >= ANSWER_TIME {
            actions.extend([Action::Invalid("no answer to the log-in"), Action::Close(1000)]);
            return;
        }
        if now.since(self.last_sent) >= KEEP_ALIVE {
            self.send(&json!({"mt": "KeepAlive"}), now, actions);
        }
    }
}
