//! State in memory that ends with the process: where members are online, and the leases of nodes and notices.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Embedded;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::core::model::time::UnixMillis;
use crate::store::{Presence, Result, Whereabouts};

#[derive(Default)]
struct State {
    /// Where a member is online, and its previous connection.
    members: HashMap<DomainName, HashMap<DeviceKey, (Whereabouts, Option<Whereabouts>)>>,
    /// Where an unassigned device is online.
    unassigned_devices: HashMap<DeviceKey, Whereabouts>,
    nodes: HashMap<NodeId, UnixMillis>,
    /// How many members each node has reported.
    member_counts: HashMap<NodeId, u64>,
    /// Which node delivers a notice, and until when no other node may.
    notices: HashMap<(DomainName, Code), (NodeId, UnixMillis)>,
}

impl State {
    fn alive(&self, node: &NodeId, now: UnixMillis) -> bool {
        self.nodes.get(node).is_some_and(|ends| *ends > now)
    }
}

/// The state in memory of one store.
#[derive(Default)]
pub(super) struct Memory(Mutex<State>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change below is one insert or one remove, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn forget(&self, domain: &DomainName, key: &DeviceKey) {
        if let Some(members) = self.lock().members.get_mut(domain) {
            members.remove(key);
        }
    }

    /// Where devices of a domain are online now, in their order.
    pub fn online(&self, domain: &DomainName, keys: &[DeviceKey], now: UnixMillis) -> Vec<Option<Whereabouts>> {
        let state = self.lock();
        let members = state.members.get(domain);
        let at = |key| members.and_then(|members| members.get(key)).map(|(at, _)| at);
        keys.iter().map(|key| at(key).filter(|at| state.alive(&at.node, now)).cloned()).collect()
    }

    pub fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) {
        self.lock().unassigned_devices.insert(key.clone(), at.clone());
    }

    pub fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) {
        let mut state = self.lock();
        if state.unassigned_devices.get(key) == Some(at) {
            state.unassigned_devices.remove(key);
        }
    }

    pub fn forget_unassigned(&self, key: &DeviceKey) {
        self.lock().unassigned_devices.remove(key);
    }

    pub fn unassigned_device(&self, key: &DeviceKey, now: UnixMillis) -> Option<Whereabouts> {
        let state = self.lock();
        state.unassigned_devices.get(key).filter(|at| state.alive(&at.node, now)).cloned()
    }

    pub fn set_member_count(&self, node: &NodeId, members: u64) {
        self.lock().member_counts.insert(node.clone(), members);
    }

    /// The members of all nodes that are alive.
    pub fn online_members(&self, now: UnixMillis) -> u64 {
        let state = self.lock();
        state.member_counts.iter().filter(|(node, _)| state.alive(node, now)).map(|(_, members)| members).sum()
    }

    /// Takes a notice for `node`, unless its holder or the node that took it before is another live node.
    pub fn lease(
        &self,
        domain: &DomainName,
        code: Code,
        holder: Option<&NodeId>,
        node: &NodeId,
        lease: Duration,
        now: UnixMillis,
    ) -> bool {
        let mut state = self.lock();
        let key = (domain.clone(), code);
        let lessee = state.notices.get(&key).filter(|(_, ends)| *ends > now).map(|(lessee, _)| lessee);
        let bars = |other: &NodeId| other != node && state.alive(other, now);
        if holder.is_some_and(bars) || lessee.is_some_and(bars) {
            return false;
        }
        state.notices.insert(key, (node.clone(), now + lease));
        true
    }

    /// False if another node has taken the notice.
    pub fn end_notice_lease(&self, domain: &DomainName, code: Code, node: &NodeId, now: UnixMillis) -> bool {
        let mut state = self.lock();
        let key = (domain.clone(), code);
        if state.notices.get(&key).is_some_and(|(lessee, ends)| lessee != node && *ends > now) {
            return false;
        }
        state.notices.remove(&key);
        true
    }

    pub fn forget_notices(&self, domain: &DomainName, codes: &[Code]) {
        let mut state = self.lock();
        for &code in codes {
            state.notices.remove(&(domain.clone(), code));
        }
    }
}

#[async_trait]
impl Presence for Embedded {
    async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()> {
        self.memory.lock().nodes.insert(node.clone(), self.kv.now() + ttl);
        Ok(())
    }

    async fn end_lease(&self, node: &NodeId) -> Result<()> {
        let mut state = self.memory.lock();
        state.nodes.remove(node);
        state.member_counts.remove(node);
        Ok(())
    }

    async fn attach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<Option<Whereabouts>> {
        let mut state = self.memory.lock();
        let members = state.members.entry(domain.clone()).or_default();
        let before = match members.get(key) {
            // A repetition gives the same answer.
            Some((now, before)) if now == at => before.clone(),
            Some((now, _)) => Some(now.clone()),
            None => None,
        };
        members.insert(key.clone(), (at.clone(), before.clone()));
        Ok(before)
    }

    async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        let mut state = self.memory.lock();
        if let Some(members) = state.members.get_mut(domain)
            && members.get(key).is_some_and(|(now, _)| now == at)
        {
            members.remove(key);
        }
        Ok(())
    }

    async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>> {
        Ok(self.memory.online(domain, std::slice::from_ref(key), self.kv.now()).pop().flatten())
    }
}
