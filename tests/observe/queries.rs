//! Every delivered query: of the panels of the dashboards, and of the rules.

use serde_json::Value;

/// A query and where it comes from.
#[derive(Debug)]
pub struct Query {
    pub place: String,
    pub expr: String,
}

fn folder(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The dashboards, in the order of their file names.
pub fn dashboards() -> Vec<Value> {
    let files = std::fs::read_dir(folder("grafana/dashboards")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// The queries of all panels.
pub fn of_panels() -> Vec<Query> {
    let mut queries = Vec::new();
    for dashboard in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let place = format!("{} / {}", text(&dashboard["title"]), text(&panel["title"]));
                queries.push(Query { place, expr: text(&target["expr"]) });
            }
        }
    }
    queries
}

/// The queries of all rules, as Prometheus has parsed them. An alert has a result only while it fires; with `bool` its
/// comparisons always have one.
pub fn of_rules(rules: &Value) -> Vec<Query> {
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| {
            let mut expr = rule["query"].as_str().unwrap().to_owned();
            if rule["type"] == "alerting" {
                for comparison in [" > ", " < ", " >= ", " == "] {
                    expr = expr.replace(comparison, &format!("{comparison}bool "));
                }
            }
            Query { place: format!("{} {}", rule["type"].as_str().unwrap(), rule["name"].as_str().unwrap()), expr }
        })
        .collect()
}
