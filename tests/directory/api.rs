//! The calls of Devices over HTTP (`docs/protocol/directory.md` section 3).

use std::sync::atomic::Ordering;

use provbroker::directory::DirectorySettings;

use crate::support::{ADDRESS, CREDENTIAL, OTHER_CREDENTIAL, START, code_request, settings, start, start_with};

#[actix_web::test]
async fn a_code_and_its_validity() {
    let directory = start();
    let answer = directory.post(CREDENTIAL, "", &code_request(ADDRESS)).await;
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    assert!(code.len() == 12 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body, format!(r#"{{"code":"{code}","validUntil":{}}}"#, START / 1000 + 600));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let rollout = format!(r#"{{"rollout":true,"url":"{ADDRESS}","later":[1,{{"x":null}}]}}"#);
    let answer = directory.post(CREDENTIAL, "", &rollout).await;
    assert_eq!((answer.status, &answer.json()["validUntil"]), (201, &(START / 1000 + 7 * 86_400).into()));
}

#[actix_web::test]
async fn the_credential_is_checked_first() {
    let directory = start();
    let long = "x".repeat(5000);
    for extra in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic credential-one\r\n",
        "Authorization: credential-one\r\n",
    ] {
        let head = format!("POST /api/v1/codes HTTP/1.1\r\n{extra}Content-Length: {}", long.len());
        let answer = directory.send(&head, &long).await;
        assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{extra}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let answer = directory.send(&format!("DELETE /api/v1/codes/000000000000 HTTP/1.1\r\n{extra}X: y"), "").await;
        assert_eq!(answer.status, 401, "{extra}");
    }
    assert!(directory.store.state().calls.is_empty());
    let lower = format!("POST /api/v1/codes HTTP/1.1\r\nauthorization: bearer {CREDENTIAL}\r\nContent-Length: 2");
    assert_eq!(directory.send(&lower, "{}").await.status, 400, "the word is not case-sensitive");
}

#[actix_web::test]
async fn an_open_directory_asks_for_no_credential_but_checks_one_that_is_sent() {
    let directory = start_with(DirectorySettings { open: true, ..settings() });
    let head = format!("POST /api/v1/codes HTTP/1.1\r\nContent-Length: {}", code_request(ADDRESS).len());
    let answer = directory.send(&head, &code_request(ADDRESS)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(directory.post("wrong", "", &code_request(ADDRESS)).await.status, 401);
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    assert_eq!(directory.delete(CREDENTIAL, &code).await.status, 204);
    assert_eq!(directory.store.state().codes.len(), 1, "it was not this credential's code");
    assert_eq!(directory.send(&format!("DELETE /api/v1/codes/{code} HTTP/1.1"), "").await.status, 204);
    assert_eq!(directory.store.state().codes.len(), 0);
}

#[actix_web::test]
async fn bad_requests_say_what_is_wrong() {
    let directory = start();
    for (body, message) in [
        ("", "the body is not a JSON object"),
        ("[]", "the body is not a JSON object"),
        (r#"{"url":"a","url":"b"}"#, "the body is not a JSON object"),
        ("{}", "url is missing"),
        (r#"{"url":null}"#, "url is not a string"),
        (r#"{"url":"wss://h/sysclients","rollout":"yes"}"#, "rollout is not true or false"),
        (r#"{"url":"https://h/sysclients"}"#, "url does not begin with wss://"),
        (r#"{"url":"ws://h/sysclients"}"#, "url begins with ws://, which this directory does not allow; use wss://"),
        (r#"{"url":"wss://h/sysclients?a=b"}"#, "url has a query"),
        (r#"{"url":"wss://u@h/sysclients"}"#, "url has a user part"),
        (r#"{"url":"wss://h/devices"}"#, "url does not end with /sysclients"),
        (r#"{"url":"wss://h/a\r\nb/sysclients"}"#, "url contains white space, control characters or a backslash"),
    ] {
        let answer = directory.post(CREDENTIAL, "", body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad_request"), "{body}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with(message), "{body}: {answer:?}");
    }
    let long = format!("wss://h/{}/sysclients", "x".repeat(500));
    let answer = directory.post(CREDENTIAL, "", &code_request(&long)).await;
    assert_eq!(answer.json()["message"], "url is longer than 512 bytes");
    for key in ["with blank", "", &"k".repeat(256)] {
        let answer = directory.post(CREDENTIAL, &format!("Idempotency-Key: {key}\r\n"), &code_request(ADDRESS)).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad_request"), "{key:?}");
    }
    assert!(directory.store.state().calls.is_empty());
}

#[actix_web::test]
async fn plain_web_sockets_if_the_operator_says_so() {
    let directory = start_with(DirectorySettings { allow_ws: true, ..settings() });
    assert_eq!(directory.post(CREDENTIAL, "", &code_request("ws://lab.example.org/x/sysclients")).await.status, 201);
    let directory = start();
    assert_eq!(directory.post(CREDENTIAL, "", &code_request("ws://127.0.0.1:8080/x/sysclients")).await.status, 201);
}

#[actix_web::test]
async fn bodies_are_limited_with_or_without_a_length() {
    let directory = start();
    let body = |length: usize| {
        let start = format!(r#"{{"url":"{ADDRESS}","fill":""#);
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    assert_eq!(directory.post(CREDENTIAL, "", &body(4096)).await.status, 201);
    let answer = directory.post(CREDENTIAL, "", &body(4097)).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too_large"));
    let head =
        format!("POST /api/v1/codes HTTP/1.1\r\nAuthorization: Bearer {CREDENTIAL}\r\nTransfer-Encoding: chunked");
    let chunked = format!("1001\r\n{}\r\n0\r\n\r\n", body(4097));
    let answer = directory.send(&head, &chunked).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too_large"));
}

#[actix_web::test]
async fn the_same_key_gives_the_same_code_to_the_same_body_only() {
    let directory = start();
    let key = "Idempotency-Key: 6f0f1d0e-6c1c-4c57-9b63-2b0b1b6f2b10\r\n";
    let first = directory.post(CREDENTIAL, key, &code_request(ADDRESS)).await;
    directory.pass(1500);
    let again = directory.post(CREDENTIAL, key, &code_request(ADDRESS)).await;
    assert_eq!((again.status, &again), (201, &first));
    assert_eq!(directory.store.state().codes.len(), 1);

    let rollout = format!(r#"{{"url":"{ADDRESS}","rollout":true}}"#);
    let other = directory.post(CREDENTIAL, key, &rollout).await;
    assert_eq!((other.status, other.error().as_str()), (409, "idempotency_conflict"));

    let foreign = directory.post(OTHER_CREDENTIAL, key, &code_request(ADDRESS)).await;
    assert_eq!(foreign.status, 201);
    assert_ne!(foreign.json()["code"], first.json()["code"], "keys belong to their credential");
}

#[actix_web::test]
async fn a_code_is_removed_by_its_credential_only() {
    let directory = start();
    let code = directory.code().await;
    for unknown in ["000000000000", "12", "no-code", "%00"] {
        let answer = directory.delete(CREDENTIAL, unknown).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{unknown}");
    }
    assert_eq!(directory.delete(OTHER_CREDENTIAL, &code).await.status, 204);
    assert_eq!(directory.store.state().codes.len(), 1);
    assert_eq!(directory.delete(CREDENTIAL, &code).await.status, 204);
    assert_eq!(directory.store.state().codes.len(), 0);
    assert_eq!(directory.delete(CREDENTIAL, &code).await.status, 204);
}

#[actix_web::test]
async fn limits_of_a_credential() {
    let limited = DirectorySettings { codes_per_second: 2, max_open: 3, ..settings() };
    let directory = start_with(limited);
    directory.code().await;
    directory.code().await;
    let answer = directory.post(CREDENTIAL, "", &code_request(ADDRESS)).await;
    assert_eq!((answer.status, answer.error().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(directory.post(OTHER_CREDENTIAL, "", &code_request(ADDRESS)).await.status, 201, "each has its own");
    directory.pass(1000);
    directory.code().await;
    let answer = directory.post(CREDENTIAL, "", &code_request(ADDRESS)).await;
    assert_eq!((answer.status, answer.error().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some("60"), "three codes are open");
    directory.pass(600_000);
    directory.code().await;
}

#[actix_web::test]
async fn without_the_store_there_is_no_code() {
    let directory = start();
    directory.store.down.store(true, Ordering::SeqCst);
    for extra in ["", "Idempotency-Key: k\r\n"] {
        let answer = directory.post(CREDENTIAL, extra, &code_request(ADDRESS)).await;
        assert_eq!((answer.status, answer.error().as_str()), (503, "unavailable"));
    }
    assert_eq!(directory.delete(CREDENTIAL, "000000000000").await.status, 503);
}

#[actix_web::test]
async fn other_methods() {
    let directory = start();
    let answer = directory.get("/api/v1/codes").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let answer = directory.get("/api/v1/codes/000000000000").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("DELETE")));
    assert_eq!(directory.get("/healthz").await.status, 200);
}
