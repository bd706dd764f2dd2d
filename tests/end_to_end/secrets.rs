//! No code, password, token, digest or session key gets into the log, at any level.
//!
//! Every broker of these tests searches the log for all secrets when it stops (`support::broker`). This test proves
//! that there is a log to be searched, and covers refused requests as well.

use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, PASSWORD, QUERY};
use crate::support::peer::{Device, identify, identify_with, init, until};
use crate::support::secrets;

on_each_store!(the_log_speaks_but_tells_no_secret, |_| {}, async |broker: &Broker| {
    let start = secrets::log_length();
    let mut app = App::open(broker.addr).await;
    app.try_login("users", DOMAIN, "users", "a wrong password").await;
    assert_eq!(app.try_login("users", DOMAIN, "users", PASSWORD).await["ok"], true);
    let info = app.request(json!({"mt": "GetUserInfo"})).await;
    secrets::note(info["key"].as_str().unwrap());
    let code = app.code(CATEGORY, "p1").await;
    init(broker.addr, &format!("mac=009033410801&PROVISIONING-CODE={code}")).await;
    init(broker.addr, "mac=009033410801&PROVISIONING-CODE=314159265358").await;
    secrets::note("314159265358");

    let wrong = "domain=example.com&token=not-the-token-at-all&category=Desk%20phones";
    secrets::note("not-the-token-at-all");
    let mut device = Device::connect(broker.addr, wrong).await;
    device.identify(&identify_with("009033410801", "271828182845")).await;
    device.quiet().await;
    device.identify(&identify_with("009033410801", &code)).await;
    let password = device.expect_password().await;
    device.expect_admin_password(&password).await;
    app.next_notice().await;

    let mut thief = Device::identified(broker.addr, &identify("009033410801")).await;
    let challenge = thief.expect_challenge().await;
    thief.answer(&identify("009033410801"), &challenge, "a wrong password").await;
    thief.expect_close(1008).await;
    let mut device = Device::come_back(broker.addr, "009033410801", &password).await;
    device.expect_admin_password(&password).await;

    let mut auto = Device::connect(broker.addr, QUERY).await;
    auto.identify(&identify("009033410802")).await;
    let password = auto.expect_password().await;
    auto.expect_admin_password(&password).await;

    until("the log tells of it", async || {
        let log = secrets::log();
        ["device has entered", "009033410801", "009033410802", "wrong digest", "log-in failed", "logged in"]
            .iter()
            .all(|line| log[start..].contains(line))
    })
    .await;
    assert!(secrets::noted() > 15, "secrets were noted");
    secrets::none_in_log(start);
});
