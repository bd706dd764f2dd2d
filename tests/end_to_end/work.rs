//! From the entry to the notice: update, restart, configuration, clean-up (`docs/protocol/sysclient.md` 5.2), with
//! simulated phones.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use provbroker::config::Config;
use provbroker::core::model::ids::{Code, DeviceKey, DomainName, HardwareId};
use provbroker::core::model::timeline::{Subject, TimelineEvent};
use provbroker::core::model::work::{State, Work};
use provbroker::core::policy::jobs::config::{Configuration, Kind};
use provbroker::core::policy::jobs::{Hours, JobSpec, Task, Update};
use provbroker::core::session::device::settings::Part;
use provbroker::sim::files::FileServer;
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport;
use provbroker::store::Signal;
use serde_json::json;
use tokio::sync::mpsc::Receiver;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, PASSWORD};
use crate::support::cutter::Cutter;
use crate::support::peer::{guarded, until};

/// Phones whose lines are cut at the same time.
const AT_ONCE: usize = 12;

fn domain() -> DomainName {
    DomainName::parse(DOMAIN).unwrap()
}

/// Retries follow at once. A device that reconnects before the broker has noticed the cut, and has lost its password
/// with it, is challenged and closed; it need not wait for that as long as a real one.
fn fast_retries(config: &mut Config) {
    config.devices.challenge_timeout = Duration::from_secs(2);
    config.jobs.update_again = Duration::from_millis(1);
    config.jobs.config_again = Duration::from_millis(1);
}

