//! What clients see of the members of a domain has changed: told to all nodes, many changes at once.

use actix::{AsyncContext as _, Context};

use crate::core::model::ids::DeviceKey;
use crate::store::Signal;
use crate::tenant::actor::DomainActor;
use crate::tenant::coalesce::BEAT;

/// Devices in one signal.
const IN_ONE: usize = 500;

impl DomainActor {
    /// What clients see of these devices has changed.
    pub(super) fn changed(&mut self, keys: Vec<DeviceKey>, ctx: &mut Context<Self>) {
        if self.changes.happened(keys) {
            self.tell_of_changes(ctx);
        }
    }

    pub(crate) fn tell_of_changes(&mut self, ctx: &mut Context<Self>) {
        let (keys, domain) = (self.changes.take(), self.name.clone());
        if let Some(node) = self.node.upgrade() {
            let begun = node.underway.begin();
            actix_rt::spawn(async move {
                for keys in keys.chunks(IN_ONE) {
                    let signal = Signal::Changed { domain: domain.clone(), keys: keys.to_vec() };
                    if let Err(error) = node.store.publish(&signal).await {
                        tracing::debug!(%error, "changes of devices not published");
                    }
                }
                drop(begun);
            });
        }
        ctx.run_later(BEAT, |domain, ctx| {
            if domain.changes.beat() {
                domain.tell_of_changes(ctx);
            }
        });
    }
}
