//! Refusals (`docs/protocol/sysclient.md` section 9), from the vectors and beyond them.

use serde_json::Value;

use super::*;
use crate::core::model::hex;

/// Sessions in the states of the column `state`; `any` is all of them.
fn harnesses(state: &str) -> Vec<Harness> {
    match state {
        "member" => vec![Harness::member_with(Facts { fxs: true, ..facts() })],
        "unassigned" => vec![Harness::unassigned()],
        "any" => vec![Harness::new(), Harness::unassigned(), Harness::challenged(device()), Harness::member()],
        other => panic!("unknown state {other}"),
    }
}

fn vectors(section: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../../../../tests/vectors/vectors.json")).unwrap();
    let found = all[section].as_array().unwrap().clone();
    assert!(!found.is_empty());
    found
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} of {vector}"))
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(vector, name)).unwrap()
}

/// `None` for a text message, which reaches the session as an end.
fn message(vector: &Value) -> Option<Bytes> {
    let Some(build) = vector.get("build") else { return Some(bytes(vector, "hex").into()) };
    build.get("prefix_hex")?;
    let fill = bytes(build, "fill_hex").repeat(usize::try_from(build["count"].as_u64().unwrap()).unwrap());
    Some([bytes(build, "prefix_hex"), fill].concat().into())
}

#[test]
fn malformed_messages_are_refused_as_in_the_vectors() {
    for vector in vectors("malformed_from_device") {
        for mut harness in harnesses(text(&vector, "state")) {
            let actions = match message(&vector) {
                Some(message) => harness.raw(Event::Message(&message)),
                None => harness.raw(Event::End(Close::WrongKind)),
            };
            match (text(&vector, "action"), &actions[..]) {
                ("close", [Action::Close(close)]) => {
                    assert_eq!(Some(u64::from(close.code())), vector["close_code"].as_u64(), "{vector}");
                    assert!(harness.receive(plain()).is_empty(), "nothing follows a close");
                }
                ("drop", [Action::Dropped]) => {
                    assert!(!harness.on(Event::End(Close::Stopping)).is_empty(), "the connection stays");
                }
                ("answer", [Action::Send(answer)]) => assert_eq!(*answer, bytes(&vector, "answer_hex"), "{vector}"),
                _ => panic!("{vector}: {actions:?}"),
            }
        }
    }
}

#[test]
fn tolerated_messages_are_accepted_as_in_the_vectors() {
    for vector in vectors("tolerated_from_device") {
        let message = message(&vector).unwrap();
        let mut harness = Harness::new();
        let actions = harness.raw(Event::Message(&message));
        match (text(&vector, "effect").starts_with("identify"), &actions[..]) {
            (true, [Action::Claim(identify, Stage::Open)]) => {
                // A vector's `id` is the key where that differs from the text sent.
                let keys = [identify.id.as_str().into(), identify.id.key().to_string()];
                assert!(keys.contains(&text(&vector, "id").to_string()), "{vector}");
                assert_eq!(harness.session.key(), Some(&identify.id.key()));
            }
            (false, [Action::Dropped]) => {}
            _ => panic!("{vector}: {actions:?}"),
        }
    }
}

#[test]
fn more_than_a_hundred_stray_tunnel_messages_a_minute_close_the_connection() {
    let stray = &b"\x02\x00\x00\x00\x63\x00\x00\x00\x02x"[..];
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::challenged(device()), Harness::member()] {
        for _ in 0..100 {
            assert_eq!(harness.bytes(stray), ["dropped"]);
        }
        assert_eq!(harness.bytes(stray), ["close 1008 too many"]);
    }
}

#[test]
fn stray_messages_of_another_minute_do_not_count() {
    let stray = &b"\x02\x00\x00\x00\x63\x00\x00\x00\x03"[..];
    let mut harness = Harness::member();
    for minute in 0..5 {
        for _ in 0..100 {
            assert_eq!(harness.at(minute * 60_000).bytes(stray), ["dropped"]);
        }
    }
    assert_eq!(harness.at(4 * 60_000 + 59_999).bytes(stray), ["close 1008 too many"]);
}

#[test]
fn unknown_types_and_events_are_no_strays() {
    let mut harness = Harness::member();
    for _ in 0..200 {
        assert_eq!(harness.bytes(&b"\x01\x00\x07{}"[..]), ["dropped"]);
        assert_eq!(harness.bytes(&b"\x02\x00\x00\x00\x01\x00\x00\x00\x05"[..]), ["dropped"]);
    }
}

/// Every row of section 9 that an incoming message can trigger, in the order of the checks.
#[test]
fn the_table_of_refusals() {
    let rows: [(&[u8], &str); 18] = [
        (b"", "close 1002 protocol error"),
        (b"\x00\x00\x00{}", "close 1002 protocol error"),
        (b"\x03\x00\x00{}", "close 1002 protocol error"),
        (b"\x01\x00", "close 1002 protocol error"),
        (b"\x02\x00\x00\x00\x01\x00\x00\x00", "close 1002 protocol error"),
        (b"\x01\x00\x01{}", "close 1002 protocol error"),
        (b"\x01\x00\x02{}", "close 1002 protocol error"),
        (b"\x01\x00\x03not json", "close 1002 protocol error"),
        (b"\x01\x00\x05{}", "close 1002 protocol error"),
        (b"\x01\x00\x06{}", "close 1002 protocol error"),
        (b"\x02\x00\x00\x00\x01\x00\x00\x00\x00GET", "close 1002 protocol error"),
        (b"\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x20\x00", "close 1002 protocol error"),
        (b"\x01\x00\x00{\"id\":\"a\"", "close 1007 malformed"),
        (b"\x01\x00\x00{}", "close 1007 malformed"),
        (b"\x01\x00\x04{\"id\":\"TEL1\"}", "close 1007 malformed"),
        (b"\x01\x00\x04{\"id\":\"\",\"code\":\"1\"}", "close 1007 malformed"),
        (b"\x01\x01\x00not json", "dropped"),
        (b"\x02\x00\x00\x00\x01\x00\x00\x00\x04", "dropped"),
    ];
    for (bytes, summary) in rows {
        for mut harness in harnesses("any") {
            assert_eq!(harness.bytes(bytes.to_vec()), [summary], "{bytes:x?}");
        }
    }
}
