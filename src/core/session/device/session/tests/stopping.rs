//! A stop lets what is under way end first.

use super::work::{answer, config, owing};
use super::*;
use crate::core::protocol::sysclient::frame::DeviceEvent;
use crate::core::session::device::event::{TunnelId, TunnelRequest};

const GONE: &str = "close 1001 stopping";

#[test]
fn idle_connections_end_at_once() {
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::member()] {
        assert_eq!(desk.on(Event::Stop), [GONE]);
        assert!(desk.on(Event::Stop).is_empty());
    }
}

#[test]
fn a_registration_is_finished() {
    let mut desk = Desk::challenged(device());
    assert!(desk.on(Event::Stop).is_empty());
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["proved", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    let planned = Planned::Work { device: Box::new(device()), plan: Box::default(), now: UnixMillis(0) };
    assert_eq!(desk.on(Event::Planned(planned)), [GONE]);
}

#[test]
fn who_does_not_answer_a_challenge_is_not_waited_for_long() {
    let mut desk = Desk::challenged(device());
    assert!(desk.at(1_000).on(Event::Stop).is_empty());
    assert_eq!(desk.deadline(), 5_000);
    assert!(desk.at(4_999).tick().is_empty());
    assert_eq!(desk.at(5_000).tick(), [GONE]);
}

#[test]
fn an_entry_is_finished_up_to_its_clean_up() {
    let mut desk = owing();
    assert_eq!(desk.planned(Plan { configs: vec![config("A")], ..Plan::default() }), ["line config change A"]);
    assert!(desk.on(Event::Stop).is_empty());
    assert_eq!(answer(&mut desk, 1, 200), ["line config write"]);
    assert_eq!(answer(&mut desk, 2, 200), ["line config activate"]);
    assert_eq!(answer(&mut desk, 3, 200), ["note Configured(\"ntp\")", "keep", "plan"]);
    assert_eq!(desk.planned(Plan { clean_up: true, ..Plan::default() }), ["deposit"]);
    // Once more when the store is back.
    assert!(desk.on(Event::Deposited(false)).is_empty());
    assert_eq!(desk.at(5_000).tick(), ["deposit"]);
    assert_eq!(desk.on(Event::Deposited(true)), ["line config rem UP1 /provisioning"]);
    for session in 4..8 {
        assert_eq!(answer(&mut desk, session, 200).len(), 1);
    }
    assert_eq!(answer(&mut desk, 8, 200), ["note CleanedUp", "keep", "plan"]);
    assert_eq!(desk.planned(Plan::default()), [GONE]);
}

#[test]
fn a_request_is_finished_and_no_new_one_begins() {
    let mut desk = Desk::member();
    assert_eq!(desk.on(Event::Open(TunnelId(1), TunnelRequest::get("/a"))), ["line /a"]);
    assert!(desk.on(Event::Stop).is_empty());
    assert_eq!(desk.on(Event::Open(TunnelId(2), TunnelRequest::get("/b"))), ["tunnel 2 Refused(NotMember)"]);
    let mut say = |event| desk.bytes(FromDevice::Tunnel { session: 1, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    let whole = "HTTP/1.1 204 x\r\n\r\n";
    let words = say(DeviceEvent::ReceiveResult(whole.into()));
    assert_eq!(words.last().unwrap(), GONE);
    assert!(words.contains(&"tunnel 1 Done".to_owned()) && words.contains(&"shutdown".to_owned()), "{words:?}");
}
