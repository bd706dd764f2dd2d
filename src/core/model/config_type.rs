//! The published types of device configurations (`docs/protocol/devices-api.md` 4.10).

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
