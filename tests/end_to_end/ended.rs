//! What has ended stays ended: log-ins, keys, tokens and pipes after a changed password, withdrawn access, and a domain
//! that was deleted and made again for somebody else; on every node.

// The time until a change is seen is what is tested.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    Broker, CATEGORY, DOMAIN, INSTANCE, INSTANCE_PASSWORD, Keep, OTHER, OTHER_PASSWORD, PASSWORD, run,
};
use crate::support::peer::{Device, until};
use crate::support::raw::{Raw, get, upgrade_request};
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::support::tunnel::{RECEIVE, RECEIVE_RESULT, SHUTDOWN};

const PHONE: &str = "0090334100c1";
const NEW_PASSWORD: &str = "another-password-of-example-com";
const SHOP: &str = "shop.example";
const SHOP_PASSWORD: &str = "password-of-the-first-shop";

/// Longest time from the answer to a change to its effect at another node.
const WITHIN: Duration = Duration::from_secs(1);

/// Two nodes on one Redis.
fn on_two_nodes(test: impl AsyncFnOnce(&Broker, &Broker)) {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, |_| {}), Broker::on(&keep, |_| {}));
    run(test(&one, &two));
}

async fn key_of(app: &mut App) -> String {
    let key = app.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
    secrets::note(&key);
    key
}

fn passthrough(key: &str) -> String {
    format!("{INSTANCE}/passthrough/{PHONE}/{key}/")
}

