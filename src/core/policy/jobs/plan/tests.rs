//! Plans for configuration, items and clean-up: each is sent once, and retried after a failure.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::core::model::device::Facts;
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName, Secret};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{Hours, JobSpec, Update};

pub(in crate::core::policy::jobs) fn device() -> Device {
    Device {
        id: DeviceId(1),
        key: DeviceKey::parse("00903341a0b1").unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        category: CategoryId(4),
        way: Way::Auto,
        password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
        tentative: false,
        admin_password: None,
        entry_code: None,
        pending: None,
        entered: UnixMillis(5),
        name: None,
        work: Work { entry: UnixMillis(5), ..Work::default() },
        facts: Facts {
            product: "IP112".into(),
            version: "13r3 sr9 [13.6012/136012/300]".into(),
            platform: "PHONE".into(),
            fw_build: Some("136012".into()),
            bc_build: Some("136012".into()),
            ..Facts::default()
        },
    }
}

fn job(id: u64, task: Task) -> Job {
    Job { id: JobId(id), created: UnixMillis(0), order: JobSpec { category: None, task } }
}

pub(in crate::core::policy::jobs) fn update_job(id: u64, products: &str) -> Job {
    let text = format!(r#"{{"baseUrl":"https://ap.example.org/fw/","products":{products}}}"#);
    let builds = Arc::new(BuildList::read(text.as_bytes()).unwrap());
    job(id, Task::Update(Update { builds, hours: Hours::default() }))
}

/// A job that applies to every phone.
pub(in crate::core::policy::jobs) fn config_job(id: u64) -> Job {
    kind_job(id, "ntp", &json!({"server": "a"}))
}

fn kind_job(id: u64, kind: &str, values: &Value) -> Job {
    let configuration = serde_json::from_value(json!({"kind": kind, "values": values})).unwrap();
    job(id, Task::Config(configuration))
}

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::from_seconds(seconds)
}

fn now(device: &Device, jobs: &[Job], seconds: u64) -> Plan {
    plan(device, jobs, Occasion::Meanwhile, at(seconds), &RetryPolicy::default())
}

#[test]
fn with_nothing_to_do_there_is_nothing_to_do() {
    let device = device();
    let plan = now(&device, &[], 0);
    assert_eq!(plan, Plan { work: device.work.clone(), ..Plan::default() });
}

#[test]
fn the_latest_job_of_every_kind_is_sent_once() {
    let mut foreign = kind_job(9, "ntp", &json!({"server": "c"}));
    foreign.order.category = Some(CategoryId(99));
    let jobs = [
        kind_job(4, "ntp", &json!({"server": "b"})),
        kind_job(3, "ntp", &json!({"server": "a"})),
        foreign,
        kind_job(5, "device-name", &json!({"name": "#h"})),
        kind_job(6, "analogue-phone", &json!({"ports": "TEL1", "protocol": "sip", "primary": "a", "name": "n"})),
    ];
    let mut device = device();
    let plan = now(&device, &jobs, 0);
    let orders: Vec<(Kind, u64, &str)> =
        plan.configs.iter().map(|order| (order.kind, order.job.0, order.lines[0].as_str())).collect();
    assert_eq!(
        orders,
        [(Kind::DeviceName, 5, "config add CMD0 /name IP112-41-a0-b1"), (Kind::Ntp, 4, "config change NTP0 /addr b")]
    );
    device.work = plan.work;
    plan.configs.iter().for_each(|order| device.work.configured(order, at(0)));
    let after = now(&device, &jobs, 1);
    assert!(after.configs.is_empty() && after.recheck_after.is_none() && after.work == device.work);
    // The same content in another job is not sent, but marked as done.
    let same = [kind_job(8, "ntp", &json!({"server": "b"}))];
    let after = now(&device, &same, 1);
    assert!(after.configs.is_empty());
    assert_eq!(after.work.config(Kind::Ntp).unwrap().progress.job, Some(JobId(8)));
    // When the latest job is deleted, the one before it counts again.
    assert_eq!(now(&device, &jobs[1..], 1).configs[0].lines, ["config change NTP0 /addr a"]);
}

#[test]
fn failed_work_is_retried_and_then_given_up() {
    let jobs = [config_job(1)];
    let mut device = device();
    let mut seconds = 0;
    for wait in [30, 120, 480] {
        let order = now(&device, &jobs, seconds).configs.remove(0);
        device.work.config_failed(&order, "no answer", at(seconds));
        let failed = now(&device, &jobs, seconds);
        assert_eq!((failed.configs.len(), failed.recheck_after), (0, Some(Duration::from_secs(wait))));
        seconds += wait;
    }
    let order = now(&device, &jobs, seconds).configs.remove(0);
    device.work.config_failed(&order, "no answer", at(seconds));
    let given_up = now(&device, &jobs, seconds + 1_000_000);
    assert_eq!((given_up.configs.len(), given_up.recheck_after), (0, None));
    assert_eq!(now(&device, &[config_job(2)], seconds).configs.len(), 1, "another job, another chance");
}

