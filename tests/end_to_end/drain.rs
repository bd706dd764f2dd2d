//! Stopping one of two nodes on one Redis: readiness ends at once, work in flight is finished, and no data is left
//! behind.

use std::time::Duration;

use provbroker::config::Config;
use provbroker::core::model::ids::{DeviceKey, DomainName};
use provbroker::core::model::timeline::{Subject, TimelineEvent};
use provbroker::core::model::work::State;
use provbroker::core::policy::jobs::config::Kind;
use provbroker::core::policy::jobs::{JobSpec, Task};
use provbroker::store::Signal;
use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, Keep, OTHER, OTHER_PASSWORD, PASSWORD, run};
use crate::support::peer::{Device, identify, identify_with, until};
use crate::support::raw::{Raw, get};
use crate::support::redis_server::RedisServer;
use crate::support::secrets;
use crate::support::tunnel::{RECEIVE_RESULT, SHUTDOWN};

const PHONE: &str = "0090334200f1";
const SECOND: &str = "0090334200f2";

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn key(id: &str) -> DeviceKey {
    DeviceKey::parse(id).unwrap()
}

/// Two nodes on one Redis; the test stops the first one.
fn on_two_nodes(change: impl Fn(&mut Config), test: impl AsyncFnOnce(&RedisServer, Broker, &Broker)) {
    let keep = Keep::redis();
    let Keep::Redis(server) = &keep else { unreachable!() };
    let (one, two) = (Broker::on(&keep, &change), Broker::on(&keep, &change));
    run(test(server, one, &two));
}

async fn users(broker: &Broker) -> App {
    App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await
}

/// A member of a domain without jobs and passwords, entered through this Users.
async fn member(broker: &Broker, users: &mut App, id: &str) -> (Device, String) {
    let code = users.code(CATEGORY, id).await;
    let entered = Device::enter(broker.addr, id, &code).await;
    assert_eq!(users.next_notice().await["code"], code.as_str());
    entered
}

async fn drain(broker: &Broker) {
    broker.drain();
    let answer = get(broker.ops, "/readyz").await;
    assert_eq!((answer.status, &*answer.body), (503, "draining\n"));
}

#[test]
fn members_stay_until_load_balancers_have_noticed() {
    let wait = Duration::from_secs(1);
    on_two_nodes(
        |config| config.lifecycle.drain_wait = wait,
        async |_, one, two| {
            let mut users = users(two).await;
            let (mut phone, _) = member(&one, &mut users, PHONE).await;
            let begun = tokio::time::Instant::now();
            drain(&one).await;
            phone.expect_close(1001).await;
            assert!(begun.elapsed() >= wait, "{:?}", begun.elapsed());
        },
    );
}

#[test]
fn a_registration_and_an_entry_in_flight_are_finished() {
    // The store is paused for a moment, and longer on a slow machine.
    let patient = |config: &mut Config| config.store.deadline = Duration::from_secs(10);
    on_two_nodes(patient, async |redis, one, two| {
        let mut users = users(&one).await;
        let (phone, password) = member(&one, &mut users, PHONE).await;
        phone.leave().await;
        // The first password is tentative until it is used for a registration.
        let stored = two.store().find_device(&key(PHONE)).await.unwrap().unwrap();
        assert!(stored.tentative);
        let mut registering = Device::identified(one.addr, &identify(PHONE)).await;
        let challenge = registering.expect_challenge().await;
        let mut idle = Device::identified(one.addr, &identify("0090334200f0")).await;
        idle.quiet().await;

        let code = users.code(CATEGORY, "in flight").await;
        let mut entering = Device::connect(one.addr, "").await;
        redis.pause();
        entering.identify_taken(&identify_with(SECOND, &code)).await;
        drain(&one).await;
        redis.resume();
        idle.expect_close(1001).await;
        registering.answer(&identify(PHONE), &challenge, &password).await;
        registering.expect_close(1001).await;
        entering.expect_password().await;
        entering.expect_close(1001).await;
        // Users is closed after the devices, so it still gets this notice.
        assert_eq!(users.next_notice().await["src"], "in flight");
        users.expect_close(1001).await;
        drop((registering, entering, idle, users));
        one.stop();
        assert!(!two.store().find_device(&key(PHONE)).await.unwrap().unwrap().tentative);
        assert!(two.store().find_device(&key(SECOND)).await.unwrap().is_some());
    });
}

