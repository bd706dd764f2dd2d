//! Timelines: the latest events of a device or of a code.

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::DomainName;
use crate::core::model::timeline::{MAX_STEPS, Step, Subject, TimelineEvent};

store_trait! {
    /// Timelines of devices and codes. A timeline is kept for 30 days after its last step.
    pub trait Timelines: Send + Sync {
        /// Appends a step to the timelines of `subjects`, at the present time. The same event as in the newest step
        /// only renews its time. The newest [`MAX_STEPS`](crate::core::model::timeline::MAX_STEPS) of each are kept.
        async fn append_step(
            &self,
            domain: &DomainName,
            subjects: &[Subject],
            event: &TimelineEvent,
        ) -> Result<()> => Note;

        /// Replaces the steps of a subject by those that a site has carried out. They are kept for 30 days.
        async fn carry_timeline(
            &self,
            domain: &DomainName,
            subject: &Subject,
            steps: &[Step],
        ) -> Result<()> => CarryTimeline;

        /// The steps of a subject, oldest first.
        async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>> => Timeline;
    }
}

/// The newest steps, as many as are kept.
pub(super) fn newest(steps: &[Step]) -> &[Step] {
    &steps[steps.len().saturating_sub(MAX_STEPS)..]
}
