//! Steps on their way to the timelines: nobody waits for them, and none is worth holding anything else up.
//!
//! They pass through one queue, so that those of one subject keep their order. What does not fit into it is lost.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::RegistrationService;
use crate::core::model::device::{CodeState, IssuedCode};
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::lifecycle::{InFlight, InFlightGuard};
use crate::store::Store;

/// Steps that may wait.
const QUEUE: usize = 10_000;

/// Steps that are written at the same time.
const TOGETHER: usize = 64;

/// Something that has happened to these subjects of a domain.
struct TimelineEntry {
    domain: DomainName,
    subjects: Vec<Subject>,
    event: TimelineEvent,
    /// Until it is written.
    _begun: InFlightGuard,
}

/// The queue of one node.
pub(super) struct TimelineWriter {
    queue: mpsc::Sender<TimelineEntry>,
    underway: InFlight,
}

impl TimelineWriter {
    /// A queue that is written to `store` until this is dropped.
    pub fn to(store: Arc<dyn Store>) -> Self {
        let (steps, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(store, waiting));
        Self { queue: steps, underway: InFlight::default() }
    }
}

impl RegistrationService {
    /// Adds a step to the timelines of these subjects, soon.
    pub fn note(&self, domain: &DomainName, subjects: Vec<Subject>, event: TimelineEvent) {
        let news = TimelineEntry { domain: domain.clone(), subjects, event, _begun: self.steps.underway.begin() };
        if self.steps.queue.try_send(news).is_err() {
            tracing::debug!("a step was lost: too many wait");
        }
    }

    /// The directory has told a phone where to go with this code. Nothing happens if it is not one of ours, or is used already.
    pub async fn found(&self, code: Code) {
        match self.store.find_code(code).await {
            Ok(Some(IssuedCode { domain, state: CodeState::Open, .. })) => {
                self.note(&domain, vec![Subject::Code(code)], TimelineEvent::Found);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a step was lost"),
        }
    }

    /// Resolves when no step waits.
    pub async fn noted(&self) {
        self.steps.underway.none().await;
    }
}

async fn write(store: Arc<dyn Store>, mut waiting: mpsc::Receiver<TimelineEntry>) {
    let mut some = Vec::with_capacity(TOGETHER);
    while waiting.recv_many(&mut some, TOGETHER).await > 0 {
        while !some.is_empty() {
            let rest = some.split_off(independent(&some));
            let written =
                join_all(some.iter().map(|news| store.append_step(&news.domain, &news.subjects, &news.event))).await;
            if let Some(error) = written.into_iter().find_map(Result::err) {
                tracing::debug!(%error, "steps were lost");
            }
            some = rest;
        }
    }
}

/// How many of the first ones have no subject in common, so that their order does not matter.
fn independent(some: &[TimelineEntry]) -> usize {
    let mut seen = HashSet::new();
    let again =
        |news: &TimelineEntry| !news.subjects.iter().all(|subject| seen.insert((news.domain.clone(), subject.clone())));
    some.iter().position(again).unwrap_or(some.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::DeviceKey;

    #[test]
    fn steps_of_one_subject_wait_for_each_other() {
        let domain = DomainName::parse("example.com").unwrap();
        let code = |number| Subject::Code(Code::from_number(number).unwrap());
        let phone = Subject::Device(DeviceKey::parse("00903341a0b1").unwrap());
        let news = |subjects: &[Subject]| TimelineEntry {
            domain: domain.clone(),
            subjects: subjects.to_vec(),
            event: TimelineEvent::NoticeReady,
            _begun: InFlight::default().begin(),
        };
        assert_eq!(independent(&[]), 0);
        assert_eq!(independent(&[news(&[code(1)]), news(&[code(2), phone.clone()]), news(&[code(3)])]), 3);
        assert_eq!(independent(&[news(&[code(1)]), news(&[code(2)]), news(&[phone, code(1)]), news(&[code(4)])]), 2);
    }
}
