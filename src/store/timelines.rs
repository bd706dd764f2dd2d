//! Timelines: the latest events of a device or of a code.

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::DomainName;
use crate::core::model::timeline::{Step, Subject, TimelineEvent};

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

        /// The steps of a subject, oldest first.
        async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>> => Timeline;
    }
}
