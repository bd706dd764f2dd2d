//! The mirror of the users of one exchange (`docs/protocol/pbx.md` section 3): rows by GUID, with an index of
//! devices.
//!
//! It only stores; the client decides when a pass runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::entry::{DeviceEntry, hardware_key};
use super::guid::Guid;
use super::settings::MAX_USERS;
use crate::core::protocol::json::{Object, Value};

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Key; permanent when the user is renamed.
    pub guid: Guid,
    /// SIP name (`h323`).
    pub sip: Box<str>,
    /// Long name (`cn`).
    pub name: Box<str>,
    /// Display name (`dn`).
    pub display: Box<str>,
    /// Telephone number (`e164`).
    pub number: Box<str>,
    /// PBX of the object (`loc`).
    pub pbx: Box<str>,
    /// Template (`config`).
    pub template: Box<str>,
    /// Node in the numbering tree (`node`).
    pub node: Box<str>,
    /// The entries, in order. Empty if the row came from a search.
    pub devices: Vec<DeviceEntry>,
    /// The full row as JSON, kept only to write through the table.
    pub full_row: Option<Box<str>>,
}

impl Row {
    /// Parses a row; absent members are empty, an absent array has no entries. `None` without a GUID.
    pub fn read(columns: &Object<'_>, keep_full_row: bool) -> Option<Self> {
        let text = |name: &str| -> Box<str> { columns.str(name).unwrap_or_default().into() };
        Some(Self {
            guid: Guid::parse(columns.str("guid")?).ok()?,
            sip: text("h323"),
            name: text("cn"),
            display: text("dn"),
            number: text("e164"),
            pbx: text("loc"),
            template: text("config"),
            node: text("node"),
            devices: DeviceEntry::read_all(columns),
            full_row: keep_full_row.then(|| Value::Object(columns.clone()).canonical().into()),
        })
    }

    /// The entry of a device.
    pub fn entry(&self, hw: &str) -> Option<&DeviceEntry> {
        self.devices.iter().find(|entry| entry.is(hw))
    }

    /// The full row with another array of devices, as JSON.
    pub fn full_row_with(&self, devices: &[DeviceEntry]) -> Option<String> {
        let full_row = self.full_row.as_deref()?;
        let object = Object::parse(full_row.as_bytes()).ok()?;
        let members = object.members().filter(|(name, _)| *name != "devices");
        let mut text = String::from("{");
        for (name, value) in members {
            text.push_str(&super::entry::quoted(name));
            text.push(':');
            text.push_str(&value.canonical());
            text.push(',');
        }
        Some(text + "\"devices\":" + &super::entry::array(devices) + "}")
    }
}

/// How current the mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No pass has completed.
    #[default]
    Empty,
    /// A pass completed on an earlier connection; changes since then are unknown.
    Stale,
    /// It equals the exchange.
    Complete,
}

/// The mirror of the users of one exchange.
#[derive(Debug, Default)]
pub struct Mirror {
    rows: BTreeMap<Guid, Row>,
    by_device: HashMap<Box<str>, BTreeSet<Guid>>,
    by_sip: HashMap<Box<str>, BTreeSet<Guid>>,
    state: State,
    /// Counts changes, so that an outdated copy can be detected.
    version: u64,
}

impl Mirror {
    /// How current it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether all users of the exchange are contained.
    pub fn knows_all(&self) -> bool {
        self.state == State::Complete && self.rows.len() < MAX_USERS
    }

    /// Changes whenever a row may have changed.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// One user.
    pub fn row(&self, guid: &Guid) -> Option<&Row> {
        self.rows.get(guid)
    }

    /// All users, by GUID.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The user with this SIP name.
    pub fn by_sip(&self, sip: &str) -> Option<&Row> {
        self.by_sip.get(sip)?.first().and_then(|guid| self.rows.get(guid))
    }

    /// The users with an entry of a device.
    pub fn holders(&self, hw: &str) -> impl Iterator<Item = &Guid> {
        self.by_device.get(&hardware_key(hw)).into_iter().flatten()
    }

    pub(super) fn trust(&mut self, state: State) {
        self.version += 1;
        self.state = state;
    }

    /// Inserts or replaces a full row. `false`: the mirror is full.
    pub(super) fn put(&mut self, row: Row) -> bool {
        self.remove(&row.guid);
        if self.rows.len() >= MAX_USERS {
            return false;
        }
        for entry in row.devices.iter().filter(|entry| !entry.hw().is_empty()) {
            self.by_device.entry(hardware_key(entry.hw())).or_default().insert(row.guid.clone());
        }
        self.by_sip.entry(row.sip.clone()).or_default().insert(row.guid.clone());
        self.rows.insert(row.guid.clone(), row);
        self.version += 1;
        true
    }

