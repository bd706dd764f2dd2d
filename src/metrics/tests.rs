//! Names and series of the metrics, and their table in `docs/metrics.md`.

use super::*;

#[test]
fn names_are_unique_and_say_their_unit() {
    let mut names: Vec<_> = all().map(|metric| metric.name).collect();
    names.sort_unstable();
    let many = names.len();
    names.dedup();
    assert_eq!(names.len(), many);
    for metric in all() {
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        let base = metric.name.trim_end_matches("_total");
        assert_eq!(base.ends_with("_seconds"), metric.unit == Unit::Seconds, "{}", metric.name);
        assert_eq!(base.ends_with("_bytes"), metric.unit == Unit::Bytes, "{}", metric.name);
        // The figures of the process have the names that they have everywhere.
        assert!(metric.name.starts_with("provbroker_") || metric.name.starts_with("process_"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn every_series_is_there_from_the_start_and_no_more_appear() {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        describe_all();
        start_at_zero();
        let before = handle.render();
        for metric in recorded().filter(|metric| metric.kind != Kind::Histogram) {
            assert!(before.contains(&format!("\n# TYPE {} ", metric.name)), "{}: {before}", metric.name);
        }

        count(Counter::Refused(Refusal::TooMany));
        count(Counter::Job(JobKind::Config(crate::core::policy::jobs::config::Kind::Ntp), JobOutcome::Done));
        let held = hold(Gauge::Connections(Peer::Device));
        observe(Timer::Store(StoreOp::Enter), Duration::from_millis(3));
        handle.run_upkeep();
        let after = handle.render();
        assert!(after.contains("provbroker_connections_refused_total{reason=\"too_many\"} 1"), "{after}");
        assert!(after.contains("provbroker_jobs_total{kind=\"ntp\",outcome=\"done\"} 1"), "{after}");
        assert!(after.contains("provbroker_connections{peer=\"device\"} 1"), "{after}");
        assert!(after.contains("provbroker_store_seconds_bucket{operation=\"enter\",le=\"0.005\"} 1"), "{after}");
        let series = |text: &str| text.lines().filter(|line| line.starts_with("provbroker_")).count();
        assert_eq!(series(&after), series(&before));
        drop(held);
        assert!(handle.render().contains("provbroker_connections{peer=\"device\"} 0"));
    });
}

#[test]
fn the_document_has_the_table() {
    let document = include_str!("../../docs/metrics.md");
    let (_, rest) = document.split_once("<!-- metrics:").unwrap();
    let table = rest.split_once("-->\n").unwrap().1.split_once("<!-- /metrics -->").unwrap().0;
    assert_eq!(table, markdown(), "put the output of `provbroker metrics-table` into docs/metrics.md");
}

#[test]
fn every_series_has_a_slot_of_its_own() {
    fn all_in_order<T: Copy + std::fmt::Debug>(series: &[T], slot: impl Fn(T) -> usize) {
        for (at, series) in series.iter().enumerate() {
            assert_eq!(slot(*series), at, "{series:?}");
        }
    }
    all_in_order(&Counter::series(), Counter::slot);
    all_in_order(&Gauge::series(), Gauge::slot);
    all_in_order(&Timer::series(), Timer::slot);
    assert!(JobKind::ALL.iter().enumerate().all(|(at, kind)| kind.index() == at));
    assert!(Close::ALL.iter().enumerate().all(|(at, close)| close.index() == at));
}

/// The handles that were looked up once record into the same series as those that are looked up each time.
#[test]
fn a_kept_handle_is_that_of_its_series() {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let handles = Handles::make();
        let what = Counter::TunnelEnded(TunnelUse::Fetch, TunnelEnd::Timeout);
        handles.counters[what.slot()].increment(2);
        what.make().increment(1);
    });
    let text = recorder.handle().render();
    assert!(text.contains("provbroker_tunnel_sessions_total{purpose=\"fetch\",outcome=\"timeout\"} 3"), "{text}");
}
