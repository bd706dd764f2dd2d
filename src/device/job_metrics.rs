//! Counts attempts at jobs by kind and outcome, for the metric `provbroker_jobs_total` (`docs/metrics.md`).

use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::Work;
use crate::metrics::{self, Counter, JobKind, JobOutcome, Label as _};

/// The kinds whose attempt has failed, as bits, until it is known whether another one follows.
#[derive(Default)]
pub(super) struct FailedKinds(u32);

// A bit for each kind.
const _: () = assert!(JobKind::ALL.len() <= 32);

impl FailedKinds {
    /// Counts the outcome of an attempt.
    pub(super) fn add(&mut self, event: &TimelineEvent) {
        let (kind, outcome) = match event {
            TimelineEvent::UpdateOrdered(_) => (JobKind::Update, JobOutcome::Sent),
            TimelineEvent::Updated(_) => (JobKind::Update, JobOutcome::Done),
            TimelineEvent::UpdateFailed(_) => (JobKind::Update, JobOutcome::Failed),
            TimelineEvent::Configured(_) | TimelineEvent::ConfigFailed(_) => {
                let Some(kind) = event.config_kind() else { return };
                let failed = matches!(event, TimelineEvent::ConfigFailed(_));
                (JobKind::Config(kind), if failed { JobOutcome::Failed } else { JobOutcome::Done })
            }
            TimelineEvent::CleanedUp => (JobKind::CleanUp, JobOutcome::Done),
            _ => return,
        };
        if kind != JobKind::Update {
            metrics::count(Counter::Job(kind, JobOutcome::Sent));
        }
        metrics::count(Counter::Job(kind, outcome));
        if outcome == JobOutcome::Failed {
            self.0 |= 1 << kind.index();
        }
    }

    /// Counts those of the failed attempts that were the last one.
    pub(super) fn count_given_up(&mut self, work: &Work) {
        let failed = std::mem::take(&mut self.0);
        for kind in JobKind::ALL.iter().filter(|kind| failed & (1 << kind.index()) != 0) {
            let given_up = match kind {
                JobKind::Update => work.update_given_up(),
                JobKind::Config(kind) => work.config_given_up(*kind),
                JobKind::CleanUp => false,
            };
            metrics::count_many(Counter::Job(*kind, JobOutcome::GivenUp), u64::from(given_up));
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::core::model::config_kind::Kind;
    use crate::core::model::time::UnixMillis;
    use crate::core::model::timeline::ConfigFailure;
    use crate::core::model::work::{Configured, Progress, State};

    fn failed(attempts: u8) -> Progress {
        Progress { job: None, attempts, at: UnixMillis(0), state: State::Failed("why".into()) }
    }

    #[test]
    fn attempts_are_counted_by_kind_and_end() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let ntp = |attempts| {
            vec![Configured { kind: Kind::Ntp, fingerprint: "".into(), config: None, progress: failed(attempts) }]
        };
        metrics_of(&recorder, || {
            let mut tally = FailedKinds::default();
            tally.add(&TimelineEvent::UpdateOrdered("prot 1".into()));
            tally.add(&TimelineEvent::UpdateFailed("status 404".into()));
            tally.add(&TimelineEvent::ConfigFailed(ConfigFailure::new(
                Kind::Ntp,
                "the device answered with status 500",
            )));
            tally.add(&TimelineEvent::Configured("time-zone".into()));
            tally.add(&TimelineEvent::Removed);
            tally.count_given_up(&Work { update: Some(failed(5)), configs: ntp(3), ..Work::default() });
            // A permanent failure is counted once, whatever progress is stored afterwards.
            tally.count_given_up(&Work { update: Some(failed(5)), configs: ntp(4), ..Work::default() });
            tally.add(&TimelineEvent::ConfigFailed(ConfigFailure::new(Kind::Ntp, "cut")));
            tally.count_given_up(&Work { update: Some(failed(5)), configs: ntp(4), ..Work::default() });
        });
        let text = recorder.handle().render();
        for (series, count) in [
            ("kind=\"update\",outcome=\"sent\"", 1),
            ("kind=\"update\",outcome=\"failed\"", 1),
            ("kind=\"update\",outcome=\"given_up\"", 1),
            ("kind=\"ntp\",outcome=\"sent\"", 2),
            ("kind=\"ntp\",outcome=\"failed\"", 2),
            ("kind=\"ntp\",outcome=\"given_up\"", 1),
            ("kind=\"time-zone\",outcome=\"done\"", 1),
        ] {
            assert!(text.contains(&format!("provbroker_jobs_total{{{series}}} {count}\n")), "{series}: {text}");
        }
    }

    fn metrics_of(recorder: &metrics_exporter_prometheus::PrometheusRecorder, act: impl FnOnce()) {
        ::metrics::with_local_recorder(recorder, act);
    }
}
