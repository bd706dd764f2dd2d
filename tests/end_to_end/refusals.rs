//! What a device must not send, and how it is refused (`docs/protocol/sysclient.md` sections 1.2 and 9).

use std::time::Duration;

use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, INSTANCE, Keep, OTHER, OTHER_PASSWORD, with_broker};
use crate::support::peer::{Device, admin_message, identify};
use crate::support::raw::{BINARY, PING, PONG, Raw, TEXT, frame, get, header, upgrade_request};

async fn device(broker: &Broker) -> Raw {
    Raw::upgrade(broker.addr, &format!("{INSTANCE}/sysclients")).await
}

/// Each case on its own connection: bytes to send and the expected close code.
fn all_close(cases: &[(&str, Vec<u8>, u16)]) {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            for (case, bytes, code) in cases {
                let mut raw = device(broker).await;
                raw.send(bytes).await;
                assert_eq!(raw.close_code().await, *code, "{case}");
            }
        },
    );
}

fn binary(message: &[u8]) -> Vec<u8> {
    frame(BINARY, message)
}

#[test]
fn frames_that_close_the_connection() {
    let unmasked = [header(BINARY, 5, 0), vec![1, 0, 0, b'{', b'}']].concat();
    let two = [frame(0x02, &vec![1; 40_000]), header(0x80, 40_000, 0x80)].concat();
    all_close(&[
        ("text", frame(TEXT, b"{}"), 1003),
        ("a text fragment", frame(0x01, b"{"), 1003),
        ("65546 bytes announced", header(BINARY, 65_546, 0x80), 1009),
        ("a gigabyte announced", header(BINARY, 1 << 30, 0x80), 1009),
        ("too long in two fragments", two, 1009),
        ("an admin message of 65537 bytes", binary(&[vec![1, 0, 0], vec![b' '; 65_534]].concat()), 1009),
        ("not masked", unmasked, 1002),
        ("reserved bit", frame(0xc2, b"\x01\x00\x00{}"), 1002),
        ("reserved opcode", frame(0x83, b""), 1002),
        ("continuation of nothing", frame(0x80, b""), 1002),
        ("a message within a message", [frame(0x02, b"\x01"), binary(b"\x01")].concat(), 1002),
        ("ping in fragments", frame(0x09, b""), 1002),
        ("long ping", frame(PING, &[0; 126]), 1002),
    ]);
}

