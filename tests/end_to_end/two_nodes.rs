//! Several brokers: two nodes on one Redis, and the two roles in separate processes.

use std::collections::BTreeSet;

use provbroker::config::Role;
use provbroker::core::model::ids::Secret;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, INSTANCE, Keep, OTHER, OTHER_PASSWORD, PASSWORD, run,
};
use crate::support::peer::{Device, identify, identify_with, init, until};
use crate::support::raw::{get, upgrade_request};
use crate::support::{raw::Raw, secrets};

const PHONE: &str = "0090334100f1";

/// Two nodes on one Redis.
fn on_two_nodes(test: impl AsyncFnOnce(&Broker, &Broker)) {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, |_| {}), Broker::on(&keep, |_| {}));
    run(test(&one, &two));
}

#[test]
fn a_code_of_one_node_is_taken_at_the_other_and_the_notice_comes_back() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.administrative_code(CATEGORY, "p7").await;
        let script = init(two.addr, &format!("mac={PHONE}&PROVISIONING-CODE={code}")).await;
        assert!(script.body.contains("# ok"), "{}", script.body);
        let (mut phone, password) = Device::enter(two.addr, PHONE, &code).await;
        assert_eq!(phone.expect_admin_password(&password).await, ADMIN_PASSWORD);
        let entered = tokio::time::Instant::now();
        let notice = users.next_notice().await;
        println!("notice at the other node {:?} after the password", entered.elapsed());
        assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &json!("p7")));
        assert_eq!((&notice["device"]["hwId"], &notice["device"]["online"]), (&json!(PHONE), &json!(true)));
    });
}

#[test]
fn users_comes_back_at_the_other_node() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.code(CATEGORY, "p7").await;
        let mut back = App::login(two.addr, "users", DOMAIN, "users", PASSWORD).await;
        back.quiet().await;
        users.leave().await;
        let (_phone, _) = Device::enter(one.addr, PHONE, &code).await;
        let notice = back.next_notice().await;
        assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &Value::Null));
    });
}

#[test]
fn whoever_asked_for_a_code_gets_a_copy_at_every_node_and_users_gets_the_notice() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.code(CATEGORY, "p7").await;
        let ask = |src: &str| json!({"mt": "GetProvisionedDevice", "code": code, "src": src});
        let mut here = App::login(one.addr, "script", DOMAIN, "a", PASSWORD).await;
        let mut there = App::login(two.addr, "script", DOMAIN, "b", PASSWORD).await;
        assert_eq!(here.request(ask("h")).await["device"], Value::Null);
        assert_eq!(there.request(ask("t")).await["device"], Value::Null);
        let (_phone, _) = Device::enter(two.addr, PHONE, &code).await;
        for (app, src) in [(&mut users, "p7"), (&mut here, "h"), (&mut there, "t")] {
            let notice = app.next_notice().await;
            assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &json!(src)));
        }
        // Users disconnects before its notice is settled; that others have read their copies does not settle it.
        here.leave().await;
        there.leave().await;
        users.leave().await;
        let mut back = App::login(two.addr, "users", DOMAIN, "users", PASSWORD).await;
        assert_eq!(back.next_notice().await["code"], json!(code));
    });
}

#[test]
fn a_device_at_the_other_node_is_not_reached_from_here() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.code(CATEGORY, "p7").await;
        let (_phone, _) = Device::enter(two.addr, PHONE, &code).await;
        users.next_notice().await;
        let key = users.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
        secrets::note(&key);
        let path = format!("{INSTANCE}/passthrough/{PHONE}/{key}/");
        let here = get(one.addr, &path).await;
        assert_eq!((here.status, here.field("retry-after")), (503, Some("5")));
        assert_eq!(get(two.addr, &path).await.status, 403, "a key is known where its session is");
    });
}

#[test]
fn the_newest_authenticated_connection_wins_on_all_nodes() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p7").await;
        let (mut first, password) = Device::enter(one.addr, PHONE, &code).await;
        let mut second = Device::identified(two.addr, &identify(PHONE)).await;
        let challenge = second.expect_challenge().await;
        second.quiet().await;
        first.quiet().await;
        second.answer(&identify(PHONE), &challenge, &password).await;
        first.expect_close(1000).await;
        second.quiet().await;
        // And back again.
        let _third = Device::come_back(one.addr, PHONE, &password).await;
        second.expect_close(1000).await;
    });
}

#[test]
fn two_phones_with_one_code_at_two_nodes() {
    on_two_nodes(async |one, two| {
        let mut users = App::login(one.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        for round in 0..10 {
            let code = users.code(CATEGORY, "p7").await;
            let ids = [0, 1].map(|n| format!("0090334200{round}{n}"));
            let (mut a, mut b) = (Device::connect(one.addr, "").await, Device::connect(two.addr, "").await);
            let (of_a, of_b) = (identify_with(&ids[0], &code), identify_with(&ids[1], &code));
            tokio::join!(a.identify(&of_a), b.identify(&of_b));
            let notice = users.next_notice().await;
            let winner = ids.iter().position(|id| notice["device"]["hwId"] == id.as_str()).unwrap();
            let [winner, loser] = if winner == 0 { [&mut a, &mut b] } else { [&mut b, &mut a] };
            winner.expect_password().await;
            loser.quiet().await;
        }
    });
}

/// A directory and Devices in two brokers, each with its own store; `credential` is what Devices sends.
fn with_roles_apart(credential: &str, test: impl AsyncFnOnce(&Broker, &Broker)) {
    const ACCEPTED: &str = "credential-of-the-devices";
    secrets::note(ACCEPTED);
    let (here, there) = (Keep::embedded(), Keep::embedded());
    let directory = Broker::on(&here, |config| {
        config.server.roles = BTreeSet::from([Role::Directory]);
        config.directory.credential = Secret::new(ACCEPTED);
        config.directory.allow_ws = true;
    });
    let devices = Broker::on(&there, |config| {
        config.server.roles = BTreeSet::from([Role::Devices]);
        config.directory.url = format!("http://{}/api/v1", directory.addr);
        config.directory.credential = Secret::new(credential);
    });
    run(test(&directory, &devices));
    devices.stop();
}

#[test]
fn directory_and_devices_apart() {
    with_roles_apart("credential-of-the-devices", async |directory, devices| {
        let mut users = App::login(devices.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p7").await;
        let asked = format!("mac={PHONE}&PROVISIONING-CODE={code}");
        let address = format!("ws%3A%2F%2F127.0.0.1%3A{}%2Fexample.com%2Fdevices%2Fsysclients", devices.addr.port());
        let script = init(directory.addr, &asked).await;
        assert!(script.body.contains(&address), "{}", script.body);
        let (_phone, _) = Device::enter(devices.addr, PHONE, &code).await;
        assert_eq!(users.next_notice().await["src"], "p7");
        until("the code is given back", async || init(directory.addr, &asked).await.body.contains("# enter code"))
            .await;

        assert_eq!(init(devices.addr, "mac=1").await.status, 404, "no directory there");
        assert_eq!(get(devices.addr, "/healthz").await.status, 200);
        let mut raw = Raw::connect(directory.addr).await;
        raw.send(upgrade_request("/example.com/devices/sysclients", "").as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 404 "), "no Devices there");
    });
}

#[test]
fn a_directory_refuses_codes_without_the_credential() {
    with_roles_apart("another-credential", async |_, devices| {
        let mut users = App::login(devices.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let result = users.request(json!({"mt": "GetProvisioningCode", "category": CATEGORY})).await;
        assert_eq!((&result["error"], &result["code"]), (&json!("directory unavailable"), &Value::Null));
    });
}
