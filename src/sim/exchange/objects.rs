//! The objects of the simulated exchange, by GUID and by name.
//!
//! An object is a list of members with the JSON of their values, so that everything written is returned byte for
//! byte.

use std::collections::BTreeMap;

use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::entry::DeviceEntry;

/// Members with the JSON of their values, in order.
pub type Members = Vec<(Box<str>, Box<str>)>;

/// The members of a JSON object.
pub fn members_of(object: &Object<'_>) -> Members {
    object.members().map(|(name, value)| (name.into(), value.canonical().into())).collect()
}

/// Members as JSON.
pub fn json_of<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let parts: Vec<String> = members.into_iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", parts.join(","))
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    Value::String(text.into()).canonical()
}

/// One object: a user, an executive, or something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeObject {
    /// 32 lower-case hex digits.
    pub guid: Box<str>,
    /// All other members.
    pub members: Members,
}

impl ExchangeObject {
    /// The JSON of a member.
    pub fn json(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(known, _)| **known == *name).map(|(_, json)| &**json)
    }

    /// A member that is a string; empty if it is anything else.
    pub fn text(&self, name: &str) -> Box<str> {
        let wrapped = format!(r#"{{"v":{}}}"#, self.json(name).unwrap_or("null"));
        Object::parse(wrapped.as_bytes()).ok().and_then(|object| object.str("v").map(Into::into)).unwrap_or_default()
    }

    /// Sets a member. An integer stands for a boolean and removes it, except for `cfnr`.
    pub fn set(&mut self, name: &str, value: &Value<'_>) {
        self.members.retain(|(known, _)| **known != *name);
        if !matches!(value, Value::Number(_)) || name == "cfnr" {
            self.members.push((name.into(), value.canonical().into()));
        }
    }

    /// The device entries.
    pub fn devices(&self) -> Vec<DeviceEntry> {
        let wrapped = format!(r#"{{"devices":{}}}"#, self.json("devices").unwrap_or("[]"));
        Object::parse(wrapped.as_bytes()).map(|object| DeviceEntry::read_all(&object)).unwrap_or_default()
    }

    /// Whether it is a user or an executive.
    pub fn is_user(&self) -> bool {
        self.json("pseudo").is_none_or(|pseudo| pseudo.contains("\"executive\""))
    }
}

/// All objects.
#[derive(Debug, Default)]
pub struct Objects {
    by_guid: BTreeMap<Box<str>, ExchangeObject>,
    by_name: BTreeMap<Box<str>, Box<str>>,
}

impl Objects {
    /// Adds or replaces an object.
    pub fn put(&mut self, object: ExchangeObject) {
        self.remove(&object.guid.clone());
        self.by_name.insert(object.text("cn"), object.guid.clone());
        self.by_guid.insert(object.guid.clone(), object);
    }

    /// Removes an object.
    pub fn remove(&mut self, guid: &str) -> Option<ExchangeObject> {
        let object = self.by_guid.remove(guid)?;
        self.by_name.retain(|_, known| **known != *guid);
        Some(object)
    }

    /// One object.
    pub fn get(&self, guid: &str) -> Option<&ExchangeObject> {
        self.by_guid.get(guid)
    }

    /// One object, to be changed in anything but its name.
    pub fn get_mut(&mut self, guid: &str) -> Option<&mut ExchangeObject> {
        self.by_guid.get_mut(guid)
    }

    /// The object of this name.
    pub fn called(&self, name: &str) -> Option<&ExchangeObject> {
        self.by_guid.get(self.by_name.get(name)?)
    }

    /// The first object after a GUID.
    pub fn after(&self, guid: Option<&str>) -> Option<&ExchangeObject> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = guid.map_or(Unbounded, Excluded);
        self.by_guid.range::<str, _>((from, Unbounded)).map(|(_, object)| object).next()
    }

    /// Objects from a name on, in code point order.
    pub fn from_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ExchangeObject> {
        use std::ops::Bound::{Included, Unbounded};
        let range = self.by_name.range::<str, _>((Included(name), Unbounded));
        range.filter_map(|(_, guid)| self.by_guid.get(guid))
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = &ExchangeObject> {
        self.by_guid.values()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.by_guid.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.by_guid.is_empty()
    }
}