    /// Removes a row. `false`: there was none.
    pub(super) fn remove(&mut self, guid: &Guid) -> bool {
        let Some(row) = self.rows.remove(guid) else { return false };
        for entry in &row.devices {
            forget(&mut self.by_device, &hardware_key(entry.hw()), guid);
        }
        forget(&mut self.by_sip, &row.sip, guid);
        self.version += 1;
        true
    }

    /// Applies our own change after it was read back; whether the exchange sends it as a notice is not documented.
    pub(super) fn note_device(&mut self, guid: &Guid, hw: &str, entry: Option<&DeviceEntry>) {
        let Some(mut row) = self.rows.get(guid).cloned() else { return };
        match (row.devices.iter().position(|known| known.is(hw)), entry) {
            (Some(at), Some(entry)) => row.devices[at] = entry.with_hidden_of(&row.devices[at]),
            (None, Some(entry)) => row.devices.push(entry.clone()),
            (Some(_), None) => row.devices.retain(|known| !known.is(hw)),
            (None, None) => return,
        }
        self.put(row);
    }

    /// Removes all rows that a complete pass has not shown, and returns their GUIDs.
    pub(super) fn sweep(&mut self, seen: &BTreeSet<Guid>) -> Vec<Guid> {
        let gone: Vec<Guid> = self.rows.keys().filter(|guid| !seen.contains(*guid)).cloned().collect();
        for guid in &gone {
            self.remove(guid);
        }
        gone
    }
}

fn forget(index: &mut HashMap<Box<str>, BTreeSet<Guid>>, key: &str, guid: &Guid) {
    if let Some(guids) = index.get_mut(key) {
        guids.remove(guid);
        if guids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(guid: char, sip: &str, devices: &str) -> Row {
        let guid: String = std::iter::repeat_n(guid, 32).collect();
        let text = format!(r#"{{"guid":"{guid}","h323":"{sip}","cn":"N","x":1.50,"devices":{devices},"e164":"7"}}"#);
        Row::read(&Object::parse(text.as_bytes()).unwrap(), true).unwrap()
    }

    #[test]
    fn rows_replace_each_other_whole() {
        let mut mirror = Mirror::default();
        let first = row('a', "anna", r#"[{"hw":"00-90-33-41-A0-B1"}]"#);
        let guid = first.guid.clone();
        mirror.put(first);
        assert_eq!(mirror.holders("00903341a0b1").collect::<Vec<_>>(), [&guid]);
        mirror.put(row('a', "berta", "[]"));
        assert_eq!(mirror.holders("00903341a0b1").count(), 0, "an absent array is an empty one");
        assert!(mirror.by_sip("anna").is_none());
        assert_eq!(mirror.by_sip("berta").unwrap().guid, guid);
        assert_eq!(mirror.len(), 1);
        assert!(mirror.remove(&guid) && mirror.is_empty() && mirror.by_device.is_empty() && mirror.by_sip.is_empty());
    }

    #[test]
    fn own_changes_are_noted_without_losing_what_only_the_table_shows() {
        let mut mirror = Mirror::default();
        let first = row('a', "anna", r#"[{"hw":"m","sreg":true}]"#);
        let guid = first.guid.clone();
        mirror.put(first);
        mirror.note_device(&guid, "m", Some(&DeviceEntry::new("m", "t", "phone", &[])));
        assert_eq!(mirror.row(&guid).unwrap().devices[0].json(), r#"{"hw":"m","text":"t","app":"phone","sreg":true}"#);
        mirror.note_device(&guid, "n", Some(&DeviceEntry::new("n", "t", "phone", &[])));
        assert_eq!(mirror.holders("n").count(), 1);
        mirror.note_device(&guid, "m", None);
        assert_eq!((mirror.holders("m").count(), mirror.row(&guid).unwrap().devices.len()), (0, 1));
    }

    #[test]
    fn a_sweep_says_who_is_gone() {
        let mut mirror = Mirror::default();
        let (a, b) = (row('a', "a", "[]"), row('b', "b", "[]"));
        let seen = BTreeSet::from([a.guid.clone()]);
        let gone = b.guid.clone();
        mirror.put(a);
        mirror.put(b);
        assert_eq!(mirror.sweep(&seen), [gone]);
        assert_eq!(mirror.len(), 1);
    }

    #[test]
    fn a_row_goes_back_whole_with_other_devices() {
        let row = row('a', "anna", r#"[{"hw":"m"}]"#);
        let guid = "a".repeat(32);
        assert_eq!(
            row.full_row_with(&[DeviceEntry::new("n", "t", "p", &[])]).unwrap(),
            format!(
                r#"{{"guid":"{guid}","h323":"anna","cn":"N","x":1.50,"e164":"7","devices":[{{"hw":"n","text":"t","app":"p"}}]}}"#
            )
        );
    }
}
