//! `/init`, byte for byte.

use std::sync::atomic::Ordering;

use provbroker::store::Contact;

use crate::support::{ADDRESS, CREDENTIAL, code_request, start};

const FORM: &str = "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nmod cmd UP1 provision 1\r\n";
const FIRST: &str = "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nconfig add UP1 /no-dhcp\r\n\
                     config write\r\nconfig activate\r\nmod cmd UP1 provision 1\r\n";
const OK: &str = "# ok\r\nconfig change SYSCLIENT /sysadmin \
                  wss%3A%2F%2Fap.example.org%2Fexample.com%2Fdevices%2Fsysclients\r\n\
                  config write\r\nconfig activate\r\nmod cmd UP1 provision 0\r\n";

#[actix_web::test]
async fn a_new_phone_gets_the_form_and_the_mark_only_once() {
    let directory = start();
    let answer = directory.get("/init?mac=00-90-33-A1-B2-C3&type=IP112&ip=192.0.2.17&PROT=136012&BOOT=136011").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, FIRST));
    assert_eq!(
        answer.headers,
        [
            "cache-control: no-store",
            "connection: close",
            &format!("content-length: {}", FIRST.len()),
            "content-type: text/plain; charset=utf-8"
        ]
    );
    assert_eq!(directory.get("/init?mac=009033a1b2c3").await.body, FORM);
    let prompt = directory.get("/init?mac=009033a1b2c3&PROVISIONING-CODE=prompt").await;
    assert_eq!(prompt.body, "# enter code\r\nmod cmd UP1 provision 1\r\n");

    let state = directory.store.state();
    let (contact, entered) = &state.contacts["009033a1b2c3"];
    assert_eq!((&*contact.mac, entered), ("009033a1b2c3", &None));
}

#[actix_web::test]
async fn a_contact_holds_the_documented_items() {
    let directory = start();
    directory.get("/init?sn=009033a1b2c3&type=IP112&ip=192.0.2.17&PROT=136012&BOOT=136011").await;
    let state = directory.store.state();
    // Without `..`: another item would be one more than the documented ones.
    let Contact { mac, model, firmware, bootcode, ip } = &state.contacts["009033a1b2c3"].0;
    assert_eq!((&**mac, model.as_deref()), ("009033a1b2c3", Some("IP112")));
    assert_eq!((firmware.as_deref(), bootcode.as_deref()), (Some("136012"), Some("136011")));
    assert_eq!(ip.as_deref(), Some("192.0.2.17"));
}

#[actix_web::test]
async fn without_a_mac_address_nothing_is_recorded() {
    let directory = start();
    for path in ["/init", "/init?", "/init?mac=zz9033a1b2c3", "/init?mac=009033a1b2", "/init?ip=192.0.2.17"] {
        assert_eq!(directory.get(path).await.body, FORM, "{path}");
    }
    assert!(directory.store.state().calls.is_empty());
}

#[actix_web::test]
async fn a_valid_code_leads_to_devices_as_often_as_it_is_asked() {
    let directory = start();
    let code = directory.code().await;
    let path = format!("/init?mac=009033a1b2c3&PROVISIONING-CODE={code}");
    for _ in 0..15 {
        let answer = directory.get(&path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, OK));
    }
    let typed = format!("/init?code={}%20{}-{}%23", &code[..4], &code[4..8], &code[8..]);
    assert_eq!(directory.get(&typed).await.body, OK);
    let entered = directory.store.state().contacts["009033a1b2c3"].1;
    assert_eq!(entered.map(|code| code.expose().to_owned()), Some(code));
    assert_eq!(directory.found.lock().unwrap().len(), 16);
}

#[actix_web::test]
async fn wrong_codes_cannot_be_told_apart() {
    let directory = start();
    let expired = directory.code().await;
    directory.pass(600_000);
    let deleted = directory.code().await;
    assert_eq!(directory.delete(CREDENTIAL, &deleted).await.status, 204);
    let open = directory.code().await;
    let unknown = if open == "000000000000" { "000000000001" } else { "000000000000" };
    directory.get("/init?mac=009033a1b2c3").await;

    let mut answers = Vec::new();
    for code in [unknown, &expired, &deleted, "12345", "abc", "4028177391644"] {
        directory.store.state().calls.clear();
        answers.push(directory.get(&format!("/init?mac=009033a1b2c3&code={code}")).await);
        assert_eq!(directory.store.state().calls, ["look_up", "contact"], "{code}");
    }
    assert!(directory.found.lock().unwrap().is_empty());
    assert_eq!((answers[0].status, answers[0].body.as_str()), (200, FORM));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(directory.store.state().contacts["009033a1b2c3"].1, None, "wrong codes are not stored");
}

