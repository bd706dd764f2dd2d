//! Delivered passwords open something on loopback only.

use provbroker::config::{Config, DEFAULT_DOMAIN_PASSWORD, DEFAULT_INSTANCE_PASSWORD};
use provbroker::core::model::ids::Secret;
use provbroker::lifecycle::Shutdown;
use serde_json::json;

use crate::client::{address, one_place_each};
use crate::support::app::App;
use crate::support::broker::{Broker, DOMAIN, INSTANCE, Keep, PASSWORD, config, with_broker};
use crate::support::peer::open_over;
use crate::support::raw::connect;
use crate::support::rest::Operator;

const MASTER_KEY: &str = "master key of these tests";

/// The passwords of `config/provbroker.toml`.
fn delivered(config: &mut Config) {
    config.instance.password = Secret::new(DEFAULT_INSTANCE_PASSWORD);
    config.domains = Config::default().domains;
    // What seals the store stays when the instance password changes.
    config.security.master_key = Secret::new(MASTER_KEY);
}

#[test]
fn on_loopback_apps_log_in_under_names_of_this_machine_only() {
    with_broker(&Keep::embedded(), delivered, async |broker: &Broker| {
        App::login(broker.addr, "users", DOMAIN, "users", DEFAULT_DOMAIN_PASSWORD).await.leave().await;
        let target = format!("{INSTANCE}/innovaphone-devices-api");
        for (host, refused) in
            [("evil.example", true), ("127.0.0.1.evil.example", true), ("192.0.2.7", true), ("localhost:8080", false)]
        {
            let stream = connect(address(1), broker.addr).await;
            let opened = open_over(stream, broker.addr, &target, &[("host", host)]).await;
            assert_eq!(opened.err().map(|(status, _)| status), refused.then_some(421), "{host}");
        }
    });
    // With passwords of its own an app may use any name.
    with_broker(&Keep::embedded(), one_place_each, async |broker: &Broker| {
        let stream = connect(address(1), broker.addr).await;
        let target = format!("{INSTANCE}/innovaphone-devices-api");
        assert!(open_over(stream, broker.addr, &target, &[("host", "evil.example")]).await.is_ok());
    });
}

/// Starts a broker that must not start; its line.
fn refusal(keep: &Keep, change: impl FnOnce(&mut Config)) -> String {
    keep.wait_until_free();
    let mut config = config(&keep.url());
    change(&mut config);
    let start = async { provbroker::app::Broker::start(config, Shutdown::new()).await.map(drop) };
    let line = actix_rt::System::new().block_on(start).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn a_delivered_password_in_the_store_stops_the_start() {
    let keep = Keep::embedded();
    with_broker(&keep, delivered, async |_: &Broker| {});
    let change = |config: &mut Config| {
        config.domains = Vec::new();
        config.security.master_key = Secret::new(MASTER_KEY);
        config.server.public_url = "https://broker.example".into();
    };
    let line = refusal(&keep, change);
    for part in [DOMAIN, "delivered password", "server.public_url = \"https://broker.example\"", "ctl domains change"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // After the change it starts.
    with_broker(&keep, delivered, async |broker: &Broker| {
        let operator = Operator::of(broker.addr, DOMAIN, DEFAULT_DOMAIN_PASSWORD).await;
        operator.done("PATCH", &format!("/domains/{DOMAIN}"), Some(json!({"password": PASSWORD}))).await;
    });
    with_broker(&keep, change, async |broker: &Broker| {
        App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await.leave().await;
    });
}

#[test]
fn nobody_gives_a_domain_a_delivered_password() {
    let change = |config: &mut Config| config.server.public_url = "https://broker.example".into();
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let instance = Operator::of_instance(broker.addr).await;
        for secret in ["domain-secret", "change-me", "change-me-too", "change-me-on-all-nodes"] {
            let change = json!({"password": secret});
            let why = instance.refused(422, "PATCH", &format!("/domains/{DOMAIN}"), Some(change)).await;
            assert!(why.contains("delivered"), "{why}");
            let change = json!({"autoToken": secret});
            instance.refused(422, "PATCH", &format!("/domains/{DOMAIN}"), Some(change)).await;
            let new = json!({"name": "new.example", "password": secret});
            instance.refused(422, "POST", "/domains", Some(new)).await;
        }
    });
}