#[test]
fn after_a_failure_the_configuration_is_sent_again() {
    let [old, new] = [kind_job(1, "ntp", &json!({"server": "a"})), kind_job(2, "ntp", &json!({"server": "b"}))];
    let mut device = device();
    let order = now(&device, std::slice::from_ref(&old), 0).configs.remove(0);
    device.work.configured(&order, at(0));
    let order = now(&device, &[old.clone(), new], 1).configs.remove(0);
    device.work.config_failed(&order, "half way", at(1));
    assert_eq!(now(&device, &[old], 2).configs.len(), 1);
}

#[test]
fn progress_belongs_to_an_entry() {
    let jobs = [config_job(1)];
    let mut device = device();
    device.way = Way::Code;
    let plan = now(&device, &jobs, 0);
    device.work = plan.work;
    device.work.configured(&plan.configs[0], at(0));
    device.work.cleaned(at(0));
    let after = now(&device, &jobs, 1);
    assert!(after.configs.is_empty() && !after.clean_up);
    device.entered = UnixMillis(6);
    let again = now(&device, &jobs, 2);
    assert!(again.configs.len() == 1 && again.clean_up && again.work.entry == UnixMillis(6));
}

#[test]
fn only_an_entry_by_code_is_cleaned_up_after() {
    let mut device = device();
    assert!(!now(&device, &[], 0).clean_up);
    device.way = Way::Code;
    assert!(now(&device, &[], 0).clean_up);
    device.facts.other = true;
    assert!(!now(&device, &[], 0).clean_up);
    device.facts.other = false;
    for seconds in [0, 30, 150, 630] {
        assert!(now(&device, &[], seconds).clean_up);
        device.work.clean_up_failed("no answer", at(seconds));
        assert!(!now(&device, &[], seconds).clean_up);
    }
    assert_eq!(now(&device, &[], 1_000_000), Plan { work: device.work.clone(), ..Plan::default() });
}

#[test]
fn a_device_of_another_maker_gets_items_and_removals() {
    let ntp = kind_job(1, "ntp", &json!({"server": "a", "interval": 5}));
    let name = kind_job(2, "device-name", &json!({"name": "#t"}));
    let mut device = device();
    device.facts.other = true;
    let first = now(&device, &[ntp.clone(), name.clone()], 0);
    assert!(first.configs.is_empty() && first.items.iter().all(|order| order.changed));
    let items: Vec<Value> = first.items.iter().map(|order| serde_json::to_value(&order.item).unwrap()).collect();
    assert_eq!(
        items,
        [
            json!({"type": "device-name", "values": {"name": "IP112"}}),
            json!({"type": "ntp", "values": {"server": "a", "interval": 5}})
        ]
    );
    first.items.iter().for_each(|order| device.work.item_sent(order, at(0)));
    let second = now(&device, &[ntp.clone(), name], 1);
    assert!(second.items.len() == 2 && second.items.iter().all(|order| !order.changed));
    let third = now(&device, &[ntp], 2);
    let changed: Vec<&ItemOrder> = third.items.iter().filter(|order| order.changed).collect();
    assert_eq!((changed.len(), changed[0].kind, changed[0].job), (1, Kind::DeviceName, None));
    assert!(changed[0].item.removed && changed[0].item.values.is_empty());
    device.work.item_sent(changed[0], at(2));
    assert!(device.work.config(Kind::DeviceName).is_none());
}

#[test]
fn a_fingerprint_does_not_depend_on_order_and_does_depend_on_the_password() {
    let mut device = device();
    let print = |device: &Device| now(device, &[config_job(1)], 0).configs[0].fingerprint.clone();
    let before = print(&device);
    assert_eq!((before.len(), &before), (32, &print(&device)));
    device.password = Secret::new("other");
    assert_ne!(print(&device), before);
}

#[test]
fn a_preview_shows_everything_but_secrets() {
    let sip = json!({"protocol": "sip", "primary": "a", "name": "#m", "password": "letmein"});
    let jobs = [update_job(1, r#"{"IP112":{"firmware":"136044"}}"#), kind_job(2, "sip", &sip)];
    let mut device = device();
    device.way = Way::Code;
    let order = config_job(2);
    assert!(!format!("{:?}", now(&device, &[order, jobs[1].clone()], 0)).contains("letmein"));
    let shown = preview(&device, &jobs);
    assert_eq!((shown.update.len(), shown.clean_up.len(), shown.items.len()), (2, 5, 0));
    let line = "config change PHONE USER-REG /protocol sip /addr a /name 00-90-33-41-a0-b1 /pwd hidden";
    assert_eq!(shown.configs, [(Kind::Sip, JobId(2), vec![line.to_owned()])]);
    device.facts.other = true;
    let shown = preview(&device, &jobs);
    assert_eq!((shown.update.len(), shown.configs.len(), shown.clean_up.len()), (0, 0, 0));
    assert_eq!(shown.items[0].values["password"], json!("hidden"));
}

#[test]
fn work_survives_serialization() {
    let jobs = [config_job(1), update_job(2, r#"{"IP112":{"firmware":"136044"}}"#)];
    let mut work = device().work;
    let plan = now(&device(), &jobs, 0);
    work.update_ordered(&plan.update.unwrap(), at(0));
    work.update_failed("no answer", at(1));
    let order = now(&device(), &jobs[..1], 0).configs.remove(0);
    work.configured(&order, at(2));
    work.clean_up_failed("no answer", at(3));
    let text = serde_json::to_string(&work).unwrap();
    assert_eq!(serde_json::from_str::<Work>(&text).unwrap(), work);
}
