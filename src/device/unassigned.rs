//! An unassigned device on a connection of this node: it is seen to be online, for as long as it waits.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use crate::connection::table::UnassignedSlot;
use crate::core::model::ids::DeviceKey;
use crate::device::actor::{DeviceActor, Recheck};
use crate::lifecycle::InFlightGuard;
use crate::node::Node;
use crate::store::Whereabouts;
use crate::tenant::registry::UnassignedChanged;

/// Its record is renewed, and looked for, at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// An attempt that failed is repeated after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// A waiting device; when dropped, it is not online any more.
pub(super) struct Waiting {
    _place: UnassignedSlot,
    _gone: oneshot::Sender<()>,
}

impl Waiting {
    pub fn new(
        place: UnassignedSlot,
        node: &Arc<Node>,
        key: DeviceKey,
        at: Whereabouts,
        phone: &Addr<DeviceActor>,
    ) -> Self {
        let (gone, left) = oneshot::channel();
        // A stop waits for the end of this, which comes when the connections have ended.
        let begun = node.underway.begin();
        actix_rt::spawn(keep(Arc::clone(node), key, at, phone.downgrade(), left, begun));
        Self { _place: place, _gone: gone }
    }
}

async fn keep(
    node: Arc<Node>,
    key: DeviceKey,
    at: Whereabouts,
    phone: actix::WeakAddr<DeviceActor>,
    mut left: oneshot::Receiver<()>,
    _begun: InFlightGuard,
) {
    let keep = node.codes.keep_unassigned();
    let mut first = true;
    loop {
        let next = match node.store.attach_unassigned(&key, &at, keep).await {
            Ok(there) => {
                if std::mem::take(&mut first) {
                    node.registry.do_send(UnassignedChanged);
                }
                if let Some(phone) = phone.upgrade().filter(|_| !there) {
                    // It may have been put into a domain, and the signal lost.
                    phone.do_send(Recheck);
                }
                LOOK_EVERY.min(keep / 2)
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
    if let Err(error) = node.store.detach_unassigned(&key, &at).await {
        tracing::debug!(%error, "unassigned device not detached");
    }
    node.registry.do_send(UnassignedChanged);
}
