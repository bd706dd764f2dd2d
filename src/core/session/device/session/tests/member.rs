//! What a member does and what is done for it.

use super::*;

fn provision(port: &str, code: OfferedCode) -> Vec<u8> {
    FromDevice::Provision { port: port.into(), code }.encode()
}

fn gateway() -> Desk {
    Desk::member_with(Facts { fxs: true, ..facts() })
}

/// A member that owes a notice, before it is deposited.
fn owing() -> Desk {
    let mut desk = Desk::new();
    desk.hear(with_code(7));
    desk.claimed(Claimed::Entered(membership(entered_device())));
    desk.on(Event::Joined(true));
    assert_eq!(desk.planned(Plan::default()), ["deposit"]);
    desk
}

#[test]
fn a_member_that_identifies_without_a_code_is_refreshed() {
    let newer = Facts { version: "14r1".into(), ..facts() };
    assert_eq!(Desk::member().hear(identify(newer, OfferedCode::None)), ["refresh 14r1", "plan"]);
}

#[test]
fn a_member_enters_again_with_a_code_of_its_domain() {
    let mut desk = Desk::member();
    assert_eq!(desk.hear(with_code(7)), ["claim Member"]);
    let entered = handed(entered_device(), "root");
    assert_eq!(desk.claimed(Claimed::Entered(entered)), ["password", "admin root", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"], "a new entry has work of its own");
    assert_eq!(desk.planned(Plan::default()), ["deposit"]);
}

#[test]
fn a_member_stays_one_whatever_is_wrong_with_its_code() {
    let mut desk = Desk::member();
    for _ in 0..10 {
        for claimed in [
            Claimed::Known { membership: membership(device()), again_by_query: false, bad_code: true },
            Claimed::Blocked,
            Claimed::Unavailable,
        ] {
            assert_eq!(desk.hear(with_code(9)), ["claim Member"]);
            assert!(desk.claimed(claimed).is_empty());
            assert_eq!(desk.session.domain(), Some(&domain("home")));
        }
    }
}

#[test]
fn a_member_whose_record_is_gone_has_been_removed() {
    let mut desk = Desk::member();
    desk.hear(with_code(9));
    assert_eq!(desk.claimed(Claimed::Unknown { bad_code: true }), ["close 1000 removed"]);
}

#[test]
fn a_domain_that_does_not_take_the_member_in_is_asked_until_it_does() {
    let mut desk = Desk::new();
    desk.hear(with_code(7));
    desk.claimed(Claimed::Entered(membership(entered_device())));
    for round in 1..4 {
        assert!(desk.on(Event::Joined(false)).is_empty());
        assert_eq!(desk.deadline(), round * 500);
        assert!(desk.at(round * 500 - 1).tick().is_empty());
        assert_eq!(desk.at(round * 500).tick(), ["join home"]);
        assert!(desk.tick().is_empty(), "one question at a time");
    }
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
}

#[test]
fn a_member_that_has_not_joined_yet_does_not_hold_up_a_stop() {
    let mut desk = Desk::challenged(device());
    desk.hear(answer_with(PASSWORD, identify(facts(), OfferedCode::None)));
    assert!(desk.on(Event::Joined(false)).is_empty());
    assert_eq!(desk.on(Event::Stop), ["close 1001 stopping"]);
}

#[test]
fn configuration_goes_only_to_devices_of_other_makers() {
    for (other, words) in [(false, vec![]), (true, vec!["item ntp last", "keep"])] {
        let mut desk = Desk::challenged(device());
        desk.hear(answer_with(PASSWORD, identify(Facts { other, ..facts() }, OfferedCode::None)));
        desk.on(Event::Joined(true));
        assert_eq!(desk.planned(Plan { items: vec![item("ntp", true)], ..Plan::default() }), words);
    }
}

#[test]
fn a_batch_of_nothing_is_one_message_with_last() {
    let mut desk = Desk::challenged(device());
    desk.hear(answer_with(PASSWORD, identify(Facts { other: true, ..facts() }, OfferedCode::None)));
    desk.on(Event::Joined(true));
    assert_eq!(desk.planned(Plan::default()), ["item nothing last"]);
}

#[test]
fn a_deposit_that_failed_is_tried_again_until_it_is_done() {
    let mut desk = owing();
    for round in 1..4 {
        assert!(desk.on(Event::Deposited(false)).is_empty());
        assert_eq!(desk.deadline(), round * 5_000);
        assert!(desk.at(round * 5_000 - 1).tick().is_empty());
        assert_eq!(desk.at(round * 5_000).tick(), ["deposit"]);
        assert!(desk.tick().is_empty(), "one deposit at a time");
    }
    assert!(desk.on(Event::Deposited(true)).is_empty());
    assert_eq!(desk.deadline(), 30_000);
}

#[test]
fn a_lost_domain_is_joined_again_and_the_work_not_repeated() {
    let mut desk = owing();
    desk.on(Event::Deposited(true));
    for _ in 0..2 {
        assert_eq!(desk.on(Event::DomainLost), ["join home"]);
        assert!(desk.on(Event::Joined(true)).is_empty());
    }
    assert_eq!(desk.on(Event::DomainLost), ["join home"]);
    assert!(desk.on(Event::Joined(false)).is_empty());
    assert_eq!(desk.on(Event::DomainLost), ["join home"], "at once, whenever it was to be asked again");
    assert!(desk.at(1_000).on(Event::Joined(true)).is_empty());
    assert!(desk.tick().is_empty());
}

#[test]
fn a_lost_domain_does_not_stop_the_retry_of_a_deposit() {
    let mut desk = owing();
    desk.on(Event::Deposited(false));
    desk.on(Event::DomainLost);
    desk.on(Event::Joined(true));
    assert_eq!(desk.at(5_000).tick(), ["deposit"]);
}

#[test]
fn a_lost_domain_is_nothing_to_those_outside() {
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::challenged(device())] {
        assert!(desk.on(Event::DomainLost).is_empty());
    }
}

#[test]
fn a_port_is_claimed_and_the_outcome_told() {
    let mut desk = gateway();
    assert_eq!(desk.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);
    assert_eq!(desk.on(Event::PortClaimed(None)), ["result ok"]);
    assert_eq!(desk.bytes(provision("TEL4", OfferedCode::Malformed)), ["port TEL4 -"]);
    assert_eq!(desk.on(Event::PortClaimed(Some("unknown code"))), ["result unknown code"]);
}

#[test]
fn the_result_of_a_port_has_the_bytes_of_the_protocol() {
    let mut desk = gateway();
    desk.bytes(provision("TEL3", code(7)));
    let actions = desk.raw(Event::PortClaimed(None));
    assert!(matches!(&actions[..], [Action::Send(bytes)] if bytes == b"\x01\x00\x05{}"), "{actions:?}");
}

#[test]
fn there_is_no_port_without_analogue_ports_and_none_before_membership() {
    assert_eq!(Desk::member().bytes(provision("TEL3", code(7))), ["result no such port"]);
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::challenged(device())] {
        assert_eq!(desk.bytes(provision("TEL3", code(7))), ["result not in a domain"]);
    }
}

