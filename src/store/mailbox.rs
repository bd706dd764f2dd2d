//! The mailbox of a domain: notices on their way to Users (`docs/protocol/devices-api.md` 2.5).

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use crate::core::model::device::Notice;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};

store_trait! {
    /// The mailbox of a domain. A notice stays in it until it is settled, or for 30 days after the use of its code.
    pub trait Mailbox: Send + Sync {
        /// Moves the pending code of a device into the mailbox. False if none is pending. May be repeated.
        async fn deposit(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> => Deposit;

        /// Deposits for every device whose code has been pending for longer than `age`. Returns how many.
        async fn deposit_overdue(&self, domain: &DomainName, age: Duration) -> Result<u64> => DepositOverdue;

        /// Takes up to `limit` notices for delivery by `node`: those addressed to it, to nobody, or to a node that is
        /// not alive, and not taken by another live node within `lease`. They stay in the mailbox until settled.
        /// `skip` are the codes whose notices the caller is already delivering.
        async fn take(
            &self,
            domain: &DomainName,
            node: &NodeId,
            lease: Duration,
            limit: usize,
            skip: &[Code],
        ) -> Result<Vec<Notice>> => Take;

        /// Gives taken notices back: any node may take them now.
        async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()> => Release;

        /// The notices have been delivered; they leave the mailbox.
        async fn settle(&self, domain: &DomainName, codes: &[Code]) -> Result<()> => Settle;

        /// How many notices are in the mailbox.
        async fn depth(&self, domain: &DomainName) -> Result<u64> => Depth;
    }
}