/// One configuration of every kind that applies to a phone.
fn configurations(files: &FileServer) -> Vec<Configuration> {
    let golden = |kind: &Kind| {
        let path = format!("{}/tests/golden/jobs/{kind}-minimal.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let kinds = Kind::ALL.iter().filter(|kind| kind.suits("PHONE", false) && **kind != Kind::UpdateServer);
    let mut all: Vec<Configuration> = kinds.map(golden).collect();
    // A phone polls its update server, so it has to be one of ours.
    let values = json!({"url": format!("{}script", files.base())});
    all.push(serde_json::from_value(json!({"kind": "update-server", "values": values})).unwrap());
    all
}

async fn make_jobs(broker: &Broker, files: &FileServer) {
    let builds = json!({"baseUrl": files.base(), "products": {"IP112": {"firmware": "136044", "bootcode": "136044"}}});
    let update = Update { builds: serde_json::from_value(builds).unwrap(), hours: Hours::default() };
    let tasks = configurations(files).into_iter().map(Task::Config);
    for task in std::iter::once(Task::Update(update)).chain(tasks) {
        let made = broker.store().add_job(&domain(), &JobSpec { category: None, desc: None, task }).await.unwrap();
        assert!(made.is_some());
    }
    broker.store().publish(&Signal::Tenant { domain: domain() }).await.unwrap();
    // Jobs are known after the signal; a category without any is listed for every type, one with a phone's for phones.
    let mut app = App::login(broker.addr, "innovaphone-devices", DOMAIN, "jobs", PASSWORD).await;
    until("the jobs are known", async || {
        let listed = app.request(json!({"mt": "GetProvisioningCategories", "type": "GW"})).await;
        listed["categories"].as_array().is_some_and(|categories| !categories.is_empty())
    })
    .await;
}

/// A phone that has the address of the broker and this code.
async fn phone(number: usize, broker: SocketAddr, code: &str) -> (DeviceKey, Phone, Receiver<PhoneEvent>) {
    let id = HardwareId::parse(&format!("009033420{number:03x}")).unwrap();
    let options = PhoneOptions {
        sysadmin: Some(format!("ws://{broker}{INSTANCE}/sysclients")),
        reconnect: Duration::from_millis(200),
        restart: Duration::from_millis(5),
        ..PhoneOptions::new(id.clone())
    };
    let (phone, events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
    phone.type_code(Code::parse(code).unwrap()).await;
    (id.key(), phone, events)
}

async fn work(broker: &Broker, key: &DeviceKey) -> Work {
    broker.store().find_device(key).await.unwrap().map(|device| device.work).unwrap_or_default()
}

fn is_done(work: &Work, kinds: usize) -> bool {
    let done = |state: &State| *state == State::Done;
    work.update.as_ref().is_some_and(|update| done(&update.state))
        && work.clean_up.as_ref().is_some_and(|clean_up| done(&clean_up.state))
        && work.configs.len() == kinds
        && work.configs.iter().all(|config| done(&config.progress.state))
}

/// The event, without what differs from kind to kind.
fn word(event: &TimelineEvent) -> &'static str {
    match event {
        TimelineEvent::Entered(_) => "entered",
        TimelineEvent::UpdateOrdered(_) => "ordered",
        TimelineEvent::Updated(_) => "updated",
        TimelineEvent::Configured(_) => "configured",
        TimelineEvent::NoticeReady => "ready",
        TimelineEvent::NoticeSent(_) | TimelineEvent::NoticeSettled => "told",
        TimelineEvent::CleanedUp => "cleaned up",
        other => panic!("{other:?}"),
    }
}

on_each_store!(a_phone_is_updated_configured_and_then_announced, |_| {}, async |broker: &Broker| {
    let files = FileServer::start().await.unwrap();
    make_jobs(broker, &files).await;
    let kinds = configurations(&files).len();
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.code(CATEGORY, "p1").await;
    let (key, phone, mut events) = phone(1, broker.addr, &code).await;

    let notice = users.next_notice().await;
    assert_eq!(notice["code"], code.as_str());
    assert_eq!(notice["device"]["version"], "13r3 sr9 [13.6044/136044/300]", "announced with the new build");
    let mut before_notice = Vec::new();
    while let Ok(event) = events.try_recv() {
        before_notice.push(event);
    }
    until("cleaned up", async || is_done(&work(broker, &key).await, kinds)).await;

    let subject = Subject::Device(key.clone());
    let mut steps = Vec::new();
    until("the timeline is written", async || {
        steps = broker.store().timeline(&domain(), &subject).await.unwrap();
        steps.iter().any(|step| step.event == TimelineEvent::CleanedUp)
    })
    .await;
    let mut words: Vec<_> = steps.iter().map(|step| word(&step.event)).filter(|word| *word != "told").collect();
    words.dedup();
    assert_eq!(words, ["entered", "ordered", "updated", "configured", "ready", "cleaned up"]);

    phone.stop().await;
    let seen = short_events(before_notice);
    assert_eq!(seen, ["password", "firmware", "boot code", "restart", "back", "config"]);
    while let Some(event) = events.recv().await {
        let restarts = matches!(event, PhoneEvent::Loaded { .. } | PhoneEvent::Restarting);
        assert!(!restarts, "everything else was before the notice: {event:?}");
    }
    assert!(files.asked().starts_with(&["ip112.bin".into(), "boot112.bin".into()]), "{:?}", files.asked());
});

/// The events of a phone, in short.
fn short_events(events: Vec<PhoneEvent>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for event in events {
        seen.push(match event {
            PhoneEvent::PasswordReceived(_) => "password",
            PhoneEvent::Loaded { part: Part::Firmware, .. } => "firmware",
            PhoneEvent::Loaded { .. } => "boot code",
            PhoneEvent::Restarting => "restart",
            PhoneEvent::ChallengeAnswered => "back",
            PhoneEvent::PageServed { what, status: 200 } if what.contains("/!config") => "config",
            PhoneEvent::PageServed { status: 200, .. } => continue,
            PhoneEvent::PageServed { what, status } => panic!("{what}: {status}"),
            _ => continue,
        });
    }
    seen.dedup();
    seen
}

on_each_store!(what_was_done_is_not_done_again, |_| {}, async |broker: &Broker| {
    let files = FileServer::start().await.unwrap();
    make_jobs(broker, &files).await;
    let kinds = configurations(&files).len();
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.code(CATEGORY, "p1").await;
    let (key, phone, mut events) = phone(1, broker.addr, &code).await;
    until("everything is done", async || is_done(&work(broker, &key).await, kinds)).await;
    let before = work(broker, &key).await;
    while events.try_recv().is_ok() {}
    phone.kill_connection().await;
    let back = async { while !matches!(events.recv().await, Some(PhoneEvent::Member(_))) {} };
    guarded("the phone is back", back).await;
    // A job of another kind is made while the phone is a member: only that one is sent.
    let values = json!({"server": "192.0.2.99"});
    let ntp = serde_json::from_value(json!({"kind": "ntp", "values": values})).unwrap();
    let made = broker
        .store()
        .add_job(&domain(), &JobSpec { category: None, desc: None, task: Task::Config(ntp) })
        .await
        .unwrap()
        .unwrap();
    broker.store().publish(&Signal::Tenant { domain: domain() }).await.unwrap();
    let ntp = |work: &Work| work.config(Kind::Ntp).and_then(|config| config.progress.job);
    until("the new job has come", async || ntp(&work(broker, &key).await) == Some(made.id)).await;
    let after = work(broker, &key).await;
    for config in &after.configs {
        let same = before.config(config.kind) == Some(config);
        assert_eq!(same, config.kind != Kind::Ntp, "{:?}", config.kind);
    }
    phone.stop().await;
    let mut lines = 0;
    while let Some(event) = events.recv().await {
        lines += usize::from(matches!(event, PhoneEvent::PageServed { .. }));
    }
    assert!((3..10).contains(&lines), "one configuration and no more: {lines} lines");
});

on_each_store!(a_line_that_is_cut_anywhere_is_no_harm, fast_retries, async |broker: &Broker| {
    let files = FileServer::start().await.unwrap();
    make_jobs(broker, &files).await;
    let kinds = configurations(&files).len();
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;

    // The number of messages of the broker without a fault.
    let code = users.code(CATEGORY, "whole").await;
    let line = Cutter::start(broker.addr, usize::MAX).await;
    let (key, whole, _events) = phone(0, line.addr, &code).await;
    until("everything is done", async || is_done(&work(broker, &key).await, kinds)).await;
    users.next_notice().await;
    whole.stop().await;
    let messages = line.passed();
    assert!(messages > 3 * kinds, "{messages}");

    let mut codes = HashMap::new();
    for after in 0..messages {
        codes.insert(after, users.code(CATEGORY, &format!("cut {after}")).await);
    }
    let runs = stream::iter(&codes).map(async |(after, code)| {
        let line = Cutter::start(broker.addr, *after).await;
        let (key, phone, _events) = phone(after + 1, line.addr, code).await;
        // Checking takes processor time too, and many do it at the same time.
        let all_done = async {
            while !is_done(&work(broker, &key).await, kinds) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        guarded(&format!("all is done although the line was cut after {after} messages"), all_done).await;
        let device = broker.store().find_device(&key).await.unwrap().unwrap();
        assert_eq!(device.pending, None, "cut after {after}");
        drop(phone);
    });
    runs.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    let mut told = HashMap::new();
    for _ in 0..messages {
        let notice = users.next_notice().await;
        *told.entry(notice["code"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert!(codes.values().all(|code| told.get(code) == Some(&1)), "{told:?}");
});
