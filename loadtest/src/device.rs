//! One simulated device on one connection after another, as a state machine: bytes in, bytes out.
//!
//! It opens no socket and knows no time. It identifies, enters, answers challenges and pings, and holds what it is given
//! against what it knows. What it does not have is everything that a registration does not need: update scripts, a tunnel, a
//! display (`provbroker::sim::phone` has them).

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

/// What the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A broker.
    Broker,
    /// The floor server, which sends back what it gets.
    Floor,
}

/// An attempt that has come to nothing, or a member whose connection is gone.
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
    /// The server has said something that is wrong, whatever the load.
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

/// What some bytes have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Nothing that counts.
    Nothing,
    /// The device is registered now.
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

/// A device. It outlives its connections.
pub struct Device {
    id: HardwareId,
    state: State,
    code: Option<Code>,
    password: Option<Secret>,
    /// What it has been handed so far.
    admin_password: Option<Secret>,
    /// The beginning of what is not yet there as a whole.
    begun: Vec<u8>,
}

/// What all devices of a group share.
pub struct DeviceProfile {
    /// What they talk to.
    pub peer: Peer,
    /// The administrative password of the domain, where it is known: proof of being in the right domain.
    pub admin_password: Option<Secret>,
    facts: Facts,
}

impl DeviceProfile {
    /// Devices of one model.
    pub fn new(peer: Peer, admin_password: Option<Secret>) -> Self {
        Self { peer, admin_password, facts: facts() }
    }
}

/// What a phone of a usual model says of itself.
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
    /// A device that has never been connected; with a code it enters by it, else by the query of its path.
    pub fn new(id: HardwareId, code: Option<Code>) -> Self {
        Self { id, state: State::Upgrading, code, password: None, admin_password: None, begun: Vec::new() }
    }

    /// The hardware identifier.
    pub fn id(&self) -> &HardwareId {
        &self.id
    }

    /// The code that it has entered by, once it has.
    pub fn code_of_entry(&self) -> Option<Code> {
        self.code.filter(|_| self.password.is_some())
    }

    #[cfg(test)]
    fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    /// A new connection: the upgrade has been asked for.
    pub fn connected(&mut self) {
        self.state = State::Upgrading;
        self.begun = Vec::new();
    }

    /// Takes bytes from the server and appends what is to be sent.
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
                    outcome = ReadOutcome::Registered
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
                // Where the domain hands out an administrative password, it follows.
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
                // Nothing that this device could wait for is sure to follow.
                let done = self.code.is_some() && profile.admin_password.is_none();
                Ok(if done { self.registered() } else { ReadOutcome::Nothing })
            }
            Ok(FromServer::AdminPassword { seed, pwd }) => {
                let Some(password) = &self.password else {
                    return Err(Failure::Wrong("an administrative password without a device password"));
                };
                let plain = open_admin_password(&seed, password, &pwd);
                // By automatic provisioning each device has one of its own, by a code that of the domain.
                let expected = if self.code.is_some() { &profile.admin_password } else { &self.admin_password };
                if plain.is_none() || expected.as_ref().is_some_and(|expected| plain.as_ref() != Some(expected)) {
                    return Err(Failure::Wrong("another administrative password: another domain"));
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

    /// The floor has sent a message back: as many and as long ones as a broker is sent.
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
        // A code is offered until it has been taken.
        let code = self.code.filter(|_| self.password.is_none()).map_or(OfferedCode::None, OfferedCode::Code);
        let identify = Identify { id: self.id.clone(), facts: profile.facts.clone(), code, digest };
        ws::put_frame(out, BINARY, &FromDevice::Identify(Box::new(identify)).encode());
    }
}
