//! A simulated device over successive connections, as a state machine: bytes in, bytes out.
//!
//! It opens no socket and reads no clock. It identifies, enters, answers challenges and pings, and checks what it is
//! sent. It lacks everything that a registration does not need: update scripts, a tunnel, a display
//! (`provbroker::sim::phone` has them).

use std::fmt;

use bytes::Bytes;
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{Code, HardwareId, Secret};
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::protocol::sysclient::auth::{device_digest, open_admin_password};
use provbroker::core::protocol::sysclient::frame::{FromDevice, FromServer, decode_from_server};

use crate::ws::{self, BINARY, CLOSE, PING, PONG};

#[cfg(test)]
mod tests;

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A broker.
    Broker,
    /// The floor server, which echoes.
    Floor,
}

/// Failure of an attempt, or end of a member's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The connection could not be made.
    Refused,
    /// The upgrade was answered with another status than 101.
    Status(u16),
    /// A close frame with this code.
    Closed(u16),
    /// The connection ended without a close frame.
    Ended,
    /// The server has violated the protocol, whatever the load.
    Wrong(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("not connected"),
            Self::Status(status) => write!(f, "answered with {status}"),
            Self::Closed(code) => write!(f, "closed with {code}"),
            Self::Ended => f.write_str("connection ended"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// Result of received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// No change.
    Nothing,
    /// The device has become registered.
    Registered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    /// An identify without digest has been sent.
    Identified,
    /// The challenge has been answered.
    Answered,
    Registered,
}

/// A simulated device. It outlives its connections.
pub struct Device {
    id: HardwareId,
    state: State,
    code: Option<Code>,
    password: Option<Secret>,
    /// The administrative password received so far.
    admin_password: Option<Secret>,
    /// Buffer of an incomplete message.
    begun: Vec<u8>,
}

/// Properties shared by all devices of a group.
pub struct DeviceProfile {
    /// The kind of server they connect to.
    pub peer: Peer,
    /// The administrative password of the domain, if known: receiving it proves that the domain is right.
    pub admin_password: Option<Secret>,
    facts: Facts,
}

impl DeviceProfile {
    /// A profile.
    pub fn new(peer: Peer, admin_password: Option<Secret>) -> Self {
        Self { peer, admin_password, facts: facts() }
    }
}

/// The facts of a common phone model.
pub fn facts() -> Facts {
    let text = |text: &str| -> Box<str> { text.into() };
    Facts {
        product: text("IP112"),
        version: text("13r3 sr9 [13.6012/136012/300]"),
        platform: text("PHONE"),
        fw_build: Some(text("136012")),
        bc_build: Some(text("136012")),
        major: Some(text("13r3")),
        fw: Some(text("ip112.bin")),
        bc: Some(text("boot112.bin")),
        ..Facts::default()
    }
}

impl Device {
    /// A device that has never connected; it enters with the code, else by the query of its path.
    pub fn new(id: HardwareId, code: Option<Code>) -> Self {
        Self { id, state: State::Upgrading, code, password: None, admin_password: None, begun: Vec::new() }
    }

    /// The hardware identifier.
    pub fn id(&self) -> &HardwareId {
        &self.id
    }

    /// The code that it has entered with, once it has.
    pub fn code_of_entry(&self) -> Option<Code> {
        self.code.filter(|_| self.password.is_some())
    }

    #[cfg(test)]
    fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    /// A new connection: the upgrade has been sent.
    pub fn connected(&mut self) {
        self.state = State::Upgrading;
        self.begun = Vec::new();
    }

    /// Handles received bytes and appends bytes to send.
    pub fn receive(
        &mut self,
        profile: &DeviceProfile,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ReadOutcome, Failure> {
        if self.begun.is_empty() {
            return self.receive_messages(profile, bytes, out);
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        self.receive_messages(profile, &begun, out)
    }

    fn receive_messages(
        &mut self,
        profile: &DeviceProfile,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ReadOutcome, Failure> {
        let mut outcome = ReadOutcome::Nothing;
        if self.state == State::Upgrading {
            match ws::upgrade_answer(bytes).map_err(|()| Failure::Wrong("no answer to the upgrade"))? {
                Some((101, length)) => bytes = &bytes[length..],
                Some((status, _)) => return Err(Failure::Status(status)),
                None => {
                    self.begun = bytes.to_vec();
                    return Ok(outcome);
                }
            }
            self.identify(profile, None, out);
        }
        while let Some((opcode, payload, rest)) = ws::take_frame(bytes) {
            bytes = rest;
            match opcode {
                BINARY if self.message(profile, payload, out)? == ReadOutcome::Registered => {
                    outcome = ReadOutcome::Registered;
                }
                PING => ws::put_frame(out, PONG, payload),
                CLOSE => {
                    return Err(Failure::Closed(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))));
                }
                _ => {}
            }
        }
        if !bytes.is_empty() {
            self.begun = bytes.to_vec();
        }
        Ok(outcome)
    }

    fn message(&mut self, profile: &DeviceProfile, payload: &[u8], out: &mut Vec<u8>) -> Result<ReadOutcome, Failure> {
        if profile.peer == Peer::Floor {
            return Ok(self.echoed(profile, out));
        }
        match decode_from_server(&Bytes::copy_from_slice(payload)) {
            Ok(FromServer::Password(password)) => {
                if self.state == State::Answered {
                    return Err(Failure::Wrong("a new password for a device that has one"));
                }
                self.password = Some(password);
                // If the domain has an administrative password, it follows.
                let done = self.code.is_some() && profile.admin_password.is_none();
                Ok(if done { self.registered() } else { ReadOutcome::Nothing })
            }
            Ok(FromServer::Challenge(challenge)) => {
                let Some(password) = &self.password else {
                    return Err(Failure::Wrong("challenged without ever having entered"));
                };
                let Facts { product, version, .. } = &profile.facts;
                let digest = device_digest(self.id.as_str(), product, version, &challenge, password);
                self.identify(profile, Some(digest.into()), out);
                // No further message is certain to follow.
                let done = self.code.is_some() && profile.admin_password.is_none();
                Ok(if done { self.registered() } else { ReadOutcome::Nothing })
            }
            Ok(FromServer::AdminPassword { seed, pwd }) => {
                let Some(password) = &self.password else {
                    return Err(Failure::Wrong("an administrative password without a device password"));
                };
                let plain = open_admin_password(&seed, password, &pwd);
                if plain.is_none() || self.admin_password.is_some() && self.admin_password != plain {
                    return Err(Failure::Wrong("another administrative password: another domain"));
                }
                // The codes of a load test are not administrative.
                if self.code.is_some() && profile.admin_password == plain {
                    return Err(Failure::Wrong("the administrative password of the domain"));
                }
                self.admin_password = plain;
                Ok(self.registered())
            }
            Ok(_) => Ok(ReadOutcome::Nothing),
            Err(_) => Err(Failure::Wrong("a message that cannot be read")),
        }
    }

    fn registered(&mut self) -> ReadOutcome {
        let before = std::mem::replace(&mut self.state, State::Registered);
        if before == State::Registered { ReadOutcome::Nothing } else { ReadOutcome::Registered }
    }

    /// The floor has echoed a message; as many and as long ones as a broker sends.
    fn echoed(&mut self, profile: &DeviceProfile, out: &mut Vec<u8>) -> ReadOutcome {
        if self.state == State::Identified {
            let digest = device_digest("", "", "", "", &Secret::default());
            self.identify(profile, Some(digest.into()), out);
            return ReadOutcome::Nothing;
        }
        self.registered()
    }

    fn identify(&mut self, profile: &DeviceProfile, digest: Option<Box<str>>, out: &mut Vec<u8>) {
        self.state = if digest.is_some() { State::Answered } else { State::Identified };
        // The code is sent until a password has been received.
        let code = self.code.filter(|_| self.password.is_none()).map_or(OfferedCode::None, OfferedCode::Code);
        let identify = Identify { id: self.id.clone(), facts: profile.facts.clone(), code, digest };
        ws::put_frame(out, BINARY, &FromDevice::Identify(Box::new(identify)).encode());
    }
}
