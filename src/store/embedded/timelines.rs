//! Timelines in the file: a row per subject.

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::DomainName;
use crate::core::model::timeline::{MAX_STEPS, Step, Subject, TimelineEvent};
use crate::store::code_name::CodeUse;
use crate::store::timelines::newest;
use crate::store::{Result, Timelines};

#[async_trait]
impl Timelines for Embedded {
    async fn append_step(&self, domain: &DomainName, subjects: &[Subject], event: &TimelineEvent) -> Result<()> {
        let places: Vec<String> = subjects.iter().map(|subject| self.timeline_key(domain, subject)).collect();
        let event = event.clone();
        self.kv.write(move |tx| places.iter().try_for_each(|place| add(tx, place, &event))).await
    }

    async fn carry_timeline(&self, domain: &DomainName, subject: &Subject, steps: &[Step]) -> Result<()> {
        let place = self.timeline_key(domain, subject);
        let steps = newest(steps).to_vec();
        self.kv.write(move |tx| tx.put(&place, &steps, Some(tx.now + KEEP_USED))).await
    }

    async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>> {
        self.kv.read(|snapshot| Ok(snapshot.get(&self.timeline_key(domain, subject))?.unwrap_or_default()))
    }
}

impl Embedded {
    fn timeline_key(&self, domain: &DomainName, subject: &Subject) -> String {
        match subject {
            Subject::Device(device) => keys::device_timeline(domain, device),
            Subject::Code(code) => keys::code_timeline(domain, &self.name(CodeUse::Timeline, *code)),
        }
    }
}

fn add(tx: &mut Tx<'_>, place: &str, event: &TimelineEvent) -> Outcome<()> {
    let mut steps: Vec<Step> = tx.get(place)?.unwrap_or_default();
    // A repeated event must not displace earlier ones.
    steps.pop_if(|last| last.event == *event);
    steps.push(Step { at: tx.now, event: event.clone() });
    let surplus = steps.len().saturating_sub(MAX_STEPS);
    steps.drain(..surplus);
    tx.put(place, &steps, Some(tx.now + KEEP_USED))
}
