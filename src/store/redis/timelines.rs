//! Timelines on Redis: a list per subject.

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{MAX_STEPS, Step, Subject, TimelineEvent};
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::timelines::newest;
use crate::store::{Result, Timelines};

static NOTE: LazyScript = script!("append_step");

/// Timelines that are written in one script.
const BATCH: usize = 250;

#[async_trait]
impl Timelines for Redis {
    async fn append_step(&self, domain: &DomainName, subjects: &[Subject], event: &TimelineEvent) -> Result<()> {
        let event = to_json(event);
        for subjects in subjects.chunks(BATCH) {
            let mut script = NOTE.arg(&event);
            script.arg(MAX_STEPS).arg(millis(KEEP_USED));
            let append = async {
                for subject in subjects {
                    script.key(self.timeline_key(domain, subject).await?);
                }
                self.client.eval::<()>(&script).await
            };
            self.client.timed(append).await?;
        }
        Ok(())
    }

    async fn carry_timeline(&self, domain: &DomainName, subject: &Subject, steps: &[Step]) -> Result<()> {
        let replace = async {
            let key = self.timeline_key(domain, subject).await?;
            let mut pipeline = ::redis::pipe();
            pipeline.atomic().del(&key).ignore();
            if !steps.is_empty() {
                let lines: Vec<String> =
                    newest(steps).iter().map(|step| format!("{} {}", step.at.0, to_json(&step.event))).collect();
                pipeline.rpush(&key, lines).ignore();
                pipeline.cmd("PEXPIRE").arg(&key).arg(millis(KEEP_USED)).ignore();
            }
            self.client.ask_all::<()>(&pipeline).await
        };
        self.client.timed(replace).await
    }

    async fn timeline(&self, domain: &DomainName, subject: &Subject) -> Result<Vec<Step>> {
        let read = async {
            let key = self.timeline_key(domain, subject).await?;
            self.client.ask(cmd("LRANGE").arg(key).arg(0).arg(-1)).await
        };
        let steps: Vec<String> = self.client.timed(read).await?;
        let place = format!("pb:{{{domain}}}:timeline:…");
        let step = |text: &String| {
            let (at, event) = text.split_once(' ').ok_or_else(|| corrupt(&place, &"no time"))?;
            let at = UnixMillis(at.parse().map_err(|e| corrupt(&place, &e))?);
            Ok(Step { at, event: from_json(&place, event.as_bytes())? })
        };
        steps.iter().map(step).collect()
    }
}

impl Redis {
    async fn timeline_key(&self, domain: &DomainName, subject: &Subject) -> Result<String> {
        Ok(match subject {
            Subject::Device(device) => keys::device_timeline(domain, device),
            Subject::Code(code) => keys::code_timeline(domain, &self.timeline_name(domain, *code).await?),
        })
    }
}
