//! Writes the progress of the work for one device to the store, one write at a time, so that no older progress replaces
//! a newer one.

use std::sync::Arc;

use actix_rt::task::JoinHandle;

use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::Work;
use crate::device::job_metrics::FailedKinds;
use crate::device::services::Services;

/// The progress that is being written to the store.
#[derive(Default)]
pub(super) struct ProgressSaver {
    write: Option<JoinHandle<()>>,
    failed: FailedKinds,
}

impl ProgressSaver {
    /// The write under way, if any; readers of the record wait for it.
    pub fn take(&mut self) -> Option<JoinHandle<()>> {
        self.write.take().filter(|write| !write.is_finished())
    }

    /// Counts the outcome of an attempt.
    pub fn count(&mut self, event: &TimelineEvent) {
        self.failed.add(event);
    }

    /// Frees a finished write, so that an idle member holds no memory for it.
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
                // A failed write has been logged.
                let _ = before.await;
            }
            if let Err(error) = services.store.keep_work(&domain, &key, &work).await {
                // The work is then done once more, which changes nothing.
                tracing::warn!(%error, device = %key, "progress of the work not stored");
            }
            drop(in_flight);
        }));
    }
}
