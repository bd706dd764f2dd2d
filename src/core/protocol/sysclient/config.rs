//! The configuration message (`docs/protocol/sysclient.md` 3.6): device configurations for devices of other makers.

use std::fmt;

use super::admin::{MemberError, required};
use super::auth::{open_admin_password, seal_admin_password};
use crate::core::model::device_config::DeviceConfig;
use crate::core::model::ids::Secret;
use crate::core::protocol::device_config::{self, JsonMember};
use crate::core::protocol::json::Object;

/// Characters of the seed of a secret in a configuration.
pub const CONFIG_SEED_CHARS: usize = 16;

/// A device configuration as it is in the message, its secrets encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigItem(Vec<JsonMember>);

impl ConfigItem {
    /// The configuration for one device: its secrets are encrypted with the password of the device and this seed, which
    /// must be new for every message. A secret that is not set stays empty.
    pub fn seal(config: &DeviceConfig, seed: &str, device_password: &Secret) -> Self {
        Self(device_config::members(config, |name, secret| {
            if secret.is_empty() {
                return [(name, String::new()), (seed_name(name), String::new())];
            }
            let sealed = seal_admin_password(seed, device_password, secret);
            [(name, sealed), (seed_name(name), seed.to_owned())]
        }))
    }

    /// Reads the message: the configuration, if there is one, and whether it is the last one of the first batch.
    pub fn read(message: &Object) -> Result<(Option<Self>, bool), MemberError> {
        // A known sender has it inside.
        let last = |members: &Object| members.bool("last").unwrap_or(false);
        let Some(config) = message.object("config") else { return Ok((None, last(message))) };
        required(config, "type")?;
        let members = config.members().filter(|(name, _)| *name != "last");
        let members = members.map(|(name, value)| (name.into(), value.canonical().into())).collect();
        Ok((Some(Self(members)), last(message) || last(config)))
    }

    /// Its type.
    pub fn kind(&self) -> String {
        self.text("type").unwrap_or_default()
    }

    /// A member as JSON.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(member, _)| **member == *name).map(|(_, value)| &**value)
    }

    /// Whether its type no longer applies.
    pub fn is_removed(&self) -> bool {
        self.get("removed") == Some("true")
    }

    /// A secret in clear; `None` if none is set, or if it cannot be decrypted with this password.
    pub fn open(&self, name: &str, device_password: &Secret) -> Option<Secret> {
        let text = |name: &str| self.text(name).filter(|text| !text.is_empty());
        open_admin_password(&text(seed_name(name))?, device_password, &text(name)?)
    }

    /// The JSON object.
    pub(super) fn json(&self) -> String {
        device_config::object(&self.0)
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }
}

impl fmt::Debug for ConfigItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigItem").field("type", &self.kind()).finish_non_exhaustive()
    }
}

/// The member that has the seed of a secret.
fn seed_name(secret: &str) -> &'static str {
    if secret == "logPassword" { "logSeed" } else { "turnSeed" }
}
