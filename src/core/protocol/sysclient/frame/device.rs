//! Messages from the device to the server.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use super::{
    ADMIN_HEADER, DecodeError, Header, Ignored, TUNNEL_HEADER, admin, admin_type, header, tunnel, tunnel_event,
};
use crate::core::protocol::json::Object;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode, PORT_MAX, limited, required};

/// A message from a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromDevice {
    /// `0000`: identify.
    Identify(Box<Identify>),
    /// `0004`: asks to put an analogue port into operation.
    Provision {
        /// Port name.
        port: Box<str>,
        /// The code; always present, but it may be malformed.
        code: OfferedCode,
    },
    /// An event of a tunnel session.
    Tunnel {
        /// Session number as sent; any number.
        session: u32,
        /// The event.
        event: DeviceEvent,
    },
    /// Has to be dropped.
    Ignored(Ignored),
}

/// A tunnel event that a device may send (`docs/protocol/sysclient.md` 7.1).
#[derive(Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// Bytes of the HTTP answer, at most 65 536; empty in special cases (`docs/protocol/sysclient.md` 8.4).
    ReceiveResult(Bytes),
    /// The bytes of the last send were forwarded.
    SendResult,
    /// End of the session, or confirmation of it.
    Shutdown,
}

impl fmt::Debug for DeviceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Tunnel bytes must not be logged (`docs/protocol/sysclient.md` section 9).
            Self::ReceiveResult(data) => write!(f, "ReceiveResult({} bytes)", data.len()),
            Self::SendResult => f.write_str("SendResult"),
            Self::Shutdown => f.write_str("Shutdown"),
        }
    }
}

/// Decodes a binary message from a device. Tunnel bytes are not copied.
pub fn decode_from_device(message: &Bytes) -> Result<FromDevice, DecodeError> {
    match header(message)? {
        Header::Admin(kind) => decode_admin(kind, &message[ADMIN_HEADER..]),
        Header::Tunnel { session, event } => {
            let event = match event {
                tunnel_event::RECEIVE_RESULT => DeviceEvent::ReceiveResult(message.slice(TUNNEL_HEADER..)),
                tunnel_event::SEND_RESULT => DeviceEvent::SendResult,
                tunnel_event::SHUTDOWN => DeviceEvent::Shutdown,
                tunnel_event::SEND | tunnel_event::RECEIVE => return Err(DecodeError::Direction),
                unknown => return Ok(FromDevice::Ignored(Ignored::TunnelEvent(unknown))),
            };
            Ok(FromDevice::Tunnel { session, event })
        }
    }
}

fn decode_admin(kind: u16, text: &[u8]) -> Result<FromDevice, DecodeError> {
    match kind {
        admin_type::IDENTIFY => Ok(FromDevice::Identify(Box::new(Identify::read(&Object::parse(text)?)?))),
        admin_type::PROVISION => {
            let members = Object::parse(text)?;
            let port = limited(&members, "id", PORT_MAX)?;
            let code = OfferedCode::typed(Some(required(&members, "code")?));
            Ok(FromDevice::Provision { port, code })
        }
        admin_type::PASSWORD
        | admin_type::CHALLENGE
        | admin_type::ADMIN_PASSWORD
        | admin_type::PROVISION_RESULT
        | admin_type::CONFIGURATION => Err(DecodeError::Direction),
        unknown => Ok(FromDevice::Ignored(Ignored::AdminType(unknown))),
    }
}

impl FromDevice {
    /// The message as bytes, as a device sends it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Identify(identify) => admin(admin_type::IDENTIFY, &identify.wire()),
            Self::Provision { port, code } => {
                admin(admin_type::PROVISION, &ProvisionWire { id: port, code: code.text().unwrap_or_default() })
            }
            Self::Tunnel { session, event } => match event {
                DeviceEvent::ReceiveResult(data) => tunnel(*session, tunnel_event::RECEIVE_RESULT, data),
                DeviceEvent::SendResult => tunnel(*session, tunnel_event::SEND_RESULT, &[]),
                DeviceEvent::Shutdown => tunnel(*session, tunnel_event::SHUTDOWN, &[]),
            },
            Self::Ignored(ignored) => ignored.encode(),
        }
    }
}

#[derive(Serialize)]
struct ProvisionWire<'a> {
    id: &'a str,
    code: &'a str,
}
