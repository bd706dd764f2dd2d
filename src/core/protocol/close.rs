//! Why a WebSocket connection is closed; the reason determines close code and text.

/// The reason of a close, for device and app connections (`docs/protocol/sysclient.md` 9,
/// `docs/protocol/appwebsocket.md` 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The peer has closed, or is gone.
    ByPeer,
    /// A newer connection of the same device has become a member.
    Replaced,
    /// An administrator has removed the device.
    Removed,
    /// The server stops.
    Stopping,
    /// An unknown frame or message header.
    Protocol,
    /// Text on a binary protocol, or binary on a text protocol.
    WrongKind,
    /// Malformed JSON, a missing member, or text that is not UTF-8.
    Malformed,
    /// Longer than allowed.
    TooLong,
    /// No identify, log-in or answer to a challenge in time.
    TooLate,
    /// Wrong digest, or failed log-ins.
    Refused,
    /// Too many attempts, or too many messages of unknown tunnel sessions.
    TooMany,
    /// Not allowed before log-in, or a second log-in.
    NotAllowed,
    /// What the log-in had proved does not hold any more.
    Withdrawn,
    /// A notice was not acknowledged.
    Unacknowledged,
    /// No frame for too long.
    Silent,
    /// The peer does not read.
    NotReading,
    /// The store is unavailable or the load is too high: come back later.
    Overload,
}

impl Close {
    /// Every reason, for metrics.
    pub const ALL: [Self; 17] = [
        Self::ByPeer,
        Self::Replaced,
        Self::Removed,
        Self::Stopping,
        Self::Protocol,
        Self::WrongKind,
        Self::Malformed,
        Self::TooLong,
        Self::TooLate,
        Self::Refused,
        Self::TooMany,
        Self::NotAllowed,
        Self::Withdrawn,
        Self::Unacknowledged,
        Self::Silent,
        Self::NotReading,
        Self::Overload,
    ];

    /// The close code on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::ByPeer | Self::Replaced | Self::Removed => 1000,
            Self::Stopping => 1001,
            Self::Protocol => 1002,
            Self::WrongKind => 1003,
            Self::Malformed => 1007,
            Self::TooLate
            | Self::Refused
            | Self::TooMany
            | Self::NotAllowed
            | Self::Withdrawn
            | Self::Unacknowledged
            | Self::Silent
            | Self::NotReading => 1008,
            Self::TooLong => 1009,
            Self::Overload => 1013,
        }
    }

    /// The close text; also the label of the metric.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ByPeer => "closed",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Stopping => "stopping",
            Self::Protocol => "protocol error",
            Self::WrongKind => "wrong kind of message",
            Self::Malformed => "malformed",
            Self::TooLong => "too long",
            Self::TooLate => "too late",
            Self::Refused => "refused",
            Self::TooMany => "too many",
            Self::NotAllowed => "not allowed",
            Self::Withdrawn => "log-in withdrawn",
            Self::Unacknowledged => "not acknowledged",
            Self::Silent => "silent",
            Self::NotReading => "not reading",
            Self::Overload => "try again later",
        }
    }
}
