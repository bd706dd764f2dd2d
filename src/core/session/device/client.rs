//! The device's side of its connection as a state machine (`docs/protocol/sysclient.md`).
//!
//! It identifies, answers challenges, keeps passwords and forwards tunnel bytes to a web server of the caller. It
//! opens no connection and writes no file. Update scripts, and with them the address to connect to, belong to
//! [`settings`](super::settings).

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::core::model::device::Facts;
use crate::core::model::ids::{Code, HardwareId, Secret};
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::auth;
use crate::core::protocol::sysclient::config::ConfigItem;
use crate::core::protocol::sysclient::frame::{DecodeError, FromDevice, FromServer, Ignored, decode_from_server};
use crate::core::protocol::sysclient::tunnel::{DeviceAction, DeviceTunnel};

#[cfg(test)]
mod tests;

/// No message confirms a right digest, and a wrong one closes the connection at once. So a connection that stays open
/// for this long after a digest counts as that of a member.
pub const MEMBER_AFTER: Duration = Duration::from_secs(2);

/// What a device keeps across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The device password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The administrative password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<Secret>,
    /// A typed code, until a device password arrives for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Input of the device.
#[derive(Debug)]
pub enum Event {
    /// The WebSocket is open.
    Connected,
    /// A binary message has arrived.
    Message(Bytes),
    /// The WebSocket is closed.
    Closed,
    /// A person has typed a code.
    CodeTyped(Code),
    /// The code was removed from the device, or a new one is requested.
    CodeRemoved,
    /// The facts in the identify have changed.
    FactsChanged(Box<Facts>),
    /// The local web server has sent bytes of an answer.
    WebBytes(u32, Bytes),
    /// The local web server has closed a session.
    WebClosed(u32),
    /// The time of [`DeviceClient::next_wake`] has come.
    Timer,
}

/// Output of the device, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a binary message.
    Send(Vec<u8>),
    /// Close with a code.
    Close(u16),
    /// The [memory](DeviceClient::memory) has a new device password and no code any more: persist it before going on.
    KeepPassword(Secret),
    /// The memory has a new administrative password.
    KeepAdminPassword(Secret),
    /// Forward bytes of a request to the local web server; a new session number means a new request.
    Web(u32, Bytes),
    /// A tunnel session is over: drop its state.
    WebClose(u32),
    /// Nothing to do; reports what was observed.
    Observed(Observation),
}

/// What was observed on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// An identify has been sent.
    Identified {
        /// It carried a code.
        code: bool,
        /// It carried the answer to a challenge.
        digest: bool,
    },
    /// A challenge arrived without a password to answer it. As real devices do, it sends nothing.
    ChallengeWithoutPassword,
    /// The device is a member of a domain.
    Member(Proof),
    /// An administrative password that cannot be decrypted.
    AdminPasswordUnreadable,
    /// A device configuration.
    Configuration {
        /// The configuration, if there is one.
        item: Option<ConfigItem>,
        /// The first batch is complete.
        last: bool,
    },
    /// The result of a provision request for an analogue port; an error text if it failed.
    ProvisionResult(Option<Box<str>>),
    /// A message of a later protocol version was dropped.
    Dropped(Ignored),
    /// A message that breaks the protocol; the connection is closed.
    Malformed(DecodeError),
}

/// How a device learned that it is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It has been given a device password.
    Password,
    /// After its digest something arrived that only members get.
    Served,
    /// After its digest the connection stayed open for [`MEMBER_AFTER`].
    Silence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offline,
    /// Connected; no password received and no challenge answered yet.
    Unproved,
    /// A digest was sent at this time.
    Answered(Tick),
    Member,
}

/// A device. It outlives its connections.
#[derive(Debug)]
pub struct DeviceClient {
    id: HardwareId,
    facts: Facts,
    memory: Memory,
    state: State,
    tunnel: DeviceTunnel,
}

impl DeviceClient {
    /// A device that is not connected.
    pub fn new(id: HardwareId, facts: Facts, memory: Memory) -> Self {
        Self { id, facts, memory, state: State::Offline, tunnel: DeviceTunnel::new() }
    }

    /// What has to be kept across restarts.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The facts of the identify.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the device knows that it is a member on this connection.
    pub fn is_member(&self) -> bool {
        self.state == State::Member
    }

    /// When [`Event::Timer`] is due.
    pub fn next_wake(&self) -> Option<Tick> {
        match self.state {
            State::Answered(at) => Some(at + MEMBER_AFTER),
            _ => None,
        }
    }

