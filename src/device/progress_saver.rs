//! Writes the progress of the work for one device to the store, one write after the other, so that nothing older
//! replaces it.

use std::sync::Arc;

use actix_rt::task::JoinHandle;

use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::Work;
use crate::device::job_metrics::FailedKinds;
use crate::device::services::Services;

/// The progress on its way to the store.
#[derive(Default)]
pub(super) struct ProgressSaver {
    write: Option<JoinHandle<()>>,
    failed: FailedKinds,
}

impl ProgressSaver {
    /// What is on its way, if anything; whoever reads the record waits for it.
    pub fn take(&mut self) -> Option<JoinHandle<()>> {
        self.write.take().filter(|write| !write.is_finished())
    }

    /// Counts what has become of an attempt.
    pub fn count(&mut self, event: &TimelineEvent) {
        self.failed.add(event);
    }

    /// Forgets what has arrived: an idle member keeps nothing of it.
    pub fn release_finished(&mut self) {
        self.write = self.take();
    }

    /// Writes the progress of a device.
    pub fn save(&mut self, services: &Arc<Services>, domain: DomainName, key: DeviceKey, work: Box<Work>) {
        self.failed.count_given_up(&work);
        let (services, before) = (Arc::clone(services), self.take());
        let in_flight = services.in_flight.begin();
        self.write = Some(actix_rt::spawn(async move {
            if let Some(before) = before {
                // One that failed has said so.
                let _ = before.await;
            }
            if let Err(error) = services.store.keep_work(&domain, &key, &work).await {
                // It is done once more then, which changes nothing.
                tracing::warn!(%error, device = %key, "progress not kept");
            }
            drop(in_flight);
        }));
    }
}
