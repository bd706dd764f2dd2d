//! Device configurations as devices of other makers and apps see them (`docs/protocol/devices-api.md` 4.10). What jobs
//! amount to them is policy (`policy::jobs::device_config`).

pub use super::config_type::ConfigType;
use super::device::Category;
use super::ids::{ConfigId, DomainId, Secret};

/// Replaces a secret when a configuration is shown.
pub const HIDDEN: &str = "hidden";

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
