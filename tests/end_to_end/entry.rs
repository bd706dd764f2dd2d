//! A person gets a code and types it on a phone, and Users is notified which phone took it.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, Keep, OTHER, OTHER_PASSWORD, PASSWORD, run, with_broker,
};
use crate::support::peer::{Device, identify_with, init, until};

const PHONE: &str = "0090334100b1";

/// Checks that `notice` reports `id` for `code`.
fn check_notice(notice: &Value, src: Option<&str>, code: &str, id: &str) {
    assert_eq!(notice["src"].as_str(), src, "{notice}");
    assert_eq!(notice["code"], code);
    let device = &notice["device"];
    assert_eq!((&device["hwId"], &device["type"], &device["product"]), (&json!(id), &json!("PHONE"), &json!("IP112")));
}

on_each_store!(the_whole_story, |_| {}, async |broker: &Broker| {
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let categories = users.request(json!({"mt": "GetProvisioningCategories", "type": "PHONE"})).await;
    let names: Vec<_> = categories["categories"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!((names, &categories["last"]), (vec![json!(CATEGORY)], &json!(true)));
    let code = users.code(CATEGORY, "p7").await;

    let open = users.request(json!({"mt": "GetProvisionedDevice", "code": code, "src": "p8"})).await;
    assert_eq!((&open["code"], &open["device"], &open["error"]), (&json!(code), &Value::Null, &Value::Null));

    let form = init(broker.addr, &format!("mac={PHONE}&type=IP112")).await;
    assert!(form.body.contains("vars create UPDATE/PROVISIONING-CODE h prompt\r\n"), "{}", form.body);
    let script = init(broker.addr, &format!("mac={PHONE}&type=IP112&PROVISIONING-CODE={code}%23")).await;
    assert_eq!(script.status, 200);
    let address = format!("ws%3A%2F%2F127.0.0.1%3A{}%2Fexample.com%2Fdevices%2Fsysclients", broker.addr.port());
    assert!(script.body.contains(&format!("config change SYSCLIENT /sysadmin {address}\r\n")), "{}", script.body);

    let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    let own = phone.expect_admin_password(&password).await;
    assert!(own.len() == 24 && own != ADMIN_PASSWORD, "the code is not administrative");
    // The later of the two requests for the code determines `src`.
    check_notice(&users.next_notice().await, Some("p8"), &code, PHONE);

    let taken = users.request(json!({"mt": "GetProvisionedDevice", "code": code})).await;
    assert_eq!(taken["device"]["hwId"], PHONE);
    assert_eq!(taken["device"]["online"], true);

    // A used code is refused: another device gets the same answer as for an unknown code.
    let mut second = Device::identified(broker.addr, &identify_with("0090334100b2", &code)).await;
    second.quiet().await;
    until("the directory forgets the code", async || {
        init(broker.addr, &format!("mac={PHONE}&PROVISIONING-CODE={code}")).await.body.contains("# enter code")
    })
    .await;

    // A phone that keeps sending its used code is a member without news.
    phone.identify(&identify_with(PHONE, &code)).await;
    phone.quiet().await;

    phone.leave().await;
    let mut phone = Device::come_back(broker.addr, PHONE, &password).await;
    assert_eq!(phone.expect_admin_password(&password).await, own);
    phone.quiet().await;
});

/// A phone enters while no Users is connected; then the broker stops, and another one takes over the store.
fn survives_a_restart(keep: &Keep) {
    let broker = Broker::on(keep, |_| {});
    let (code, password) = run(async {
        let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p1").await;
        users.leave().await;
        let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
        phone.quiet().await;
        (code, password)
    });
    broker.stop();
    with_broker(
        keep,
        |_| {},
        async |broker: &Broker| {
            let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
            check_notice(&users.next_notice().await, None, &code, PHONE);
            Device::come_back(broker.addr, PHONE, &password).await.quiet().await;
        },
    );
}

#[test]
fn an_entry_survives_a_restart_on_a_file() {
    survives_a_restart(&Keep::embedded());
}

#[test]
fn an_entry_survives_a_restart_on_redis() {
    survives_a_restart(&Keep::redis());
}

on_each_store!(a_gateway_puts_a_port_into_operation, |_| {}, async |broker: &Broker| {
    let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
    let (code, port_code) = (users.code(CATEGORY, "gateway").await, users.code(CATEGORY, "port").await);
    let mut identify = identify_with(PHONE, &code);
    identify["platform"] = json!({"type": "GW", "fxs": true});
    let mut gateway = Device::identified(broker.addr, &identify).await;
    gateway.expect_password().await;
    assert_eq!(users.next_notice().await["src"], "gateway");
    gateway.admin(4, &json!({"id": "TEL3", "code": port_code})).await;
    assert_eq!(gateway.expect_provision_result().await, None);
    let notice = users.next_notice().await;
    assert_eq!((&notice["src"], &notice["port"], &notice["code"]), (&json!("port"), &json!("TEL3"), &json!(port_code)));
    assert_eq!((&notice["device"]["hwId"], &notice["device"]["type"]), (&json!(PHONE), &json!("GW")));
    for (code, error) in [(&port_code[..], "unknown code"), ("000000000000", "unknown code")] {
        gateway.admin(4, &json!({"id": "TEL4", "code": code})).await;
        assert_eq!(gateway.expect_provision_result().await.as_deref(), Some(error));
    }
    let mut example = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let foreign = example.code(CATEGORY, "p9").await;
    gateway.admin(4, &json!({"id": "TEL4", "code": foreign})).await;
    assert_eq!(gateway.expect_provision_result().await.as_deref(), Some("wrong domain"));
});
