//! Planning the work for a device, and keeping how far it has come.

use std::sync::Arc;

use actix_rt::task::JoinHandle;
use actix_web_actors::ws::WebsocketContext;

use crate::clock;
use crate::core::model::device::Device;
use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::Work;
use crate::core::policy::jobs::plan::{self, Occasion};
use crate::core::policy::log_limiter::LogLimiter;
use crate::core::session::device::event::{Basis, Event, Planned};
use crate::device::actor::DeviceActor;
use crate::device::job_metrics::FailedKinds;
use crate::node::Node;

/// The progress on its way to the store. One after the other, so that nothing older replaces it.
#[derive(Default)]
pub(super) struct ProgressSaver(Option<JoinHandle<()>>, FailedKinds);

impl ProgressSaver {
    /// What is on its way, if anything; whoever reads the record waits for it.
    fn take(&mut self) -> Option<JoinHandle<()>> {
        self.0.take().filter(|kept| !kept.is_finished())
    }

    /// Counts what has become of an attempt.
    pub(super) fn happened(&mut self, event: &TimelineEvent) {
        self.1.add(event);
    }

    /// Forgets what has arrived: an idle member keeps nothing of it.
    pub(super) fn tidy(&mut self) {
        self.0 = self.take();
    }
}

impl DeviceActor {
    pub(super) fn keep(&mut self, work: Box<Work>) {
        let Some((domain, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else { return };
        self.keeping.1.count_given_up(&work);
        let (node, before) = (Arc::clone(&self.node), self.keeping.take());
        let begun = self.node.underway.begin();
        self.keeping.0 = Some(actix_rt::spawn(async move {
            if let Some(before) = before {
                // One that failed has said so.
                let _ = before.await;
            }
            if let Err(error) = node.store.keep_work(&domain, &key, &work).await {
                // It is done once more then, which changes nothing.
                tracing::warn!(%error, device = %key, "progress not kept");
            }
            drop(begun);
        }));
    }

    /// Holds the jobs of the domain against the device. With the record at hand it costs nothing of the store.
    pub(super) fn plan(&mut self, basis: Basis, ctx: &mut WebsocketContext<Self>) {
        let facts = match basis {
            Basis::Registered(device) => return self.plan_for(device, Occasion::Registered, ctx),
            Basis::Record(device) => return self.plan_for(device, Occasion::Meanwhile, ctx),
            Basis::Store(facts) => facts,
        };
        let Some((domain, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else { return };
        let (node, kept) = (Arc::clone(&self.node), self.keeping.take());
        let look = async move {
            if let Some(kept) = kept {
                let _ = kept.await;
            }
            match node.store.find_device(&key).await {
                Ok(device) => device.filter(|device| device.domain == domain).map_or(Planned::Gone, |mut device| {
                    if let Some(facts) = facts {
                        device.facts = *facts;
                    }
                    planned(&node, Box::new(device), Occasion::Meanwhile)
                }),
                Err(error) => {
                    static FAILED: LogLimiter = LogLimiter::new();
                    if let Some(unsaid) = FAILED.due(clock::now()) {
                        tracing::warn!(%error, device = %key, unsaid, "work not planned; trying again");
                    }
                    Planned::Unavailable
                }
            }
        };
        self.ask(look, ctx, |phone, planned, ctx| phone.feed(Event::Planned(planned), ctx));
    }

    fn plan_for(&mut self, device: Box<Device>, occasion: Occasion, ctx: &mut WebsocketContext<Self>) {
        let planned = planned(&self.node, device, occasion);
        self.feed(Event::Planned(planned), ctx);
    }
}

fn planned(node: &Node, device: Box<Device>, occasion: Occasion) -> Planned {
    let now = clock::time_of_day();
    let plan = plan::plan(&device, &node.tenants.jobs(&device.domain), occasion, now, &node.tuning.pace);
    Planned::Work { device, plan: Box::new(plan), now }
}
