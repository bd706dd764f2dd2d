//! What strangers and tenants may claim of the store: bounded texts, capped records, quotas, and a full Redis.

// The time until a change is seen is what is tested.
#![allow(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use provbroker::config::Config;
use provbroker::core::model::device::{EthIf, Facts};
use provbroker::core::model::ids::{Code, DeviceKey, DomainName};
use provbroker::store::Contact;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, PASSWORD, with_broker};
use crate::support::operator::{Operator, json_of};
use crate::support::peer::{Device, identify, identify_with, init, until};
use crate::support::raw::{get, get_from};

/// Another address of the loopback.
const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Asks at `/init` from an address; true at the first contact of this phone.
async fn first_contact(broker: &Broker, from: IpAddr, mac: &str) -> bool {
    let answer = get_from(from, broker.addr, &format!("/init?mac={mac}&type=IP112")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.contains("/no-dhcp")
}

async fn code(broker: &Broker) -> String {
    let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
    users.code(CATEGORY, "p1").await
}

fn few_contacts(config: &mut Config) {
    (config.directory.max_contacts, config.directory.max_contacts_per_address) = (120, 100);
}

on_each_store!(a_flood_of_made_up_phones_displaces_only_itself, few_contacts, async |broker: &Broker| {
    for number in 0..10 {
        assert!(first_contact(broker, address(2), &format!("0090330000{number:02}")).await);
    }
    let code = code(broker).await;
    let entered = format!("mac=009033000099&code={code}");
    assert!(init(broker.addr, &entered).await.body.starts_with("# ok"));
    for number in 0..600 {
        assert!(first_contact(broker, address(3), &format!("00a0de{number:06x}")).await);
    }
    assert!(broker.store().stranger_contacts().await.unwrap() <= 110);
    // Phones of another address, and the one with a code, are as known as before; so is the last of the flood.
    for number in 0..10 {
        assert!(!first_contact(broker, address(2), &format!("0090330000{number:02}")).await);
    }
    assert!(!first_contact(broker, address(2), "009033000099").await);
    assert!(!first_contact(broker, address(3), &format!("00a0de{:06x}", 599)).await);
    assert!(first_contact(broker, address(3), "00a0de000000").await);
    // A real phone gets its script in the midst of it.
    assert!(init(broker.addr, &format!("mac=00a0deffffff&code={code}")).await.body.starts_with("# ok"));
    let metrics = get(broker.ops, "/metrics").await.body;
    let evicted = metrics
        .lines()
        .find_map(|line| line.strip_prefix(r#"provbroker_stranger_records_total{kind="contacts",event="evicted"} "#));
    assert!(evicted.unwrap().parse::<u64>().unwrap() >= 500);
});

fn few_unassigned(config: &mut Config) {
    (config.devices.max_unassigned_records, config.devices.max_unassigned_records_per_address) = (30, 20);
}

on_each_store!(made_up_devices_displace_only_themselves, few_unassigned, async |broker: &Broker| {
    let mut waiting = Vec::new();
    for number in 0..5 {
        let mut device = Device::connect_from(address(2), broker.addr, "").await.unwrap();
        device.identify(&identify(&format!("0090331000{number:02}"))).await;
        device.quiet().await;
        waiting.push(device);
    }
    let code = code(broker).await;
    for number in 0..100 {
        let mut device = Device::connect_from(address(3), broker.addr, "").await.unwrap();
        device.identify(&identify(&format!("00a0de{number:06x}"))).await;
        device.quiet().await;
    }
    let operator = Operator::log_in(broker.addr, None, crate::support::broker::INSTANCE_PASSWORD).await;
    let mut ids = Vec::new();
    let mut target = "/api/v1/unassigned?limit=7".to_owned();
    loop {
        let page = operator.read(&target).await;
        let items = page["devices"].as_array().unwrap().clone();
        ids.extend(items.iter().map(|item| item["hwId"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/api/v1/unassigned?limit=7&cursor={next}");
    }
    assert_eq!(ids.len(), 25, "{ids:?}");
    assert_eq!(ids.iter().filter(|id| id.starts_with("0090331000")).count(), 5);
    // A phone with a code still enters.
    let (_member, _) = Device::enter(broker.addr, "009033100099", &code).await;
});

#[test]
fn texts_that_are_too_long_are_refused() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let long = |member: &str, bytes: usize| {
                let mut identify = identify("009033100101");
                identify[member] = "x".repeat(bytes).into();
                identify
            };
            for (member, longest) in
                [("name", 256), ("fwBuild", 64), ("bcBuild", 64), ("major", 64), ("fw", 128), ("bc", 128)]
            {
                Device::identified(broker.addr, &long(member, longest)).await.quiet().await;
                Device::identified(broker.addr, &long(member, longest + 1)).await.expect_close(1007).await;
            }
            let mut many = identify("009033100101");
            let text = "x".repeat(64);
            many["ethIfs"] = (0..16).map(|_| json!({"if": text, "ipv6": text})).collect::<Vec<_>>().into();
            Device::identified(broker.addr, &many).await.expect_close(1007).await;
            many["ethIfs"] = json!([{"if": "ETH0", "ipv4": "x".repeat(65)}]);
            Device::identified(broker.addr, &many).await.expect_close(1007).await;
            let all = "x".repeat(129);
            for query in
                [format!("type={all}"), format!("PROT={all}"), format!("BOOT={all}"), format!("ver={all}{all}")]
            {
                assert_eq!(init(broker.addr, &format!("mac=009033100102&{query}")).await.status, 414, "{query}");
            }
            assert!(first_contact(broker, address(2), "009033100102").await, "nothing of it was stored");
        },
    );
}

async fn set(redis: &mut redis::aio::MultiplexedConnection, name: &str, value: &str) {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async::<()>(redis).await.unwrap();
}

async fn ready(broker: &Broker) -> u16 {
    get(broker.ops, "/readyz").await.status
}

#[test]
fn a_full_redis_keeps_known_devices_and_is_not_ready_for_a_while() {
    let keep = Keep::redis();
    let Keep::Redis(server) = &keep else { unreachable!() };
    with_broker(
        &keep,
        |_| {},
        async |broker: &Broker| {
            let (used, open) = (code(broker).await, code(broker).await);
            let id = "009033100201";
            let (member, password) = Device::enter(broker.addr, id, &used).await;
            member.leave().await;
            let member = Device::come_back(broker.addr, id, &password).await;
            member.leave().await;
            // The scripts are known to the server.
            init(broker.addr, "mac=009033100202").await;

            let mut redis = server.connection().await;
            set(&mut redis, "maxmemory-policy", "noeviction").await;
            set(&mut redis, "maxmemory", "1").await;
            until("not ready", async || ready(broker).await == 503).await;
            // A known device registers, a phone with a code gets its script, and a stranger the form.
            let _member = Device::come_back(broker.addr, id, &password).await;
            let domain = DomainName::parse(OTHER).unwrap();
            let key = DeviceKey::parse(id).unwrap();
            until("it is online", async || broker.store().whereabouts(&domain, &key).await.unwrap().is_some()).await;
            assert!(init(broker.addr, &format!("mac=009033100203&code={open}")).await.body.starts_with("# ok"));
            assert_eq!(init(broker.addr, "mac=009033100204").await.status, 200);
            Device::identified(broker.addr, &identify("009033100205")).await.quiet().await;

            // Room for a moment does not make it ready.
            set(&mut redis, "maxmemory", "0").await;
            for _ in 0..3 {
                assert_eq!(ready(broker).await, 503);
            }
            let tried = std::time::Instant::now();
            while ready(broker).await == 503 {
                assert!(tried.elapsed() < Duration::from_secs(60));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(tried.elapsed() > Duration::from_secs(3), "{:?}", tried.elapsed());
        },
    );
}

async fn used_memory(redis: &mut redis::aio::MultiplexedConnection) -> i64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

/// The bytes of Redis that strangers can claim: so much for each record that the configuration allows.
#[test]
fn records_of_strangers_take_bounded_bytes_of_redis() {
    const RECORDS: i64 = 1000;
    let keep = Keep::redis();
    let Keep::Redis(server) = &keep else { unreachable!() };
    with_broker(
        &keep,
        |config| {
            config.directory.max_contacts = 1000;
            config.devices.max_unassigned_records = 1000;
        },
        async |broker: &Broker| {
            let (store, mut redis) = (broker.store(), server.connection().await);
            let source = |number: u32| Some(IpAddr::from(Ipv4Addr::from(number)).into());
            let text = |bytes: usize| Some("x".repeat(bytes).into_boxed_str());
            let before = used_memory(&mut redis).await;
            for number in 0..200_u32 {
                let model = Some("IP112".into());
                let build: Option<Box<str>> = Some("136012".into());
                let mac = format!("009033{number:06x}").into();
                let contact =
                    Contact { mac, model, firmware: build.clone(), bootcode: build, ip: Some("192.0.2.17".into()) };
                store.record_contact(&contact, None, source(number)).await.unwrap();
                let usual = Facts {
                    product: "IP112".into(),
                    version: "13r3 sr9 [13.6012/136012/300]".into(),
                    platform: "PHONE".into(),
                    fw_build: text(6),
                    bc_build: text(6),
                    fw: Some("ip112.bin".into()),
                    eth_ifs: vec![EthIf { name: "ETH0".into(), ipv4: Some("192.0.2.17".into()), ipv6: text(12) }],
                    ..Facts::default()
                };
                let key = DeviceKey::parse(&format!("009033{number:06x}")).unwrap();
                store.record_unassigned(&key, &usual, source(number), Duration::from_secs(86_400)).await.unwrap();
            }
            println!("usual contact and device: {} bytes", (used_memory(&mut redis).await - before) / 200);
            let mut last = used_memory(&mut redis).await;
            for (rounds, most) in [(1, 1600), (3, 1600)] {
                for number in 0..1000 * rounds {
                    let contact = Contact {
                        mac: format!("00a0de{:06x}", number + rounds * 100_000).into(),
                        model: text(128),
                        firmware: text(64),
                        bootcode: text(64),
                        ip: Some("2001:db8:1111:2222:3333:4444:5555:6666".into()),
                    };
                    store.record_contact(&contact, None, source(number / 100)).await.unwrap();
                }
                let now = used_memory(&mut redis).await;
                println!("contacts: {} bytes each", (now - last) / RECORDS);
                assert!(now - last < most * RECORDS, "{}", now - last);
            }
            assert_eq!(store.stranger_contacts().await.unwrap(), 1000);
            last = used_memory(&mut redis).await;
            let longest = Facts {
                product: text(128).unwrap(),
                version: text(256).unwrap(),
                platform: text(32).unwrap(),
                name: text(256),
                fw: text(128),
                bc: text(128),
                eth_ifs: vec![EthIf { name: text(64).unwrap(), ipv4: text(64), ipv6: text(64) }; 3],
                ..Facts::default()
            };
            for number in 0..3000 {
                let key = DeviceKey::parse(&format!("{number:064}")).unwrap();
                let kept = Duration::from_secs(86_400);
                store.record_unassigned(&key, &longest, source(number / 100), kept).await.unwrap();
            }
            let now = used_memory(&mut redis).await;
            println!("unassigned devices: {} bytes each", (now - last) / RECORDS);
            assert!(now - last < 3500 * RECORDS, "{}", now - last);
            assert_eq!(store.unassigned_count().await.unwrap(), 1000);
        },
    );
}

fn small_quotas(config: &mut Config) {
    (config.quotas.devices, config.quotas.categories, config.quotas.jobs) = (2, 3, 1);
}

on_each_store!(a_domain_gets_no_further_than_its_quotas, small_quotas, async |broker: &Broker| {
    let mut members = Vec::new();
    for number in 0..2 {
        members.push(Device::enter(broker.addr, &format!("00903310030{number}"), &code(broker).await).await);
    }
    // The third one stays outside. Its code stays open, and the operator sees why.
    let open = code(broker).await;
    Device::identified(broker.addr, &identify_with("009033100309", &open)).await.quiet().await;
    let operator = Operator::log_in(broker.addr, Some(OTHER), OTHER_PASSWORD).await;
    let target = format!("/api/v1/domains/{OTHER}/codes/{open}");
    assert_eq!(operator.read(&target).await["state"], "open");
    until("the event", async || {
        let timeline = operator.read(&format!("{target}/timeline")).await;
        timeline["steps"].as_array().unwrap().iter().any(|step| step["event"] == "over-quota")
    })
    .await;
    let found = broker.store().find_code(Code::parse(&open).unwrap()).await.unwrap();
    assert!(found.is_some());

    let operator = Operator::log_in(broker.addr, Some(DOMAIN), PASSWORD).await;
    let categories = format!("/api/v1/domains/{DOMAIN}/categories");
    let made = operator.post(&categories, &json!({"name": "Third", "provisioning": true})).await;
    assert!(made.status < 300, "{}", made.body);
    let refused = operator.post(&categories, &json!({"name": "Fourth", "provisioning": true})).await;
    let problem: Value = json_of(&refused);
    assert_eq!(
        (refused.status, &problem["type"], &problem["quota"]),
        (409, &json!("quota"), &json!("quotas.categories"))
    );
    let metrics = get(broker.ops, "/metrics").await.body;
    for quota in ["devices", "categories"] {
        let line = format!(r#"provbroker_quota_refusals_total{{quota="{quota}"}} 0"#);
        assert!(!metrics.contains(&line), "{quota}");
    }
});
