//! Types of configuration values: roles, backends, addresses of stores, durations.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::model::ids::Secret;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The public meeting point: codes and `/init`.
    Directory,
    /// The broker.
    Devices,
    /// The Users role: persons request phones, which are then entered at the backend.
    Users,
}

/// Where users come from, and where their phones are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// CSV files.
    File,
    /// Users from a CSV file, phones to a web address.
    Webhook,
    /// Users from a telephone exchange, phones entered there.
    Pbx,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Whether connections of trusted proxies begin with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// They may.
    Accept,
    /// They have to, and nobody else may connect.
    Require,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A key of an earlier version that has no meaning any more. Any value is accepted, ignored and warned of, so that an
/// upgrade does not stop at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired(bool);

impl Retired {
    /// Whether the configuration has the key.
    pub const fn is_given(self) -> bool {
        self.0
    }

    /// Whether it does not. By reference, as `serde` asks.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) const fn is_absent(&self) -> bool {
        !self.0
    }
}

impl<'de> Deserialize<'de> for Retired {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

impl Serialize for Retired {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

/// Which store. `Debug` and [`StoreUrl::describe`] never show the password of a Redis address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreUrl {
    /// A single file, relative to the working directory.
    Embedded(PathBuf),
    /// Redis, the address as it was given.
    Redis(Secret),
}

impl StoreUrl {
    /// The store without its password, for logs.
    pub fn describe(&self) -> String {
        match self {
            Self::Embedded(path) => format!("embedded:{}", path.display()),
            Self::Redis(address) => {
                let address = address.expose();
                let (scheme, rest) = address.split_once("://").unwrap_or(("redis", ""));
                // Everything before the last `@` may be a password, everything after `?` too.
                let rest = rest.rsplit('@').next().unwrap_or_default().split('?').next().unwrap_or_default();
                format!("{scheme}://{rest}")
            }
        }
    }
}

impl std::str::FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("embedded:").filter(|path| !path.is_empty()) {
            return Ok(Self::Embedded(path.into()));
        }
        let redis = ["redis://", "rediss://", "redis+unix://", "unix://"];
        if redis.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
            return Ok(Self::Redis(Secret::new(text)));
        }
        // The text is not repeated: it may hold a password.
        Err("is not the address of a store; use embedded:PATH, redis://…, rediss://… or unix://PATH".into())
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        match url {
            StoreUrl::Embedded(path) => format!("embedded:{}", path.display()),
            StoreUrl::Redis(address) => address.expose().into(),
        }
    }
}

/// Durations as people write them: `10m`, `300ms`, `7d`.
pub mod humantime_text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes a duration.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*span))
    }

    /// Reads a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text)
            .map_err(|e| D::Error::custom(format_args!("`{text}` is not a duration such as 300ms, 10m or 7d: {e}")))
    }
}
