//! What an app may send before and after its log-in, and how everything else is refused
//! (`docs/protocol/appwebsocket.md`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    Broker, CATEGORY, DOMAIN, INSTANCE, INSTANCE_PASSWORD, Keep, OTHER, OTHER_PASSWORD, PASSWORD, STORAGE, with_broker,
};
use crate::support::peer::Device;
use crate::support::raw::{BINARY, Raw, TEXT, frame, header};

async fn users(broker: &Broker) -> App {
    App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await
}

#[test]
fn messages_before_log_in_that_close_the_connection() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            for (case, bytes, code) in [
                ("binary", frame(BINARY, b"{}"), 1003),
                ("131073 bytes announced", header(TEXT, 131_073, 0x80), 1009),
                ("not masked", [header(TEXT, 2, 0), b"{}".to_vec()].concat(), 1002),
                ("reserved bit", frame(0xc1, b"{}"), 1002),
                ("no JSON", frame(TEXT, b"hello"), 1007),
                ("no object", frame(TEXT, b"[]"), 1007),
                ("no mt", frame(TEXT, b"{}"), 1007),
                ("mt is no string", frame(TEXT, br#"{"mt":1}"#), 1007),
                ("not UTF-8", frame(TEXT, b"{\"mt\":\"\xff\"}"), 1007),
                ("a request", frame(TEXT, br#"{"mt":"GetLoginInfo"}"#), 1008),
                ("unknown", frame(TEXT, br#"{"mt":"Hello"}"#), 1008),
                ("with api", frame(TEXT, br#"{"mt":"AppChallenge","api":"com.innovaphone.devices"}"#), 1008),
            ] {
                let mut raw = Raw::upgrade(broker.addr, INSTANCE).await;
                raw.send(&bytes).await;
                assert_eq!(raw.close_code().await, code, "{case}");
            }
        },
    );
}

#[test]
fn messages_before_log_in_that_are_answered() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut app = App::open(broker.addr).await;
            app.quiet().await;
            let page = format!("http://{}{INSTANCE}/abcdef/innovaphone-devices.htm", broker.addr);
            let answer = app.request(json!({"mt": "CheckBuild", "url": page})).await;
            assert!(answer["url"].as_str().unwrap().ends_with("/innovaphone-devices.htm"), "{answer}");
            app.send(&json!({"mt": "AppChallenge", "appObj": "x", "user": "y", "src": "1"})).await;
            let answer = app.receive().await;
            assert_eq!(answer["src"], "1");
            let challenge = answer["challenge"].as_str().unwrap();
            assert!(challenge.len() == 16 && challenge.bytes().all(|b| b.is_ascii_digit()), "{challenge}");
        },
    );
}

#[test]
fn a_late_log_in_is_closed() {
    let change = |config: &mut provbroker::config::Config| config.apps.login_timeout = Duration::from_millis(100);
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        App::open(broker.addr).await.expect_close(1008).await;
    });
}

on_each_store!(who_knows_which_password_may_do_what, |_| {}, async |broker: &Broker| {
    for (domain, password, admin) in [
        (DOMAIN, INSTANCE_PASSWORD, Some(true)),
        ("", INSTANCE_PASSWORD, Some(true)),
        (OTHER, INSTANCE_PASSWORD, None),
        (DOMAIN, PASSWORD, Some(false)),
        (OTHER, OTHER_PASSWORD, Some(false)),
        (OTHER, PASSWORD, None),
        ("", PASSWORD, None),
        ("nobody.example", PASSWORD, None),
        (DOMAIN, "", None),
    ] {
        let mut app = App::open(broker.addr).await;
        let result = app.try_login("users", domain, "anna", password).await;
        assert_eq!(result["ok"], admin.is_some(), "{domain} {result}");
        match admin {
            Some(admin) => {
                assert_eq!((&result["domain"], &result["app"]), (&json!(DOMAIN), &json!("users")));
                let info = app.request(json!({"mt": "GetLoginInfo"})).await;
                assert_eq!(info["admin"], admin, "{domain}");
                crate::support::secrets::note(info["key"].as_str().unwrap());
            }
            None => assert_eq!(result["error"], "LOGIN_FAILED"),
        }
    }
});

#[test]
fn the_third_failed_log_in_closes_the_connection() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut app = App::open(broker.addr).await;
            for _ in 0..3 {
                assert_eq!(app.try_login("users", DOMAIN, "", "wrong").await["ok"], false);
            }
            app.expect_close(1008).await;

            let mut app = App::open(broker.addr).await;
            for _ in 0..2 {
                assert_eq!(app.try_login("users", DOMAIN, "", "wrong").await["ok"], false);
            }
            assert_eq!(app.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true, "the last chance");
            // A connection logs in only once.
            assert_eq!(app.try_login("users", DOMAIN, "", PASSWORD).await["ok"], false);
            app.expect_close(1008).await;
        },
    );
}

#[test]
fn messages_after_log_in_that_close_the_connection() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut app = users(broker).await;
            app.send_text("no JSON").await;
            app.expect_close(1007).await;
            let mut app = users(broker).await;
            app.send_text("{}").await;
            app.expect_close(1007).await;
            let mut app = users(broker).await;
            app.send_binary(b"{}").await;
            app.expect_close(1003).await;
            let mut app = users(broker).await;
            app.send_text(&"x".repeat(1_048_577)).await;
            app.expect_close(1009).await;
        },
    );
}

