//! Admission over real connections: who may start, who waits and who is sent away. The test occupies the places
//! itself, so no result depends on timing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use provbroker::admission::controller::{Passage, Permit, Turn};
use provbroker::config::Config;
use provbroker::core::model::ids::DomainName;
use provbroker::core::policy::admission::queue::Rank;
use provbroker::core::policy::admission::registration::Lane;
use provbroker::core::policy::limits::SourceKey;
use provbroker::metrics::GateName;
use serde_json::Value;

use crate::support::app::App;
use crate::support::broker::{
    Broker, CATEGORY, DOMAIN, INSTANCE, Keep, OTHER, OTHER_PASSWORD, PASSWORD, QUERY, with_broker,
};
use crate::support::peer::{Device, identify, identify_with, until};
use crate::support::raw::{LOCALHOST, Raw, exchange, get, get_from, upgrade_request};

/// One registration at a time.
fn one_at_a_time(config: &mut Config) {
    config.admission.max_registrations = 1;
    // No test waits for this long.
    config.admission.max_wait = Duration::from_secs(60);
}

fn lane(domain: &str) -> Lane {
    Lane::Domain(DomainName::parse(domain).unwrap())
}

/// Occupies the only place; its former holder may have to give it back first.
async fn occupy_the_place(broker: &Broker) -> Permit<Lane> {
    let mut permit = None;
    until("the place is free", async || {
        if let Passage::Now(free) = broker.admission().registration(Rank::Known, &lane("nobody.example")) {
            permit = Some(free);
        }
        permit.is_some()
    })
    .await;
    permit.unwrap()
}

/// Waits like a device of this domain.
fn queue_device(broker: &Broker, domain: &str) -> Turn<Lane> {
    match broker.admission().registration(Rank::Known, &lane(domain)) {
        Passage::Later(turn) => turn,
        Passage::Now(_) | Passage::Refused => panic!("has to wait"),
    }
}

async fn waiting(broker: &Broker, many: usize) {
    until("they wait", async || broker.admission().waiting(GateName::Registration) == many).await;
}

/// Lets devices enter a domain and disconnect: their identify messages and passwords.
async fn known(broker: &Broker, domain: &str, password: &str, ids: &[&str]) -> Vec<(Value, String)> {
    let mut users = App::login(broker.addr, "users", domain, "users", password).await;
    let mut all = Vec::new();
    for id in ids {
        let code = users.code(CATEGORY, id).await;
        let (mut device, password) = Device::enter(broker.addr, id, &code).await;
        if domain == DOMAIN {
            device.expect_admin_password(&password).await;
        }
        device.leave().await;
        users.next_notice().await;
        all.push((identify(id), password));
    }
    all
}

#[test]
fn a_device_waits_for_its_turn_on_its_connection() {
    with_broker(&Keep::embedded(), one_at_a_time, async |broker: &Broker| {
        let all = known(broker, OTHER, OTHER_PASSWORD, &["009033420101"]).await;
        let (identify, password) = &all[0];
        let place = occupy_the_place(broker).await;
        let mut device = Device::identified(broker.addr, identify).await;
        waiting(broker, 1).await;
        device.quiet().await;
        drop(place);
        let challenge = device.expect_challenge().await;
        // A device that was admitted does not wait again, whoever occupies the place.
        let _place = occupy_the_place(broker).await;
        device.answer(identify, &challenge, password).await;
        device.quiet().await;
        let mut next = Device::identified(broker.addr, identify).await;
        waiting(broker, 1).await;
        next.quiet().await;
        let series = get(broker.ops, "/metrics").await.body;
        assert!(series.contains("provbroker_members 1"), "{series}");
        assert!(series.contains("provbroker_admission_registrations_total{outcome=\"after_waiting\"} 1"), "{series}");
    });
}

on_each_store!(the_single_phone_of_a_neighbour_is_next, one_at_a_time, async |broker: &Broker| {
    let crowd = known(broker, DOMAIN, PASSWORD, &["009033420201", "009033420202", "009033420203"]).await;
    let neighbour = known(broker, OTHER, OTHER_PASSWORD, &["009033420204"]).await;
    let place = occupy_the_place(broker).await;
    let mut devices = Vec::new();
    for (at, (identify, _)) in crowd.iter().enumerate() {
        devices.push(Device::identified(broker.addr, identify).await);
        waiting(broker, at + 1).await;
    }
    let mut single = Device::identified(broker.addr, &neighbour[0].0).await;
    waiting(broker, 4).await;
    // Queued last, but after only one of its own domain.
    let mark = queue_device(broker, OTHER);
    drop(place);
    let place = mark.wait().await.expect("its turn");
    single.expect_challenge().await;
    assert_eq!(broker.admission().waiting(GateName::Registration), 1, "two of the crowd had their turns");
    devices[2].quiet().await;
    drop(place);
    for device in &mut devices {
        device.expect_challenge().await;
    }
});

