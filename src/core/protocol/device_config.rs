//! A device configuration as JSON (`docs/protocol/devices-api.md` 4.10), in messages to devices and to apps. How secrets
//! are encrypted, and what their seeds are called, is up to the message.

use serde::Serialize;

use crate::core::model::device_config::{DeviceConfig, MemberValue};
use crate::core::model::ids::Secret;

/// A member: its name, and its value as JSON.
pub type JsonMember = (Box<str>, Box<str>);

/// The members of a configuration in the order of the wire; `seal` makes those of a secret.
pub fn members<'a>(
    config: &DeviceConfig,
    seal: impl Fn(&'a str, &Secret) -> [(&'a str, String); 2],
) -> Vec<JsonMember> {
    #[derive(Serialize)]
    struct Category<'a> {
        id: u64,
        name: &'a str,
        config: bool,
    }
    let DeviceConfig { id, domain, desc, kind, categories, members } = config;
    let categories: Vec<_> =
        categories.iter().map(|c| Category { id: c.id.0, name: &c.name, config: c.provisioning }).collect();
    let mut all = vec![member("id", &id.0), member("domainId", &domain.0)];
    all.extend(desc.as_deref().map(|desc| member("desc", desc)));
    all.extend([member("type", kind.name()), member("categories", &categories)]);
    for (name, value) in members {
        match value {
            MemberValue::Plain(value) => all.push(member(name, value)),
            MemberValue::Secret(secret) => all.extend(seal(name, secret).map(|(name, text)| member(name, &text))),
        }
    }
    all
}

fn member(name: &str, value: &(impl Serialize + ?Sized)) -> JsonMember {
    // Plain structures can always be serialized.
    (name.into(), serde_json::to_string(value).unwrap_or_default().into())
}

/// An object with these members.
pub fn object(members: &[JsonMember]) -> String {
    let mut out = String::from("{");
    for (n, (name, value)) in members.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(&**name).to_string());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}
