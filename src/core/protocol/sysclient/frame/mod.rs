//! Decodes and encodes WebSocket messages of the device protocol (`docs/protocol/sysclient.md` sections 2, 3 and 9).
//!
//! Makes all checks that need no state, in the order of section 9. The session decides whether a message is allowed in
//! the state of the connection, and whether its tunnel session exists. Text messages are not handled here.

mod device;
mod server;
#[cfg(test)]
mod tests;

pub use device::{DeviceEvent, FromDevice, decode_from_device};
use serde::Serialize;
pub use server::{FromServer, ServerEvent, decode_from_server};

use super::admin::MemberError;
use crate::core::protocol::close::Close;
use crate::core::protocol::json::JsonError;

/// Longest admin message, in bytes.
pub const ADMIN_MAX: usize = 65_536;
/// Longest tunnel message, in bytes.
pub const TUNNEL_MAX: usize = TUNNEL_HEADER + 65_536;

const ADMIN_HEADER: usize = 3;
const TUNNEL_HEADER: usize = 9;
const ADMIN: u8 = 1;
const TUNNEL: u8 = 2;

/// The admin types (`docs/protocol/sysclient.md` 2.1).
mod admin_type {
    pub const IDENTIFY: u16 = 0;
    pub const PASSWORD: u16 = 1;
    pub const CHALLENGE: u16 = 2;
    pub const ADMIN_PASSWORD: u16 = 3;
    pub const PROVISION: u16 = 4;
    pub const PROVISION_RESULT: u16 = 5;
    pub const CONFIGURATION: u16 = 6;
}

/// The tunnel events (`docs/protocol/sysclient.md` 7.1).
mod tunnel_event {
    pub const SEND: u32 = 0;
    pub const RECEIVE: u32 = 1;
    pub const RECEIVE_RESULT: u32 = 2;
    pub const SEND_RESULT: u32 = 3;
    pub const SHUTDOWN: u32 = 4;
}

/// A message of a later protocol version: logged and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// An admin type above 6.
    AdminType(u16),
    /// A tunnel event above 4.
    TunnelEvent(u32),
}

impl Ignored {
    /// A message of this type without content.
    fn encode(self) -> Vec<u8> {
        match self {
            Self::AdminType(kind) => admin(kind, &serde_json::Map::new()),
            Self::TunnelEvent(event) => tunnel(0, event, &[]),
        }
    }
}

/// Why a message closes the connection (`docs/protocol/sysclient.md` section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`ADMIN_MAX`] or [`TUNNEL_MAX`].
    #[error("message too long")]
    TooLong,
    /// Empty, or ends inside its header.
    #[error("message too short")]
    TooShort,
    /// The first byte is neither 1 nor 2.
    #[error("unknown message type")]
    MessageType,
    /// An admin type or a tunnel event that only the other side may send.
    #[error("message for the other direction")]
    Direction,
    /// The text of an admin message is not one well-formed JSON object.
    #[error("admin text: {0}")]
    Json(#[from] JsonError),
    /// A required member is missing or invalid.
    #[error(transparent)]
    Member(#[from] MemberError),
}

impl DecodeError {
    /// The reason to close the connection with.
    pub const fn close(&self) -> Close {
        match self {
            Self::TooLong => Close::TooLong,
            Self::TooShort | Self::MessageType | Self::Direction => Close::Protocol,
            Self::Json(_) | Self::Member(_) => Close::Malformed,
        }
    }
}

enum Header {
    Admin(u16),
    Tunnel { session: u32, event: u32 },
}

/// Checks size, first byte and header length.
const fn header(message: &[u8]) -> Result<Header, DecodeError> {
    if message.len() > TUNNEL_MAX {
        return Err(DecodeError::TooLong);
    }
    match message {
        [] => Err(DecodeError::TooShort),
        [ADMIN, ..] if message.len() > ADMIN_MAX => Err(DecodeError::TooLong),
        [ADMIN, rest @ ..] => match rest.first_chunk() {
            Some(kind) => Ok(Header::Admin(u16::from_be_bytes(*kind))),
            None => Err(DecodeError::TooShort),
        },
        [TUNNEL, rest @ ..] => match rest.first_chunk::<8>() {
            Some(&[s0, s1, s2, s3, e0, e1, e2, e3]) => Ok(Header::Tunnel {
                session: u32::from_be_bytes([s0, s1, s2, s3]),
                event: u32::from_be_bytes([e0, e1, e2, e3]),
            }),
            None => Err(DecodeError::TooShort),
        },
        _ => Err(DecodeError::MessageType),
    }
}

fn admin(kind: u16, members: &impl Serialize) -> Vec<u8> {
    // Enough for any challenge or password and for most identifies.
    let mut out = Vec::with_capacity(256);
    out.push(ADMIN);
    out.extend(kind.to_be_bytes());
    // Structures of texts and booleans can always be serialized, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(&mut out, members);
    out
}

fn admin_text(kind: u16, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(ADMIN_HEADER + text.len());
    out.push(ADMIN);
    out.extend(kind.to_be_bytes());
    out.extend(text.as_bytes());
    out
}

fn tunnel(session: u32, event: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TUNNEL_HEADER + data.len());
    out.push(TUNNEL);
    out.extend(session.to_be_bytes());
    out.extend(event.to_be_bytes());
    out.extend(data);
    out
}
