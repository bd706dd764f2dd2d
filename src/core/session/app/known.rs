//! What a client has been told of the devices in its filter: enough to see what is new, and to say goodbye.
//!
//! Of each device the number, a hash of what was sent, and what `DeviceRemoved` needs. Products, versions and types are
//! held once for all that share them.

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
    /// 0: none. Numbers of domains begin with 1.
    domain: u64,
    model: u32,
    pbx_active: bool,
    online: bool,
    /// Of which round of reading everything.
    round: u8,
}

/// What became of a device in the eyes of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChange {
    /// It was not known.
    Added,
    /// It was, and something else is to be said now.
    Changed,
    /// Nothing new.
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
    /// The client is about to be told `text` of a device.
    pub fn tell(&mut self, view: &DeviceView, text: &str) -> DeviceChange {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let told = KnownDevice {
            id: view.id,
            hash: hasher.finish(),
            domain: view.domain.map_or(0, |domain| domain.0),
            model: self.model(view),
            pbx_active: view.facts.pbx_active,
            online: view.online,
            round: self.round,
        };
        match self.devices.insert(view.key.clone(), told) {
            None => DeviceChange::Added,
            Some(before) if before.hash == told.hash => DeviceChange::Same,
            Some(_) => DeviceChange::Changed,
        }
    }

    /// Forgets a device and writes what is said of it at last; `None` if the client does not know it.
    pub fn forget(&mut self, key: &DeviceKey) -> Option<String> {
        let told = self.devices.remove(key)?;
        let (product, version, kind) = self.models.get(told.model as usize)?;
        let gone = GoneDevice {
            id: told.id,
            hw_id: key.as_str(),
            domain_id: (told.domain != 0).then_some(DomainId(told.domain)),
            product,
            version,
            r#type: kind,
            pbx_active: told.pbx_active,
            online: told.online,
        };
        // Plain structures always serialise.
        serde_json::to_string(&gone).ok()
    }

    /// From now on everything is told once more.
    pub fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// The devices that have not been told in this round.
    pub fn left_over(&self) -> impl Iterator<Item = &DeviceKey> {
        self.devices.iter().filter(|(_, told)| told.round != self.round).map(|(key, _)| key)
    }

    fn model(&mut self, view: &DeviceView) -> u32 {
        let facts = &view.facts;
        let model = (facts.product.clone(), facts.version.clone(), facts.platform.clone());
        if let Some(number) = self.numbers.get(&model) {
            return *number;
        }
        // Updates leave models behind that no device has any more.
        if self.models.len() > 2 * self.devices.len() + 64 {
            self.tidy_models();
        }
        let number = u32::try_from(self.models.len()).unwrap_or(u32::MAX);
        self.models.push(model.clone());
        self.numbers.insert(model, number);
        number
    }

    fn tidy_models(&mut self) {
        let old = std::mem::take(&mut self.models);
        self.numbers.clear();
        for told in self.devices.values_mut() {
            let Some(model) = old.get(told.model as usize) else { continue };
            told.model = *self.numbers.entry(model.clone()).or_insert_with(|| {
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

    fn tell(known: &mut Known, view: &DeviceView) -> DeviceChange {
        let text = view.object().text();
        known.tell(view, &text)
    }

    #[test]
    fn only_what_differs_is_news() {
        let (mut known, mut one) = (Known::default(), view(1, 2, "PHONE"));
        assert_eq!(tell(&mut known, &one), DeviceChange::Added);
        assert_eq!(tell(&mut known, &one), DeviceChange::Same);
        one.online = false;
        assert_eq!(tell(&mut known, &one), DeviceChange::Changed);
        assert_eq!(
            known.forget(&one.key).unwrap(),
            concat!(
                r#"{"id":1,"hwId":"device-1","domainId":2,"product":"IP112","version":"13r3","type":"PHONE","#,
                r#""pbxActive":false,"online":false}"#
            )
        );
        assert_eq!(known.forget(&one.key), None);
    }

    #[test]
    fn a_round_leaves_over_what_it_has_not_met() {
        let mut known = Known::default();
        for id in 1..=3 {
            tell(&mut known, &view(id, 2, "PHONE"));
        }
        known.begin_round();
        assert_eq!(known.left_over().count(), 3);
        tell(&mut known, &view(2, 2, "PHONE"));
        let mut left: Vec<_> = known.left_over().map(DeviceKey::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["device-1", "device-3"]);
    }

    #[test]
    fn models_of_the_past_are_forgotten() {
        let (mut known, mut one, mut other) = (Known::default(), view(1, 2, "PHONE"), view(2, 2, "GW"));
        for version in 0..1000 {
            one.facts.version = version.to_string().into();
            tell(&mut known, &one);
        }
        other.facts.version = "last".into();
        tell(&mut known, &other);
        assert!(known.models.len() < 100, "{}", known.models.len());
        assert!(known.forget(&one.key).unwrap().contains(r#""version":"999""#));
        assert!(known.forget(&other.key).unwrap().contains(r#""version":"last""#));
    }

    #[test]
    fn a_device_costs_little() {
        assert_eq!(std::mem::size_of::<(DeviceKey, KnownDevice)>(), 48);
    }
}
