//! The kinds of configuration: their names, and which devices they suit. Their parameters and lines are policy
//! (`policy::jobs::config`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config_type::ConfigType;

/// A kind of configuration; a device gets the latest job of every kind, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Certificates that the device trusts.
    Certificates,
    /// Name of the device.
    DeviceName,
    /// Time servers.
    Ntp,
    /// Time zone.
    TimeZone,
    /// Language of the display.
    Language,
    /// Where the log goes.
    Syslog,
    /// Alarm and log server; devices of other makers only.
    AlarmServer,
    /// Directory.
    Ldap,
    /// STUN and TURN.
    Stun,
    /// SIP or H.323 registration of a phone.
    Sip,
    /// Registration of analogue ports.
    AnaloguePhone,
    /// Where the device asks for update scripts.
    UpdateServer,
    /// VLAN and LLDP.
    Vlan,
    /// Authentication at the port of the switch, 802.1X.
    Dot1x,
    /// TLS profile; devices of other makers only.
    TlsProfile,
    /// Lines of the script language.
    Raw,
}

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 16] = [
        Self::Certificates,
        Self::DeviceName,
        Self::Ntp,
        Self::TimeZone,
        Self::Language,
        Self::Syslog,
        Self::AlarmServer,
        Self::Ldap,
        Self::Stun,
        Self::Sip,
        Self::AnaloguePhone,
        Self::UpdateServer,
        Self::Vlan,
        Self::Dot1x,
        Self::TlsProfile,
        Self::Raw,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::DeviceName => "device-name",
            Self::Ntp => "ntp",
            Self::TimeZone => "time-zone",
            Self::Language => "language",
            Self::Syslog => "syslog",
            Self::AlarmServer => "alarm-server",
            Self::Ldap => "ldap",
            Self::Stun => "stun",
            Self::Sip => "sip",
            Self::AnaloguePhone => "analogue-phone",
            Self::UpdateServer => "update-server",
            Self::Vlan => "vlan",
            Self::Dot1x => "dot1x",
            Self::TlsProfile => "tls-profile",
            Self::Raw => "raw",
        }
    }

    /// Whether a device of this type (`platform.type`), with or without analogue ports, supports this kind. A device of
    /// an unknown type (`docs/protocol/sysclient.md` 3.1) supports only the kinds that every device supports. Devices of
    /// other makers are sent types, not kinds ([`ConfigType::suits`]).
    pub fn suits(self, platform: &str, fxs: bool) -> bool {
        match self {
            // No command lines are known for them.
            Self::AlarmServer | Self::TlsProfile => false,
            Self::Language | Self::Sip => platform == "PHONE",
            Self::AnaloguePhone => fxs,
            Self::Ldap => ["PHONE", "GW", "VA", "DECT"].contains(&platform),
            Self::Stun | Self::Vlan | Self::Dot1x => ["PHONE", "GW", "DECT"].contains(&platform),
            Self::Certificates
            | Self::DeviceName
            | Self::Ntp
            | Self::TimeZone
            | Self::Syslog
            | Self::UpdateServer
            | Self::Raw => true,
        }
    }

    /// The published type of its device configurations (`docs/protocol/devices-api.md` 4.11); `None`: such jobs are no
    /// device configurations.
    pub const fn config_type(self) -> Option<ConfigType> {
        match self {
            Self::AlarmServer => Some(ConfigType::AlarmServer),
            Self::TlsProfile => Some(ConfigType::TlsProfile),
            Self::Ntp | Self::TimeZone => Some(ConfigType::Ntp),
            Self::Stun => Some(ConfigType::Media),
            Self::Sip => Some(ConfigType::Phone),
            Self::AnaloguePhone => Some(ConfigType::FxsPhone),
            Self::Raw => Some(ConfigType::Expert),
            Self::Certificates
            | Self::DeviceName
            | Self::Language
            | Self::Syslog
            | Self::Ldap
            | Self::UpdateServer
            | Self::Vlan
            | Self::Dot1x => None,
        }
    }

    /// Whether a category with such a configuration is listed for devices of this type
    /// (`docs/protocol/devices-api.md` 2.2): for `PHONE` those with anything that a phone or an analogue phone gets,
    /// for other types those with anything that suits them. Time servers and alarm servers alone do not hide a category
    /// from the person who wants to add a phone.
    pub fn lists_category(self, platform: &str) -> bool {
        self.suits(platform, platform == "GW")
            || (platform == "PHONE" && self == Self::AnaloguePhone)
            || matches!(self, Self::AlarmServer | Self::TlsProfile)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// There is no such kind of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of configuration")]
pub struct UnknownKind;
