//! The delivered dashboards are consistent: they query only existing metrics, no panels overlap, every link has a
//! target.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used)]

#[path = "observe/queries.rs"]
// Another test runs the queries; this one only parses them.
#[allow(dead_code)]
mod queries;

use std::collections::BTreeSet;

use provbroker::metrics::{self, Kind, Metric};
use serde_json::Value;

const RULES: &str = include_str!("../grafana/alerts.yml");

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').filter(|word| !word.is_empty())
}

/// The metric of a name in a query, and whether the query uses it according to its type.
fn metric(name: &str) -> Option<(&'static Metric, bool)> {
    let parts = ["_bucket", "_sum", "_count"];
    let base = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
    let found =
        metrics::all().find(|metric| metric.name == name).or(metrics::all().find(|metric| metric.name == base))?;
    Some((found, (found.kind == Kind::Histogram) == (found.name != name)))
}

/// The fault of a query, if any.
fn faults(query: &str) -> Vec<String> {
    let (mut faults, mut labels) = (Vec::new(), vec!["le", "job", "instance"]);
    for name in words(query) {
        if name.contains(':') {
            if !RULES.contains(&format!("record: {name}\n")) {
                faults.push(format!("no rule {name}"));
            }
        } else if name.starts_with("provbroker_") || name.starts_with("process_") {
            match metric(name) {
                None => faults.push(format!("no metric {name}")),
                Some((_, false)) => faults.push(format!("{name} is not asked for as what it is")),
                Some((metric, true)) => labels.extend(metric.labels.iter().map(|(label, _)| *label)),
            }
        }
    }
    for by in query.split(" by (").skip(1) {
        let by = by.split(')').next().unwrap_or_default();
        faults.extend(words(by).filter(|label| !labels.contains(label)).map(|label| format!("no label {label}")));
    }
    faults
}

/// The expressions of the rules, without the text around them.
fn rule_queries() -> Vec<String> {
    let mut queries = Vec::new();
    for rule in RULES.split("expr: ").skip(1) {
        let end = ["\n        for:", "\n        labels:", "\n      -", "\n\n", "\n      #"];
        let end = end.iter().filter_map(|end| rule.find(end)).min().unwrap_or(rule.len());
        queries.push(rule[..end].to_owned());
    }
    queries
}

#[test]
fn every_query_uses_existing_metrics() {
    let panels = queries::of_panels().into_iter().map(|query| query.expr);
    let queries: Vec<_> = panels.chain(rule_queries()).collect();
    assert!(queries.len() >= 100, "{}", queries.len());
    for query in queries {
        assert_eq!(faults(&query), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn every_metric_is_queried() {
    let panels = queries::of_panels().into_iter().map(|query| query.expr);
    let all: String = panels.chain(rule_queries()).flat_map(|query| [query, "\n".into()]).collect();
    let asked: BTreeSet<_> = words(&all).filter_map(metric).map(|(metric, _)| metric.name).collect();
    // Metrics for manual diagnosis only.
    let unasked = ["process_virtual_memory_bytes", "process_threads", "process_start_time_seconds"];
    for metric in metrics::all() {
        assert_ne!(asked.contains(metric.name), unasked.contains(&metric.name), "{}", metric.name);
    }
}

#[test]
fn a_wrong_query_is_found() {
    assert_eq!(faults("sum(provbroker_memebers)"), ["no metric provbroker_memebers"]);
    assert_eq!(faults("sum by (device) (provbroker_codes_total)"), ["no label device"]);
    assert_eq!(faults("provbroker_store_seconds").len(), 1);
    assert_eq!(faults("job:provbroker_nothing:max"), ["no rule job:provbroker_nothing:max"]);
    assert_eq!(faults("sum by (event) (provbroker_codes_total)"), Vec::<String>::new());
}

fn uid(dashboard: &Value) -> &str {
    dashboard["uid"].as_str().unwrap()
}

#[test]
fn dashboards_are_told_apart_and_lead_to_each_other() {
    let dashboards = queries::dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(uid).collect();
    assert_eq!(uids.len(), dashboards.len());
    assert_eq!(uids.len(), 5);
    for dashboard in &dashboards {
        let links = dashboard["links"].as_array().unwrap().iter();
        let linked: BTreeSet<_> = links.map(|l| l["url"].as_str().unwrap().strip_prefix("/d/").unwrap()).collect();
        let others = uids.iter().copied().filter(|other| *other != uid(dashboard)).collect();
        assert_eq!(linked, others, "{}", uid(dashboard));
        assert_eq!(dashboard["schemaVersion"], 39);
    }
}

#[test]
fn panels_say_what_they_show_and_do_not_overlap() {
    for dashboard in queries::dashboards() {
        let name = uid(&dashboard);
        let panels = dashboard["panels"].as_array().unwrap();
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{name}: {title}");
            assert!(["stat", "timeseries"].contains(&panel["type"].as_str().unwrap()), "{name}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let number = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(number("x") + number("w") <= 24, "{name}: {title}");
            for x in number("x")..number("x") + number("w") {
                for y in number("y")..number("y") + number("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} lies over another panel");
                }
            }
            let targets = panel["targets"].as_array().unwrap();
            let marks: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert!(!targets.is_empty() && marks.len() == targets.len(), "{name}: {title}");
        }
    }
}

#[test]
fn every_variable_is_used_and_every_used_one_is_there() {
    for dashboard in queries::dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: BTreeSet<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, BTreeSet::from(["datasource", "node"]));
        let panels = dashboard["panels"].to_string();
        assert!(panels.contains("${datasource}") && panels.contains("$node"), "{}", uid(&dashboard));
        let used = panels.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
        let used = used.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap());
        for variable in used {
            assert!(names.contains(variable) || variable == "__rate_interval", "{}: ${variable}", uid(&dashboard));
        }
    }
}
