//! The timeline of a device or a code: its events in order. Answers "why is this phone stuck?".

use serde::{Deserialize, Serialize};

use super::ids::{Code, DeviceKey};
use super::time::UnixMillis;

/// Most events kept of one subject.
pub const MAX_STEPS: usize = 100;

/// Device or code that a timeline belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A device.
    Device(DeviceKey),
    /// A code.
    Code(Code),
}

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Time on the clock of the store.
    pub at: UnixMillis,
    /// The event.
    #[serde(flatten)]
    pub event: TimelineEvent,
}

/// Events. The texts in them are shown to operators; none is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "detail")]
pub enum TimelineEvent {
    /// The code was issued.
    Issued,
    /// The code was revoked by an operator.
    Revoked,
    /// The directory has directed a phone to Devices with the code.
    Found,
    /// The device entered the domain: by code, automatically, or by an operator.
    Entered(super::device::Way),
    /// The device brought a code of this domain but belongs to another one.
    OtherDomain,
    /// The device was removed from the domain.
    Removed,
    /// The device came from, or went to, this other domain.
    Moved(Box<str>),
    /// An update was ordered: its builds.
    UpdateOrdered(Box<str>),
    /// The device runs the ordered builds.
    Updated(Box<str>),
    /// An attempt to update failed: the reason.
    UpdateFailed(Box<str>),
    /// A configuration was sent: its kind.
    Configured(Box<str>),
    /// A configuration could not be sent: kind and reason.
    ConfigFailed(Box<str>),
    /// The clean-up lines were accepted.
    CleanedUp,
    /// An analogue port was put into operation: its name.
    Port(Box<str>),
    /// The notice is in the mailbox.
    NoticeReady,
    /// The notice was sent to Users: the app of the connection.
    NoticeSent(Box<str>),
    /// Users has the notice.
    NoticeSettled,
}
