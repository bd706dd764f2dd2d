//! Signals between nodes. Losing one costs time, never data.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Result;
use super::observed::store_trait;
use crate::core::model::accounts::AccountName;
use crate::core::model::device::UnassignedDevice;
use crate::core::model::ids::{Code, ConnId, DeviceKey, DomainName, NodeId};
use crate::core::model::users_role::Changed;

/// A message between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// There is a new notice in the mailbox of this domain.
    Mail {
        /// The domain.
        domain: DomainName,
        /// The code that a device has just used, if it is about one.
        code: Option<Code>,
    },
    /// A device has become a member elsewhere: close this connection if it is still open.
    Evict {
        /// Domain of the device.
        domain: DomainName,
        /// The device.
        key: DeviceKey,
        /// The node that held it.
        node: NodeId,
        /// The connection there.
        conn: ConnId,
    },
    /// Settings, categories or jobs of a domain have changed, or it was created or deleted.
    Tenant {
        /// The domain.
        domain: DomainName,
    },
    /// Properties of these devices that clients see have changed: online, version, name, category, or they have just
    /// entered.
    Changed {
        /// Their domain.
        domain: DomainName,
        /// The devices.
        keys: Vec<DeviceKey>,
    },
    /// A device has left a domain.
    Gone {
        /// The domain that it has left.
        domain: DomainName,
        /// Its last known properties.
        device: Box<UnassignedDevice>,
    },
    /// The number of unassigned devices has changed, or one of them has.
    #[serde(rename = "Strangers")]
    UnassignedChanged,
    /// An operator has changed which domain a device belongs to: its connection has to read the record again.
    Recheck {
        /// The node that holds the connection.
        node: NodeId,
        /// The connection there.
        conn: ConnId,
    },
    /// Sessions of an account have ended: streams and answers under way for them end too.
    SessionsEnded {
        /// The account.
        account: AccountName,
    },
    /// Requests for phones have changed.
    People {
        /// Their domain.
        domain: DomainName,
        /// What has changed.
        changed: Vec<Changed>,
    },
    /// The connection to the other nodes was interrupted and works again: signals may have been lost.
    Gap,
}

store_trait! {
    /// Signals between nodes.
    pub trait Bus: Send + Sync {
        /// Sends a signal to every node, including this one.
        async fn publish(&self, signal: &Signal) -> Result<()> => Publish;

        /// Everything that is published from now on. The receiver gets [`Signal::Gap`] after an interruption.
        fn subscribe(&self) -> mpsc::Receiver<Signal>;
    }
}
