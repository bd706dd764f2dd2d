//! The device against a scripted server.

use super::*;
use crate::core::protocol::sysclient::frame::{DeviceEvent, ServerEvent, decode_from_device};

const PASSWORD: &str = "Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT";

fn facts() -> Facts {
    Facts {
        product: "IP112".into(),
        version: "13r3 sr9 [13.6012/136012/300]".into(),
        platform: "PHONE".into(),
        ..Facts::default()
    }
}

fn phone(memory: Memory) -> DeviceClient {
    DeviceClient::new(HardwareId::parse("00903341a0b1").unwrap(), facts(), memory)
}

fn member() -> Memory {
    Memory { password: Some(Secret::new(PASSWORD)), ..Memory::default() }
}

fn code() -> Code {
    Code::parse("402817739164").unwrap()
}

fn on(phone: &mut DeviceClient, event: Event, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    phone.on(event, Tick(now), &mut actions);
    actions
}

fn receive(phone: &mut DeviceClient, message: &FromServer, now: u64) -> Vec<Action> {
    on(phone, Event::Message(message.encode().into()), now)
}

fn sent(actions: &[Action]) -> Vec<FromDevice> {
    let messages = actions.iter().filter_map(|action| match action {
        Action::Send(bytes) => Some(decode_from_device(&Bytes::copy_from_slice(bytes)).unwrap()),
        _ => None,
    });
    messages.collect()
}

fn identify(actions: &[Action]) -> Identify {
    match sent(actions).as_slice() {
        [FromDevice::Identify(identify)] => (**identify).clone(),
        other => panic!("one identify, not {other:?}"),
    }
}

#[test]
fn a_code_is_in_every_identify_until_a_password_comes() {
    let mut phone = phone(Memory::default());
    assert!(on(&mut phone, Event::CodeTyped(code()), 0).is_empty(), "nothing is sent while offline");
    assert_eq!(identify(&on(&mut phone, Event::Connected, 0)).code, OfferedCode::Code(code()));
    on(&mut phone, Event::Closed, 1);
    assert_eq!(identify(&on(&mut phone, Event::Connected, 2)).code, OfferedCode::Code(code()));

    let password = Secret::new(PASSWORD);
    let actions = receive(&mut phone, &FromServer::Password(password.clone()), 3);
    assert_eq!(actions, [Action::KeepPassword(password), Action::Observed(Observation::Member(Proof::Password))]);
    assert_eq!(*phone.memory(), member());
    let again = on(&mut phone, Event::FactsChanged(Box::new(facts())), 4);
    assert_eq!(identify(&again).code, OfferedCode::None);
}

#[test]
fn a_code_typed_while_connected_is_sent_at_once() {
    let mut phone = phone(Memory::default());
    assert_eq!(identify(&on(&mut phone, Event::Connected, 0)).code, OfferedCode::None);
    let actions = on(&mut phone, Event::CodeTyped(code()), 1);
    assert_eq!(identify(&actions).code, OfferedCode::Code(code()));
    assert!(actions.contains(&Action::Observed(Observation::Identified { code: true, digest: false })));
}

#[test]
fn a_removed_code_is_no_longer_sent() {
    let mut phone = phone(Memory::default());
    on(&mut phone, Event::CodeTyped(code()), 0);
    assert!(on(&mut phone, Event::CodeRemoved, 1).is_empty());
    assert_eq!(identify(&on(&mut phone, Event::Connected, 2)).code, OfferedCode::None);
}

#[test]
fn a_challenge_is_answered_by_a_complete_identify() {
    let mut phone = phone(member());
    on(&mut phone, Event::Connected, 0);
    let actions = receive(&mut phone, &FromServer::Challenge("4031886215".into()), 10);
    let answer = identify(&actions);
    assert_eq!(answer.digest.as_deref(), Some("5ad83d403c6ccfabc500671d60a2daf5cc65670dd7132775b9aa602712e8ebc8"));
    assert_eq!(answer.facts, facts());
    assert!(!phone.is_member(), "nothing has confirmed the digest yet");
}

#[test]
fn without_a_password_a_challenge_is_not_answered() {
    let mut phone = phone(Memory::default());
    on(&mut phone, Event::Connected, 0);
    let actions = receive(&mut phone, &FromServer::Challenge("1".into()), 1);
    assert_eq!(actions, [Action::Observed(Observation::ChallengeWithoutPassword)]);
    assert_eq!(phone.next_wake(), None);
}

