//! The messages that the rest of a node sends to the actor of a connection.
//!
//! There is one message type for each of the two kinds of connection. The table of connections, the tenant and tunnels
//! keep a recipient of these messages and know neither the actor nor its session. The handlers are in
//! `src/device/messages.rs` and `src/app_connection/messages.rs`. The messages of a connection to its tenant are in
//! `src/tenant/messages.rs`.

use std::sync::Arc;

use actix::{Message, Recipient};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::core::model::ids::DomainName;
use crate::core::protocol::close::Close;
use crate::core::session::app::event::{DataChange, Delivery};
use crate::core::session::device::event::{Output, TunnelId, TunnelRequest};

/// The actor of a device connection. The table of connections and the tenant share one recipient: an idle device costs
/// each of them a pointer.
pub type DeviceRecipient = Arc<Recipient<DeviceMessage>>;

/// For the actor of a device connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DeviceMessage {
    /// End the connection for this reason, from outside of its protocol.
    End(Close),
    /// The process stops: end with [`Close::Stopping`] as soon as what is under way is finished.
    Finish,
    /// The actor of the tenant is gone: join its successor.
    DomainLost,
    /// An operator may have changed the domain of the device: look it up.
    Recheck,
    /// The jobs of the domain have changed.
    Replan,
    /// The administrative password of the domain has changed.
    AdminPasswordChanged,
    /// Open a tunnel session.
    OpenTunnel {
        /// The session.
        id: TunnelId,
        /// What the device is sent.
        request: TunnelRequest,
        /// Where its answer goes.
        outputs: mpsc::Sender<Output>,
    },
    /// The reader of a tunnel session has taken the last output.
    TunnelTaken(TunnelId),
    /// Bytes for the device from the reader of a tunnel session, after an upgrade.
    TunnelPipe(TunnelId, Bytes),
    /// The reader of a tunnel session has gone away.
    TunnelAbandoned(TunnelId),
}

/// For the actor of an app connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum AppMessage {
    /// End the connection for this reason, from outside of its protocol.
    End(Close),
    /// The process stops: end with [`Close::Stopping`] as soon as what is under way is finished.
    Finish,
    /// Notices from the mailbox of a domain.
    Deliver {
        /// The domain.
        domain: DomainName,
        /// The notices with their devices.
        deliveries: Vec<Delivery>,
    },
    /// The actor of this tenant is gone: register with its successor.
    DomainLost(DomainName),
    /// Something that the connection follows has changed.
    DataChanged(DataChange),
    /// Rights may have ended: check those of the connection.
    CheckRights,
}
