//! Devices of several domains in the order of their numbers, page by page (`docs/protocol/devices-api.md` 3.1).
//!
//! A merge of one lane per domain. It says what to read next and gives out what nothing can come before any more. In memory
//! are the devices read ahead only: some thousand, however many domains and devices there are.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{DeviceId, DomainName};
use crate::core::protocol::appws::select::Selection;

/// Devices read ahead over all lanes, about.
const AHEAD: usize = 4000;
/// Bounds of one reading.
const READ: (usize, usize) = (16, 500);

/// A list that is being given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    selection: Arc<Selection>,
    lanes: Vec<Lane>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lane {
    /// `None`: the devices without a domain.
    domain: Option<DomainName>,
    /// Read up to this number.
    after: DeviceId,
    waiting: VecDeque<DeviceView>,
}

/// What to read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The domain; `None`: the devices without one.
    pub domain: Option<DomainName>,
    /// Only greater numbers.
    pub after: DeviceId,
    /// As many at most.
    pub limit: usize,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Read {
    /// The devices, sorted by number, whether they are selected or not.
    pub devices: Vec<DeviceView>,
    /// The number of the last one looked at; `None`: there are no more.
    pub to: Option<DeviceId>,
}

impl Walk {
    /// The selected devices of these domains (`None`: those without a domain).
    pub fn new(selection: Arc<Selection>, domains: impl IntoIterator<Item = Option<DomainName>>) -> Self {
        let lane = |domain| Lane { domain, after: DeviceId(0), waiting: VecDeque::new() };
        Self { selection, lanes: domains.into_iter().map(lane).collect() }
    }

    /// What has to be read before anything more can be given out.
    pub fn readings(&self) -> Vec<Reading> {
        let limit = (AHEAD / self.lanes.len().max(1)).clamp(READ.0, READ.1);
        let empty = self.lanes.iter().filter(|lane| lane.waiting.is_empty());
        empty.map(|lane| Reading { domain: lane.domain.clone(), after: lane.after, limit }).collect()
    }

    /// Takes in what was read for each of [`Walk::readings`], in the same order.
    pub fn read(&mut self, reads: Vec<Read>) {
        let empty = self.lanes.iter_mut().filter(|lane| lane.waiting.is_empty());
        let mut ended = Vec::new();
        for (lane, Read { devices, to }) in empty.zip(reads) {
            lane.waiting.extend(devices.into_iter().filter(|view| self.selection.takes(view)));
            match to {
                // A store that does not come on must not be asked for ever.
                Some(to) if to > lane.after => lane.after = to,
                _ => ended.push(lane.domain.clone()),
            }
        }
        for lane in self.lanes.iter_mut().filter(|lane| ended.contains(&lane.domain)) {
            lane.after = DeviceId(u64::MAX);
        }
        self.forget_ended();
    }

    /// Gives out up to `limit` devices that nothing unread can come before.
    pub fn take(&mut self, limit: usize) -> Vec<DeviceView> {
        let mut taken = Vec::new();
        while taken.len() < limit && self.lanes.iter().all(|lane| !lane.waiting.is_empty()) {
            let next = self.lanes.iter_mut().min_by_key(|lane| lane.waiting.front().map(|view| view.id));
            let Some(view) = next.and_then(|lane| lane.waiting.pop_front()) else { break };
            taken.push(view);
            self.forget_ended();
        }
        taken
    }

    /// Whether everything has been given out.
    pub fn is_over(&self) -> bool {
        self.lanes.is_empty()
    }

    fn forget_ended(&mut self) {
        self.lanes.retain(|lane| lane.after < DeviceId(u64::MAX) || !lane.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::model::device_view::tests::view;

    fn read(fleet: &[Vec<u64>], reading: &Reading) -> Read {
        let number: usize = reading.domain.as_ref().unwrap().as_str().parse().unwrap();
        let ids = fleet[number].iter().copied().filter(|id| *id > reading.after.0).take(reading.limit);
        let kind = |id| if id % 3 == 0 { "GW" } else { "PHONE" };
        let devices: Vec<_> = ids.map(|id| view(id, number as u64, kind(id))).collect();
        let to = devices.last().filter(|_| devices.len() == reading.limit).map(|view| view.id);
        Read { devices, to }
    }

    fn walked(fleet: &[Vec<u64>], selection: Selection, page: usize) -> Vec<u64> {
        let domains = (0..fleet.len()).map(|n| Some(DomainName::parse(&n.to_string()).unwrap()));
        let mut walk = Walk::new(Arc::new(selection), domains);
        let mut ids = Vec::new();
        while !walk.is_over() {
            let reads = walk.readings().iter().map(|reading| read(fleet, reading)).collect();
            walk.read(reads);
            let held: usize = walk.lanes.iter().map(|lane| lane.waiting.len()).sum();
            assert!(held <= AHEAD.max(fleet.len() * READ.0), "{held}");
            ids.extend(walk.take(page).iter().map(|view| view.id.0));
        }
        ids
    }

    proptest! {
        #[test]
        fn all_come_once_and_in_order(
            owners in prop::collection::vec(0..9_usize, 0..3000), page in 1..1500_usize, phones in any::<bool>()
        ) {
            let mut fleet = vec![Vec::new(); 9];
            for (owner, id) in owners.iter().zip(1..) {
                fleet[*owner].push(id);
            }
            let types: &[&str] = if phones { &["PHONE"] } else { &[] };
            let expected: Vec<u64> = (1..=owners.len() as u64).filter(|id| !phones || id % 3 != 0).collect();
            prop_assert_eq!(walked(&fleet, Selection { types, ..Selection::default() }, page), expected);
        }
    }

    #[test]
    fn no_domain_is_no_device() {
        assert!(walked(&[], Selection::default(), 10).is_empty());
    }
}
