//! Kinds of configuration: their parameters, checks, and command lines (`docs/protocol/update-script.md` 3.2).
//!
//! A kind is a table ([`kinds`]): the modules that its lines configure, and the parameters with their types, limits
//! and options. Checks, the JSON Schema, the masking of secrets and the lines are generated from that table
//! ([`schema`], [`render`]). Only two kinds have code of their own: certificates, which are too long for a line, and
//! `raw`, which consists of lines.
//!
//! **The names of modules and options are ours**, apart from those in `docs/protocol/update-script.md`: the vendor has
//! published no list. They follow the conventions of that language; where a device uses other names, `raw` is the
//! alternative.
//!
//! A job sets the whole kind: an option that it does not name returns to the device's default. Only a flag in a line
//! that others write as well (`noDhcp` of the update server) stays as it is unless the job names it.

pub mod placeholders;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod certificates;
pub mod kinds;
mod lines;
pub mod render;
pub mod schema;
pub mod table;

pub use schema::{ConfigError, Problem};

/// Replaces a secret when a configuration is shown.
pub const HIDDEN: &str = "hidden";

/// One configuration: its kind and its parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The kind, `ntp` for instance.
    pub kind: Kind,
    /// Its parameters; every value is a string, a number or a boolean.
    pub values: Map<String, Value>,
}

impl Configuration {
    /// Checks that all parameters are known, acceptable, and present where required. The error names the parameter.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.kind.schema().check(&self.values)
    }

    /// The configuration with [`HIDDEN`] in place of every secret, for display.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut values = self.values.clone();
        for field in self.kind.schema().fields().filter(|field| field.secret) {
            if let Some(value) = values.get_mut(field.name) {
                *value = HIDDEN.into();
            }
        }
        Self { kind: self.kind, values }
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may hold passwords.
        f.debug_struct("Configuration").field("kind", &self.kind).finish_non_exhaustive()
    }
}

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
    /// Lines of the script language.
    Raw,
}

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 14] = [
        Self::Certificates,
        Self::DeviceName,
        Self::Ntp,
        Self::TimeZone,
        Self::Language,
        Self::Syslog,
        Self::Ldap,
        Self::Stun,
        Self::Sip,
        Self::AnaloguePhone,
        Self::UpdateServer,
        Self::Vlan,
        Self::Dot1x,
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
            Self::Ldap => "ldap",
            Self::Stun => "stun",
            Self::Sip => "sip",
            Self::AnaloguePhone => "analogue-phone",
            Self::UpdateServer => "update-server",
            Self::Vlan => "vlan",
            Self::Dot1x => "dot1x",
            Self::Raw => "raw",
        }
    }

    /// Whether the kind applies to a device of this type (`platform.type`), with or without analogue ports. An unknown
    /// type (`docs/protocol/sysclient.md` 3.1) gets only the kinds that every device has.
    pub fn suits(self, platform: &str, fxs: bool) -> bool {
        match self {
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

    /// Whether a category with such a configuration is listed for devices of this type (`docs/protocol/devices-api.md`
    /// 2.2): for `PHONE` if it applies to a phone or an analogue phone, for other types if it applies to them. So a
    /// person who wants to add a phone still sees a category that only sets time servers.
    pub fn lists_category(self, platform: &str) -> bool {
        self.suits(platform, platform == "GW") || (platform == "PHONE" && self == Self::AnaloguePhone)
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

#[cfg(test)]
mod tests;
