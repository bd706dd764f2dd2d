//! The timeline of a device or a code: its latest events in order. It shows operators why a device is not done.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config_kind::Kind;
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
    /// The device sent a code of this domain but belongs to another one.
    OtherDomain,
    /// A device sent the code, and the domain has as many devices as it may have.
    OverQuota,
    /// The device was removed from the domain.
    Removed,
    /// The device was moved from, or to, this other domain.
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
    ConfigFailed(ConfigFailure),
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

impl TimelineEvent {
    /// The kind of configuration that it is about; `None`: no configuration, or a kind that this version does not know.
    pub fn config_kind(&self) -> Option<Kind> {
        match self {
            Self::Configured(kind) => kind.parse().ok(),
            Self::ConfigFailed(failure) => failure.kind(),
            _ => None,
        }
    }
}

/// Which kind of configuration could not be sent, and why. Stored and shown as the text `KIND: REASON`. A text that was
/// read is kept unchanged, because a later version may know more kinds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigFailure(Box<str>);

impl ConfigFailure {
    /// The failure of one attempt.
    pub fn new(kind: Kind, reason: &str) -> Self {
        Self(format!("{kind}: {reason}").into())
    }

    /// The kind; `None` if this version does not know it.
    pub fn kind(&self) -> Option<Kind> {
        self.0.split_once(':').and_then(|(kind, _)| kind.parse().ok())
    }

    /// Kind and reason as they are shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConfigFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_configuration_is_stored_as_text_and_has_a_kind() {
        let event = TimelineEvent::ConfigFailed(ConfigFailure::new(Kind::TimeZone, "status 404: not found"));
        let text = r#"{"event":"config-failed","detail":"time-zone: status 404: not found"}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert_eq!(serde_json::from_str::<TimelineEvent>(text).unwrap(), event);
        assert_eq!(event.config_kind(), Some(Kind::TimeZone));
        assert_eq!(TimelineEvent::Configured("dot1x".into()).config_kind(), Some(Kind::Dot1x));
        for (text, shown) in [
            (r#"{"event":"config-failed","detail":"of-tomorrow: why"}"#, "of-tomorrow: why"),
            (r#"{"event":"config-failed","detail":"without a kind"}"#, "without a kind"),
        ] {
            let event = serde_json::from_str::<TimelineEvent>(text).unwrap();
            assert_eq!(event.config_kind(), None);
            assert!(matches!(&event, TimelineEvent::ConfigFailed(failure) if failure.as_str() == shown));
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
        }
        assert_eq!(TimelineEvent::UpdateFailed("ntp: x".into()).config_kind(), None);
    }
}