#[test]
fn known_devices_go_before_those_with_a_code_and_these_before_all_others() {
    with_broker(&Keep::embedded(), one_at_a_time, async |broker: &Broker| {
        let all = known(broker, OTHER, OTHER_PASSWORD, &["009033420301"]).await;
        let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p").await;
        let place = occupy_the_place(broker).await;
        let mut unassigned_device = Device::identified(broker.addr, &identify("009033420302")).await;
        waiting(broker, 1).await;
        let mut entering = Device::identified(broker.addr, &identify_with("009033420303", &code)).await;
        waiting(broker, 2).await;
        let mut known = Device::identified(broker.addr, &all[0].0).await;
        waiting(broker, 3).await;
        // Queued second in its rank: it is admitted when the known device was served, and no other one.
        let mark = queue_device(broker, OTHER);
        drop(place);
        let place = mark.wait().await.expect("its turn");
        known.expect_challenge().await;
        entering.quiet().await;
        assert_eq!(broker.admission().waiting(GateName::Registration), 2);
        let Passage::Later(mark) = broker.admission().registration(Rank::Entering, &lane("mark.example")) else {
            panic!("has to wait")
        };
        drop(place);
        let place = mark.wait().await.expect("its turn");
        entering.expect_password().await;
        assert_eq!(broker.admission().waiting(GateName::Registration), 1);
        drop(place);
        waiting(broker, 0).await;
        unassigned_device.quiet().await;
    });
}

#[test]
fn a_device_that_disconnects_while_waiting_frees_its_place() {
    with_broker(&Keep::embedded(), one_at_a_time, async |broker: &Broker| {
        let _place = occupy_the_place(broker).await;
        let device = Device::identified(broker.addr, &identify("009033420401")).await;
        waiting(broker, 1).await;
        device.leave().await;
        waiting(broker, 0).await;
    });
}

#[test]
fn the_latest_identify_of_a_waiting_device_counts() {
    with_broker(&Keep::embedded(), one_at_a_time, async |broker: &Broker| {
        let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p").await;
        let place = occupy_the_place(broker).await;
        let mut device = Device::identified(broker.addr, &identify("009033420501")).await;
        waiting(broker, 1).await;
        device.identify(&identify_with("009033420501", &code)).await;
        device.quiet().await;
        assert_eq!(broker.admission().waiting(GateName::Registration), 1);
        drop(place);
        device.expect_password().await;
    });
}

#[test]
fn a_device_that_waits_too_long_is_closed_and_an_admitted_one_is_not() {
    let change = |config: &mut Config| {
        one_at_a_time(config);
        config.admission.max_wait = Duration::from_millis(50);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let all = known(broker, OTHER, OTHER_PASSWORD, &["009033420601", "009033420602"]).await;
        let mut member = Device::come_back(broker.addr, "009033420601", &all[0].1).await;
        let mut challenged = Device::identified(broker.addr, &all[1].0).await;
        let challenge = challenged.expect_challenge().await;
        let _place = occupy_the_place(broker).await;
        Device::identified(broker.addr, &identify("009033420603")).await.expect_close(1013).await;
        challenged.answer(&all[1].0, &challenge, &all[1].1).await;
        challenged.quiet().await;
        member.quiet().await;
    });
}

#[test]
fn a_full_queue_makes_room_for_a_shorter_lane_only() {
    let change = |config: &mut Config| {
        one_at_a_time(config);
        config.admission.max_waiting = 2;
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let crowd = known(broker, DOMAIN, PASSWORD, &["009033420701", "009033420702", "009033420703"]).await;
        let neighbour = known(broker, OTHER, OTHER_PASSWORD, &["009033420704"]).await;
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(Device::connect(broker.addr, "").await);
        }
        let [mut first, mut second, mut third, mut single] = <[Device; 4]>::try_from(open).ok().unwrap();
        let place = occupy_the_place(broker).await;
        first.identify(&crowd[0].0).await;
        waiting(broker, 1).await;
        second.identify(&crowd[1].0).await;
        waiting(broker, 2).await;
        third.identify(&crowd[2].0).await;
        third.expect_close(1013).await;
        single.identify(&neighbour[0].0).await;
        second.expect_close(1013).await;
        first.quiet().await;
        single.quiet().await;
        drop(place);
        first.expect_challenge().await;
        single.expect_challenge().await;
    });
}