#[test]
fn messages_that_close_the_connection() {
    let mut cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", binary(b""), 1002),
        ("unknown first byte", binary(b"\x03\x00\x00{}"), 1002),
        ("short admin", binary(b"\x01\x00"), 1002),
        ("short tunnel", binary(b"\x02\0\0\0\x01\0\0\0"), 1002),
        ("tunnel send", binary(b"\x02\0\0\0\x01\0\0\0\0"), 1002),
        ("tunnel receive", binary(b"\x02\0\0\0\x01\0\0\0\x01\0\0\x20\0"), 1002),
    ];
    cases.extend([1, 2, 3, 5, 6].map(|kind| ("a type of the server", binary(&admin_message(kind, "{}")), 1002)));
    let deep = format!(r#"{{"id":"0090334100e1","x":{}{}}}"#, "[".repeat(33), "]".repeat(33));
    let whole = identify("0090334100e1").to_string();
    let malformed = [
        "",
        "{",
        "[]",
        "{}\0",
        "{} {}",
        r#"{"id":"a","id":"b"}"#,
        r#"{"id":"\ud800"}"#,
        "\u{feff}{}",
        &deep,
        // Well-formed, but required members are absent, empty or of a wrong type.
        "{}",
        &whole.replace("0090334100e1", ""),
        &whole.replace("0090334100e1", "a/b"),
        &whole.replace("0090334100e1", "a b"),
        &whole.replace(r#""product":"IP112""#, r#""product":112"#),
        &whole.replace(r#""product":"IP112","#, ""),
        &whole.replace(r#""type":"PHONE""#, r#""type":null"#),
    ]
    .map(str::to_owned);
    cases.extend(malformed.iter().map(|text| ("malformed", binary(&admin_message(0, text)), 1007)));
    cases.push(("not UTF-8", binary(b"\x01\x00\x00{\"id\":\"\xff\"}"), 1007));
    cases.push(("provision without port", binary(&admin_message(4, r#"{"code":"123456789012"}"#)), 1007));
    all_close(&cases);
}

#[test]
fn messages_that_are_dropped_or_answered_without_a_close() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut raw = device(broker).await;
            for message in [
                &admin_message(7, "not even JSON")[..],
                &admin_message(0xffff, ""),
                b"\x02\0\0\0\x01\0\0\0\x05",
                b"\x02\0\0\0\x01\0\0\0\x02HTTP/1.1 200 OK",
                b"\x02\0\0\0\x01\0\0\0\x04",
            ] {
                raw.send(&binary(message)).await;
            }
            raw.send(&frame(PING, b"still there?")).await;
            assert_eq!(raw.frame().await, (PONG, b"still there?".to_vec()));

            // A fragmented message with a ping in between is one message.
            let provision = admin_message(4, r#"{"id":"TEL1","code":"123456789012"}"#);
            raw.send(&frame(0x02, &provision[..2])).await;
            raw.send(&frame(PING, b"in between")).await;
            raw.send(&frame(0x00, &provision[2..9])).await;
            raw.send(&frame(0x80, &provision[9..])).await;
            assert_eq!(raw.frame().await, (PONG, b"in between".to_vec()));
            let (first, answer) = raw.frame().await;
            assert_eq!((first, &answer[..3]), (BINARY, &[1, 0, 5][..]));
            let answer: serde_json::Value = serde_json::from_slice(&answer[3..]).unwrap();
            assert_eq!(answer, json!({"error": "not in a domain"}));

            // The longest allowed message is read, whether it arrives byte by byte or not.
            let longest = [b"\x02\0\0\0\x01\0\0\0\x02".to_vec(), vec![0; 65_536]].concat();
            raw.send(&binary(&longest)).await;
            for byte in frame(PING, b"slowly") {
                raw.send(&[byte]).await;
            }
            assert_eq!(raw.frame().await, (PONG, b"slowly".to_vec()));
            raw.send(&frame(0x88, &1000_u16.to_be_bytes())).await;
            assert_eq!(raw.close_code().await, 1000);
            raw.ended().await;
        },
    );
}

#[test]
fn a_late_identify_is_closed() {
    let change = |config: &mut provbroker::config::Config| {
        config.devices.identify_timeout = Duration::from_millis(100);
        config.devices.challenge_timeout = Duration::from_millis(100);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        Device::connect(broker.addr, "").await.expect_close(1008).await;
        let mut users = App::login(broker.addr, "users", OTHER, "users", OTHER_PASSWORD).await;
        let code = users.code(CATEGORY, "p1").await;
        let (_member, _) = Device::enter(broker.addr, "0090334100e2", &code).await;
        let mut silent = Device::identified(broker.addr, &identify("0090334100e2")).await;
        silent.expect_challenge().await;
        silent.expect_close(1008).await;
    });
}

#[test]
fn a_device_is_pinged_and_a_silent_one_is_closed() {
    let change = |config: &mut provbroker::config::Config| {
        config.devices.ping_every = Duration::from_millis(100);
        config.devices.dead_after = Duration::from_millis(350);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let mut raw = device(broker).await;
        for _ in 0..5 {
            let (first, payload) = raw.frame().await;
            assert_eq!(first, PING);
            raw.send(&frame(PONG, &payload)).await;
        }
        loop {
            let (first, payload) = raw.frame().await;
            if first != PING {
                assert_eq!((first, &payload[..2]), (0x88, &1008_u16.to_be_bytes()[..]));
                break;
            }
        }
    });
}

#[test]
fn the_upgrade_answer_suits_known_clients() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let more = "Sec-WebSocket-Protocol: chat, other\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                    Origin: https://elsewhere.example\r\n";
            for path in ["/sysclients", "", "/", "/innovaphone-devices", "/anything"] {
                let mut raw = Raw::connect(broker.addr).await;
                raw.send(upgrade_request(&format!("{INSTANCE}{path}"), more).as_bytes()).await;
                let head = raw.head().await;
                assert!(head.starts_with("HTTP/1.1 101 ") && head.len() < 1024, "{head}");
                assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
                let lower = head.to_ascii_lowercase();
                assert!(!lower.contains("extensions") && !lower.contains("protocol:"), "{head}");
                raw.send(&frame(PING, b"there?")).await;
                assert_eq!(raw.frame().await, (PONG, b"there?".to_vec()), "{path}");
            }
        },
    );
}

#[test]
fn invalid_upgrades_are_refused() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let good = upgrade_request(&format!("{INSTANCE}/sysclients"), "");
            for (request, status) in [
                (upgrade_request("/", ""), "404"),
                (upgrade_request("/example.com/other/sysclients", ""), "404"),
                (upgrade_request("/example.net/devices/sysclients", ""), "404"),
                (upgrade_request(&format!("{INSTANCE}/passthrough"), ""), "404"),
                (upgrade_request(&format!("{INSTANCE}/a/b"), ""), "404"),
                (good.replace("Version: 13", "Version: 8"), "426"),
                (good.replace("Sec-WebSocket-Version: 13\r\n", ""), "426"),
                (good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400"),
            ] {
                let mut raw = Raw::connect(broker.addr).await;
                raw.send(request.as_bytes()).await;
                let head = raw.head().await;
                assert_eq!(&head[..13], format!("HTTP/1.1 {status} "), "{request}");
                assert_eq!(status == "426", head.contains("Sec-WebSocket-Version: 13\r\n"));
            }
            assert_eq!(get(broker.addr, &format!("{INSTANCE}/sysclients")).await.status, 404, "no upgrade at all");
        },
    );
}
