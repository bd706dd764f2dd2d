//! Events of a simulated phone for its observer.

use crate::core::model::ids::Secret;
use crate::core::session::device::client::{Observation, Proof};
use crate::core::session::device::settings::Part;

/// An event, mostly of the protocol. Addresses are shown without their query, which may contain a token or a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneEvent {
    /// The update address is being requested.
    ScriptAsked {
        /// The address.
        address: Box<str>,
        /// With a typed code.
        code: bool,
    },
    /// A script was received.
    ScriptFetched {
        /// HTTP status; only a 200 is run.
        status: u16,
        /// Number of lines.
        lines: usize,
    },
    /// The update address did not answer.
    ScriptFailed(Box<str>),
    /// An unknown command. Only its first word is shown.
    Skipped(Box<str>),
    /// The form for the code is shown.
    FormShown,
    /// The form is hidden: a code was typed, or a script has removed it.
    FormGone,
    /// The address of Devices was set by a script or a person; `None`: removed.
    AddressReceived(Option<Box<str>>),
    /// Connected to Devices.
    Connected(Box<str>),
    /// Devices could not be reached; it is retried.
    ConnectFailed(Box<str>),
    /// An identify has been sent.
    IdentifySent {
        /// With a code.
        code: bool,
    },
    /// A challenge has been answered by an identify with digest.
    ChallengeAnswered,
    /// A challenge was received, but there is no password to answer it.
    ChallengeUnanswered,
    /// The device password was received and stored.
    PasswordReceived(Secret),
    /// The administrative password was received and stored.
    AdminPasswordReceived(Secret),
    /// The phone is a member of a domain.
    Member(Proof),
    /// A page was requested through the tunnel and served.
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
        /// Received bytes.
        bytes: usize,
    },
    /// Firmware or boot code could not be loaded.
    LoadFailed {
        /// Firmware or boot code.
        part: Part,
        /// Why.
        error: Box<str>,
    },
    /// The upload that a script asked for has been sent by HTTP PUT.
    Stored,
    /// The upload that a script asked for has failed.
    StoreFailed(Box<str>),
    /// The phone restarts.
    Restarting,
    /// The connection to Devices has ended: close code, if there was one, and reason.
    Closed(Option<u16>, Box<str>),
    /// Something rarer from the device protocol.
    Observed(Observation),
    /// The state file could not be written.
    NotKept(Box<str>),
    /// The observer was too slow and missed this many events.
    Missed(u64),
}

impl From<Observation> for PhoneEvent {
    fn from(observation: Observation) -> Self {
        match observation {
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