#[test]
fn messages_after_log_in_that_are_answered_by_an_error() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut app = users(broker).await;
            let long = "x".repeat(200_000);
            for (request, error) in [
                (json!({"mt": "Hello", "api": "com.example", "src": "s"}), "unknown message"),
                (json!({"mt": "Hello", "long": long}), "unknown message"),
                (json!({"mt": "GetProvisioningCode"}), "bad request"),
                (json!({"mt": "GetProvisioningCode", "category": 4}), "bad request"),
                (json!({"mt": "GetProvisioningCode", "category": "no such"}), "not found"),
                (json!({"mt": "GetProvisioningCode", "category": STORAGE}), "not a provisioning category"),
                (json!({"mt": "GetProvisionedDevice"}), "bad request"),
                (json!({"mt": "GetProvisionedDevice", "code": "000000000000"}), "not found"),
                (json!({"mt": "GetProvisioningCategories", "domainId": 4_711}), "not found"),
            ] {
                let answer = app.request(request.clone()).await;
                assert_eq!((&answer["error"], &answer["api"]), (&json!(error), &request["api"]), "{}", request["mt"]);
            }
            // Answers and notices are ignored.
            app.send(&json!({"mt": "HelloResult"})).await;
            app.send(&json!({"mt": "PbxInfo", "domain": DOMAIN, "pbx": "m", "pbxDns": "m.example", "apis": []})).await;
            app.quiet().await;
            let info = app.request(json!({"mt": "AppInfo", "app": "innovaphone-devices-api"})).await;
            assert_eq!(info["serviceInfo"]["apis"], json!({"com.innovaphone.devices": {}}));
        },
    );
}

on_each_store!(a_domain_sees_nothing_of_another_one, |_| {}, async |broker: &Broker| {
    let mut theirs = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
    let mut ours = users(broker).await;
    let code = theirs.code(CATEGORY, "p1").await;
    let their_domain =
        theirs.request(json!({"mt": "GetProvisioningCategories"})).await["categories"][0]["domainId"].clone();
    let not_theirs = async |app: &mut App| {
        let of_nobody = app.request(json!({"mt": "GetProvisionedDevice", "code": "000000000000", "src": "q"})).await;
        let mut of_them = app.request(json!({"mt": "GetProvisionedDevice", "code": code, "src": "q"})).await;
        of_them["code"] = of_nobody["code"].clone();
        assert_eq!(of_them, of_nobody);
    };
    not_theirs(&mut ours).await;
    let (_phone, _) = Device::enter(broker.addr, "0090334100a1", &code).await;
    assert_eq!(theirs.next_notice().await["src"], "p1");
    not_theirs(&mut ours).await;
    for request in [
        json!({"mt": "GetProvisioningCategories", "domainId": their_domain}),
        json!({"mt": "GetProvisioningCode", "domainId": their_domain, "category": CATEGORY}),
    ] {
        let mut of_nobody = request.clone();
        of_nobody["domainId"] = 4_711.into();
        (of_nobody["src"],) = (json!("q"),);
        let mut request = request;
        request["src"] = "q".into();
        assert_eq!(ours.request(request).await, ours.request(of_nobody).await);
    }
});

#[test]
fn fragments_are_joined_and_answers_keep_their_order() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut raw = Raw::upgrade(broker.addr, INSTANCE).await;
            let text = json!({"mt": "KeepAlive", "src": "ü".repeat(5_000)}).to_string();
            let pieces: Vec<_> = text.as_bytes().chunks(4096).collect();
            let last = pieces.len() - 1;
            for (n, piece) in pieces.iter().enumerate() {
                let first = u8::from(n == 0) | if n == last { 0x80 } else { 0 };
                raw.send(&frame(first, piece)).await;
            }
            let (first, answer) = raw.frame().await;
            assert_eq!(first, TEXT);
            assert_eq!(
                serde_json::from_slice::<Value>(&answer).unwrap(),
                serde_json::from_str::<Value>(&text).unwrap()
            );

            // Without `src` answers are matched by order.
            let mut app = users(broker).await;
            for category in [CATEGORY, "no such", STORAGE] {
                app.send(&json!({"mt": "GetProvisioningCode", "category": category})).await;
            }
            let first = app.receive().await;
            crate::support::secrets::note(first["code"].as_str().unwrap());
            assert_eq!(first["src"], Value::Null);
            assert_eq!(app.receive().await["error"], "not found");
            assert_eq!(app.receive().await["error"], "not a provisioning category");
        },
    );
}

#[test]
fn too_many_requests_in_a_second_are_refused_one_by_one() {
    let change = |config: &mut provbroker::config::Config| config.apps.requests_per_second = 5;
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let mut app = users(broker).await;
        // A second may end in between, so send more than two seconds' worth.
        for _ in 0..40 {
            app.send(&json!({"mt": "GetUserInfo"})).await;
        }
        let mut refused = 0;
        for _ in 0..40 {
            let answer = app.receive().await;
            match answer["error"].as_str() {
                None => crate::support::secrets::note(answer["key"].as_str().unwrap()),
                Some(error) => {
                    assert_eq!(error, "too many requests");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0 && refused < 40, "{refused}");
    });
}

#[test]
fn an_idle_connection_gets_pings() {
    with_broker(
        &Keep::embedded(),
        |config| config.apps.ping_every = Duration::from_millis(50),
        async |broker: &Broker| {
            let mut app = users(broker).await;
            assert_eq!(app.next_ping().await, b"{}");
            assert_eq!(app.next_ping().await, b"{}");
        },
    );
}
