//! Attempts of devices at passwords, codes and tokens (`docs/protocol/sysclient.md` 9.1): nobody is refused because of
//! what others tried, and nobody guesses faster than the rules allow, over however many connections.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use provbroker::core::model::ids::DomainName;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, QUERY, TOKEN, with_broker};
use crate::support::peer::{Device, identify, identify_with};
use crate::support::raw::LOCALHOST;

/// Another address of the loopback.
const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

async fn connect(broker: &Broker, from: IpAddr, query: &str) -> Device {
    Device::connect_from(from, broker.addr, query).await.expect("a device is never refused because of attempts")
}

async fn users(broker: &Broker) -> App {
    App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await
}

/// Waits for the challenge of a device; how long it took.
async fn challenged(broker: &Broker, from: IpAddr, id: &str) -> (Device, String, Duration) {
    let begun = Instant::now();
    let mut device = connect(broker, from, "").await;
    device.identify(&identify(id)).await;
    let challenge = device.expect_challenge().await;
    (device, challenge, begun.elapsed())
}

/// A wrong digest; how long the challenge took.
async fn wrong_digest(broker: &Broker, from: IpAddr, id: &str) -> Duration {
    let (mut thief, challenge, took) = challenged(broker, from, id).await;
    thief.answer(&identify(id), &challenge, "a guess").await;
    thief.expect_close(1008).await;
    took
}

/// The known device comes back with its password; how long it took.
async fn come_back(broker: &Broker, from: IpAddr, id: &str, password: &str) -> (Device, Duration) {
    let begun = Instant::now();
    let (mut device, challenge, _) = challenged(broker, from, id).await;
    device.answer(&identify(id), &challenge, password).await;
    device.quiet().await;
    (device, begun.elapsed())
}

/// Bad codes of one device on one connection.
async fn guess(device: &mut Device, id: &str, codes: std::ops::Range<u64>) {
    for code in codes {
        device.identify(&identify_with(id, &format!("{code:012}"))).await;
    }
    device.quiet().await;
}

fn seconds(from: f64, to: f64, took: Duration) {
    assert!((from..to).contains(&took.as_secs_f64()), "{took:?}, not {from} to {to} s");
}

#[test]
fn the_right_digest_gets_in_whatever_others_tried() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let code = users(broker).await.code(CATEGORY, "p1").await;
            let id = "009033420101";
            let (_, password) = Device::enter(broker.addr, id, &code).await;
            for wrong in 0..7 {
                let took = wrong_digest(broker, address(9), id).await;
                // 1, 2, 4 … seconds from the sixth attempt on.
                let expected = if wrong < 5 { 0.0 } else { f64::from(1 << (wrong - 5)) };
                assert!(took.as_secs_f64() >= expected, "{wrong}: {took:?}");
            }
            let (_device, took) = come_back(broker, LOCALHOST, id, &password).await;
            seconds(0.0, 1.0, took);
            let (_device, took) = come_back(broker, address(9), id, &password).await;
            seconds(4.0, 8.0, took);
            let (_device, took) = come_back(broker, address(9), id, &password).await;
            seconds(0.0, 1.0, took);
        },
    );
}

/// A test asks for codes faster than an app.
const fn many_codes(config: &mut provbroker::config::Config) {
    config.apps.requests_per_second = 10_000;
}

/// Known devices with the password that they had before, beside healthy ones at the same address.
async fn beside_stale_ones(broker: &Broker, stale: u32, rounds: u32) {
    let mut users = users(broker).await;
    let mut healthy = Vec::new();
    for number in 0..5 {
        let (id, code) = (format!("00903342ff0{number}"), users.code(CATEGORY, "p1").await);
        let (_, password) = Device::enter(broker.addr, &id, &code).await;
        healthy.push((id, password));
    }
    let mut ids = Vec::new();
    for number in 0..stale {
        let (id, code) = (format!("0090334201{number:03x}"), users.code(CATEGORY, "p1").await);
        let _ = Device::enter(broker.addr, &id, &code).await;
        ids.push(id);
    }
    for _ in 0..rounds {
        for id in &ids {
            wrong_digest(broker, LOCALHOST, id).await;
        }
        for (id, password) in &healthy {
            let (_, took) = come_back(broker, LOCALHOST, id, password).await;
            seconds(0.0, 1.0, took);
        }
    }
}

#[test]
fn twelve_phones_with_a_stale_password_hold_up_nobody() {
    with_broker(&Keep::embedded(), many_codes, async |broker: &Broker| beside_stale_ones(broker, 12, 6).await);
}