/// A phone of the first domain at this node.
async fn phone(at: &Broker) -> Device {
    let mut users = App::login(at.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.code(CATEGORY, "p1").await;
    let (mut phone, password) = Device::enter(at.addr, PHONE, &code).await;
    phone.expect_admin_password(&password).await;
    users.next_notice().await;
    users.leave().await;
    phone
}

/// A WebSocket through the phone. Returns the client and the session in the tunnel.
async fn pipe(at: &Broker, key: &str, phone: &mut Device) -> (Raw, u32) {
    let mut client = Raw::connect(at.addr).await;
    client.send(upgrade_request(&passthrough(key), "").as_bytes()).await;
    let (session, _) = phone.request().await;
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    phone.tunnel(session, RECEIVE_RESULT, head).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
    (client, session)
}

/// An answer that the phone has begun and does not end.
async fn download(at: &Broker, key: &str, phone: &mut Device) -> (Raw, u32) {
    let mut client = Raw::connect(at.addr).await;
    let request = format!("GET {} HTTP/1.1\r\nHost: broker.example\r\n\r\n", passthrough(key));
    client.send(request.as_bytes()).await;
    let (session, _) = phone.request().await;
    phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
    (client, session)
}

/// The phone sees that two sessions of its tunnel end.
async fn two_ends(phone: &mut Device) {
    for _ in 0..2 {
        let session = phone.expect_tunnel(SHUTDOWN).await.session;
        phone.tunnel(session, SHUTDOWN, b"").await;
    }
}

#[test]
fn a_changed_password_ends_what_the_old_one_has_opened_on_every_node() {
    on_two_nodes(async |one, two| {
        secrets::note(NEW_PASSWORD);
        let mut phone = phone(two).await;
        let mut here = App::login(one.addr, "script", DOMAIN, "a", PASSWORD).await;
        let mut there = App::login(two.addr, "script", DOMAIN, "b", PASSWORD).await;
        let mut admin = App::login(two.addr, "script", "", "c", INSTANCE_PASSWORD).await;
        let mut other = App::login(two.addr, "script", OTHER, "d", OTHER_PASSWORD).await;
        let key = key_of(&mut there).await;
        let (mut client, _) = pipe(two, &key, &mut phone).await;
        let (mut loading, _) = download(two, &key, &mut phone).await;
        let token = Operator::of(two.addr, DOMAIN, PASSWORD).await;
        let root = Operator::of_instance(one.addr).await;

        root.done("PATCH", &format!("/domains/{DOMAIN}"), Some(json!({"password": NEW_PASSWORD}))).await;
        let changed = Instant::now();
        there.expect_close(1008).await;
        println!("app connection at the other node closed {:?} after the answer", changed.elapsed());
        client.ended().await;
        loading.ended().await;
        println!("pipe and download there ended {:?} after the answer", changed.elapsed());
        here.expect_close(1008).await;
        assert!(changed.elapsed() < WITHIN, "{:?}", changed.elapsed());
        two_ends(&mut phone).await;

        assert_eq!(get(two.addr, &passthrough(&key)).await.status, 403);
        token.refused(401, "GET", &format!("/domains/{DOMAIN}"), None).await;
        for at in [one, two] {
            let mut late = App::open(at.addr).await;
            assert_ne!(late.try_login("users", DOMAIN, "users", PASSWORD).await["ok"], true);
            let mut new = App::login(at.addr, "script", DOMAIN, "e", NEW_PASSWORD).await;
            new.code(CATEGORY, "p2").await;
        }
        // What was opened otherwise stays, and so does the phone.
        admin.quiet().await;
        other.quiet().await;
        phone.quiet().await;
    });
}

#[test]
fn other_changes_of_a_domain_end_nothing() {
    on_two_nodes(async |one, two| {
        secrets::note("another administrative one");
        let mut app = App::login(two.addr, "users", DOMAIN, "users", PASSWORD).await;
        let key = key_of(&mut app).await;
        let root = Operator::of_instance(one.addr).await;
        let at = format!("/domains/{DOMAIN}");
        root.done("PATCH", &at, Some(json!({"adminPassword": "another administrative one"}))).await;
        root.done("PATCH", &at, Some(json!({"password": PASSWORD}))).await;
        root.done("POST", &format!("{at}/categories"), Some(json!({"name": "Lobby", "provisioning": true}))).await;
        until("the other node knows", async || {
            let known = app.request(json!({"mt": "GetProvisioningCategories"})).await;
            known.to_string().contains("Lobby")
        })
        .await;
        app.quiet().await;
        // The key is valid: there is no such device.
        assert_eq!(get(two.addr, &passthrough(&key)).await.status, 404);
    });
}

#[test]
fn a_domain_that_is_made_again_is_another_one() {
    on_two_nodes(async |one, two| {
        secrets::note(SHOP_PASSWORD);
        let root = Operator::of_instance(one.addr).await;
        let shop = json!({"name": SHOP, "password": SHOP_PASSWORD,
            "categories": [{"name": CATEGORY, "provisioning": true}]});
        root.done("POST", "/domains", Some(shop.clone())).await;
        let mut here = App::login(one.addr, "users", SHOP, "users", SHOP_PASSWORD).await;
        let mut there = App::login(two.addr, "users", SHOP, "users", SHOP_PASSWORD).await;
        there.code(CATEGORY, "p1").await;
        let key = key_of(&mut there).await;
        let token = Operator::of(two.addr, SHOP, SHOP_PASSWORD).await;
        let old = root.get(&format!("/domains/{SHOP}")).await["id"].clone();

        // For another customer, who happens to choose the same password.
        root.done("DELETE", &format!("/domains/{SHOP}"), None).await;
        let made = root.done("POST", "/domains", Some(shop)).await;
        let since = Instant::now();
        assert_ne!(made["id"], old, "a number is never used again");
        there.expect_close(1008).await;
        println!("app connection at the other node closed {:?} after the domain was made again", since.elapsed());
        here.expect_close(1008).await;
        assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
        assert_eq!(get(two.addr, &passthrough(&key)).await.status, 403);
        until("the token opens nothing at either node", async || {
            token.call("GET", &format!("/domains/{SHOP}"), None).await.0 == 401
        })
        .await;

        // The new one is served, and has nothing of the old one.
        let mut new = App::login(two.addr, "users", SHOP, "users", SHOP_PASSWORD).await;
        new.quiet().await;
        let codes = root.get(&format!("/domains/{SHOP}/codes")).await;
        assert_eq!(codes["codes"], json!([]));
        let acts = root.get(&format!("/audit?domain={SHOP}")).await;
        let acts: Vec<_> = acts["entries"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
        assert_eq!(acts, [json!("domain.make")]);
    });
}

#[test]
fn withdrawn_access_ends_pipes_and_keys_and_leaves_the_connection() {
    on_two_nodes(async |one, two| {
        let mut phone = phone(two).await;
        let owner = Operator::of(one.addr, DOMAIN, PASSWORD).await;
        let access = format!("/domains/{DOMAIN}/access");
        owner.done("PUT", &access, Some(json!({"domains": [OTHER]}))).await;
        let mut guest = App::login(two.addr, "script", OTHER, "f", OTHER_PASSWORD).await;
        let key = key_of(&mut guest).await;
        until("the other node knows of the access", async || {
            guest.request(json!({"mt": "GetDevice", "hwId": PHONE})).await["device"] != Value::Null
        })
        .await;
        let (mut client, _) = pipe(two, &key, &mut phone).await;
        let (mut loading, _) = download(two, &key, &mut phone).await;

        owner.done("PUT", &access, Some(json!({"domains": []}))).await;
        let withdrawn = Instant::now();
        client.ended().await;
        loading.ended().await;
        println!("pipe and download at the other node ended {:?} after the answer", withdrawn.elapsed());
        assert!(withdrawn.elapsed() < WITHIN, "{:?}", withdrawn.elapsed());
        two_ends(&mut phone).await;
        assert_eq!(get(two.addr, &passthrough(&key)).await.status, 404);
        guest.quiet().await;
        guest.code(CATEGORY, "p1").await;
    });
}

#[test]
fn a_device_that_has_left_and_come_back_was_not_offered() {
    on_two_nodes(async |one, _| {
        let phone = phone(one).await;
        let (owner, other) =
            (Operator::of(one.addr, DOMAIN, PASSWORD).await, Operator::of(one.addr, OTHER, OTHER_PASSWORD).await);
        let device = format!("/domains/{DOMAIN}/devices/{PHONE}");
        owner.done("POST", &format!("{device}/offers"), Some(json!({"to": OTHER}))).await;
        assert_eq!(other.get(&format!("/domains/{OTHER}/offers")).await["offers"].as_array().unwrap().len(), 1);
        owner.done("DELETE", &device, None).await;
        drop(phone);
        let mut users = App::login(one.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.code(CATEGORY, "p2").await;
        let (_phone, _) = Device::enter(one.addr, PHONE, &code).await;
        assert_eq!(other.get(&format!("/domains/{OTHER}/offers")).await["offers"], json!([]));
    });
}
