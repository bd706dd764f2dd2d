//! Messages about devices and domains (`docs/protocol/devices-api.md` sections 3 and 4): rights, lists, notices.

use std::sync::Arc;

use provbroker::config::Config;
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{Code, DeviceKey, DomainName, Secret};
use provbroker::store::{DomainChange, Entered, Entry, EntryRight, Signal, Store};
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, OTHER, OTHER_PASSWORD, PASSWORD, run};
use crate::support::peer::Device;
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::support::tunnel::{RECEIVE_RESULT, SHUTDOWN};

fn many_requests(config: &mut Config) {
    config.apps.requests_per_second = 1_000;
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn key(text: &str) -> DeviceKey {
    DeviceKey::parse(text).unwrap()
}

/// A device that an operator has put into a domain.
async fn enter(
    store: &Arc<dyn Store>,
    domain: &str,
    id: &str,
    platform: &str,
) -> provbroker::core::model::device::Device {
    let domains = store.domains().await.unwrap();
    let tenant = domains.iter().find(|d| d.name == name(domain)).unwrap();
    let facts = Facts {
        product: "IP411".into(),
        version: "14r1".into(),
        platform: platform.into(),
        fxs: platform == "GW",
        ..Facts::default()
    };
    let entry = Entry {
        key: key(id),
        domain: name(domain),
        category: tenant.categories[0].id,
        right: EntryRight::Manual,
        password: Secret::new("device"),
        admin_password: None,
        name: None,
        facts,
    };
    match store.enter(&entry).await.unwrap() {
        Entered::In(device) => *device,
        other => panic!("{other:?}"),
    }
}

async fn changed(store: &Arc<dyn Store>, domain: &str, ids: &[&str]) {
    let keys = ids.iter().map(|id| key(id)).collect();
    store.publish(&Signal::Changed { domain: name(domain), keys }).await.unwrap();
}

/// The app that has all rights.
async fn devices_app(broker: &Broker, domain: &str, password: &str) -> App {
    App::login(broker.addr, "innovaphone-devices", domain, "admin", password).await
}

async fn session_key(app: &mut App) -> String {
    let key = app.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
    secrets::note(&key);
    key
}

async fn answer_text(app: &mut App, request: &Value) -> String {
    app.send(request).await;
    app.receive_text().await
}

on_each_store!(things_of_another_domain_look_like_things_that_do_not_exist, many_requests, async |broker: &Broker| {
    let store = broker.store();
    for (id, platform) in [("gw-b", "GW"), ("phone-b", "PHONE"), ("dect-b", "DECT"), ("ap-b", "APP_PLATFORM")] {
        enter(store, OTHER, id, platform).await;
    }
    let unassigned_device = Facts { product: "IP112".into(), platform: "PHONE".into(), ..Facts::default() };
    store
        .record_unassigned(&key("stranger"), &unassigned_device, None, std::time::Duration::from_secs(60))
        .await
        .unwrap();
    let mut theirs = devices_app(broker, OTHER, OTHER_PASSWORD).await;
    let code = theirs.code(CATEGORY, "t").await;
    let port_code = theirs.code(CATEGORY, "t").await;
    let parsed = Code::parse(&port_code).unwrap();
    store.claim_port(&name(OTHER), &key("gw-b"), "TEL1", parsed).await.unwrap();
    let their_categories = theirs.request(json!({"mt": "GetProvisioningCategories"})).await["categories"].clone();
    let domain = &their_categories[0]["domainId"];
    let their_key = session_key(&mut theirs).await;

    let mut ours = devices_app(broker, DOMAIN, PASSWORD).await;
    let our_key = session_key(&mut ours).await;
    let base = format!("http://{}/example.com/devices/passthrough", broker.addr);
    let address = |device: &str, key: &str| format!("{base}/{device}/{key}/log.txt");
    // Each message once about the domain's own device and once about a device that does not exist.
    let pairs = [
        (json!({"mt": "GetGateways", "hwIds": "gw-b"}), json!({"mt": "GetGateways", "hwIds": "none"})),
        (json!({"mt": "GetGateways", "hwIds": "gw-b", "justFxs": true}), json!({"mt": "GetGateways", "hwIds": "none"})),
        (json!({"mt": "GetAppPlatforms", "hwIds": "ap-b"}), json!({"mt": "GetAppPlatforms", "hwIds": "none"})),
        (json!({"mt": "GetPhones", "hwIds": "phone-b"}), json!({"mt": "GetPhones", "hwIds": "none"})),
        (json!({"mt": "GetDects", "hwIds": "dect-b"}), json!({"mt": "GetDects", "hwIds": "none"})),
        (json!({"mt": "GetDevice", "hwId": "gw-b"}), json!({"mt": "GetDevice", "hwId": "none"})),
        (json!({"mt": "GetDevicePhones", "hwId": "gw-b"}), json!({"mt": "GetDevicePhones", "hwId": "none"})),
        (
            json!({"mt": "RemoveDevicePhone", "hwId": "gw-b", "id": "TEL1"}),
            json!({"mt": "RemoveDevicePhone", "hwId": "none", "id": "TEL1"}),
        ),
        (
            json!({"mt": "HttpGet", "uri": address("gw-b", &our_key)}),
            json!({"mt": "HttpGet", "uri": address("none", &our_key)}),
        ),
        (
            json!({"mt": "HttpGet", "uri": address("gw-b", &their_key)}),
            json!({"mt": "HttpGet", "uri": address("none", "no-such-key")}),
        ),
        (
            json!({"mt": "GetDevices", "domainIds": domain.to_string()}),
            json!({"mt": "GetDevices", "domainIds": "4711"}),
        ),
        (
            json!({"mt": "GetDevices", "domainIds": domain.to_string(), "categories": CATEGORY}),
            json!({"mt": "GetDevices", "domainIds": "4711", "categories": CATEGORY}),
        ),
        (
            json!({"mt": "GetFilteredDevices", "domainId": domain}),
            json!({"mt": "GetFilteredDevices", "domainId": 4_711}),
        ),
        (json!({"mt": "GetFilteredDevices", "hwIds": "gw-b"}), json!({"mt": "GetFilteredDevices", "hwIds": "none"})),
        (json!({"mt": "GetDevices", "unassigned": true}), json!({"mt": "GetDevices", "subcategories": "none"})),
        (
            json!({"mt": "GetProvisioningCategories", "domainId": domain}),
            json!({"mt": "GetProvisioningCategories", "domainId": 4_711}),
        ),
        (
            json!({"mt": "GetProvisioningCode", "domainId": domain, "category": CATEGORY}),
            json!({"mt": "GetProvisioningCode", "domainId": 4_711, "category": CATEGORY}),
        ),
        (
            json!({"mt": "GetProvisionedDevice", "domainId": domain, "code": code}),
            json!({"mt": "GetProvisionedDevice", "domainId": 4_711, "code": code}),
        ),
    ];
    for api in [None, Some("com.innovaphone.devices")] {
        for (mut of_them, mut of_nobody) in pairs.clone() {
            for request in [&mut of_them, &mut of_nobody] {
                request["src"] = "s".into();
                if let Some(api) = api {
                    request["api"] = api.into();
                }
            }
            let found = answer_text(&mut ours, &of_them).await;
            assert_eq!(found, answer_text(&mut ours, &of_nobody).await, "{}", of_them["mt"]);
            assert!(!found.contains("-b\"") && !found.contains("stranger"), "{}", of_them["mt"]);
        }
    }
    for mt in ["GetGateways", "GetAppPlatforms", "GetPhones", "GetDects", "GetDevices", "GetFilteredDevices"] {
        let all = ours.request(json!({"mt": mt})).await;
        assert!(!all.to_string().contains("-b\""), "{mt}");
    }
    let domains = ours.request(json!({"mt": "GetDomains"})).await["domains"].clone();
    assert_eq!((domains.as_array().unwrap().len(), &domains[0]["name"]), (1, &json!(DOMAIN)));
    assert_eq!(ours.request(json!({"mt": "GetUnassignedDevicesCount"})).await["count"], 0);
    // The other domain is unchanged and gets no notices.
    assert_eq!(theirs.request(json!({"mt": "GetDevicePhones", "hwId": "gw-b"})).await["phones"], json!(["TEL1"]));
    ours.request(json!({"mt": "SetDeviceFiler", "recvUpdates": true})).await;
    changed(store, DOMAIN, &["ours"]).await;
    ours.quiet().await;
    ours.request(json!({"mt": "GetDevices", "recvUpdates": true})).await;
    enter(store, DOMAIN, "ours", "PHONE").await;
    changed(store, OTHER, &["gw-b", "phone-b"]).await;
    changed(store, DOMAIN, &["gw-b", "ours"]).await;
    let notice = ours.receive().await;
    assert_eq!((&notice["mt"], &notice["device"]["hwId"]), (&json!("DeviceAdded"), &json!("ours")));
    ours.quiet().await;
});

on_each_store!(access_makes_the_things_of_another_domain_visible, |_| {}, async |broker: &Broker| {
    let store = broker.store();
    enter(store, OTHER, "gw-b", "GW").await;
    let mut ours = devices_app(broker, DOMAIN, PASSWORD).await;
    let list = ours.request(json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"})).await;
    assert_eq!(list["devices"], json!([]));
    let tell = async |change: DomainChange| {
        assert!(store.change_domain(&name(DOMAIN), &change).await.unwrap());
        store.publish(&Signal::Tenant { domain: name(DOMAIN) }).await.unwrap();
    };
    tell(DomainChange { access_gained: vec![name(OTHER)], ..DomainChange::default() }).await;
    let notice = ours.receive().await;
    assert_eq!((&notice["mt"], &notice["src"]), (&json!("DeviceAdded"), &json!("d")));
    assert_eq!(notice["device"]["hwId"], "gw-b");
    let device = ours.request(json!({"mt": "GetDevice", "hwId": "gw-b"})).await;
    assert_eq!((&device["device"]["type"], &device["device"]["online"]), (&json!("GW"), &json!(false)));
    assert_eq!(ours.request(json!({"mt": "GetDevicePhones", "hwId": "gw-b"})).await["phones"], json!([]));
    tell(DomainChange { access_lost: vec![name(OTHER)], ..DomainChange::default() }).await;
    let notice = ours.receive().await;
    assert_eq!((&notice["mt"], &notice["device"]["hwId"]), (&json!("DeviceRemoved"), &json!("gw-b")));
    assert_eq!(ours.request(json!({"mt": "GetDevice", "hwId": "gw-b"})).await["error"], "not found");
});

on_each_store!(a_long_list_comes_in_parts_sorted_by_number, |_| {}, async |broker: &Broker| {
    let store = broker.store();
    for n in 0..2_500 {
        let domain = if n % 5 == 0 { OTHER } else { DOMAIN };
        enter(store, domain, &format!("phone-{n}"), "PHONE").await;
    }
    let mut admin = App::login(broker.addr, "x", DOMAIN, "", INSTANCE_PASSWORD).await;
    for (mt, array) in [("GetPhones", "phones"), ("GetDevices", "devices")] {
        admin.send(&json!({"mt": mt, "src": mt})).await;
        let (mut sizes, mut ids) = (Vec::new(), Vec::new());
        loop {
            let text = admin.receive_text().await;
            assert!(text.len() < 300 * 1024);
            let part: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&part["src"], &part["error"]), (&json!(mt), &Value::Null));
            let devices = part[array].as_array().unwrap();
            sizes.push(devices.len());
            ids.extend(devices.iter().map(|device| device["id"].as_u64().unwrap()));
            if part["last"] == true {
                break;
            }
        }
        assert_eq!(sizes, [1000, 1000, 500]);
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
    let some = admin.request(json!({"mt": "GetPhones", "hwIds": "phone-7,none,phone-3,PHONE-7"})).await;
    assert_eq!(some["phones"].as_array().unwrap().len(), 2);
});

#[test]
fn changes_at_one_node_are_notified_at_the_other() {
    let keep = crate::support::broker::Keep::redis();
    let (one, two) = (Broker::on(&keep, |_| {}), Broker::on(&keep, |_| {}));
    run(async {
        let mut app = devices_app(&two, DOMAIN, PASSWORD).await;
        let list = app.request(json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"})).await;
        assert_eq!(list["devices"], json!([]));
        let store = one.store();
        let device = enter(store, DOMAIN, "phone", "PHONE").await;
        changed(store, DOMAIN, &["phone"]).await;
        assert_eq!(app.receive().await["mt"], "DeviceAdded");
        assert!(store.rename(&name(DOMAIN), &key("phone"), Some("Lobby")).await.unwrap());
        changed(store, DOMAIN, &["phone"]).await;
        let notice = app.receive().await;
        assert_eq!((&notice["mt"], &notice["device"]["name"]), (&json!("DeviceUpdate"), &json!("Lobby")));
        // Out of the filter by its category.
        let categories = json!({"mt": "GetDevices", "recvUpdates": true, "categories": CATEGORY});
        assert_eq!(app.request(categories).await["devices"][0]["hwId"], "phone");
        let domains = store.domains().await.unwrap();
        let tenant = domains.iter().find(|d| d.name == name(DOMAIN)).unwrap();
        let other = tenant.categories.iter().map(|c| c.id).find(|id| *id != device.category).unwrap();
        assert!(store.recategorise(&name(DOMAIN), &key("phone"), other).await.unwrap());
        changed(store, DOMAIN, &["phone"]).await;
        let notice = app.receive().await;
        assert_eq!((&notice["mt"], &notice["device"]["id"]), (&json!("DeviceRemoved"), &json!(device.id.0)));
        app.quiet().await;
    });
}

on_each_store!(what_is_not_connected_is_offline_and_foreign_addresses_are_refused, |_| {}, async |broker: &Broker| {
    enter(broker.store(), DOMAIN, "gw-a", "GW").await;
    let mut app = devices_app(broker, DOMAIN, PASSWORD).await;
    let key = session_key(&mut app).await;
    let base = format!("http://{}/example.com/devices/passthrough/gw-a", broker.addr);
    for (uri, error) in [
        (format!("{base}/{key}/log.txt"), "offline"),
        (format!("{base}/{key}"), "offline"),
        (format!("{base}/not-the-key/log.txt"), "bad request"),
        (format!("http://127.0.0.1:{}/metrics", broker.ops.port()), "bad request"),
    ] {
        assert_eq!(app.request(json!({"mt": "HttpGet", "uri": uri})).await["error"], error);
    }
    let mut other = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let remove = json!({"mt": "RemoveDevicePhone", "hwId": "gw-a", "id": "TEL1"});
    assert_eq!(other.request(remove.clone()).await["error"], "not allowed");
    assert_eq!(app.request(remove).await["error"], "not found");
});

on_each_store!(a_device_is_asked_through_its_tunnel, |_| {}, async |broker: &Broker| {
    let mut app = devices_app(broker, DOMAIN, PASSWORD).await;
    app.request(json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"})).await;
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.code(CATEGORY, "p").await;
    let (mut device, password) = Device::enter(broker.addr, "0090334100c1", &code).await;
    device.expect_admin_password(&password).await;
    // No test code has reported it: the entry itself causes the notice.
    let mut online = false;
    while !online {
        let notice = app.receive().await;
        if notice["mt"] == "DeviceAdded" || notice["mt"] == "DeviceUpdate" {
            assert_eq!((&notice["src"], &notice["device"]["hwId"]), (&json!("d"), &json!("0090334100c1")));
            online = notice["device"]["online"] == true;
        }
    }
    app.send(&json!({"mt": "SetDeviceFiler", "recvUpdates": false})).await;
    while app.receive().await["mt"] != "SetDeviceFilerResult" {}
    let key = session_key(&mut app).await;
    let uri = app.request(json!({"mt": "GetDevice", "hwId": "00-90-33-41-00-c1"})).await["device"]["uri"].clone();
    let uri = uri.as_str().unwrap();
    assert_eq!(uri, format!("http://{}/example.com/devices/passthrough/0090334100c1/{key}/", broker.addr));
    for (answer, result) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"[..],
            json!({"mt": "HttpGetResult", "src": "h", "status": 200, "contentType": "text/plain", "data": "ok\n"}),
        ),
        (
            &b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n\xff\x00"[..],
            json!({"mt": "HttpGetResult", "src": "h", "status": 404, "data": "/wA=", "base64": true}),
        ),
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n"[..],
            json!({"mt": "HttpGetResult", "src": "h", "error": "too large"}),
        ),
    ] {
        app.send(&json!({"mt": "HttpGet", "uri": format!("{uri}log.txt?a=%2f"), "src": "h"})).await;
        let (session, request) = device.request().await;
        assert!(request.starts_with("GET /log.txt?a=%2f HTTP/1.1\r\n"), "{request}");
        device.tunnel(session, RECEIVE_RESULT, answer).await;
        // A slow request does not block the others.
        app.send(&json!({"mt": "KeepAlive", "src": "k"})).await;
        let mut answers = [app.receive().await, app.receive().await];
        answers.sort_by_key(|answer| answer["mt"].to_string());
        assert_eq!(answers[0], result);
        if result["error"].is_string() {
            // The last one; how it is aborted is up to the tunnel.
            break;
        }
        device.expect_tunnel(SHUTDOWN).await;
        device.tunnel(session, SHUTDOWN, b"").await;
    }
});

