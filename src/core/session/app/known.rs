//! The devices in the filter of a client as they were last sent to it, to find what has changed and to report
//! removals.
//!
//! Keeps of each device the number, a hash of what was sent, and what `DeviceRemoved` needs. Product, version and type
//! are stored once for all devices that share them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{DeviceId, DeviceKey, DomainId};
use crate::core::protocol::appws::objects::GoneDevice;

/// Product, version and type.
type Model = (Box<str>, Box<str>, Box<str>);

#[derive(Debug, Clone, Copy)]
struct KnownDevice {
    id: DeviceId,
    /// Hash of the object as it was sent.
    hash: u64,
    /// 0: none. Numbers of domains start with 1.
    domain: u64,
    model: u32,
    pbx_active: bool,
    online: bool,
    /// The last full read that has met the device.
    round: u8,
}

/// How a device differs from what the client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChange {
    /// The client does not know it.
    Added,
    /// It has changed.
    Changed,
    /// It is the same.
    Same,
}

/// The devices that a client knows.
#[derive(Debug, Default)]
pub struct Known {
    devices: HashMap<DeviceKey, KnownDevice>,
    models: Vec<Model>,
    numbers: HashMap<Model, u32>,
    round: u8,
}

impl Known {
    /// Records that `text` is about to be sent for a device.
    pub fn record_sent(&mut self, view: &DeviceView, text: &str) -> DeviceChange {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let known_device = KnownDevice {
            id: view.id,
            hash: hasher.finish(),
            domain: view.domain.map_or(0, |domain| domain.0),
            model: self.model(view),
            pbx_active: view.facts.pbx_active,
            online: view.online,
            round: self.round,
        };
        match self.devices.insert(view.key.clone(), known_device) {
            None => DeviceChange::Added,
            Some(before) if before.hash == known_device.hash => DeviceChange::Same,
            Some(_) => DeviceChange::Changed,
        }
    }

    /// Forgets a device and returns the text of its removal; `None` if the client does not know it.
    pub fn forget(&mut self, key: &DeviceKey) -> Option<String> {
        let known_device = self.devices.remove(key)?;
        let (product, version, kind) = self.models.get(known_device.model as usize)?;
        let gone = GoneDevice {
            id: known_device.id,
            hw_id: key.as_str(),
            domain_id: DomainId(known_device.domain),
            product,
            version,
            r#type: kind,
            pbx_active: known_device.pbx_active,
            online: known_device.online,
            eth_ifs: [],
        };
        // Plain structures can always be serialized.
        serde_json::to_string(&gone).ok()
    }

    /// Starts a full read.
    pub fn begin_full_read(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// The devices that the full read has not met; with `unassigned` only those without a domain.
    pub fn not_met(&self, unassigned: bool) -> impl Iterator<Item = &DeviceKey> {
        let missed = move |known_device: &KnownDevice| {
            known_device.round != self.round && (!unassigned || known_device.domain == 0)
        };
        self.devices.iter().filter(move |(_, known_device)| missed(known_device)).map(|(key, _)| key)
    }

    fn model(&mut self, view: &DeviceView) -> u32 {
        let facts = &view.facts;
        let model = (facts.product.clone(), facts.version.clone(), facts.platform.clone());
        if let Some(number) = self.numbers.get(&model) {
            return *number;
        }
        // Updates leave models behind that no device has any more.
        if self.models.len() > 2 * self.devices.len() + 64 {
            self.drop_unused_models();
        }
        let number = u32::try_from(self.models.len()).unwrap_or(u32::MAX);
        self.models.push(model.clone());
        self.numbers.insert(model, number);
        number
    }

    fn drop_unused_models(&mut self) {
        let old = std::mem::take(&mut self.models);
        self.numbers.clear();
        for known_device in self.devices.values_mut() {
            let Some(model) = old.get(known_device.model as usize) else { continue };
            known_device.model = *self.numbers.entry(model.clone()).or_insert_with(|| {
                self.models.push(model.clone());
                u32::try_from(self.models.len() - 1).unwrap_or(u32::MAX)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::device_view::tests::view;

    fn record_sent(known: &mut Known, view: &DeviceView) -> DeviceChange {
        let text = view.object().text();
        known.record_sent(view, &text)
    }

    #[test]
    fn only_differences_are_changes() {
        let (mut known, mut one) = (Known::default(), view(1, 2, "PHONE"));
        assert_eq!(record_sent(&mut known, &one), DeviceChange::Added);
        assert_eq!(record_sent(&mut known, &one), DeviceChange::Same);
        one.online = false;
        assert_eq!(record_sent(&mut known, &one), DeviceChange::Changed);
        assert_eq!(
            known.forget(&one.key).unwrap(),
            concat!(
                r#"{"id":1,"hwId":"device-1","domainId":2,"product":"IP112","version":"13r3","type":"PHONE","#,
                r#""pbxActive":false,"online":false,"ethIfs":[]}"#
            )
        );
        assert_eq!(known.forget(&one.key), None);
    }

    #[test]
    fn a_full_read_reports_devices_that_it_has_not_met() {
        let mut known = Known::default();
        for id in 1..=3 {
            record_sent(&mut known, &view(id, 2, "PHONE"));
        }
        known.begin_full_read();
        assert_eq!(known.not_met(false).count(), 3);
        record_sent(&mut known, &view(2, 2, "PHONE"));
        let mut left: Vec<_> = known.not_met(false).map(DeviceKey::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["device-1", "device-3"]);
        assert_eq!(known.not_met(true).count(), 0, "all have a domain");
    }

    #[test]
    fn unused_models_are_dropped() {
        let (mut known, mut one, mut other) = (Known::default(), view(1, 2, "PHONE"), view(2, 2, "GW"));
        for version in 0..1000 {
            one.facts.version = version.to_string().into();
            record_sent(&mut known, &one);
        }
        other.facts.version = "last".into();
        record_sent(&mut known, &other);
        assert!(known.models.len() < 100, "{}", known.models.len());
        assert!(known.forget(&one.key).unwrap().contains(r#""version":"999""#));
        assert!(known.forget(&other.key).unwrap().contains(r#""version":"last""#));
    }

    #[test]
    fn a_device_takes_little_memory() {
        assert_eq!(std::mem::size_of::<(DeviceKey, KnownDevice)>(), 48);
    }
}
