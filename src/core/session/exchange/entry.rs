//! The device entries of a user object (`docs/protocol/pbx.md` 2.4).
//!
//! An entry is kept as the JSON that was received, so that unknown members are written back with the same value and
//! order. Only two changes are ever made: its `app`, and adding members that `GetObject` hides.

use std::fmt::Write as _;

use crate::core::model::ids::mac_digits;
use crate::core::protocol::json::{Object, Value};

/// Members that `GetObject` may hide (`docs/protocol/pbx.md` 2.4: "table only").
const HIDDEN: [&str; 5] = ["sreg", "mr", "voip", "gk-id", "prim"];

/// A boolean member of a new entry (`docs/protocol/pbx.md` 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// Registers only with the password of the exchange.
    Admin,
    /// The address filter does not apply.
    NoFilter,
    /// Registers only with a verified certificate, or through a trusted reverse proxy.
    Tls,
    /// No calls through the mobility object while it is registered.
    NoMob,
    /// May register through a trusted reverse proxy.
    Trusted,
}

impl Flag {
    const fn member(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::NoFilter => "no-filter",
            Self::Tls => "tls",
            Self::NoMob => "no-mob",
            Self::Trusted => "trusted",
        }
    }
}

/// One entry. Entries are equal if all members are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEntry {
    hw: Box<str>,
    json: Box<str>,
}

impl DeviceEntry {
    /// Keeps an element of `devices` unchanged, even if it is invalid.
    pub fn read(value: &Value<'_>) -> Self {
        let hw = match value {
            Value::Object(object) => object.str("hw").unwrap_or_default(),
            _ => "",
        };
        Self { hw: hw.into(), json: value.canonical().into() }
    }

    /// The entries of the array `devices`; an absent one is empty.
    pub fn read_all(object: &Object<'_>) -> Vec<Self> {
        object.array("devices").unwrap_or_default().iter().map(Self::read).collect()
    }

