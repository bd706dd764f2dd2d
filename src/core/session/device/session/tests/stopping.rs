//! A stop waits for what is under way.

use super::work::{answer, config, owing};
use super::*;
use crate::core::protocol::sysclient::frame::DeviceEvent;
use crate::core::session::device::event::{TunnelId, TunnelRequest};

const GONE: &str = "close 1001 stopping";

#[test]
fn idle_connections_close_at_once() {
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::member()] {
        assert_eq!(harness.on(Event::Stop), [GONE]);
        assert!(harness.on(Event::Stop).is_empty());
    }
}

#[test]
fn a_registration_is_finished() {
    let mut harness = Harness::challenged(device());
    assert!(harness.on(Event::Stop).is_empty());
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    let planned =
        Planned::Work { device: Box::new(device()), plan: Box::default(), seeds: Vec::new(), now: UnixMillis(0) };
    assert_eq!(harness.on(Event::Planned(planned)), [GONE]);
}

#[test]
fn a_stop_does_not_wait_long_for_an_answer_to_a_challenge() {
    let mut harness = Harness::challenged(device());
    assert!(harness.at(1_000).on(Event::Stop).is_empty());
    assert_eq!(harness.deadline(), 5_000);
    assert!(harness.at(4_999).tick().is_empty());
    assert_eq!(harness.at(5_000).tick(), [GONE]);
}

#[test]
fn an_entry_is_finished_including_its_clean_up() {
    let mut harness = owing();
    assert_eq!(harness.planned(Plan { configs: vec![config("A")], ..Plan::default() }), ["line config change A"]);
    assert!(harness.on(Event::Stop).is_empty());
    assert_eq!(answer(&mut harness, 1, 200), ["line config write"]);
    assert_eq!(answer(&mut harness, 2, 200), ["line config activate"]);
    assert_eq!(answer(&mut harness, 3, 200), ["note Configured(\"ntp\")", "keep", "plan"]);
    assert_eq!(harness.planned(Plan { clean_up: true, ..Plan::default() }), ["deposit"]);
    // Repeated when the store is back.
    assert!(harness.on(Event::Deposited(false)).is_empty());
    assert_eq!(harness.at(5_000).tick(), ["deposit"]);
    assert_eq!(harness.on(Event::Deposited(true)), ["line config rem UP1 /provisioning"]);
    for session in 4..8 {
        assert_eq!(answer(&mut harness, session, 200).len(), 1);
    }
    assert_eq!(answer(&mut harness, 8, 200), ["note CleanedUp", "keep", "plan"]);
    assert_eq!(harness.planned(Plan::default()), [GONE]);
}

#[test]
fn a_request_is_finished_and_no_new_one_begins() {
    let mut harness = Harness::member();
    assert_eq!(harness.on(Event::Open(TunnelId(1), TunnelRequest::get("/a"))), ["line /a"]);
    assert!(harness.on(Event::Stop).is_empty());
    assert_eq!(harness.on(Event::Open(TunnelId(2), TunnelRequest::get("/b"))), ["tunnel 2 Refused(NotMember)"]);
    let mut say = |event| harness.bytes(FromDevice::Tunnel { session: 1, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    let whole = "HTTP/1.1 204 x\r\n\r\n";
    let output = say(DeviceEvent::ReceiveResult(whole.into()));
    assert_eq!(output.last().unwrap(), GONE);
    assert!(output.contains(&"tunnel 1 Done".to_owned()) && output.contains(&"shutdown".to_owned()), "{output:?}");
}
