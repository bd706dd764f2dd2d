//! Operations: metrics, readiness, a store that hangs, stopping.

use std::collections::BTreeSet;
use std::time::Duration;

use provbroker::config::Config;
use provbroker::core::model::ids::DeviceKey;
use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, Keep, OTHER, OTHER_PASSWORD, with_broker};
use crate::support::peer::{Device, identify, identify_with, until};
use crate::support::raw::{LOCALHOST, get};

async fn users(broker: &Broker) -> App {
    App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await
}

/// The names of all series with their labels.
async fn series(broker: &Broker) -> BTreeSet<String> {
    let metrics = get(broker.ops, "/metrics").await;
    assert_eq!(metrics.status, 200);
    let lines = metrics.body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

async fn ready(broker: &Broker) -> (u16, String) {
    let answer = get(broker.ops, "/readyz").await;
    (answer.status, answer.body)
}

#[test]
fn a_thousand_devices_make_no_new_series() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let before = series(broker).await;
            for name in ["provbroker_connections_accepted_total", "provbroker_registrations_total", "provbroker_ready"]
            {
                assert!(before.iter().any(|series| series.starts_with(name)), "{name}");
            }
            for n in 0..1000 {
                let mut device = Device::connect(broker.addr, "").await;
                device.identify(&identify(&format!("00903399{n:04}"))).await;
                device.quiet().await;
            }
            let after = series(broker).await;
            assert_eq!(after.difference(&before).next(), None);
            assert!(!after.iter().any(|series| series.contains("00903399")));
        },
    );
}

#[test]
fn probes_of_a_healthy_broker() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            assert_eq!(get(broker.ops, "/healthz").await.status, 200);
            assert_eq!(ready(broker).await, (200, "ready\n".to_owned()));
            assert_eq!(get(broker.addr, "/metrics").await.status, 404, "not on the public listener");
        },
    );
}

#[test]
fn a_hanging_store_drops_no_member_and_admits_no_device() {
    let keep = Keep::redis();
    let Keep::Redis(server) = &keep else { unreachable!() };
    let change = |config: &mut Config| config.store.deadline = Duration::from_secs(1);
    with_broker(&keep, change, async |broker: &Broker| {
        let mut users = users(broker).await;
        let (first, second) = (users.code(CATEGORY, "p1").await, users.code(CATEGORY, "p2").await);
        let (mut member, password) = Device::enter(broker.addr, "009033410501", &first).await;
        users.next_notice().await;
        member.quiet().await;

        server.pause();
        let paused = tokio::time::Instant::now();
        until("not ready", async || ready(broker).await.0 == 503).await;
        assert_eq!(ready(broker).await.1, "store unavailable\n");
        for refused in [identify_with("009033410502", &second), identify("009033410503"), identify("009033410501")] {
            Device::identified(broker.addr, &refused).await.expect_close(1013).await;
        }
        let mut app = App::open(broker.addr).await;
        let asked = users.request(json!({"mt": "GetProvisioningCode", "category": CATEGORY})).await;
        assert!(asked["code"].is_null(), "{asked}");
        // Not a wait for something: the store is unavailable for this long.
        tokio::time::sleep_until(paused + Duration::from_secs(3)).await;
        member.quiet().await;
        server.resume();

        until("ready again", async || ready(broker).await.0 == 200).await;
        member.quiet().await;
        users.quiet().await;
        assert_eq!(app.try_login("users", OTHER, "users", OTHER_PASSWORD).await["ok"], true);
        // No entry is half done, and no code is used up.
        let key = DeviceKey::parse("009033410502").unwrap();
        assert!(broker.store().find_device(&key).await.unwrap().is_none());
        let (_late, _) = Device::enter(broker.addr, "009033410502", &second).await;
        assert_eq!(users.next_notice().await["code"], second.as_str());
        let mut back = Device::come_back(broker.addr, "009033410501", &password).await;
        member.expect_close(1000).await;
        back.quiet().await;
    });
}

#[test]
fn a_stop_ends_readiness_and_closes_connections_at_a_pace() {
    let change = |config: &mut Config| {
        config.lifecycle.drain_per_second = 20;
        config.lifecycle.drain_max = Duration::from_secs(10);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let mut users = users(broker).await;
        let code = users.code(CATEGORY, "p1").await;
        let (mut member, _) = Device::enter(broker.addr, "009033410601", &code).await;
        users.next_notice().await;
        let mut others = Vec::new();
        for n in 0..60 {
            let mut device = Device::identified(broker.addr, &identify(&format!("0090334107{n:02}"))).await;
            device.quiet().await;
            others.push(device);
        }
        broker.drain();
        assert_eq!(ready(broker).await, (503, "draining\n".to_owned()));
        let refused = Device::connect_from(LOCALHOST, broker.addr, "").await.err();
        assert!(matches!(refused, Some((503, Some(1..=10)))), "nobody new: {refused:?}");
        member.expect_close(1001).await;
        users.expect_close(1001).await;
        for mut device in others {
            device.expect_close(1001).await;
        }
    });
}