    /// A new entry with the flags that are true.
    pub fn new(hw: &str, text: &str, app: &str, flags: &[Flag]) -> Self {
        let mut json = format!(r#"{{"hw":{},"text":{},"app":{}"#, quoted(hw), quoted(text), quoted(app));
        for flag in flags {
            // Writing to a `String` cannot fail.
            let _ = write!(json, r#","{}":true"#, flag.member());
        }
        json.push('}');
        Self { hw: hw.into(), json: json.into() }
    }

    /// The hardware id in its original spelling; empty if there is none.
    pub fn hw(&self) -> &str {
        &self.hw
    }

    /// Whether this is the entry of a device.
    pub fn is(&self, hw: &str) -> bool {
        same_hardware(&self.hw, hw)
    }

    /// The phone app.
    pub fn app(&self) -> Box<str> {
        self.text_of("app")
    }

    /// The display label.
    pub fn label(&self) -> Box<str> {
        self.text_of("text")
    }

    /// The entry as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    fn object(&self) -> Object<'_> {
        // A value that is no object has no members.
        Object::parse(self.json.as_bytes()).unwrap_or_default()
    }

    fn text_of(&self, member: &str) -> Box<str> {
        self.object().str(member).unwrap_or_default().into()
    }

    /// A copy with another phone app.
    #[must_use]
    pub fn with_app(&self, app: &str) -> Self {
        let app = quoted(app);
        let object = self.object();
        let mut members: Vec<(&str, String)> = object.members().map(|(n, value)| (n, value.canonical())).collect();
        match members.iter_mut().find(|(name, _)| *name == "app") {
            Some((_, value)) => *value = app,
            None => members.push(("app", app)),
        }
        Self { hw: self.hw.clone(), json: written(&members) }
    }

    /// Whether it has a member that some exchanges hide in `GetObject`.
    pub fn shows_hidden(&self) -> bool {
        let object = self.object();
        HIDDEN.iter().any(|name| object.has(name))
    }

    /// A copy with the hidden members of `other`, the mirror's entry of the same device.
    #[must_use]
    pub fn with_hidden_of(&self, other: &Self) -> Self {
        let (object, other) = (self.object(), other.object());
        let mut members: Vec<(&str, String)> = object.members().map(|(n, value)| (n, value.canonical())).collect();
        let hidden = other.members().filter(|(name, _)| HIDDEN.contains(name) && !object.has(name));
        members.extend(hidden.map(|(name, value)| (name, value.canonical())));
        Self { hw: self.hw.clone(), json: written(&members) }
    }
}

/// Whether two hardware ids name the same device (`docs/protocol/pbx.md` section 5). An empty id equals none.
pub fn same_hardware(a: &str, b: &str) -> bool {
    !a.is_empty() && hardware_key(a) == hardware_key(b)
}

/// Index key of a hardware id: the digits of a MAC address.
pub fn hardware_key(hw: &str) -> Box<str> {
    mac_digits(hw).unwrap_or_else(|| hw.into())
}

/// The array of entries as JSON.
pub fn array(entries: &[DeviceEntry]) -> String {
    let items: Vec<&str> = entries.iter().map(DeviceEntry::json).collect();
    format!("[{}]", items.join(","))
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    Value::String(text.into()).canonical()
}

fn written(members: &[(&str, String)]) -> Box<str> {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(",")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(devices: &str) -> Vec<DeviceEntry> {
        let text = format!(r#"{{"devices":{devices}}}"#);
        DeviceEntry::read_all(&Object::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn entries_keep_every_member_in_its_place() {
        let text = r#"[{"z":1.50,"hw":"a","tls":false,"x":{"y":[null]}},"odd",{"text":"no hw"}]"#;
        let read = entries(text);
        assert_eq!(array(&read), text);
        assert_eq!(read.iter().map(DeviceEntry::hw).collect::<Vec<_>>(), ["a", "", ""]);
        assert_eq!(read[0].with_app("p").json(), r#"{"z":1.50,"hw":"a","tls":false,"x":{"y":[null]},"app":"p"}"#);
        let known = &entries(r#"[{"hw":"a","app":"old","q":"\u0001é"}]"#)[0];
        assert_eq!(known.with_app("new").json(), "{\"hw\":\"a\",\"app\":\"new\",\"q\":\"\\u0001é\"}");
    }

    #[test]
    fn a_new_entry_is_that_of_the_sample() {
        let entry = DeviceEntry::new("00903341a0b1", "IP112", "phone", &[Flag::Tls, Flag::Trusted]);
        assert_eq!(entry.json(), r#"{"hw":"00903341a0b1","text":"IP112","app":"phone","tls":true,"trusted":true}"#);
        assert_eq!(entry, entries(&format!("[{}]", entry.json()))[0]);
        assert_eq!((&*entry.app(), &*entry.label()), ("phone", "IP112"));
    }

    #[test]
    fn hidden_members_come_from_the_mirror() {
        let shown = &entries(r#"[{"hw":"a","mr":false,"text":"t"}]"#)[0];
        let full = &entries(r#"[{"hw":"a","text":"other","sreg":true,"mr":true,"voip":"v","prim":"p"}]"#)[0];
        assert!(shown.shows_hidden());
        assert_eq!(
            shown.with_hidden_of(full).json(),
            r#"{"hw":"a","mr":false,"text":"t","sreg":true,"voip":"v","prim":"p"}"#
        );
    }

    #[test]
    fn the_same_device_in_other_spellings() {
        for (a, b, same) in [
            ("00-90-33-41-A0-B1", "00903341a0b1", true),
            ("00:90:33:41:a0:b1", "009033-41A0B1", true),
            ("softphone_anna", "softphone_anna", true),
            ("softphone_anna", "Softphone_anna", false),
            ("soft-phone", "softphone", false),
            ("00903341a0b", "00903341a0b1", false),
            ("", "", false),
        ] {
            assert_eq!(same_hardware(a, b), same, "{a} {b}");
        }
    }
}
