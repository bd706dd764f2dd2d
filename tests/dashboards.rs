//! The delivered dashboard asks only for what the broker has: every metric and label in its queries is in the table.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used)]

use provbroker::metrics::{self, Kind};

const DASHBOARD: &str = include_str!("../grafana/overview.json");

fn queries() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What is wrong with a query.
fn faults(query: &str) -> Vec<String> {
    let (mut faults, mut labels) = (Vec::new(), vec!["le"]);
    for name in words(query).filter(|word| word.starts_with("provbroker_")) {
        let base = name.strip_suffix("_bucket").unwrap_or(name);
        match metrics::all().find(|metric| metric.name == base) {
            None => faults.push(format!("no metric {name}")),
            Some(metric) if (metric.kind == Kind::Histogram) != name.ends_with("_bucket") => {
                faults.push(format!("{name} is not asked for as what it is"));
            }
            Some(metric) => labels.extend(metric.labels.iter().map(|(label, _)| *label)),
        }
    }
    if let Some((_, by)) = query.split_once(" by (") {
        let by = by.split(')').next().unwrap_or_default();
        faults.extend(words(by).filter(|label| !labels.contains(label)).map(|label| format!("no label {label}")));
    }
    faults
}

#[test]
fn every_query_asks_for_what_there_is() {
    let queries = queries();
    assert!(queries.len() >= 15);
    for query in queries {
        assert_eq!(faults(&query), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn a_wrong_query_is_found() {
    assert_eq!(faults("sum(provbroker_memebers)"), ["no metric provbroker_memebers"]);
    assert_eq!(faults("sum by (device) (provbroker_codes_total)"), ["no label device"]);
    assert_eq!(faults("provbroker_store_seconds").len(), 1);
    assert_eq!(faults("sum by (event) (provbroker_codes_total)"), Vec::<String>::new());
}
