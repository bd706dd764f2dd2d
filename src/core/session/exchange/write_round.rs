//! One round of an order: what to write, given what was read, and whether the change has persisted
//! (`docs/protocol/pbx.md` 2.3, 2.4, section 5).

use super::entry::{DeviceEntry, Flag};
use super::event::Change;
use super::mirror::Row;
use super::settings::MAX_DEVICES;

/// What to write.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: the goal is met.
    Nothing,
    /// These entries.
    Write(Vec<DeviceEntry>),
    /// Nothing: the user has too many entries.
    TooMany,
}

/// The goal of an order for the entries of a user, in this round.
#[derive(Debug, Clone, Copy)]
pub struct RoundGoal<'a> {
    /// Device key.
    pub hw: &'a str,
    /// The ordered change.
    pub change: &'a Change,
    /// Entries of other clients that an earlier round overwrote; they are added again.
    pub restored: &'a [DeviceEntry],
}

impl RoundGoal<'_> {
    /// Whether the entries meet the goal.
    pub fn is_met(&self, devices: &[DeviceEntry]) -> bool {
        let mut own = devices.iter().filter(|entry| entry.is(self.hw));
        let met = match self.change {
            Change::Put { app, .. } => own.next().is_some_and(|entry| entry.app() == *app),
            Change::TakeOut => own.next().is_none(),
        };
        met && self.restored.iter().all(|entry| has(devices, entry.hw()))
    }

    /// What to write, given the entries that were `read`. `row` is the mirror's row of the user, if this exchange
    /// hides members.
    pub fn plan(&self, read: &[DeviceEntry], row: Option<&Row>, flags: &[Flag]) -> Plan {
        if self.is_met(read) {
            return Plan::Nothing;
        }
        let full = |entry: &DeviceEntry| match row.and_then(|row| row.entry(entry.hw())) {
            Some(known) => entry.with_hidden_of(known),
            None => entry.clone(),
        };
        let mut devices: Vec<DeviceEntry> = read.iter().map(full).collect();
        match self.change {
            Change::TakeOut => devices.retain(|entry| !entry.is(self.hw)),
            Change::Put { app, product } => match devices.iter_mut().find(|entry| entry.is(self.hw)) {
                Some(entry) if entry.app() == *app => {}
                Some(entry) => *entry = entry.with_app(app),
                None => devices.push(DeviceEntry::new(self.hw, &label(product, self.hw, read), app, flags)),
            },
        }
        for entry in self.restored {
            if !has(&devices, entry.hw()) {
                devices.push(entry.clone());
            }
        }
        if devices.len() > MAX_DEVICES && devices.len() > read.len() {
            return Plan::TooMany;
        }
        Plan::Write(devices)
    }

    /// Entries that another client added between our read and our write, and that we overwrote: they are in the last
    /// row received meanwhile without our change, but neither in `read` nor in `now`.
    pub fn overwritten(&self, window: &[DeviceEntry], read: &[DeviceEntry], now: &[DeviceEntry]) -> Vec<DeviceEntry> {
        let lost = |entry: &&DeviceEntry| {
            let hw = entry.hw();
            !hw.is_empty() && !entry.is(self.hw) && !has(read, hw) && !has(now, hw) && !has(self.restored, hw)
        };
        window.iter().filter(lost).cloned().collect()
    }

    /// Entries of others that we wrote and that have disappeared: another client removed them, and they stay removed.
    pub fn removed<'d>(&self, written: &'d [DeviceEntry], now: &[DeviceEntry]) -> Vec<&'d DeviceEntry> {
        let gone = |entry: &&DeviceEntry| {
            let hw = entry.hw();
            !hw.is_empty() && !entry.is(self.hw) && !has(now, hw) && !has(self.restored, hw)
        };
        written.iter().filter(gone).collect()
    }
}

fn has(devices: &[DeviceEntry], hw: &str) -> bool {
    devices.iter().any(|entry| entry.is(hw))
}

/// The product, with the last four digits if the user already has a device with that label.
fn label(product: &str, hw: &str, devices: &[DeviceEntry]) -> String {
    if !devices.iter().any(|entry| &*entry.label() == product) {
        return product.into();
    }
    let from = hw.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    format!("{product} {}", &hw[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: &str = "00903341a0b1";

    fn entry(hw: &str, app: &str) -> DeviceEntry {
        DeviceEntry::new(hw, "IP112", app, &[])
    }

    fn put() -> Change {
        Change::Put { app: "phone".into(), product: "IP112".into() }
    }

    #[test]
    fn what_is_written() {
        let change = put();
        let goal = RoundGoal { hw: M, change: &change, restored: &[] };
        let own = entry(M, "phone");
        assert_eq!(goal.plan(&[], None, &[]), Plan::Write(vec![own.clone()]));
        assert_eq!(goal.plan(&[entry("00-90-33-41-A0-B1", "phone")], None, &[]), Plan::Nothing);
        let spelt = entry("00-90-33-41-A0-B1", "old");
        assert_eq!(goal.plan(std::slice::from_ref(&spelt), None, &[]), Plan::Write(vec![spelt.with_app("phone")]));
        let other = entry("b", "phone");
        let labelled = DeviceEntry::new(M, "IP112 a0b1", "phone", &[]);
        assert_eq!(goal.plan(std::slice::from_ref(&other), None, &[]), Plan::Write(vec![other.clone(), labelled]));
        let many: Vec<_> = (0..MAX_DEVICES).map(|n| entry(&n.to_string(), "x")).collect();
        assert_eq!(goal.plan(&many, None, &[]), Plan::TooMany);
        assert!(matches!(goal.plan(&many[1..], None, &[]), Plan::Write(devices) if devices.len() == MAX_DEVICES));
        let out = RoundGoal { change: &Change::TakeOut, ..goal };
        assert_eq!(out.plan(&[own, other.clone()], None, &[]), Plan::Write(vec![other.clone()]));
        assert_eq!(out.plan(&[other], None, &[]), Plan::Nothing);
    }

    #[test]
    fn what_others_do_meanwhile() {
        let change = put();
        let goal = RoundGoal { hw: M, change: &change, restored: &[] };
        let (own, read, added) = (entry(M, "phone"), entry("b", "x"), entry("c", "x"));
        let now = [own.clone(), read.clone()];
        let (before, after) = (std::slice::from_ref(&read), std::slice::from_ref(&added));
        let both = [read.clone(), added.clone()];
        assert_eq!(goal.overwritten(&both, before, &now), after, "added and overwritten");
        assert_eq!(goal.overwritten(after, before, after), [], "still there");
        assert_eq!(goal.removed(&[read.clone(), own.clone()], std::slice::from_ref(&own)), [&read]);
        let goal = RoundGoal { restored: std::slice::from_ref(&added), ..goal };
        assert!(!goal.is_met(&now));
        assert_eq!(goal.plan(&now, None, &[]), Plan::Write(vec![own, read, added]));
    }
}
