//! What a simulated phone lets an observer know.

use crate::core::model::ids::Secret;
use crate::core::session::device::client::{Observation, Proof};
use crate::core::session::device::settings::Part;

/// What was seen, mostly on the wire. Addresses are shown without their query, which may hold a token or a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneEvent {
    /// The update address has been asked.
    ScriptAsked {
        /// The address.
        address: Box<str>,
        /// A typed code went with it.
        code: bool,
    },
    /// A script has come.
    ScriptFetched {
        /// HTTP status; only the script of a 200 is run.
        status: u16,
        /// Lines in it.
        lines: usize,
    },
    /// The update address did not answer.
    ScriptFailed(Box<str>),
    /// A command that is not understood. Only its first word is shown.
    Skipped(Box<str>),
    /// The form for the code is on the display.
    FormShown,
    /// The form is gone: a code was typed, or a script has removed it.
    FormGone,
    /// A script or a person has set the address of Devices; `None`: removed it.
    AddressReceived(Option<Box<str>>),
    /// Connected to Devices.
    Connected(Box<str>),
    /// Devices could not be reached; it is tried again.
    ConnectFailed(Box<str>),
    /// An identify has been sent.
    IdentifySent {
        /// With a code.
        code: bool,
    },
    /// A challenge has been answered by an identify with digest.
    ChallengeAnswered,
    /// A challenge has come, and there is no password to answer it with.
    ChallengeUnanswered,
    /// The device password has come and has been kept.
    PasswordReceived(Secret),
    /// The administrative password has come and has been kept.
    AdminPasswordReceived(Secret),
    /// The phone belongs to a domain.
    Member(Proof),
    /// A page was asked for through the tunnel, and answered.
    PageServed {
        /// Method and path; of a command only its first word.
        what: Box<str>,
        /// Status.
        status: u16,
    },
    /// Firmware or boot code has been loaded.
    Loaded {
        /// Firmware or boot code.
        part: Part,
        /// Its build number.
        serial: Box<str>,
        /// How many bytes came.
        bytes: usize,
    },
    /// Firmware or boot code could not be loaded.
    LoadFailed {
        /// Firmware or boot code.
        part: Part,
        /// Why.
        error: Box<str>,
    },
    /// What a script asked for has been sent by HTTP PUT.
    Stored,
    /// What a script asked for could not be sent.
    StoreFailed(Box<str>),
    /// The phone restarts.
    Restarting,
    /// The connection to Devices has ended: close code, if there was one, and reason.
    Closed(Option<u16>, Box<str>),
    /// Something rarer from the device protocol.
    Observed(Observation),
    /// The state file could not be written.
    NotKept(Box<str>),
    /// The observer was too slow and has missed so many events.
    Missed(u64),
}

impl From<Observation> for PhoneEvent {
    fn from(sight: Observation) -> Self {
        match sight {
            Observation::Identified { digest: true, .. } => Self::ChallengeAnswered,
            Observation::Identified { code, digest: false } => Self::IdentifySent { code },
            Observation::ChallengeWithoutPassword => Self::ChallengeUnanswered,
            Observation::Member(proof) => Self::Member(proof),
            rare => Self::Observed(rare),
        }
    }
}

/// An address without its query.
pub fn without_query(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}
