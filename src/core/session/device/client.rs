//! The device's side of its connection (`docs/protocol/sysclient.md`), as a state machine: what a phone says to the
//! Devices service.
//!
//! It identifies, answers challenges, keeps passwords and passes tunnel bytes to a web server of the caller. It opens no
//! connection and writes no file. Update scripts, and with them the address to connect to, are the matter of
//! [`settings`](super::settings).

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::core::model::device::Facts;
use crate::core::model::ids::{Code, HardwareId, Secret};
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::admin::{ConfigItem, Identify, OfferedCode};
use crate::core::protocol::sysclient::auth;
use crate::core::protocol::sysclient::frame::{DecodeError, FromDevice, FromServer, Ignored, decode_from_server};
use crate::core::protocol::sysclient::tunnel::{DeviceAction, DeviceTunnel};

#[cfg(test)]
mod tests;

/// A right digest is not confirmed by any message, and a wrong one ends the connection at once. So a connection that stays open
/// for this long after a digest counts as that of a member.
pub const SETTLE: Duration = Duration::from_secs(2);

/// What a device keeps over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The device password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The administrative password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<Secret>,
    /// A typed code, as long as no device password has come for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What happens to the device.
#[derive(Debug)]
pub enum Event {
    /// The WebSocket is open.
    Connected,
    /// A binary message has come.
    Message(Bytes),
    /// The WebSocket is gone.
    Closed,
    /// A person has typed a code.
    CodeTyped(Code),
    /// The code has been removed from the device, or a new one is being asked for.
    CodeRemoved,
    /// Something that the identify tells has changed.
    FactsChanged(Box<Facts>),
    /// The local web server has sent bytes of an answer.
    WebBytes(u32, Bytes),
    /// The local web server has closed a session.
    WebClosed(u32),
    /// The time of [`PhoneClient::next_wake`] has come.
    Timer,
}

/// What the device wants done or known, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a binary message.
    Send(Vec<u8>),
    /// Close with a code.
    Close(u16),
    /// The [memory](PhoneClient::memory) has a new device password and no code any more: write it down before going on.
    KeepPassword(Secret),
    /// The memory has a new administrative password.
    KeepAdminPassword(Secret),
    /// Hand bytes of a request to the local web server; a session with a new number is a new request.
    Web(u32, Bytes),
    /// A session is over: forget what belongs to it.
    WebClose(u32),
    /// Nothing to do, but worth telling.
    Saw(Sight),
}

/// What was seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// An identify has been sent.
    Identified {
        /// It carried a code.
        code: bool,
        /// It carried the answer to a challenge.
        digest: bool,
    },
    /// A challenge has come, and there is no password to answer it with. Like a known client, the device keeps silent.
    ChallengeWithoutPassword,
    /// The device belongs to a domain and has been told or let in.
    Member(Proof),
    /// An administrative password that cannot be decrypted.
    AdminPasswordUnreadable,
    /// A configuration item.
    Configuration {
        /// The item, if there is one.
        item: Option<ConfigItem>,
        /// The first batch is complete.
        last: bool,
    },
    /// What became of a provision request for an analogue port; an error text if it failed.
    ProvisionResult(Option<Box<str>>),
    /// A message of a later version was dropped.
    Dropped(Ignored),
    /// A message that breaks the protocol; the connection is closed.
    Malformed(DecodeError),
}

/// By what a device knows that it is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It has been given a device password.
    Password,
    /// After its digest came something that only members get.
    Served,
    /// After its digest the connection stayed open for [`SETTLE`].
    Silence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offline,
    /// Connected; no password given and no challenge answered yet.
    Stranger,
    /// A digest has been sent at this time.
    Answered(Tick),
    Member,
}

/// One device. It outlives its connections.
#[derive(Debug)]
pub struct PhoneClient {
    id: HardwareId,
    facts: Facts,
    memory: Memory,
    state: State,
    tunnel: DeviceTunnel,
}

impl PhoneClient {
    /// A device that is not connected.
    pub fn new(id: HardwareId, facts: Facts, memory: Memory) -> Self {
        Self { id, facts, memory, state: State::Offline, tunnel: DeviceTunnel::new() }
    }

    /// What is to be kept over restarts.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the identify tells.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the device knows that it is a member, on this connection.
    pub fn is_member(&self) -> bool {
        self.state == State::Member
    }

    /// When [`Event::Timer`] is due.
    pub fn next_wake(&self) -> Option<Tick> {
        match self.state {
            State::Answered(at) => Some(at + SETTLE),
            _ => None,
        }
    }

    /// Takes an event; what follows from it is added to `actions`.
    pub fn on(&mut self, event: Event, now: Tick, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => {
                self.state = State::Stranger;
                self.tunnel = DeviceTunnel::new();
                self.identify(None, actions);
            }
            Event::Message(message) => match decode_from_server(&message) {
                Ok(message) => self.message(message, now, actions),
                Err(error) => {
                    actions.extend([Action::Saw(Sight::Malformed(error)), Action::Close(error.close().code())]);
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

    /// Every identify is complete, and the code is in it for as long as no password has come for it.
    fn identify(&self, digest: Option<String>, actions: &mut Vec<Action>) {
        let sight = Sight::Identified { code: self.memory.code.is_some(), digest: digest.is_some() };
        let identify = Identify {
            id: self.id.clone(),
            facts: self.facts.clone(),
            code: self.memory.code.map_or(OfferedCode::None, OfferedCode::Code),
            digest: digest.map(Into::into),
        };
        actions.push(Action::Send(FromDevice::Identify(Box::new(identify)).encode()));
        actions.push(Action::Saw(sight));
    }

    fn join(&mut self, proof: Proof, actions: &mut Vec<Action>) {
        self.state = State::Member;
        actions.push(Action::Saw(Sight::Member(proof)));
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
                    None => actions.push(Action::Saw(Sight::AdminPasswordUnreadable)),
                }
            }
            FromServer::ProvisionResult { error } => actions.push(Action::Saw(Sight::ProvisionResult(error))),
            FromServer::Configuration { item, last } => {
                actions.push(Action::Saw(Sight::Configuration { item, last }));
            }
            FromServer::Tunnel { session, event } => perform(self.tunnel.server(session, event), actions),
            FromServer::Ignored(ignored) => actions.push(Action::Saw(Sight::Dropped(ignored))),
        }
    }

    fn answer(&mut self, challenge: &str, now: Tick, actions: &mut Vec<Action>) {
        let Some(password) = &self.memory.password else {
            actions.push(Action::Saw(Sight::ChallengeWithoutPassword));
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
        // The first bytes open it just as well.
        DeviceAction::Open(_) => None,
        DeviceAction::Deliver(session, bytes) => Some(Action::Web(session, bytes)),
        DeviceAction::Send(session, event) => Some(Action::Send(FromDevice::Tunnel { session, event }.encode())),
        DeviceAction::Close(session) => Some(Action::WebClose(session)),
    }));
}
