//! Writes events to the timelines of codes and devices, in the background: no caller waits for it.
//!
//! All events pass through one queue, so those of one subject keep their order. An event is lost if the queue is full
//! or the store does not take it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::RegistrationService;
use crate::core::model::device::{CodeState, IssuedCode};
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::lifecycle::{InFlight, InFlightGuard};
use crate::store::Timelines;

/// Events that may wait.
const QUEUE: usize = 10_000;

/// Events that are written at the same time.
const BATCH: usize = 64;

/// An event of these subjects of a domain.
struct TimelineEntry {
    domain: DomainName,
    subjects: Vec<Subject>,
    event: TimelineEvent,
    /// Until it is written.
    _in_flight: InFlightGuard,
}

/// The queue of one node.
pub(super) struct TimelineWriter {
    queue: mpsc::Sender<TimelineEntry>,
    in_flight: InFlight,
}

impl TimelineWriter {
    /// Starts a task that writes to `store` until this is dropped.
    pub fn start(store: Arc<dyn Timelines>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(store, waiting));
        Self { queue, in_flight: InFlight::default() }
    }
}

impl RegistrationService {
    /// Adds an event to the timelines of these subjects, soon.
    pub fn record_event(&self, domain: &DomainName, subjects: Vec<Subject>, event: TimelineEvent) {
        let TimelineWriter { queue, in_flight } = &self.timeline_writer;
        let entry = TimelineEntry { domain: domain.clone(), subjects, event, _in_flight: in_flight.begin() };
        if queue.try_send(entry).is_err() {
            tracing::debug!("a timeline event was lost: too many wait");
        }
    }

    /// Records that the directory has sent a phone to Devices with this code. Does nothing if the code is not open
    /// here.
    pub async fn record_found(&self, code: Code) {
        match self.store.find_code(code).await {
            Ok(Some(IssuedCode { domain, state: CodeState::Open, .. })) => {
                self.record_event(&domain, vec![Subject::Code(code)], TimelineEvent::Found);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a timeline event was lost"),
        }
    }

    /// Resolves when no event waits to be written.
    pub async fn events_written(&self) {
        self.timeline_writer.in_flight.none().await;
    }
}

async fn write(store: Arc<dyn Timelines>, mut waiting: mpsc::Receiver<TimelineEntry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        while !batch.is_empty() {
            let rest = batch.split_off(independent(&batch));
            let written =
                join_all(batch.iter().map(|entry| store.append_step(&entry.domain, &entry.subjects, &entry.event)));
            if let Some(error) = written.await.into_iter().find_map(Result::err) {
                tracing::debug!(%error, "timeline events were lost");
            }
            batch = rest;
        }
    }
}

/// How many entries at the front have no subject in common, so that their order does not matter.
fn independent(batch: &[TimelineEntry]) -> usize {
    let mut seen = HashSet::new();
    let seen_before = |entry: &TimelineEntry| {
        !entry.subjects.iter().all(|subject| seen.insert((entry.domain.clone(), subject.clone())))
    };
    batch.iter().position(seen_before).unwrap_or(batch.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::DeviceKey;

    #[test]
    fn events_of_one_subject_wait_for_each_other() {
        let domain = DomainName::parse("example.com").unwrap();
        let code = |number| Subject::Code(Code::from_number(number).unwrap());
        let phone = Subject::Device(DeviceKey::parse("00903341a0b1").unwrap());
        let entry = |subjects: &[Subject]| TimelineEntry {
            domain: domain.clone(),
            subjects: subjects.to_vec(),
            event: TimelineEvent::NoticeReady,
            _in_flight: InFlight::default().begin(),
        };
        assert_eq!(independent(&[]), 0);
        assert_eq!(independent(&[entry(&[code(1)]), entry(&[code(2), phone.clone()]), entry(&[code(3)])]), 3);
        let repeated = [entry(&[code(1)]), entry(&[code(2)]), entry(&[phone, code(1)]), entry(&[code(4)])];
        assert_eq!(independent(&repeated), 2);
    }
}
