//! A real Prometheus scrapes a real broker under load, and answers every query of every panel and rule without an
//! error or an empty result. The results are written to `target/observe/panels.md`.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod prometheus;
mod queries;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use provbroker::core::model::ids::{Code, DomainName, HardwareId};
use provbroker::core::policy::jobs::{JobSpec, Task};
use provbroker::sim::phone::{Phone, PhoneOptions};
use provbroker::sim::transport;
use provbroker::store::Signal;
use serde_json::json;

use self::prometheus::Prometheus;
use self::queries::Query;
use self::support::app::App;
use self::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, Keep, PASSWORD, with_broker};
use self::support::peer::{Device, identify_with, init, until};
use self::support::raw::get;
use self::support::secrets;

const PHONE: &str = "009033430001";

/// A phone that enters, is configured and is accessed through the tunnel; wrong codes, and one that stays open.
async fn load(broker: &Broker) -> (App, Phone, Device) {
    let domain = DomainName::parse(DOMAIN).unwrap();
    let ntp = serde_json::from_value(json!({"kind": "ntp", "values": {"server": "ntp.example.org"}})).unwrap();
    broker
        .store()
        .add_job(&domain, &JobSpec { category: None, desc: None, task: Task::Config(ntp) })
        .await
        .unwrap()
        .unwrap();
    broker.store().publish(&Signal::Tenant { domain }).await.unwrap();

    let mut app = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    app.code(CATEGORY, "open").await;
    let code = app.code(CATEGORY, "phone").await;
    init(broker.addr, &format!("mac={PHONE}&type=IP112")).await;
    init(broker.addr, &format!("mac={PHONE}&type=IP112&PROVISIONING-CODE={code}%23")).await;
    let mut guesser = Device::connect(broker.addr, "").await;
    guesser.identify(&identify_with("009033430002", "000000000000")).await;
    guesser.quiet().await;
    // The eleventh waits for a second.
    let mut repeated = Device::connect(broker.addr, "").await;
    for wrong in 1..=11 {
        repeated.identify(&identify_with("009033430009", &format!("{wrong:012}"))).await;
        repeated.quiet().await;
    }

    // A device that was connected and is missing now.
    let lost = app.code(CATEGORY, "lost").await;
    Device::enter(broker.addr, "009033430003", &lost).await.0.leave().await;

    let options = PhoneOptions {
        sysadmin: Some(format!("ws://{}{INSTANCE}/sysclients", broker.addr)),
        reconnect: Duration::from_millis(200),
        ..PhoneOptions::new(HardwareId::parse(PHONE).unwrap())
    };
    let (phone, mut events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    phone.type_code(Code::parse(&code).unwrap()).await;
    app.next_notice().await;

    let key = app.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
    secrets::note(&key);
    get(broker.addr, &format!("{INSTANCE}/passthrough/{PHONE}/{key}/")).await;
    (app, phone, repeated)
}

/// Waits until a query has a finite result of at least `least`.
async fn reaches(prometheus: &Prometheus, query: &str, least: f64) {
    until(query, async || prometheus.query(query).await.unwrap().iter().any(|value| *value >= least)).await;
}

/// The result of a query: the greatest finite value, and the number of values. A missing one may appear with the next
/// scrape.
async fn answer(prometheus: &Prometheus, Query { place, expr }: &Query) -> (f64, usize) {
    let mut answer = (f64::NAN, 0);
    until(&format!("{place}: {expr}"), async || {
        let values = prometheus.query(expr).await.unwrap_or_else(|error| panic!("{place}: {expr}: {error}"));
        let greatest = values.iter().copied().filter(|value| value.is_finite()).fold(f64::NAN, f64::max);
        answer = (greatest, values.len());
        !greatest.is_nan()
    })
    .await;
    answer
}

#[test]
fn every_query_of_every_panel_and_rule_has_an_answer() {
    with_broker(
        &Keep::redis(),
        |config| config.jobs.config_again = Duration::from_millis(1),
        async |broker: &Broker| {
            let prometheus = Prometheus::scraping(broker.ops);
            // Counters exist before the load, so that rates cover all of it.
            reaches(&prometheus, "count_over_time(up{job=\"provbroker\"}[1m])", 3.0).await;
            let _running = load(broker).await;
            for sign in [
                "provbroker_jobs_total{kind=\"ntp\",outcome=\"done\"}",
                "provbroker_members_joined_total",
                "provbroker_devices_known > 1",
                "provbroker_devices_missing",
                "sum(provbroker_tunnel_sessions_total)",
                "provbroker_registration_stage_seconds_count{stage=\"join\"}",
            ] {
                reaches(&prometheus, sign, 1.0).await;
            }

            let rules = prometheus.ask("rules").await.unwrap();
            let mut table = String::from("| where | query | series | greatest value |\n|---|---|---|---|\n");
            let (mut panels, mut of_rules) = (queries::of_panels(), queries::of_rules(&rules));
            assert!(panels.len() >= 80 && of_rules.len() >= 25, "{} and {}", panels.len(), of_rules.len());
            panels.append(&mut of_rules);
            for Query { place, expr } in panels {
                let expr = expr.replace("$node", &broker.ops.to_string()).replace("$__rate_interval", "1m");
                assert!(!expr.contains('$'), "{place}: {expr}");
                let query = Query { place, expr };
                let (value, series) = answer(&prometheus, &query).await;
                let Query { place, expr } = query;
                let expr = expr.replace(&broker.ops.to_string(), "NODE").replace('|', "\\|");
                writeln!(table, "| {place} | `{expr}` | {series} | {value:.4} |").unwrap();
            }
            let unwell = |rule: &&serde_json::Value| rule["health"] != "ok";
            let rules = prometheus.ask("rules").await.unwrap();
            for group in rules["groups"].as_array().unwrap() {
                assert_eq!(group["rules"].as_array().unwrap().iter().find(unwell), None);
            }
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/observe");
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(format!("{folder}/panels.md"), table).unwrap();
        },
    );
}

/// A query with an empty result or an error is detected.
#[test]
fn a_query_without_an_answer_is_found() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let prometheus = Prometheus::scraping(broker.ops);
            reaches(&prometheus, "up", 1.0).await;
            assert_eq!(prometheus.query("provbroker_no_such_metric").await, Ok(Vec::new()));
            assert!(prometheus.query("sum by (provbroker_ready").await.unwrap_err().contains("parse error"));
        },
    );
}

fn promtool(arguments: &[&str], folder: &str) {
    let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("promtool").args(arguments).current_dir(folder).output().expect("promtool is in PATH");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn promtool_finds_no_fault_in_the_configuration() {
    promtool(&["check", "config", "prometheus.yml"], "config");
}

#[test]
fn promtool_finds_no_fault_in_the_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"], "grafana");
}

#[test]
fn alerts_fire_when_they_should() {
    promtool(&["test", "rules", "alerts.test.yml"], "grafana");
}

/// The checks of `promtool` for names, types and units.
#[test]
fn promtool_finds_no_fault_in_the_metrics() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), get(broker.ops, "/metrics").await.body).unwrap();
            let output = Command::new("promtool")
                .args(["check", "metrics"])
                .stdin(std::fs::File::open(file.path()).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        },
    );
}