#[actix_web::test]
async fn no_part_of_the_query_is_echoed() {
    let directory = start();
    directory.post(CREDENTIAL, "", &code_request(ADDRESS)).await;
    for path in [
        "/init?type=EVIL&ver=EVIL%5B1%5D&PROT=EVIL&BOOT=EVIL&ip=EVIL&mac=009033a1b2c3&x=EVIL",
        "/init?code=EVIL&url=wss://EVIL/sysclients&mac=EVIL",
        "/init?code=000000000000%0D%0Aconfig%20change%20SYSCLIENT%20/sysadmin%20EVIL",
        "/init?PROVISIONING-CODE=prompt%0D%0AEVIL",
    ] {
        let answer = directory.get(path).await;
        assert!(!format!("{answer:?}").contains("EVIL"), "{answer:?}");
        assert!([FORM, FIRST].contains(&answer.body.as_str()), "{answer:?}");
        assert_eq!(answer.header("location"), None);
    }
}

#[actix_web::test]
async fn head_is_get_without_a_body() {
    let directory = start();
    let code = directory.code().await;
    let head = directory.send(&format!("HEAD /init?code={code} HTTP/1.1"), "").await;
    let get = directory.get(&format!("/init?code={code}")).await;
    assert_eq!((head.status, &head.headers, head.body.as_str()), (200, &get.headers, ""));
}

#[actix_web::test]
async fn paths_are_those_of_the_vectors() {
    let all: serde_json::Value = serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap();
    let cases = all["init_paths"].as_array().unwrap();
    assert!(cases.iter().any(|case| case["served"] == true) && cases.iter().any(|case| case["served"] == false));
    for case in cases {
        let directory = start();
        let code = directory.code().await;
        let path = case["path"].as_str().unwrap();
        let served = case["served"].as_bool().unwrap();
        let status = if served { 200 } else { 404 };
        let get = directory.get(&format!("{path}?mac=009033a1b2c3&code={code}")).await;
        let head = directory.send(&format!("HEAD {path}?mac=009033a1b2c3&code={code} HTTP/1.1"), "").await;
        let post = directory.send(&format!("POST {path} HTTP/1.1\r\nContent-Length: 0"), "").await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.headers, get.headers, "{path}");
        assert_eq!(post.status, if served { 405 } else { 404 }, "{path}");
        assert_eq!(get.header("location"), None);
        let state = directory.store.state();
        if served {
            assert_eq!(get.body, OK, "{path}");
            let model = state.contacts["009033a1b2c3"].0.model.as_deref();
            assert_eq!(model.unwrap_or_default(), case["name"], "{path}");
        } else {
            assert!(!state.calls.contains(&"look_up") && state.contacts.is_empty(), "{path}: {:?}", state.calls);
        }
    }
}

#[actix_web::test]
async fn other_methods_and_paths_and_long_queries() {
    let directory = start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = directory.send(&format!("{method} /init HTTP/1.1\r\nContent-Length: 0"), "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in ["/", "/init.htm", "/api/v1", "/api/v1/codes/", "/api/v2/codes"] {
        assert_eq!(directory.get(path).await.status, 404, "{path}");
    }
    let fits = format!("/init?x={}", "y".repeat(4094));
    assert_eq!(directory.get(&fits).await.status, 200);
    assert_eq!(directory.get(&format!("{fits}y")).await.status, 414);
}

#[actix_web::test]
async fn without_the_store_phones_are_asked_to_come_again() {
    let directory = start();
    let code = directory.code().await;
    directory.store.down.store(true, Ordering::SeqCst);
    for path in ["/init?mac=009033a1b2c3".to_owned(), format!("/init?code={code}"), "/init?code=1".to_owned()] {
        let answer = directory.get(&path).await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "# try later\r\n"));
        assert_eq!(answer.header("retry-after"), Some("10"));
    }
    assert_eq!(directory.get("/healthz").await.status, 200);
    directory.store.down.store(false, Ordering::SeqCst);
    assert_eq!(directory.get(&format!("/init?code={code}")).await.body, OK);
}
