//! Plans for configuration, items and clean-up: each is sent once, and retried after a failure.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::core::model::device::Category;
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainId, DomainName, Secret};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{Hours, JobSpec, Task, Update};
use crate::core::protocol::sysclient::config::ConfigItem;
use crate::core::protocol::sysclient::frame::FromServer;

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
        app_ip: None,
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

pub(in crate::core::policy::jobs) fn domain() -> Domain {
    Domain {
        id: DomainId(2),
        name: DomainName::parse("example.com").unwrap(),
        password: Secret::default(),
        admin_password: Secret::default(),
        auto_token: Secret::default(),
        access_to: Vec::new(),
        revision: 1,
        categories: vec![Category { id: CategoryId(4), name: "Desk phones".into(), provisioning: true }],
    }
}

fn job(id: u64, task: Task) -> Job {
    Job { id: JobId(id), created: UnixMillis(0), order: JobSpec { category: None, desc: None, task }, config: None }
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

pub(in crate::core::policy::jobs) fn kind_job(id: u64, kind: &str, values: &Value) -> Job {
    let configuration = serde_json::from_value(json!({"kind": kind, "values": values})).unwrap();
    job(id, Task::Config(configuration))
}

const SEED: &str = "Zk3Vx0Rz9Tq1Lm5W";

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::from_seconds(seconds)
}