#[test]
fn time_limits_do_not_run_for_a_waiting_device() {
    let change = |config: &mut Config| {
        one_at_a_time(config);
        config.devices.identify_timeout = Duration::from_millis(300);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let place = occupy_the_place(broker).await;
        let mut device = Device::connect(broker.addr, QUERY).await;
        device.identify(&identify("009033420801")).await;
        waiting(broker, 1).await;
        // This one connected later and sends nothing.
        Device::connect(broker.addr, "").await.expect_close(1008).await;
        device.quiet().await;
        drop(place);
        device.expect_password().await;
    });
}

/// Occupies all places for handshakes.
fn occupy_handshakes(broker: &Broker, many: usize) -> Vec<Permit<SourceKey>> {
    let from = SourceKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let take = |_| match broker.admission().connection(from, 3, || false) {
        Passage::Now(permit) => permit,
        Passage::Later(_) | Passage::Refused => panic!("nobody else is there"),
    };
    (0..many).map(take).collect()
}

fn two_handshakes(config: &mut Config) {
    config.admission.max_handshakes = 2;
    config.admission.max_waiting = 2;
    config.admission.max_wait = Duration::from_secs(60);
}

async fn connections_waiting(broker: &Broker, many: usize) {
    until("they wait", async || broker.admission().waiting(GateName::Connection) == many).await;
}

#[test]
fn connections_wait_before_anything_is_read_and_others_get_retry_after() {
    with_broker(&Keep::embedded(), two_handshakes, async |broker: &Broker| {
        let taken = occupy_handshakes(broker, 2);
        let (mut first, mut second) = (Raw::connect(broker.addr).await, Raw::connect(broker.addr).await);
        connections_waiting(broker, 2).await;
        for raw in [&mut first, &mut second] {
            raw.send(upgrade_request(&format!("{INSTANCE}/sysclients"), "").as_bytes()).await;
        }
        // The queue is full; neither lane is longer.
        let refused = exchange(LOCALHOST, broker.addr, "").await;
        assert_eq!(refused.status, 503);
        let wait: u64 = refused.field("retry-after").expect("a time").parse().unwrap();
        assert!((1..=120).contains(&wait), "{wait}");
        // Another source address is still accepted.
        let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        let other = get_from(elsewhere, broker.addr, "/healthz");
        assert_eq!(get(broker.ops, "/healthz").await.status, 200, "operations never wait");
        let (other, pushed, ()) = tokio::join!(other, second.head(), async {
            until("one is sent away", async || {
                let series = get(broker.ops, "/metrics").await.body;
                series.contains("provbroker_admission_connections_total{outcome=\"full\"} 2")
            })
            .await;
            drop(taken);
        });
        assert!(pushed.starts_with("HTTP/1.1 503 "), "{pushed}");
        assert_eq!(other.status, 200);
        assert!(first.head().await.starts_with("HTTP/1.1 101 "));
        connections_waiting(broker, 0).await;
    });
}

#[test]
fn an_upgraded_connection_holds_no_handshake() {
    with_broker(&Keep::embedded(), two_handshakes, async |broker: &Broker| {
        let mut open = Vec::new();
        for n in 0..20 {
            let mut device = Device::identified(broker.addr, &identify(&format!("0090334209{n:02}"))).await;
            device.quiet().await;
            open.push(device);
        }
        for device in &mut open {
            device.quiet().await;
        }
    });
}

#[test]
fn without_memory_no_new_connection_is_accepted() {
    let change = |config: &mut Config| config.admission.max_memory = 1;
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let refused = exchange(LOCALHOST, broker.addr, "").await;
        assert_eq!(refused.status, 503);
        assert!(refused.field("retry-after").is_some());
        let series = get(broker.ops, "/metrics").await.body;
        assert!(series.contains("provbroker_admission_connections_total{outcome=\"memory\"} 1"), "{series}");
    });
}