on_each_store!(what_an_app_changes_is_on_record_and_what_it_asks_for_is_not, |_| {}, async |broker: &Broker| {
    let store = broker.store();
    enter(store, DOMAIN, "gw-a", "GW").await;
    let mut app = devices_app(broker, DOMAIN, PASSWORD).await;
    let code = app.code(CATEGORY, "p1").await;
    store.claim_port(&name(DOMAIN), &key("gw-a"), "TEL1", Code::parse(&code).unwrap()).await.unwrap();
    let removed = app.request(json!({"mt": "RemoveDevicePhone", "hwId": "gw-a", "id": "TEL1"})).await;
    assert_eq!(removed.get("error"), None, "{removed}");
    let mut acts = store.audit_entries(Some(&name(DOMAIN)), None, 10).await.unwrap();
    let act = acts.pop().unwrap().action;
    assert!(acts.is_empty(), "a code is no act: {acts:?}");
    assert_eq!((&*act.who, &*act.what, &*act.to), ("innovaphone-devices", "port.remove", "gw-a TEL1"));
    assert_eq!((act.by.as_str(), act.from.unwrap().to_string()), ("app", "127.0.0.1".to_owned()));
});

on_each_store!(devices_are_filtered_by_names_and_with_those_without_a_domain, |_| {}, async |broker: &Broker| {
    let store = broker.store();
    for (domain, id, platform) in [(DOMAIN, "gw-a", "GW"), (DOMAIN, "phone-a", "PHONE"), (OTHER, "phone-b", "PHONE")] {
        enter(store, domain, id, platform).await;
    }
    let stranger = Facts { product: "IP112".into(), platform: "PHONE".into(), ..Facts::default() };
    let keep = std::time::Duration::from_secs(60);
    store.record_unassigned(&key("stranger"), &stranger, None, keep).await.unwrap();
    let mut admin = devices_app(broker, DOMAIN, INSTANCE_PASSWORD).await;
    let mut ours = devices_app(broker, DOMAIN, PASSWORD).await;
    let ids = |answer: &Value| -> Vec<String> {
        let devices = answer["devices"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let mut ids: Vec<_> = devices.iter().map(|device| device["hwId"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let all = ["gw-a", "phone-a", "phone-b", "stranger"];
    for (request, expected) in [
        (json!({}), &all[..]),
        (json!({"domainIds": "", "categories": "", "subcategories": "", "unassigned": false}), &all[..]),
        (json!({"unassigned": true}), &["stranger"]),
        (json!({"categories": CATEGORY}), &all[..3]),
        (json!({"categories": format!("x, {CATEGORY} "), "unassigned": true}), &all[..]),
        (json!({"categories": CATEGORY, "subcategories": "x"}), &[]),
        (json!({"categories": "4"}), &[]),
    ] {
        let mut request = request;
        request["mt"] = "GetDevices".into();
        assert_eq!(ids(&admin.request(request.clone()).await), expected, "{request}");
        let own: Vec<_> = expected.iter().copied().filter(|id| id.ends_with("-a")).collect();
        assert_eq!(ids(&ours.request(request.clone()).await), own.as_slice(), "{request}");
    }
    let stranger = admin.request(json!({"mt": "GetDevices", "unassigned": true})).await["devices"][0].clone();
    assert_eq!((&stranger["domainId"], &stranger["ethIfs"]), (&json!(0), &json!([])));
    for (request, expected) in [
        (json!({}), &all[..2]),
        (json!({"types": ["PHONE", "NONE"]}), &all[1..2]),
        (json!({"justFxs": true}), &all[..1]),
        (json!({"types": ["PHONE"], "hwIds": "gw-a,phone-b"}), &[]),
    ] {
        let mut request = request;
        request["mt"] = "GetFilteredDevices".into();
        for app in [&mut admin, &mut ours] {
            assert_eq!(ids(&app.request(request.clone()).await), expected, "{request}");
        }
    }

    // Everything is followed: a device that gets its domain is one that has changed.
    admin.request(json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"})).await;
    enter(store, DOMAIN, "stranger", "PHONE").await;
    changed(store, DOMAIN, &["stranger"]).await;
    let notice = admin.receive().await;
    assert_eq!((&notice["mt"], &notice["device"]["hwId"]), (&json!("DeviceUpdate"), &json!("stranger")));
    assert_ne!(notice["device"]["domainId"], 0);
});

on_each_store!(domains_that_change_and_go_are_reported, |_| {}, async |broker: &Broker| {
    let store = broker.store();
    let mut admin = devices_app(broker, DOMAIN, INSTANCE_PASSWORD).await;
    let list = admin.request(json!({"mt": "GetDomains", "recvUpdates": true, "src": "m"})).await;
    assert_eq!(list["domains"][0]["hasRentalProducts"], false);
    let other = list["domains"].as_array().unwrap().iter().find(|domain| domain["name"] == OTHER).unwrap();
    let password = DomainChange { password: Some(Secret::new("a new password")), ..DomainChange::default() };
    assert!(store.change_domain(&name(OTHER), &password).await.unwrap());
    store.publish(&Signal::Tenant { domain: name(OTHER) }).await.unwrap();
    let notice = admin.receive().await;
    assert_eq!(notice, json!({"mt": "DomainEdited", "src": "m", "domain": other}));
    let deleted = store.delete_domain(&name(OTHER)).await.unwrap();
    assert_eq!(deleted, provbroker::store::Deleted::Gone);
    store.publish(&Signal::Tenant { domain: name(OTHER) }).await.unwrap();
    assert_eq!(admin.receive().await, json!({"mt": "DomainDeleted", "src": "m", "id": other["id"]}));
});

on_each_store!(searches_find_devices_and_domains_within_the_rights, |_| {}, async |broker: &Broker| {
    for (domain, id) in [(DOMAIN, "0090334100d1"), (OTHER, "0090334100d2")] {
        enter(broker.store(), domain, id, "PHONE").await;
    }
    let stranger = Facts { product: "IP411".into(), platform: "GW".into(), ..Facts::default() };
    let keep = std::time::Duration::from_secs(60);
    broker.store().record_unassigned(&key("0090334100d3"), &stranger, None, keep).await.unwrap();
    let search = async |app: &mut App, text: &str| {
        app.send(&json!({"mt": "Search", "api": "com.innovaphone.search", "search": text, "src": "s"})).await;
        let mut found = Vec::new();
        loop {
            let message = app.receive().await;
            assert_eq!((&message["src"], &message["api"]), (&json!("s"), &json!("com.innovaphone.search")));
            if message["mt"] == "SearchResult" {
                assert_eq!(message.get("error"), None);
                return found;
            }
            assert_eq!(message["mt"], "SearchInfo");
            found.push(message["dn"].as_str().unwrap().to_owned());
        }
    };
    // Any app may search.
    let mut ours = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let mut admin = devices_app(broker, DOMAIN, INSTANCE_PASSWORD).await;
    assert_eq!(search(&mut ours, "ip41").await, ["0090334100d1"]);
    assert_eq!(search(&mut admin, "ip41").await, ["0090334100d1", "0090334100d2", "0090334100d3"]);
    assert_eq!(search(&mut ours, DOMAIN).await, [DOMAIN]);
    assert!(search(&mut ours, OTHER).await.is_empty());
    assert!(search(&mut ours, "00-90-33-41-00-d2").await.is_empty());
});

on_each_store!(an_app_platform_with_app_ip_is_among_the_gateways, |_| {}, async |broker: &Broker| {
    for (id, platform) in [("0090334100f1", "APP_PLATFORM"), ("0090334100f2", "GW")] {
        enter(broker.store(), DOMAIN, id, platform).await;
    }
    let mut app = devices_app(broker, DOMAIN, PASSWORD).await;
    let mut gateways = async |just_fxs: bool| {
        let list = app.request(json!({"mt": "GetGateways", "justFxs": just_fxs})).await;
        let gateways = list["gateways"].as_array().unwrap().iter();
        gateways.map(|device| (device["hwId"].clone(), device["type"].clone())).collect::<Vec<_>>()
    };
    let (platform, gateway) = ((json!("0090334100f1"), json!("APP_PLATFORM")), (json!("0090334100f2"), json!("GW")));
    assert_eq!(gateways(false).await, std::slice::from_ref(&gateway));

    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let at = |id: &str| format!("/domains/{DOMAIN}/devices/{id}");
    let change = |path: &str| Some(json!({"appIpPath": path}));
    operator.done("PATCH", &at("0090334100f1"), change("/ip")).await;
    assert_eq!(operator.get(&at("0090334100f1")).await["appIpPath"], "ip/");
    assert_eq!(gateways(false).await, [platform, gateway.clone()]);
    assert_eq!(gateways(true).await, std::slice::from_ref(&gateway));
    let audit = operator.get(&format!("/audit?domain={DOMAIN}")).await;
    assert_eq!(
        (&audit["entries"][0]["what"], &audit["entries"][0]["to"]),
        (&json!("device.app_ip"), &json!("0090334100f1"))
    );

    // Only app platforms have a path, and only a path.
    operator.refused(409, "PATCH", &at("0090334100f2"), change("ip")).await;
    operator.refused(422, "PATCH", &at("0090334100f1"), change("../ip")).await;
    operator.refused(422, "PATCH", &at("0090334100f1"), change(&"a".repeat(129))).await;
    operator.done("PATCH", &at("0090334100f1"), change("")).await;
    assert_eq!(operator.get(&at("0090334100f1")).await["appIpPath"], Value::Null);
    assert_eq!(gateways(false).await, [gateway]);
});