fn now(device: &Device, jobs: &[Job], seconds: u64) -> Plan {
    plan(device, &domain(), jobs, Occasion::Meanwhile, at(seconds), &RetryPolicy::default())
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

/// What a device of another maker is sent, as JSON, and whether it is new.
fn sent(plan: &Plan) -> Vec<(Value, bool)> {
    let seal = |order: &ItemOrder| ConfigItem::seal(&order.config, SEED, &device().password);
    let message = |order: &ItemOrder| FromServer::Configuration { item: Some(seal(order)), last: false }.encode();
    let json = |order: &ItemOrder| serde_json::from_slice::<Value>(&message(order)[3..]).unwrap()["config"].clone();
    plan.items.iter().map(|order| (json(order), order.changed)).collect()
}

fn other(platform: &str, fxs: bool) -> Device {
    let mut device = device();
    (device.facts.other, device.facts.platform, device.facts.fxs) = (true, platform.into(), fxs);
    device
}

/// Everything of the plan arrives.
fn deliver(device: &mut Device, plan: Plan) {
    device.work = plan.work;
    plan.items.iter().filter(|order| order.changed).for_each(|order| device.work.item_sent(order, at(0)));
}

#[test]
fn a_device_of_another_maker_gets_one_message_for_each_published_type() {
    let registration = json!({"protocol": "sip", "primary": "pbx", "domain": "d", "name": "n", "password": "letmein"});
    let mut ports = registration.clone();
    ports["ports"] = "TEL1".into();
    let mut desk = kind_job(9, "sip", &registration);
    (desk.order.category, desk.order.desc, desk.config) = (Some(CategoryId(4)), Some("Desk".into()), Some(ConfigId(7)));
    let jobs = [
        kind_job(1, "ntp", &json!({"server": "a", "secondary": "b", "interval": 5})),
        kind_job(2, "time-zone", &json!({"zone": "CET-1"})),
        kind_job(3, "device-name", &json!({"name": "#t"})),
        kind_job(4, "raw", &json!({"lines": "vars del A"})),
        kind_job(5, "analogue-phone", &ports),
        kind_job(6, "stun", &json!({"turnServer": "turn", "turnUser": "#t", "turnPassword": "Geheim-1"})),
        kind_job(8, "sip", &registration),
        desk,
    ];
    let phone = now(&other("PHONE", false), &jobs, 0);
    assert!(phone.configs.is_empty() && !phone.clean_up);
    let media = json!({"id": 6, "domainId": 2, "type": "MEDIA", "categories": [], "stunServer": "",
        "turnServer": "turn", "turnUser": "IP112", "turnPassword": "e42e9c09f9f08ec1", "turnSeed": SEED});
    // Merged from two kinds; number, description and categories are those of the later job.
    let ntp = json!({"id": 2, "domainId": 2, "type": "NTP", "categories": [], "ntp1": "a", "ntp2": "b", "tz": "CET-1"});
    let desk = json!([{"id": 4, "name": "Desk phones", "config": true}]);
    let sip = json!({"id": 7, "domainId": 2, "desc": "Desk", "type": "PHONE", "categories": desk, "gk1": "pbx",
        "gkId": "d", "coder": "G711A", "srtpKey": "0", "srtpCipher": "1", "dialTone": 0});
    assert_eq!(sent(&phone), [(media, true), (ntp, true), (sip, true)]);
    let types = |device: &Device| -> Vec<_> { now(device, &jobs, 0).items.iter().map(|o| o.config.kind).collect() };
    assert_eq!(types(&other("VA", true)), [ConfigType::FxsPhone, ConfigType::Media, ConfigType::Ntp]);
    // Kinds that only devices of other makers have, and members that only they are sent.
    let jobs = [
        kind_job(1, "tls-profile", &json!({"profile": "strict"})),
        kind_job(2, "alarm-server", &json!({"logUrl": "http://h/", "logUser": "u", "logPassword": "Geheim-1"})),
        kind_job(3, "stun", &json!({"stunServer": "s", "setRtpPorts": true, "rtpFirst": 16384, "rtpNum": 512})),
        kind_job(4, "alarm-server", &json!({"url": "http://a/"})),
    ];
    let log = json!({"id": 2, "domainId": 2, "type": "ALARM_SERVER", "categories": [], "logUrl": "http://h/",
        "logUser": "u", "logPassword": "e42e9c09f9f08ec1", "logSeed": SEED, "setLogUrl": false});
    let media = json!({"id": 3, "domainId": 2, "type": "MEDIA", "categories": [], "stunServer": "s", "turnServer": "",
        "turnUser": "", "turnPassword": "", "turnSeed": "", "setRtpPorts": true, "rtpFirst": 16384, "rtpNum": 512});
    let tls = json!({"id": 1, "domainId": 2, "type": "TLS_PROFILE", "categories": [], "profile": "strict"});
    assert_eq!(sent(&now(&other("GW", false), &jobs[..3], 0)), [(log, true), (media, true), (tls, true)]);
    let alarm = json!({"id": 2, "domainId": 2, "type": "ALARM_SERVER", "categories": [], "url": "http://a/",
        "setLogUrl": false});
    assert_eq!(sent(&now(&other("GW", false), &jobs, 0))[0].0, alarm);
    let kinds = |plan: Plan| -> Vec<_> { plan.configs.iter().map(|order| order.kind).collect() };
    assert_eq!(kinds(now(&device(), &jobs, 0)), [Kind::Stun]);
    assert!(!format!("{phone:?}").contains("Geheim-1") && !format!("{phone:?}").contains("letmein"));
}

#[test]
fn a_device_of_another_maker_is_sent_what_has_changed_and_what_no_longer_applies() {
    let ntp = kind_job(1, "ntp", &json!({"server": "a"}));
    let zone = kind_job(2, "time-zone", &json!({"zone": "CET-1"}));
    let stun = kind_job(3, "stun", &json!({"stunServer": "s"}));
    let mut device = other("PHONE", false);
    let all = [ntp.clone(), zone.clone(), stun.clone()];
    let first = now(&device, &all, 0);
    deliver(&mut device, first);
    let kinds: Vec<_> = device.work.configs.iter().map(|had| (had.kind, had.progress.job, had.config)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Ntp, Some(JobId(1)), Some(ConfigId(2))),
            (Kind::TimeZone, Some(JobId(2)), Some(ConfigId(2))),
            (Kind::Stun, Some(JobId(3)), Some(ConfigId(3)))
        ]
    );
    assert!(sent(&now(&device, &all, 1)).iter().all(|(_, changed)| !changed));
    // A value, the name of a category, the end of one of two jobs.
    let later = [ntp.clone(), zone, kind_job(4, "stun", &json!({"stunServer": "t"}))];
    let changed = |plan: &Plan| -> Vec<_> { plan.items.iter().filter(|o| o.changed).map(|o| o.config.kind).collect() };
    assert_eq!(changed(&now(&device, &later, 2)), [ConfigType::Media]);
    let without_zone = now(&device, &[ntp, stun], 3);
    assert_eq!(changed(&without_zone), [ConfigType::Ntp]);
    assert_eq!(sent(&without_zone)[1].0["tz"], "");
    deliver(&mut device, without_zone);
    assert!(device.work.config(Kind::TimeZone).is_none());
    let none = now(&device, &[], 4);
    let ntp = json!({"id": 1, "domainId": 2, "type": "NTP", "categories": [], "ntp1": "", "ntp2": "", "tz": "",
        "removed": true});
    let media = json!({"id": 3, "domainId": 2, "type": "MEDIA", "categories": [], "stunServer": "", "turnServer": "",
        "turnUser": "", "turnPassword": "", "turnSeed": "", "removed": true});
    assert_eq!(sent(&none), [(media, true), (ntp, true)]);
    deliver(&mut device, none);
    assert!(device.work.configs.is_empty() && now(&device, &[], 5).items.is_empty());
}