#[test]
fn lines_and_requests_in_flight_are_finished() {
    on_two_nodes(
        |_| {},
        async |_, one, two| {
            let ntp = json!({"kind": "ntp", "values": {"server": "192.0.2.99"}});
            let task = Task::Config(serde_json::from_value(ntp).unwrap());
            two.store().add_job(&domain(DOMAIN), &JobSpec { category: None, desc: None, task }).await.unwrap().unwrap();
            two.store().publish(&Signal::Tenant { domain: domain(DOMAIN) }).await.unwrap();
            let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
            let mut others = self::users(&one).await;
            let session = others.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
            secrets::note(&session);
            let (idle, password) = member(&one, &mut others, SECOND).await;
            idle.leave().await;
            let mut asked = Device::come_back(one.addr, SECOND, &password).await;
            asked.quiet().await;

            let code = users.code(CATEGORY, "p1").await;
            let (mut phone, password) = Device::enter(one.addr, PHONE, &code).await;
            phone.expect_admin_password(&password).await;
            until("the first line is under way", async || {
                phone.quiet().await;
                !phone.lines.is_empty()
            })
            .await;
            let before = phone.lines.len();

            let mut browser = Raw::connect(one.addr).await;
            let path = format!("{INSTANCE}/passthrough/{SECOND}/{session}/page");
            browser
                .send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
                .await;
            let (tunnel, request) = asked.request().await;
            assert!(request.starts_with("GET /page "), "{request}");
            let mut operator = Raw::connect(one.addr).await;
            let body = json!({"domain": OTHER, "password": OTHER_PASSWORD}).to_string();
            let head = format!(
                "POST /api/v1/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            operator.send(head.as_bytes()).await;

            drain(&one).await;
            assert!(asked.is_quiet().await, "the request is under way");
            asked.tunnel(tunnel, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage").await;
            assert_eq!(asked.expect_tunnel(SHUTDOWN).await.session, tunnel);
            asked.expect_close(1001).await;
            assert!(browser.head().await.starts_with("HTTP/1.1 200 "));
            assert_eq!(browser.rest().await, b"page");
            phone.expect_close(1001).await;
            assert!(phone.lines.len() > before, "{:?}", phone.lines);
            assert_eq!(users.next_notice().await["src"], "p1");
            users.expect_close(1001).await;
            others.expect_close(1001).await;
            operator.send(body.as_bytes()).await;
            assert!(operator.head().await.starts_with("HTTP/1.1 200 "));
            drop((asked, phone, users, others, operator, browser));
            one.stop();

            let work = two.store().find_device(&key(PHONE)).await.unwrap().unwrap().work;
            assert_eq!(work.config(Kind::Ntp).unwrap().progress.state, State::Done);
            assert_eq!(work.clean_up.unwrap().state, State::Done);
            let steps = two.store().timeline(&domain(DOMAIN), &Subject::Device(key(PHONE))).await.unwrap();
            assert!(steps.iter().any(|step| step.event == TimelineEvent::CleanedUp), "{steps:?}");
        },
    );
}

#[test]
fn a_stop_leaves_no_data_behind() {
    on_two_nodes(
        |_| {},
        async |redis, one, two| {
            let mut here = users(&one).await;
            let mut there = users(two).await;
            there.quiet().await;
            let mut members = Vec::new();
            for n in 0..10 {
                members.push(member(&one, &mut here, &format!("00903342010{n}")).await.0);
            }
            // Not settled within the hold time of five seconds, and not before the stop.
            let late = here.code(CATEGORY, "late").await;
            let mut waiting = Device::identified(one.addr, &identify(PHONE)).await;
            waiting.quiet().await;
            drain(&one).await;
            for mut member in members {
                member.expect_close(1001).await;
            }
            waiting.expect_close(1001).await;
            here.expect_close(1001).await;
            drop((waiting, here));
            one.stop();

            let mut behind = redis.connection().await;
            let presence: Vec<String> = redis::cmd("KEYS").arg("pb:*:presence").query_async(&mut behind).await.unwrap();
            assert_eq!(presence, [""; 0], "not only hidden by the end of the lease");
            let nodes: Vec<String> = redis::cmd("KEYS").arg("pb:node:*").query_async(&mut behind).await.unwrap();
            assert_eq!(nodes.len(), 1, "{nodes:?}");
            let mut codes = std::collections::BTreeSet::new();
            for _ in 0..10 {
                codes.insert(there.next_notice().await["device"]["hwId"].as_str().unwrap().to_owned());
            }
            assert_eq!(codes.len(), 10, "{codes:?}");
            let (_phone, _) = Device::enter(two.addr, PHONE, &late).await;
            assert_eq!(there.next_notice().await["code"], late.as_str());
        },
    );
}

#[test]
fn unfinished_work_is_cut_at_the_end_of_the_drain() {
    let short = |config: &mut Config| config.lifecycle.drain_max = Duration::from_millis(400);
    on_two_nodes(short, async |_, one, _| {
        let mut users = users(&one).await;
        let session = users.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
        secrets::note(&session);
        let (phone, password) = member(&one, &mut users, PHONE).await;
        phone.leave().await;
        let mut asked = Device::come_back(one.addr, PHONE, &password).await;
        asked.quiet().await;
        let mut browser = Raw::connect(one.addr).await;
        let path = format!("{INSTANCE}/passthrough/{PHONE}/{session}/page");
        browser.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await;
        asked.request().await;
        drain(&one).await;
        asked.expect_close(1001).await;
        assert!(browser.head().await.starts_with("HTTP/1.1 502 "));
        users.expect_close(1001).await;
    });
}
