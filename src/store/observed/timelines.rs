//! [`super::Observed`] for `timelines.rs`.

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::ids::DomainName;
use crate::core::model::timeline::{Step, Subject, TimelineEvent};
use crate::metrics::StoreOp;
use crate::store::{Result, Store, Timelines};

#[async_trait]
impl<S: Store> Timelines for Observed<S> {
    async fn note(&self, domain: &DomainName, subjects: &[Subject], event: &TimelineEvent) -> Result<()> {
        timed(StoreOp::Note, self.0.note(domain, subjects, event)).await
    }

    async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>> {
        timed(StoreOp::Timeline, self.0.timeline(domain, subject)).await
    }
}