/// What is kept with the device by the version before the published form of `0006`.
fn kept_before(kind: Kind, job: u64, fingerprint: &str) -> Configured {
    let text = json!({"kind": kind, "fingerprint": fingerprint, "job": job, "attempts": 1, "at": 0, "state": "done"});
    serde_json::from_value(text).unwrap()
}

#[test]
fn with_the_published_form_only_devices_of_other_makers_are_sent_something_anew() {
    let jobs = [
        kind_job(1, "ntp", &json!({"server": "a", "interval": 5})),
        kind_job(2, "device-name", &json!({"name": "#t"})),
    ];
    let mut device = device();
    device.work.configs = vec![
        kept_before(Kind::DeviceName, 2, "70fa4676c26e34a7313975cbd3090553"),
        kept_before(Kind::Ntp, 1, "3e4769c51baa65898faea8a8e2a611cf"),
    ];
    let unchanged = now(&device, &jobs, 0);
    assert_eq!((unchanged.configs.len(), unchanged.work), (0, device.work.clone()));
    // The same record of a device of another maker: the new form once, and nothing of what has no type.
    device.facts.other = true;
    let once = now(&device, &jobs, 0);
    assert_eq!(
        sent(&once).iter().map(|(config, new)| (config["type"].clone(), *new)).collect::<Vec<_>>(),
        [(json!("NTP"), true)]
    );
    deliver(&mut device, once);
    assert_eq!(device.work.configs.len(), 1);
    assert!(sent(&now(&device, &jobs, 1)).iter().all(|(_, changed)| !changed));
    // What was removed while it was away is told to it, without the number, which was not kept.
    device.work.configs = vec![kept_before(Kind::Ntp, 1, "00")];
    assert_eq!(sent(&now(&device, &[], 2))[0].0["id"], 0);
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
    let shown = preview(&device, &domain(), &jobs);
    assert_eq!((shown.update.len(), shown.clean_up.len(), shown.items.len()), (2, 5, 0));
    let line = "config change PHONE USER-REG /protocol sip /addr a /name 00-90-33-41-a0-b1 /pwd hidden";
    assert_eq!(shown.configs, [(Kind::Sip, JobId(2), vec![line.to_owned()])]);
    device.facts.other = true;
    let stun = json!({"turnServer": "a", "turnUser": "b", "turnPassword": "letmein"});
    let shown = preview(&device, &domain(), &[jobs[0].clone(), jobs[1].clone(), kind_job(3, "stun", &stun)]);
    assert_eq!((shown.update.len(), shown.configs.len(), shown.clean_up.len()), (0, 0, 0));
    assert_eq!((shown.items.len(), &shown.items[0].shown()["turnPassword"]), (2, &json!("hidden")));
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
