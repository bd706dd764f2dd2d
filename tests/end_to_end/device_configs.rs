//! Device configurations for apps (`docs/protocol/devices-api.md` 4.6, 4.8, 4.9).

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, OTHER, OTHER_PASSWORD, PASSWORD};
use crate::support::crypto::{rc4, unhex};
use crate::support::rest::Operator;
use crate::support::secrets;

const TURN: &str = "of-the-turn-server";

/// Makes a job; its number.
async fn make(operator: &Operator, domain: &str, body: Value) -> u64 {
    let made = operator.done("POST", &format!("/domains/{domain}/config-jobs"), Some(body)).await;
    made["id"].as_u64().unwrap()
}

async fn value(app: &mut App, id: u64) -> Value {
    app.request(json!({"mt": "GetDeviceConfig", "id": id})).await
}

/// Waits until the domain has so many configurations.
async fn listed(app: &mut App, count: usize) -> Value {
    loop {
        let result = app.request(json!({"mt": "GetDeviceConfigs", "src": "l"})).await;
        if result["configs"].as_array().unwrap().len() == count {
            return result;
        }
    }
}

on_each_store!(an_app_reads_device_configurations_within_its_rights, |_| {}, async |broker: &Broker| {
    secrets::note(TURN);
    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let domain = operator.get(&format!("/domains/{DOMAIN}")).await;
    let category =
        domain["categories"].as_array().unwrap().iter().find(|c| c["name"] == CATEGORY).unwrap()["id"].clone();
    let stun =
        json!({"stunServer": "stun.example", "turnServer": "turn.example", "turnUser": "#t", "turnPassword": TURN});
    make(&operator, DOMAIN, json!({"kind": "stun", "category": category, "desc": "Schreibtische", "values": stun}))
        .await;
    make(&operator, DOMAIN, json!({"kind": "language", "values": {"language": "de"}})).await;
    make(&operator, DOMAIN, json!({"kind": "raw", "values": {"lines": "vars del A\nvars del B"}})).await;

    let mut devices = App::login(broker.addr, "innovaphone-devices", DOMAIN, "", PASSWORD).await;
    let domain = &domain["id"];
    let desk = json!([{"id": category, "name": CATEGORY, "config": true}]);
    let mut media = json!({"id": 1, "domainId": domain, "desc": "Schreibtische", "type": "MEDIA", "categories": desk});
    let expert = json!({"id": 2, "domainId": domain, "type": "EXPERT", "categories": []});
    let all = json!({"mt": "GetDeviceConfigsResult", "src": "l", "last": true, "configs": [media, expert]});
    assert_eq!(listed(&mut devices, 2).await, all);

    for (name, value) in [("stunServer", "stun.example"), ("turnServer", "turn.example"), ("turnUser", "#t")] {
        media[name] = value.into();
    }
    let mut read = value(&mut devices, 1).await["config"].take();
    let [sealed, seed] = ["turnPassword", "seed"].map(|name| read[name].as_str().unwrap().to_owned());
    assert!(seed.len() == 16 && seed.bytes().all(|b| b.is_ascii_alphanumeric()), "{seed}");
    let key = format!("{seed}:{}", devices.session_key);
    assert_eq!(String::from_utf8(rc4(key.as_bytes(), &unhex(&sealed))).unwrap(), TURN);
    for name in ["turnPassword", "seed"] {
        read.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(read, media);
    assert_ne!(value(&mut devices, 1).await["config"]["seed"], seed, "a new one for each answer");
    devices.send(&json!({"mt": "GetDeviceConfig", "id": 2, "src": "e"})).await;
    let piece = json!({"mt": "GetDeviceConfigValueResult", "src": "e", "name": "script",
        "value": "vars del A\r\nvars del B\r\n"});
    assert_eq!(devices.receive().await, piece);
    assert_eq!(devices.receive().await, json!({"mt": "GetDeviceConfigResult", "src": "e", "config": expert}));

    // Other apps are shown neither passwords nor scripts.
    let mut reader = App::login(broker.addr, "innovaphone-devices-api", DOMAIN, "", PASSWORD).await;
    assert_eq!(value(&mut reader, 1).await["config"], media);
    reader.send(&json!({"mt": "GetDeviceConfig", "id": 2, "src": "e"})).await;
    assert_eq!(reader.receive().await, json!({"mt": "GetDeviceConfigResult", "src": "e", "config": expert}));

    // What is outside the rights does not exist; with the password of the instance there is nothing outside.
    let not_found = json!({"mt": "GetDeviceConfigResult", "src": "n", "error": "not found"});
    let mut other = App::login(broker.addr, "innovaphone-devices", OTHER, "", OTHER_PASSWORD).await;
    for request in [json!({"id": 1}), json!({"id": 1, "domainId": domain}), json!({"id": 99})] {
        let mut request = request;
        (request["mt"], request["src"]) = ("GetDeviceConfig".into(), "n".into());
        assert_eq!(other.request(request).await, not_found);
    }
    let refused = other.request(json!({"mt": "GetDeviceConfigs", "domainId": domain, "src": "n"})).await;
    assert_eq!(
        (&refused["error"], &refused["configs"], &refused["last"]),
        (&json!("not found"), &json!([]), &json!(true))
    );
    let mut root = App::login(broker.addr, "innovaphone-devices", "", "", INSTANCE_PASSWORD).await;
    let read = root.request(json!({"mt": "GetDeviceConfig", "id": 1, "domainId": domain})).await;
    let (sealed, seed) = (read["config"]["turnPassword"].as_str().unwrap(), read["config"]["seed"].as_str().unwrap());
    let key = format!("{seed}:{}", root.session_key);
    assert_eq!(String::from_utf8(rc4(key.as_bytes(), &unhex(sealed))).unwrap(), TURN);
});

on_each_store!(an_app_is_told_of_changed_device_configurations, |_| {}, async |broker: &Broker| {
    let operator = Operator::of(broker.addr, DOMAIN, PASSWORD).await;
    let mut app = App::login(broker.addr, "innovaphone-devices-api", DOMAIN, "", PASSWORD).await;
    let first = app.request(json!({"mt": "GetDeviceConfigs", "recvUpdates": true, "src": "c1"})).await;
    assert_eq!(first["configs"], json!([]));
    let domain = operator.get(&format!("/domains/{DOMAIN}")).await["id"].clone();
    let ntp = json!({"id": 1, "domainId": domain, "type": "NTP", "categories": []});
    let job = |server| json!({"kind": "ntp", "values": {"server": server}});
    let one = make(&operator, DOMAIN, job("a.example")).await;
    assert_eq!(app.receive().await, json!({"mt": "DeviceConfigAdded", "src": "c1", "config": ntp}));
    let two = make(&operator, DOMAIN, job("b.example")).await;
    assert_eq!(app.receive().await, json!({"mt": "DeviceConfigEdited", "src": "c1", "config": ntp}));
    // The first job is deleted: the configuration stays what it is. Then it ends with its last job.
    operator.done("DELETE", &format!("/domains/{DOMAIN}/jobs/{one}"), None).await;
    operator.done("DELETE", &format!("/domains/{DOMAIN}/jobs/{two}"), None).await;
    let deleted = json!({"mt": "DeviceConfigDeleted", "src": "c1", "id": 1, "domainId": domain});
    assert_eq!(app.receive().await, deleted);
});
