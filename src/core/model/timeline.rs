//! What has happened to a device or a code, step by step: the answer to "why is this phone stuck?".

use serde::{Deserialize, Serialize};

use super::ids::{Code, DeviceKey};
use super::time::UnixMillis;

/// Newest steps that are kept of one subject.
pub const MAX_STEPS: usize = 100;

/// Whose timeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A device.
    Device(DeviceKey),
    /// A code.
    Code(Code),
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, on the clock of the store.
    pub at: UnixMillis,
    /// What.
    #[serde(flatten)]
    pub event: TimelineEvent,
}

/// What can happen. Texts in it are shown to operators; none is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "detail")]
pub enum TimelineEvent {
    /// The code was issued.
    Issued,
    /// The code was revoked by an operator.
    Revoked,
    /// The directory has told a phone where to go with the code.
    Found,
    /// The device entered the domain: by code, automatically, or by an operator.
    Entered(super::device::Way),
    /// The device brought a code of this domain but belongs to another one.
    OtherDomain,
    /// The device was taken out of the domain.
    Removed,
    /// The device came from, or went to, this other domain.
    Moved(Box<str>),
    /// Software was ordered: the builds.
    UpdateOrdered(Box<str>),
    /// The device runs the ordered builds.
    Updated(Box<str>),
    /// An attempt to update failed: the reason.
    UpdateFailed(Box<str>),
    /// A configuration has arrived: its kind.
    Configured(Box<str>),
    /// A configuration could not be sent: kind and reason.
    ConfigFailed(Box<str>),
    /// The clean-up lines have been run.
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
