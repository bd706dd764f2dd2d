//! Reads the devices of several domains page by page, in the order of their numbers (`docs/protocol/devices-api.md`
//! 3.1).
//!
//! Merges one lane per domain: says what to read next, and returns devices as soon as no unread one can precede them.
//! Only devices read ahead are in memory: some thousand, however many domains and devices there are. Does not read the
//! store itself.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{DeviceId, DomainName};
use crate::core::protocol::appws::select::Selection;

/// Devices read ahead in all lanes together, approximately.
const MAX_READ_AHEAD: usize = 4000;
/// Smallest and largest size of one read.
const READ_SIZE: (usize, usize) = (16, 500);

/// Progress of a list of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePager {
    selection: Arc<Selection>,
    lanes: Vec<Lane>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lane {
    /// `None`: the unassigned devices.
    domain: Option<DomainName>,
    /// Read up to this number.
    after: DeviceId,
    waiting: VecDeque<DeviceView>,
}

/// A read to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRead {
    /// The domain; `None`: the unassigned devices.
    pub domain: Option<DomainName>,
    /// Only devices with greater numbers.
    pub after: DeviceId,
    /// Number of devices, at most.
    pub limit: usize,
}

/// The result of a read.
#[derive(Debug, Clone)]
pub struct LaneResult {
    /// The devices, sorted by number, whether they are selected or not.
    pub devices: Vec<DeviceView>,
    /// The number of the last device read; `None`: there are no more.
    pub to: Option<DeviceId>,
}

impl DevicePager {
    /// The selected devices of these domains (`None`: the unassigned devices).
    pub fn new(selection: Arc<Selection>, domains: impl IntoIterator<Item = Option<DomainName>>) -> Self {
        let lane = |domain| Lane { domain, after: DeviceId(0), waiting: VecDeque::new() };
        Self { selection, lanes: domains.into_iter().map(lane).collect() }
    }

    /// The reads that are needed before more devices can be returned.
    pub fn readings(&self) -> Vec<LaneRead> {
        let limit = (MAX_READ_AHEAD / self.lanes.len().max(1)).clamp(READ_SIZE.0, READ_SIZE.1);
        let empty = self.lanes.iter().filter(|lane| lane.waiting.is_empty());
        empty.map(|lane| LaneRead { domain: lane.domain.clone(), after: lane.after, limit }).collect()
    }

    /// Handles the results of [`DevicePager::readings`], in the same order.
    pub fn read(&mut self, reads: Vec<LaneResult>) {
        let empty = self.lanes.iter_mut().filter(|lane| lane.waiting.is_empty());
        let mut ended = Vec::new();
        for (lane, LaneResult { devices, to }) in empty.zip(reads) {
            lane.waiting.extend(devices.into_iter().filter(|view| self.selection.takes(view)));
            match to {
                // A store that makes no progress must not be asked for ever.
                Some(to) if to > lane.after => lane.after = to,
                _ => ended.push(lane.domain.clone()),
            }
        }
        for lane in self.lanes.iter_mut().filter(|lane| ended.contains(&lane.domain)) {
            lane.after = DeviceId(u64::MAX);
        }
        self.drop_ended_lanes();
    }

    /// Returns up to `limit` devices that no unread device can precede.
    pub fn take(&mut self, limit: usize) -> Vec<DeviceView> {
        let mut taken = Vec::new();
        while taken.len() < limit && self.lanes.iter().all(|lane| !lane.waiting.is_empty()) {
            let next = self.lanes.iter_mut().min_by_key(|lane| lane.waiting.front().map(|view| view.id));
            let Some(view) = next.and_then(|lane| lane.waiting.pop_front()) else { break };
            taken.push(view);
            self.drop_ended_lanes();
        }
        taken
    }

    /// Whether all devices were returned.
    pub fn is_over(&self) -> bool {
        self.lanes.is_empty()
    }

    fn drop_ended_lanes(&mut self) {
        self.lanes.retain(|lane| lane.after < DeviceId(u64::MAX) || !lane.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::model::device_view::tests::view;

    fn read(fleet: &[Vec<u64>], reading: &LaneRead) -> LaneResult {
        let number: usize = reading.domain.as_ref().unwrap().as_str().parse().unwrap();
        let ids = fleet[number].iter().copied().filter(|id| *id > reading.after.0).take(reading.limit);
        let kind = |id| if id % 3 == 0 { "GW" } else { "PHONE" };
        let devices: Vec<_> = ids.map(|id| view(id, number as u64, kind(id))).collect();
        let to = devices.last().filter(|_| devices.len() == reading.limit).map(|view| view.id);
        LaneResult { devices, to }
    }

    fn paged(fleet: &[Vec<u64>], selection: Selection, page: usize) -> Vec<u64> {
        let domains = (0..fleet.len()).map(|n| Some(DomainName::parse(&n.to_string()).unwrap()));
        let mut pager = DevicePager::new(Arc::new(selection), domains);
        let mut ids = Vec::new();
        while !pager.is_over() {
            let reads = pager.readings().iter().map(|reading| read(fleet, reading)).collect();
            pager.read(reads);
            let held: usize = pager.lanes.iter().map(|lane| lane.waiting.len()).sum();
            assert!(held <= MAX_READ_AHEAD.max(fleet.len() * READ_SIZE.0), "{held}");
            ids.extend(pager.take(page).iter().map(|view| view.id.0));
        }
        ids
    }

    proptest! {
        #[test]
        fn every_device_is_returned_once_and_in_order(
            owners in prop::collection::vec(0..9_usize, 0..3000), page in 1..1500_usize, phones in any::<bool>()
        ) {
            let mut fleet = vec![Vec::new(); 9];
            for (owner, id) in owners.iter().zip(1..) {
                fleet[*owner].push(id);
            }
            let types = if phones { vec!["PHONE".into()] } else { Vec::new() };
            let expected: Vec<u64> = (1..=owners.len() as u64).filter(|id| !phones || id % 3 != 0).collect();
            prop_assert_eq!(paged(&fleet, Selection { types, ..Selection::default() }, page), expected);
        }
    }

    #[test]
    fn without_domains_there_are_no_devices() {
        assert!(paged(&[], Selection::default(), 10).is_empty());
    }
}
