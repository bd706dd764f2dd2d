//! An unassigned device on a connection of this node: takes one of a limited number of places, and records the device
//! as online while the connection is open (`docs/protocol/sysclient.md` section 5).

use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Recipient;
use tokio::sync::oneshot;

use crate::connection::messages::{DeviceMessage, DeviceRecipient};
use crate::connection::table::UnassignedSlot;
use crate::core::model::ids::{ConnId, DeviceKey};
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::sysclient::admin::Identify;
use crate::device::services::Services;
use crate::lifecycle::InFlightGuard;

/// How often its record is renewed, and its domain checked, at least.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// A device without a record is looked for again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// An attempt that failed is repeated after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// An unassigned device; when dropped, it is not online any more.
pub(super) struct UnassignedDevice {
    _slot: UnassignedSlot,
    _gone: oneshot::Sender<()>,
}

impl UnassignedDevice {
    /// Keeps the record of the device in the store until this is dropped.
    pub fn new(
        slot: UnassignedSlot,
        services: &Arc<Services>,
        (key, identify, source): (DeviceKey, Option<Arc<Identify>>, SourceKey),
        conn: ConnId,
        device: &DeviceRecipient,
    ) -> Self {
        let (gone, left) = oneshot::channel();
        // A stop waits for the end of this, which comes when the connections have ended.
        let in_flight = services.in_flight.begin();
        actix_rt::spawn(keep(
            Arc::clone(services),
            (key, identify, source),
            conn,
            Arc::downgrade(device),
            left,
            in_flight,
        ));
        Self { _slot: slot, _gone: gone }
    }
}

async fn keep(
    services: Arc<Services>,
    (key, identify, source): (DeviceKey, Option<Arc<Identify>>, SourceKey),
    conn: ConnId,
    device: Weak<Recipient<DeviceMessage>>,
    mut left: oneshot::Receiver<()>,
    _in_flight: InFlightGuard,
) {
    let (keep, at) = (services.registration.keep_unassigned(), services.whereabouts(conn));
    let mut first = true;
    loop {
        let next = match services.store.attach_unassigned(&key, &at, keep).await {
            Ok(there) => {
                if std::mem::take(&mut first) {
                    services.directory.unassigned_changed();
                }
                if let Some(device) = device.upgrade().filter(|_| !there) {
                    // It may have been put into a domain, and the signal lost.
                    device.do_send(DeviceMessage::Recheck);
                }
                match &identify {
                    // Or its record has given way to others. It is attached at the next look.
                    Some(identify) if !there => {
                        if let Err(error) = services.registration.record_again(&key, &identify.facts, source).await {
                            tracing::debug!(%error, "unassigned device not recorded again");
                        }
                        LOOK_AGAIN.min(keep / 2)
                    }
                    _ => LOOK_EVERY.min(keep / 2),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "unassigned device not attached; trying again");
                AGAIN
            }
        };
        tokio::select! {
            _ = &mut left => break,
            () = tokio::time::sleep(next) => {}
        }
    }
    if let Err(error) = services.store.detach_unassigned(&key, &at).await {
        tracing::debug!(%error, "unassigned device not detached");
    }
    services.directory.unassigned_changed();
}
