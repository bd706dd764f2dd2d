//! HTTP through the connection of a device (`docs/protocol/sysclient.md` sections 7 and 8).
//!
//! [`HttpExchange`] is the server's side of one session: one request, one answer. [`DeviceTunnel`] is the device's
//! side of all sessions of a connection. Both take events and return actions in order; neither reads a clock or a
//! socket. [`request`] converts the request of the HTTP client. Session numbers are assigned by the caller.

mod answer;
mod chunked;
mod device;
mod exchange;
mod head;
pub mod request;
mod section;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use device::{DeviceAction, DeviceTunnel};
pub use exchange::{Action, HttpExchange};
pub use head::{Field, Head, is_hop_by_hop};

/// Longest head of a request; the first send must contain it as a whole (`docs/protocol/sysclient.md` 7.2). Longer
/// ones are refused with HTTP 431.
pub const REQUEST_HEAD_MAX: usize = 32_768;
/// Longest head of an answer and longest trailer section, in bytes (`docs/protocol/sysclient.md` 8.3).
pub const ANSWER_HEAD_MAX: usize = 65_536;
/// Most bytes in a device's answer to one receive (`docs/protocol/sysclient.md` 7.2).
pub const DEVICE_PIECE_MAX: usize = 8_000;

/// What may follow a request, as far as the request determines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expects {
    /// Head and body.
    #[default]
    Answer,
    /// The request is HEAD: a head without body.
    HeadOnly,
    /// The request asks for an upgrade: with the answer 101 the session becomes a byte pipe
    /// (`docs/protocol/sysclient.md` 8.5).
    Upgrade,
}

/// Sizes and timeouts of one session on the server's side; the default is that of the protocol
/// (`docs/protocol/sysclient.md` 7.2 and 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one send.
    pub send: usize,
    /// Bytes asked for by one receive.
    pub receive: u32,
    /// Wait for a send result.
    pub send_result: Duration,
    /// Wait for the first receive result.
    pub first_result: Duration,
    /// Wait for each later receive result.
    pub next_result: Duration,
    /// Wait for the confirmation of a shutdown.
    pub confirmation: Duration,
    /// The whole session, up to its shutdown.
    pub session: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send: 65_536,
            receive: 8_192,
            send_result: Duration::from_secs(10),
            first_result: Duration::from_secs(60),
            next_result: Duration::from_secs(30),
            confirmation: Duration::from_secs(10),
            session: Duration::from_secs(600),
        }
    }
}

/// Why an answer is missing or incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The data of the device is not HTTP, or its framing is contradictory.
    #[error("the device did not answer with HTTP")]
    NotHttp,
    /// The head or the trailer section is longer than [`ANSWER_HEAD_MAX`].
    #[error("the head of the answer is too long")]
    TooLong,
    /// The device ended the session before the answer was complete.
    #[error("the answer was cut")]
    Cut,
    /// The device sent bytes that were not asked for, which defeats back-pressure.
    #[error("the device sent bytes that were not asked for")]
    Unasked,
    /// A timer has expired.
    #[error("the device did not answer in time")]
    Timeout,
    /// The connection to the device was lost.
    #[error("the device was lost")]
    Lost,
}

impl Failure {
    /// The HTTP status for it, if no head was sent yet (`docs/protocol/sysclient.md` 8.6).
    pub const fn status(self) -> u16 {
        match self {
            Self::NotHttp | Self::TooLong | Self::Cut | Self::Unasked | Self::Lost => 502,
            Self::Timeout => 504,
        }
    }
}