#[test]
fn three_hundred_phones_with_a_stale_password_hold_up_nobody() {
    with_broker(&Keep::embedded(), many_codes, async |broker: &Broker| beside_stale_ones(broker, 300, 1).await);
}

#[test]
fn ten_bad_codes_delay_the_next_one_of_the_same_device_and_nothing_else() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut users = users(broker).await;
            let (id, other) = ("009033420201", "009033420202");
            let mut device = connect(broker, LOCALHOST, "").await;
            guess(&mut device, id, 0..10).await;
            let code = users.code(CATEGORY, "p1").await;
            let begun = Instant::now();
            device.identify(&identify_with(id, &code)).await;
            device.quiet().await;
            let (_other, _) = Device::enter(broker.addr, other, &users.code(CATEGORY, "p2").await).await;
            assert!(begun.elapsed() < Duration::from_secs(1), "another device does not wait");
            device.expect_password().await;
            seconds(0.9, 3.0, begun.elapsed());
        },
    );
}

#[test]
fn the_same_bad_code_counts_once() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let id = "009033420301";
            let mut device = connect(broker, LOCALHOST, "").await;
            for _ in 0..100 {
                device.identify(&identify_with(id, "000000000001")).await;
            }
            device.quiet().await;
            let code = users(broker).await.code(CATEGORY, "p1").await;
            let begun = Instant::now();
            device.identify(&identify_with(id, &code)).await;
            device.expect_password().await;
            seconds(0.0, 0.9, begun.elapsed());
        },
    );
}

#[test]
fn a_member_guesses_no_faster_and_works_on() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut users = users(broker).await;
            let id = "009033420401";
            let (mut member, password) = Device::enter(broker.addr, id, &users.code(CATEGORY, "p1").await).await;
            guess(&mut member, id, 0..12).await;
            // The eleventh waits 1 s, and the twelfth has taken its place: ten were bad, and one was given up.
            let code = users.code(CATEGORY, "p2").await;
            let begun = Instant::now();
            member.identify(&identify_with(id, &code)).await;
            member.quiet().await;
            let (second, took) = come_back(broker, address(2), id, &password).await;
            seconds(0.0, 1.0, took);
            drop(second);
            // The member was replaced by its other connection, and its waiting code went with it.
            member.expect_close(1000).await;
            assert!(begun.elapsed() < Duration::from_secs(2));
        },
    );
}

#[test]
fn a_code_that_takes_the_place_of_another_waits_longer() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let id = "009033420501";
            let mut device = connect(broker, LOCALHOST, "").await;
            guess(&mut device, id, 0..10).await;
            let code = users(broker).await.code(CATEGORY, "p1").await;
            let begun = Instant::now();
            for given_up in ["000000000101", "000000000102"] {
                device.identify(&identify_with(id, given_up)).await;
            }
            device.identify(&identify_with(id, &code)).await;
            device.expect_password().await;
            // Twelve bad ones: 4 s.
            seconds(3.9, 6.5, begun.elapsed());
        },
    );
}

#[test]
fn sixty_bad_codes_of_a_source_pace_its_codes_and_nothing_else() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut users = users(broker).await;
            let known = "0090334206f1";
            let (_, password) = Device::enter(broker.addr, known, &users.code(CATEGORY, "p1").await).await;
            // Opened before anything was wrong.
            let mut open = Vec::new();
            for number in 0..70 {
                open.push((format!("0090334206{number:02}"), connect(broker, address(2), "").await));
            }
            let begun = Instant::now();
            for (number, (id, device)) in open.iter_mut().enumerate() {
                guess(device, id, number as u64 * 100 + 1000..number as u64 * 100 + 1001).await;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "the messages themselves are not paced");
            // 60 were decided, ten wait. Those connections end, and their decisions with them.
            open.truncate(60);
            let code = users.code(CATEGORY, "p2").await;
            let (_, took) = come_back(broker, address(2), known, &password).await;
            seconds(0.0, 1.0, took);
            let mut tokens = connect(broker, address(2), QUERY).await;
            tokens.identify(&identify("009033420699")).await;
            tokens.expect_password().await;
            let mut elsewhere = connect(broker, address(3), "").await;
            elsewhere.identify(&identify_with("009033420698", &users.code(CATEGORY, "p3").await)).await;
            elsewhere.expect_password().await;
            let (id, device) = &mut open[0];
            device.identify(&identify_with(id, &code)).await;
            device.quiet().await;
            assert!(begun.elapsed() < Duration::from_secs(5), "nothing of this has waited");
            device.expect_password().await;
            seconds(4.5, 20.0, begun.elapsed());
        },
    );
}

