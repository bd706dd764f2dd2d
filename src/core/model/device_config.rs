//! Device configurations as devices of other makers and apps see them (`docs/protocol/devices-api.md` 4.10). What jobs
//! amount to them is policy (`policy::jobs::device_config`).

use super::device::Category;
use super::ids::{ConfigId, DomainId, Secret};

/// Replaces a secret when a configuration is shown.
pub const HIDDEN: &str = "hidden";

/// A published type of device configuration, in alphabetical order of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigType {
    /// Alarm and log server.
    AlarmServer,
    /// An update script.
    Expert,
    /// Analogue phones.
    FxsPhone,
    /// STUN, TURN and ports.
    Media,
    /// Time servers and time zone.
    Ntp,
    /// Phones.
    Phone,
    /// TLS profile.
    TlsProfile,
}

impl ConfigType {
    /// The types that are sent to devices of other makers, in the order of a batch (`docs/protocol/sysclient.md` 3.6).
    pub const SENT: [Self; 6] =
        [Self::AlarmServer, Self::FxsPhone, Self::Media, Self::Ntp, Self::Phone, Self::TlsProfile];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlarmServer => "ALARM_SERVER",
            Self::Expert => "EXPERT",
            Self::FxsPhone => "FXS_PHONE",
            Self::Media => "MEDIA",
            Self::Ntp => "NTP",
            Self::Phone => "PHONE",
            Self::TlsProfile => "TLS_PROFILE",
        }
    }

    /// Whether it is sent to a device of another maker of this type (`platform.type`), with or without analogue ports.
    pub fn suits(self, platform: &str, fxs: bool) -> bool {
        match self {
            Self::Expert => false,
            Self::FxsPhone => fxs,
            Self::Phone => platform == "PHONE",
            Self::AlarmServer | Self::Media | Self::Ntp | Self::TlsProfile => true,
        }
    }
}

/// The value of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberValue {
    /// A text, a number or a boolean.
    Plain(serde_json::Value),
    /// A secret, which goes out encrypted only; empty: none is set.
    Secret(Secret),
}

/// A device configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Its number.
    pub id: ConfigId,
    /// Number of its domain.
    pub domain: DomainId,
    /// Description.
    pub desc: Option<Box<str>>,
    /// Its type.
    pub kind: ConfigType,
    /// The categories that it is for; empty: all devices of the domain.
    pub categories: Vec<Category>,
    /// The members of its type with their values, in the order of the wire. A script is not among them.
    pub members: Vec<(&'static str, MemberValue)>,
}

impl DeviceConfig {
    /// The members of its type for display: [`HIDDEN`] in place of a secret.
    pub fn shown(&self) -> serde_json::Map<String, serde_json::Value> {
        let members = self.members.iter().map(|(name, value)| {
            let shown = match value {
                MemberValue::Plain(value) => value.clone(),
                MemberValue::Secret(secret) if secret.is_empty() => "".into(),
                MemberValue::Secret(_) => HIDDEN.into(),
            };
            ((*name).to_owned(), shown)
        });
        members.collect()
    }
}
