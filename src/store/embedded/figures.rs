//! Totals of the file: its indexes know their lengths, and nodes report how many members they have.

use std::time::Duration;

use async_trait::async_trait;

use super::rows::DomainRow;
use super::{Embedded, keys};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{DomainName, NodeId};
use crate::store::record::corrupt;
use crate::store::{Figures, Result, Totals};

#[async_trait]
impl Figures for Embedded {
    async fn publish_member_count(&self, node: &NodeId, members: u64) -> Result<()> {
        self.memory.set_member_count(node, members);
        Ok(())
    }

    async fn figures(&self) -> Result<Totals> {
        let mut totals = self.kv.read(|snapshot| {
            let mut totals = Totals::default();
            let mut first_end = None;
            for (name, _) in snapshot.with_prefix::<DomainRow>(keys::DOMAIN)? {
                let domain = DomainName::parse(&name).map_err(|e| corrupt(keys::DOMAIN, &e))?;
                let devices = snapshot.count(&keys::devices(&domain))?;
                totals.devices += devices;
                totals.most_devices = totals.most_devices.max(devices);
                totals.short_codes += snapshot.count_open(&keys::open(&domain, false))?;
                totals.rollout_codes += snapshot.count_open(&keys::open(&domain, true))?;
                let mailbox = keys::mailbox(&domain);
                totals.notices += snapshot.count_open(&mailbox)?;
                let first = snapshot.first_score(&mailbox, snapshot.now.0 + 1)?;
                first_end = first_end.into_iter().chain(first).min();
            }
            // A notice ends a fixed time after the use of its code.
            totals.oldest =
                first_end.map(|end| Duration::from_millis((snapshot.now + KEEP_USED).0.saturating_sub(end)));
            Ok(totals)
        })?;
        totals.online = self.memory.online_members(self.kv.now());
        Ok(totals)
    }
}
