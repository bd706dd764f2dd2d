//! What has happened to devices and codes.

use async_trait::async_trait;

use super::Result;
use crate::core::model::ids::DomainName;
use crate::core::model::timeline::{Step, Subject, TimelineEvent};

/// What has happened to devices and codes.
#[async_trait]
pub trait Timelines: Send + Sync {
    /// Adds a step to the timelines of `subjects`, at the present time; the same as the newest one only renews its time. Kept for 30 days, the newest
    /// [`MAX_STEPS`](crate::core::model::timeline::MAX_STEPS) of each.
    async fn note(&self, domain: &DomainName, subjects: &[Subject], event: &TimelineEvent) -> Result<()>;

    /// The steps of a subject, oldest first.
    async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>>;
}
