//! The messages that connections, the registry and the stop of the node send to the actor of a tenant.
//!
//! None of it names an actor: members and receivers are recipients (`src/connection/messages.rs`). The handlers are in
//! `src/tenant/actor.rs`.

use actix::Message;

use crate::connection::messages::{DeviceMessage, DeviceRecipient};
use crate::core::model::ids::{Code, ConnId, DeviceKey};
use crate::lifecycle::InFlightGuard;
use crate::mailbox::NoticeReceiver;

/// A change of the membership of one device.
pub enum MembershipChange {
    /// The device has become a member on this connection.
    Join(Join),
    /// The connection of a member has ended; in flight until the store knows it too.
    Leave(DeviceKey, ConnId, InFlightGuard),
    /// What clients see of the device has changed.
    Changed(DeviceKey),
}

/// Changes of several connections (`src/tenant/membership_batch.rs`).
#[derive(Message)]
#[rtype(result = "()")]
pub struct MembershipBatch(pub Vec<MembershipChange>);

/// A device that becomes a member. If the actor ends before it has accepted the device, the connection gets
/// [`DeviceMessage::DomainLost`], like any member.
pub struct Join {
    /// The device.
    pub key: DeviceKey,
    /// Its connection.
    pub conn: ConnId,
    device: Option<DeviceRecipient>,
}

impl Join {
    /// For the connection `conn`, whose actor is `device`.
    pub const fn new(key: DeviceKey, conn: ConnId, device: DeviceRecipient) -> Self {
        Self { key, conn, device: Some(device) }
    }

    /// Accepts the device: from now on the owner of what is returned sends [`DeviceMessage::DomainLost`] at its end.
    pub(super) const fn accept(&mut self) -> Option<DeviceRecipient> {
        self.device.take()
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            device.do_send(DeviceMessage::DomainLost);
        }
    }
}

/// Asks for the connection of a member on this node.
#[derive(Message)]
#[rtype(result = "Option<DeviceRecipient>")]
pub struct Lookup(pub DeviceKey);

/// A newer connection of a member has authenticated on another node.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Evict {
    /// The device.
    pub key: DeviceKey,
    /// The connection that has been replaced.
    pub conn: ConnId,
}

/// Signals may have been lost: compare every member with the store, and close those that live elsewhere now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconcile;

/// Settings or jobs of the domain have changed: tell the members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct TenantChanged {
    /// The administrative password.
    pub admin_password: bool,
    /// The jobs.
    pub jobs: bool,
}

/// An app connection has logged in to this domain, or waits for further codes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RegisterReceiver(pub ConnId, pub NoticeReceiver);

/// An app connection has ended; notices that it has not settled may go to another one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RemoveReceiver(pub ConnId);

/// Notices are settled, as far as this connection is concerned.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle(pub ConnId, pub Vec<Code>);

/// Something may be in the mailbox; the notice of this code is new there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake(pub Option<Code>);

/// The node stops: perform delayed work now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flush;