#[test]
fn sixty_wrong_tokens_of_a_source_pace_new_devices_with_a_token() {
    let query = |token: &str| format!("domain={DOMAIN}&token={token}&category=Desk%20phones");
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut users = users(broker).await;
            let known = "0090334207f1";
            let (_, password) = Device::enter(broker.addr, known, &users.code(CATEGORY, "p1").await).await;
            let (mut known_device, challenge, _) = challenged(broker, LOCALHOST, known).await;
            known_device.answer(&identify(known), &challenge, &password).await;
            // The same wrong token counts once, whoever comes with it.
            for number in 0..70 {
                let mut device = connect(broker, LOCALHOST, &query("stale")).await;
                device.identify(&identify(&format!("0090334207{number:02}"))).await;
                device.quiet().await;
            }
            let mut new = connect(broker, LOCALHOST, QUERY).await;
            new.identify(&identify("009033420798")).await;
            new.expect_password().await;
            for number in 0..60 {
                let mut device = connect(broker, LOCALHOST, &query(&format!("guess{number}"))).await;
                device.identify(&identify(&format!("0090334208{number:02}"))).await;
                device.quiet().await;
            }
            // A known device with a confirmed password is not looked at, so it neither counts nor waits.
            let mut with_wrong_token = connect(broker, LOCALHOST, &query("once%20more")).await;
            with_wrong_token.identify(&identify(known)).await;
            with_wrong_token.expect_challenge().await;
            let mut by_code = connect(broker, LOCALHOST, "").await;
            by_code.identify(&identify_with("009033420797", &users.code(CATEGORY, "p2").await)).await;
            by_code.expect_password().await;
            let begun = Instant::now();
            let mut new = connect(broker, LOCALHOST, QUERY).await;
            new.identify(&identify("009033420799")).await;
            new.quiet().await;
            new.expect_password().await;
            seconds(0.0, 8.0, begun.elapsed());
            let begun = Instant::now();
            let mut new = connect(broker, LOCALHOST, QUERY).await;
            new.identify(&identify("009033420796")).await;
            new.expect_password().await;
            seconds(4.0, 8.0, begun.elapsed());
        },
    );
}

#[test]
fn a_right_token_with_a_wrong_category_holds_up_nobody_and_is_shown() {
    let renamed = format!("domain={DOMAIN}&token={}&category=Renamed", TOKEN.replace('#', "%23"));
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            for number in 0..61 {
                let mut device = connect(broker, LOCALHOST, &renamed).await;
                device.identify(&identify(&format!("0090334209{number:02}"))).await;
                device.quiet().await;
            }
            let begun = Instant::now();
            let mut new = connect(broker, LOCALHOST, QUERY).await;
            new.identify(&identify("009033420999")).await;
            new.expect_password().await;
            seconds(0.0, 1.0, begun.elapsed());
            let domain = DomainName::parse(DOMAIN).unwrap();
            crate::support::peer::until("all are recorded", async || {
                let found = broker.store().misdirected(&domain).await.unwrap();
                found.len() == 1 && *found[0].category == *"Renamed" && found[0].devices == 61
            })
            .await;
        },
    );
}

#[test]
fn a_port_waits_and_its_gateway_goes_on() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut users = users(broker).await;
            let id = "009033421001";
            let with_ports = |code: Option<&str>| {
                let mut identify = code.map_or_else(|| identify(id), |code| identify_with(id, code));
                identify["platform"] = json!({"type": "GW", "fxs": true});
                identify
            };
            let mut gateway = connect(broker, LOCALHOST, "").await;
            gateway.identify(&with_ports(Some(&users.code(CATEGORY, "p1").await))).await;
            gateway.expect_password().await;
            let provision = |port: &str, code: &str| json!({"id": port, "code": code});
            for number in 0..10 {
                gateway.admin(4, &provision("TEL1", &format!("{number:012}"))).await;
                assert_eq!(gateway.expect_provision_result().await.as_deref(), Some("unknown code"));
            }
            let begun = Instant::now();
            let codes = [users.code(CATEGORY, "p2").await, users.code(CATEGORY, "p3").await];
            for (port, code) in ["TEL1", "TEL2"].iter().zip(&codes) {
                gateway.admin(4, &provision(port, code)).await;
            }
            gateway.quiet().await;
            gateway.identify(&with_ports(None)).await;
            gateway.quiet().await;
            assert_eq!(gateway.expect_provision_result().await, None);
            seconds(0.9, 3.0, begun.elapsed());
            assert_eq!(gateway.expect_provision_result().await, None);
            let ports = users.request(json!({"mt": "GetDevicePhones", "id": 1})).await;
            assert_ne!(ports, Value::Null);
        },
    );
}