#[test]
fn a_member_that_tells_of_analogue_ports_later_may_use_them() {
    let mut desk = Desk::member();
    desk.hear(identify(Facts { fxs: true, ..facts() }, OfferedCode::None));
    assert_eq!(desk.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);

    let mut desk = Desk::member();
    assert_eq!(desk.hear(identify(Facts { fxs: true, ..facts() }, code(9))), ["claim Member"]);
    assert!(desk.claimed(known(device())).is_empty());
    assert_eq!(desk.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);
}

#[test]
fn an_end_from_outside_closes_once() {
    for close in [Close::Replaced, Close::Removed, Close::Stopping, Close::WrongKind] {
        let mut desk = Desk::member();
        assert_eq!(desk.on(Event::End(close)), [format!("close {} {}", close.code(), close.text())]);
        assert!(desk.on(Event::End(Close::Stopping)).is_empty());
        assert!(desk.hear(plain()).is_empty());
        assert!(desk.at(1_000_000).tick().is_empty());
    }
}

#[test]
fn a_changed_administrative_password_reaches_members_but_not_those_that_entered_by_themselves() {
    let changed = |way, password: &str| {
        let seed = SEED.into();
        Event::AdminPassword(handed(Device { way, ..device() }, password), seed)
    };
    let mut desk = Desk::member();
    assert_eq!(desk.on(changed(Way::Code, "new")), ["admin new"]);
    assert_eq!(desk.on(changed(Way::Manual, "new")), ["admin new"]);
    assert!(desk.on(changed(Way::Auto, "its own")).is_empty());
    assert!(desk.on(changed(Way::Code, "")).is_empty(), "never an empty one");
    let moved = Device { domain: domain("elsewhere"), ..device() };
    assert!(desk.on(Event::AdminPassword(handed(moved, "new"), SEED.into())).is_empty());
    assert!(Desk::new().on(changed(Way::Code, "new")).is_empty(), "not before it is a member");
}

#[test]
fn changed_jobs_are_planned_anew() {
    assert_eq!(Desk::member().on(Event::Replan), ["plan"]);
    assert!(Desk::new().on(Event::Replan).is_empty());
}
