//! Plans the work for a device: compares the jobs of its domain with its record (`docs/concept.md` sections 6 and 7).
//!
//! The plan is made in `src/core/policy/jobs/plan.rs`; the progress is written by
//! [`crate::device::progress_saver`].

use std::sync::Arc;

use actix_web_actors::ws::WebsocketContext;

use crate::clock;
use crate::core::model::device::Device;
use crate::core::policy::jobs::plan::{self, Occasion};
use crate::core::policy::log_limiter::LogLimiter;
use crate::core::protocol::sysclient::config::CONFIG_SEED_CHARS;
use crate::core::session::device::event::{Basis, Event, Planned};
use crate::device::actor::DeviceActor;
use crate::device::services::Services;
use crate::random;

impl DeviceActor {
    /// Plans the work. If the record is already read, this does not access the store.
    pub(super) fn plan(&mut self, basis: Basis, ctx: &mut WebsocketContext<Self>) {
        let facts = match basis {
            Basis::Registered(device) => return self.plan_for(device, Occasion::Registered, ctx),
            Basis::Record(device) => return self.plan_for(device, Occasion::Meanwhile, ctx),
            Basis::Store(facts) => facts,
        };
        let Some((domain, key)) = self.member() else { return };
        let (services, write) = (Arc::clone(&self.services), self.progress.take());
        let plan = async move {
            if let Some(write) = write {
                let _ = write.await;
            }
            match services.store.find_device(&key).await {
                Ok(device) => device.filter(|device| device.domain == domain).map_or(Planned::Gone, |mut device| {
                    if let Some(facts) = facts {
                        device.facts = *facts;
                    }
                    planned(&services, Box::new(device), Occasion::Meanwhile)
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
        self.wait_for(plan, ctx, |device, planned, ctx| device.feed(Event::Planned(planned), ctx));
    }

    fn plan_for(&mut self, device: Box<Device>, occasion: Occasion, ctx: &mut WebsocketContext<Self>) {
        let planned = planned(&self.services, device, occasion);
        self.feed(Event::Planned(planned), ctx);
    }
}

fn planned(services: &Services, device: Box<Device>, occasion: Occasion) -> Planned {
    let now = clock::time_of_day();
    // Without its domain, everything would be taken from the device.
    let Some((domain, jobs)) = services.tenants.with_jobs(&device.domain) else { return Planned::Unavailable };
    let plan = plan::plan(&device, &domain, &jobs, occasion, now, &services.retry);
    let seed = |_| random::letters_and_digits(CONFIG_SEED_CHARS).expose().into();
    let seeds = plan.items.iter().map(seed).collect();
    Planned::Work { device, plan: Box::new(plan), seeds, now }
}