#[test]
fn an_open_connection_after_a_digest_means_membership() {
    let mut phone = phone(member());
    on(&mut phone, Event::Connected, 0);
    receive(&mut phone, &FromServer::Challenge("1".into()), 100);
    assert_eq!(phone.next_wake(), Some(Tick(2100)));
    assert!(on(&mut phone, Event::Timer, 2099).is_empty());
    assert_eq!(on(&mut phone, Event::Timer, 2100), [Action::Observed(Observation::Member(Proof::Silence))]);
    assert!(on(&mut phone, Event::Timer, 9999).is_empty(), "told once");
    on(&mut phone, Event::Closed, 10_000);
    assert!(!phone.is_member());
}

#[test]
fn a_closed_connection_after_a_digest_is_no_membership() {
    let mut phone = phone(member());
    on(&mut phone, Event::Connected, 0);
    receive(&mut phone, &FromServer::Challenge("1".into()), 100);
    on(&mut phone, Event::Closed, 200);
    assert!(on(&mut phone, Event::Timer, 9999).is_empty());
}

#[test]
fn an_administrative_password_is_decrypted_and_proves_membership() {
    let mut phone = phone(member());
    on(&mut phone, Event::Connected, 0);
    receive(&mut phone, &FromServer::Challenge("1".into()), 1);
    let good = FromServer::AdminPassword { seed: "k3Vx0Rz9Tq1Lm5Wb".into(), pwd: "1bbec6cac89e71".into() };
    let actions = receive(&mut phone, &good, 2);
    let letmein = Secret::new("letmein");
    assert_eq!(
        actions,
        [Action::Observed(Observation::Member(Proof::Served)), Action::KeepAdminPassword(letmein.clone())]
    );
    assert_eq!(phone.memory().admin_password, Some(letmein.clone()));

    let bad = FromServer::AdminPassword { seed: "k3Vx0Rz9Tq1Lm5Wb".into(), pwd: "xyz".into() };
    assert_eq!(receive(&mut phone, &bad, 3), [Action::Observed(Observation::AdminPasswordUnreadable)]);
    assert_eq!(phone.memory().admin_password, Some(letmein), "the one that was readable stays");
}

#[test]
fn a_password_of_another_length_is_refused() {
    for password in ["", "short", &"x".repeat(31), &"x".repeat(33)] {
        let mut phone = phone(Memory { code: Some(code()), ..Memory::default() });
        on(&mut phone, Event::Connected, 0);
        let text = format!("\u{1}\0\u{1}{{\"password\":\"{password}\"}}");
        let actions = on(&mut phone, Event::Message(text.into()), 1);
        assert!(
            matches!(actions[..], [Action::Observed(Observation::Malformed(_)), Action::Close(1007)]),
            "{actions:?}"
        );
        assert_eq!(phone.memory().password, None);
        assert_eq!(phone.memory().code, Some(code()));
    }
}

#[test]
fn malformed_messages_close_and_unknown_ones_are_dropped() {
    let mut phone = phone(Memory::default());
    on(&mut phone, Event::Connected, 0);
    let actions = on(&mut phone, Event::Message(Bytes::from_static(b"\x01\x00\x00{}")), 1);
    assert!(actions.contains(&Action::Close(1002)), "{actions:?}");
    let actions = on(&mut phone, Event::Message(Bytes::from_static(b"\x01\x00\x07{}")), 1);
    assert_eq!(actions, [Action::Observed(Observation::Dropped(Ignored::AdminType(7)))]);
}

#[test]
fn tunnel_bytes_go_to_the_web_server_and_back() {
    let mut phone = phone(member());
    on(&mut phone, Event::Connected, 0);
    let tunnel = |event| FromServer::Tunnel { session: 7, event };
    let request = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
    let actions = receive(&mut phone, &tunnel(ServerEvent::Send(request.clone())), 1);
    assert_eq!(actions[0], Action::Web(7, request));
    assert_eq!(sent(&actions), [FromDevice::Tunnel { session: 7, event: DeviceEvent::SendResult }]);

    let page = Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(on(&mut phone, Event::WebBytes(7, page.clone()), 2).is_empty(), "nothing goes out unasked");
    let actions = receive(&mut phone, &tunnel(ServerEvent::Receive(8192)), 3);
    assert_eq!(sent(&actions), [FromDevice::Tunnel { session: 7, event: DeviceEvent::ReceiveResult(page) }]);
    let actions = receive(&mut phone, &tunnel(ServerEvent::Shutdown), 4);
    assert_eq!(sent(&actions), [FromDevice::Tunnel { session: 7, event: DeviceEvent::Shutdown }]);
    assert!(actions.contains(&Action::WebClose(7)));

    receive(&mut phone, &tunnel(ServerEvent::Send(Bytes::from_static(b"GET /"))), 5);
    on(&mut phone, Event::Closed, 6);
    on(&mut phone, Event::Connected, 7);
    assert!(receive(&mut phone, &tunnel(ServerEvent::Receive(1)), 8).is_empty(), "sessions die with their connection");
}
