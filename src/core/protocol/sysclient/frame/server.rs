//! Messages from the server to the device.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use super::{
    ADMIN_HEADER, DecodeError, Header, Ignored, TUNNEL_HEADER, admin, admin_text, admin_type, header, tunnel,
    tunnel_event,
};
use crate::core::model::ids::Secret;
use crate::core::protocol::json::Object;
use crate::core::protocol::sysclient::admin::{MemberError, required};
use crate::core::protocol::sysclient::auth::{PASSWORD_CHARS, SEED_CHARS};
use crate::core::protocol::sysclient::config::ConfigItem;

/// A message to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromServer {
    /// `0001`: the device password, exactly 32 characters.
    Password(Secret),
    /// `0002`: the challenge; text, not a number.
    Challenge(Box<str>),
    /// `0003`: the administrative password (`auth::seal_admin_password`).
    AdminPassword {
        /// Exactly 16 characters.
        seed: Box<str>,
        /// The encrypted password in lower-case hex.
        pwd: Box<str>,
    },
    /// `0005`: the result of a provision message.
    ProvisionResult {
        /// `None`: success.
        error: Option<Box<str>>,
    },
    /// `0006`: a device configuration.
    Configuration {
        /// The configuration; `None` if nothing applies.
        item: Option<ConfigItem>,
        /// This message ends the first batch.
        last: bool,
    },
    /// A command for a tunnel session.
    Tunnel {
        /// Session number, 1 to 7fffffff.
        session: u32,
        /// The command.
        event: ServerEvent,
    },
    /// Has to be dropped.
    Ignored(Ignored),
}

/// A tunnel event that a server may send (`docs/protocol/sysclient.md` 7.1).
#[derive(Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Bytes of the HTTP request, at most 65 536.
    Send(Bytes),
    /// Asks for at most this many bytes of the answer; 0: no limit.
    Receive(u32),
    /// End of the session, or confirmation of it.
    Shutdown,
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Tunnel bytes must not be logged (`docs/protocol/sysclient.md` section 9).
            Self::Send(data) => write!(f, "Send({} bytes)", data.len()),
            Self::Receive(wanted) => write!(f, "Receive({wanted})"),
            Self::Shutdown => f.write_str("Shutdown"),
        }
    }
}

/// Decodes a binary message from a server, by the rules of the other direction. Tunnel bytes are not copied.
pub fn decode_from_server(message: &Bytes) -> Result<FromServer, DecodeError> {
    match header(message)? {
        Header::Admin(kind) => decode_admin(kind, &message[ADMIN_HEADER..]),
        Header::Tunnel { session, event } => {
            let data = message.slice(TUNNEL_HEADER..);
            let event = match event {
                tunnel_event::SEND => ServerEvent::Send(data),
                tunnel_event::RECEIVE => {
                    let wanted = data.first_chunk().ok_or(DecodeError::TooShort)?;
                    ServerEvent::Receive(u32::from_be_bytes(*wanted))
                }
                tunnel_event::SHUTDOWN => ServerEvent::Shutdown,
                tunnel_event::RECEIVE_RESULT | tunnel_event::SEND_RESULT => return Err(DecodeError::Direction),
                unknown => return Ok(FromServer::Ignored(Ignored::TunnelEvent(unknown))),
            };
            Ok(FromServer::Tunnel { session, event })
        }
    }
}

fn decode_admin(kind: u16, text: &[u8]) -> Result<FromServer, DecodeError> {
    match kind {
        admin_type::IDENTIFY | admin_type::PROVISION => return Err(DecodeError::Direction),
        admin_type::PASSWORD..=admin_type::CONFIGURATION => {}
        unknown => return Ok(FromServer::Ignored(Ignored::AdminType(unknown))),
    }
    let members = Object::parse(text)?;
    Ok(match kind {
        admin_type::PASSWORD => FromServer::Password(Secret::new(exactly(&members, "password", PASSWORD_CHARS)?)),
        admin_type::CHALLENGE => FromServer::Challenge(required(&members, "challenge")?.into()),
        admin_type::ADMIN_PASSWORD => FromServer::AdminPassword {
            seed: exactly(&members, "seed", SEED_CHARS)?.into(),
            pwd: required(&members, "pwd")?.into(),
        },
        admin_type::PROVISION_RESULT => {
            FromServer::ProvisionResult { error: members.str("error").filter(|text| !text.is_empty()).map(Into::into) }
        }
        _ => {
            let (item, last) = ConfigItem::read(&members)?;
            FromServer::Configuration { item, last }
        }
    })
}

fn exactly<'a>(members: &'a Object, name: &'static str, chars: usize) -> Result<&'a str, MemberError> {
    members.str(name).filter(|text| text.chars().count() == chars).ok_or(MemberError(name))
}

impl FromServer {
    /// The message as bytes, as the server sends it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Password(password) => admin(admin_type::PASSWORD, &PasswordWire { password: password.expose() }),
            Self::Challenge(challenge) => admin(admin_type::CHALLENGE, &ChallengeWire { challenge }),
            Self::AdminPassword { seed, pwd } => admin(admin_type::ADMIN_PASSWORD, &AdminPasswordWire { seed, pwd }),
            Self::ProvisionResult { error } => {
                admin(admin_type::PROVISION_RESULT, &ProvisionResultWire { error: error.as_deref() })
            }
            Self::Configuration { item, last } => {
                let config = item.as_ref().map(|item| format!("\"config\":{}", item.json()));
                let members: Vec<_> = config.into_iter().chain(last.then(|| "\"last\":true".to_owned())).collect();
                admin_text(admin_type::CONFIGURATION, &format!("{{{}}}", members.join(",")))
            }
            Self::Tunnel { session, event } => match event {
                ServerEvent::Send(data) => tunnel(*session, tunnel_event::SEND, data),
                ServerEvent::Receive(wanted) => tunnel(*session, tunnel_event::RECEIVE, &wanted.to_be_bytes()),
                ServerEvent::Shutdown => tunnel(*session, tunnel_event::SHUTDOWN, &[]),
            },
            Self::Ignored(ignored) => ignored.encode(),
        }
    }
}

#[derive(Serialize)]
struct PasswordWire<'a> {
    password: &'a str,
}

#[derive(Serialize)]
struct ChallengeWire<'a> {
    challenge: &'a str,
}

#[derive(Serialize)]
struct AdminPasswordWire<'a> {
    seed: &'a str,
    pwd: &'a str,
}

#[derive(Serialize)]
struct ProvisionResultWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}