    /// Handles an event and appends the resulting actions.
    pub fn on(&mut self, event: Event, now: Tick, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => {
                self.state = State::Unproved;
                self.tunnel = DeviceTunnel::new();
                self.identify(None, actions);
            }
            Event::Message(message) => match decode_from_server(&message) {
                Ok(message) => self.message(message, now, actions),
                Err(error) => {
                    actions
                        .extend([Action::Observed(Observation::Malformed(error)), Action::Close(error.close().code())]);
                }
            },
            Event::Closed => {
                self.state = State::Offline;
                self.tunnel = DeviceTunnel::new();
            }
            Event::CodeTyped(code) => {
                self.memory.code = Some(code);
                self.identify_if_connected(actions);
            }
            Event::CodeRemoved => self.memory.code = None,
            Event::FactsChanged(facts) => {
                self.facts = *facts;
                self.identify_if_connected(actions);
            }
            Event::WebBytes(session, bytes) => perform(self.tunnel.local_bytes(session, bytes), actions),
            Event::WebClosed(session) => perform(self.tunnel.local_closed(session), actions),
            Event::Timer => {
                if self.next_wake().is_some_and(|wake| wake <= now) {
                    self.join(Proof::Silence, actions);
                }
            }
        }
    }

    fn identify_if_connected(&self, actions: &mut Vec<Action>) {
        if self.state != State::Offline {
            self.identify(None, actions);
        }
    }

    /// Every identify is complete; it contains the code until a password arrives for it.
    fn identify(&self, digest: Option<String>, actions: &mut Vec<Action>) {
        let sight = Observation::Identified { code: self.memory.code.is_some(), digest: digest.is_some() };
        let identify = Identify {
            id: self.id.clone(),
            facts: self.facts.clone(),
            code: self.memory.code.map_or(OfferedCode::None, OfferedCode::Code),
            digest: digest.map(Into::into),
        };
        actions.push(Action::Send(FromDevice::Identify(Box::new(identify)).encode()));
        actions.push(Action::Observed(sight));
    }

    fn join(&mut self, proof: Proof, actions: &mut Vec<Action>) {
        self.state = State::Member;
        actions.push(Action::Observed(Observation::Member(proof)));
    }

    fn message(&mut self, message: FromServer, now: Tick, actions: &mut Vec<Action>) {
        let served = matches!(
            message,
            FromServer::AdminPassword { .. } | FromServer::Configuration { .. } | FromServer::Tunnel { .. }
        );
        if served && matches!(self.state, State::Answered(_)) {
            self.join(Proof::Served, actions);
        }
        match message {
            FromServer::Password(password) => {
                self.memory.password = Some(password.clone());
                self.memory.code = None;
                actions.push(Action::KeepPassword(password));
                self.join(Proof::Password, actions);
            }
            FromServer::Challenge(challenge) => self.answer(&challenge, now, actions),
            FromServer::AdminPassword { seed, pwd } => {
                let key = self.memory.password.as_ref();
                match key.and_then(|password| auth::open_admin_password(&seed, password, &pwd)) {
                    Some(plain) => {
                        self.memory.admin_password = Some(plain.clone());
                        actions.push(Action::KeepAdminPassword(plain));
                    }
                    None => actions.push(Action::Observed(Observation::AdminPasswordUnreadable)),
                }
            }
            FromServer::ProvisionResult { error } => {
                actions.push(Action::Observed(Observation::ProvisionResult(error)));
            }
            FromServer::Configuration { item, last } => {
                actions.push(Action::Observed(Observation::Configuration { item, last }));
            }
            FromServer::Tunnel { session, event } => perform(self.tunnel.server(session, event), actions),
            FromServer::Ignored(ignored) => actions.push(Action::Observed(Observation::Dropped(ignored))),
        }
    }

    fn answer(&mut self, challenge: &str, now: Tick, actions: &mut Vec<Action>) {
        let Some(password) = &self.memory.password else {
            actions.push(Action::Observed(Observation::ChallengeWithoutPassword));
            return;
        };
        let Facts { product, version, .. } = &self.facts;
        let digest = auth::device_digest(self.id.as_str(), product, version, challenge, password);
        self.identify(Some(digest), actions);
        self.state = State::Answered(now);
    }
}

fn perform(tunnel_actions: Vec<DeviceAction>, actions: &mut Vec<Action>) {
    actions.extend(tunnel_actions.into_iter().filter_map(|action| match action {
        // The first bytes open it as well.
        DeviceAction::Open(_) => None,
        DeviceAction::Deliver(session, bytes) => Some(Action::Web(session, bytes)),
        DeviceAction::Send(session, event) => Some(Action::Send(FromDevice::Tunnel { session, event }.encode())),
        DeviceAction::Close(session) => Some(Action::WebClose(session)),
    }));
}
