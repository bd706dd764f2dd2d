//! Status codes that the broker returns itself (`docs/protocol/sysclient.md` 8.6).

use super::{PHONE, Way, key, with_phone};
use crate::support::app::App;
use crate::support::broker::{INSTANCE, INSTANCE_PASSWORD, OTHER, OTHER_PASSWORD};
use crate::support::peer::until;
use crate::support::raw::{Raw, upgrade_request};
use crate::support::tunnel::{RECEIVE_RESULT, SEND, SHUTDOWN};

#[test]
fn access_needs_an_open_session_and_a_connected_device() {
    with_phone(16, async |broker, way, mut phone, app| {
        let passthrough = format!("{INSTANCE}/passthrough");
        let strange = format!("{passthrough}/{PHONE}/5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21/");
        let got = way.at("GET", &strange, "", b"").await;
        assert_eq!((got.status, &got.body[..]), (403, &b"session not open\n"[..]));
        assert_eq!((got.field("referrer-policy"), got.field("cache-control")), (Some("no-referrer"), Some("private")));
        assert_eq!(way.at("GET", &format!("{passthrough}/{PHONE}"), "", b"").await.status, 403);
        let nobody = format!("{passthrough}/0090334100ff/{}/", way.key);
        assert_eq!(way.at("GET", &nobody, "", b"").await.status, 404);
        assert_eq!(way.at("GET", &format!("{passthrough}/%2e%2e/{}/", way.key), "", b"").await.status, 404);
        // Not a passthrough address, so the name of the host counts.
        assert_eq!(way.at("GET", &way.path("/").replace("devices", "other"), "", b"").await.status, 421);

        // Another domain has no access; the instance has access to all.
        let mut other = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let foreign = Way { key: key(&mut other).await, ..way.clone() };
        assert_eq!(foreign.get("/").await.status, 404);
        let mut admin = App::login(broker.addr, "admin", "example.com", "admin", INSTANCE_PASSWORD).await;
        let instance = Way { key: key(&mut admin).await, ..way.clone() };
        let (got, _) = tokio::join!(instance.get("/"), phone.answer_once("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_eq!(got.status, 204);

        // The key ends with its session.
        other.leave().await;
        until("the key is dead", async || foreign.get("/").await.status == 403).await;

        phone.leave().await;
        until("the device is offline", async || way.get("/").await.status == 503).await;
        let got = way.get("/").await;
        assert_eq!((got.field("retry-after"), &got.body[..]), (Some("5"), &b"device not connected\n"[..]));
        app.leave().await;
    });
}

#[test]
fn requests_that_are_refused_before_the_tunnel() {
    with_phone(16, async |_, way, mut phone, _app| {
        let path = way.path("/x");
        assert_eq!(way.at("TRACE", &path, "", b"").await.status, 405);
        assert_eq!(way.at("CONNECT", &path, "", b"").await.status, 405);
        let long = format!("X-Long: {}\r\n", "x".repeat(32_768));
        assert_eq!(way.at("GET", &path, &long, b"").await.status, 431);
        assert_eq!(way.at("POST", &path, "Content-Length: 8388609\r\n", b"").await.status, 413);
        assert_eq!(way.at("GET", &way.path("/\u{fc}"), "", b"").await.status, 400);
        let mut raw = Raw::connect(way.to).await;
        raw.send(upgrade_request(&path, "Content-Length: 4\r\n").as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 400 "));
        phone.quiet().await;
    });
}

#[test]
fn a_body_without_announced_length_is_cut_at_8_mib() {
    with_phone(16, async |_, way, mut phone, _app| {
        let mut body = b"800001\r\n".to_vec();
        body.resize(body.len() + (8 << 20) + 1, b'x');
        body.extend(b"\r\n0\r\n\r\n");
        let mut raw = way.ask("POST", &way.path("/"), "Transfer-Encoding: chunked\r\n", b"").await;
        raw.send(&body).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 413 "));
        phone.quiet().await;
    });
}

#[test]
fn invalid_answers_of_the_device() {
    with_phone(16, async |_, way, mut phone, _app| {
        let (got, _) = tokio::join!(way.get("/"), phone.answer_once("SIP/2.0 200 OK\r\n\r\n"));
        assert_eq!((got.status, &got.body[..]), (502, &b"bad answer of the device\n"[..]));
        let cut = async {
            let (session, _) = phone.request().await;
            phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\n").await;
            phone.tunnelled().await;
            phone.tunnel(session, SHUTDOWN, b"").await;
            phone.expect_tunnel(SHUTDOWN).await;
        };
        assert_eq!(tokio::join!(way.get("/"), cut).0.status, 502);
        let lost = async {
            phone.request().await;
            drop(phone);
        };
        assert_eq!(tokio::join!(way.get("/"), lost).0.status, 502);
    });
}

#[test]
fn one_device_has_a_limited_number_of_sessions() {
    with_phone(2, async |_, way, mut phone, _app| {
        let mut first = way.ask("GET", &way.path("/1"), "", b"").await;
        let (one, _) = phone.request().await;
        let mut second = way.ask("GET", &way.path("/2"), "", b"").await;
        let (two, _) = phone.request().await;
        let got = way.get("/3").await;
        assert_eq!((got.status, &got.body[..]), (429, &b"too many requests at once\n"[..]));
        for (session, raw) in [(one, &mut first), (two, &mut second)] {
            phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 204 No Content\r\n\r\n").await;
            phone.expect_tunnel(SHUTDOWN).await;
            phone.tunnel(session, SHUTDOWN, b"").await;
            assert!(raw.head().await.starts_with("HTTP/1.1 204 "));
        }
        let (got, _) = tokio::join!(way.get("/4"), phone.answer_once("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_eq!(got.status, 204);
    });
}

#[test]
#[ignore = "waits ten seconds for a device that says nothing"]
fn a_silent_device_is_504() {
    with_phone(16, async |_, way, mut phone, _app| {
        let silent = async {
            phone.expect_tunnel(SEND).await;
            phone.expect_tunnel(SHUTDOWN).await;
        };
        let (got, ()) = tokio::join!(way.get("/"), silent);
        assert_eq!((got.status, &got.body[..]), (504, &b"device did not answer in time\n"[..]));
    });
}
