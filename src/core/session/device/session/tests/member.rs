//! Requests of a member and the work done for it.

use super::*;

fn provision(port: &str, code: OfferedCode) -> Vec<u8> {
    FromDevice::Provision { port: port.into(), code }.encode()
}

fn gateway() -> Harness {
    Harness::member_with(Facts { fxs: true, ..facts() })
}

/// A member with a pending notice, before it is deposited.
fn owing() -> Harness {
    let mut harness = Harness::new();
    harness.receive(with_code(7));
    harness.claimed(Claimed::Entered(membership(entered_device())));
    harness.on(Event::Joined(true));
    assert_eq!(harness.planned(Plan::default()), ["deposit"]);
    harness
}

#[test]
fn a_member_that_identifies_without_a_code_is_refreshed() {
    let newer = Facts { version: "14r1".into(), ..facts() };
    assert_eq!(Harness::member().receive(identify(newer, OfferedCode::None)), ["refresh 14r1", "plan"]);
}

#[test]
fn a_member_enters_again_with_a_code_of_its_domain() {
    let mut harness = Harness::member();
    assert_eq!(harness.receive(with_code(7)), ["claim Member"]);
    let entered = handed(entered_device(), "root");
    assert_eq!(harness.claimed(Claimed::Entered(entered)), ["password", "admin root", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"], "a new entry has work of its own");
    assert_eq!(harness.planned(Plan::default()), ["deposit"]);
}

#[test]
fn a_member_stays_a_member_with_any_wrong_code() {
    let mut harness = Harness::member();
    for _ in 0..10 {
        for claimed in [
            Claimed::Known { membership: membership(device()), again_by_query: false, challenge_after: Duration::ZERO },
            Claimed::Unavailable,
        ] {
            assert_eq!(harness.receive(with_code(9)), ["claim Member"]);
            assert!(harness.claimed(claimed).is_empty());
            assert_eq!(harness.session.domain(), Some(&domain("home")));
        }
    }
}

#[test]
fn a_member_without_record_was_removed() {
    let mut harness = Harness::member();
    harness.receive(with_code(9));
    assert_eq!(harness.claimed(Claimed::Unknown), ["close 1000 removed"]);
}

#[test]
fn joining_is_repeated_until_the_domain_accepts_the_member() {
    let mut harness = Harness::new();
    harness.receive(with_code(7));
    harness.claimed(Claimed::Entered(membership(entered_device())));
    for round in 1..4 {
        assert!(harness.on(Event::Joined(false)).is_empty());
        assert_eq!(harness.deadline(), round * 500);
        assert!(harness.at(round * 500 - 1).tick().is_empty());
        assert_eq!(harness.at(round * 500).tick(), ["join home"]);
        assert!(harness.tick().is_empty(), "one question at a time");
    }
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
}

#[test]
fn a_member_that_has_not_joined_yet_does_not_hold_up_a_stop() {
    let mut harness = Harness::challenged(device());
    harness.receive(answer_with(PASSWORD, identify(facts(), OfferedCode::None)));
    assert!(harness.on(Event::Joined(false)).is_empty());
    assert_eq!(harness.on(Event::Stop), ["close 1001 stopping"]);
}

#[test]
fn items_go_only_to_devices_of_other_makers() {
    for (other, output) in [(false, vec![]), (true, vec!["item MEDIA seed 1 last", "keep"])] {
        let mut harness = Harness::challenged(device());
        harness.receive(answer_with(PASSWORD, identify(Facts { other, ..facts() }, OfferedCode::None)));
        harness.on(Event::Joined(true));
        assert_eq!(harness.planned(Plan { items: vec![item(ConfigType::Media, true)], ..Plan::default() }), output);
    }
}

#[test]
fn an_empty_batch_is_one_message_with_last() {
    let mut harness = Harness::challenged(device());
    harness.receive(answer_with(PASSWORD, identify(Facts { other: true, ..facts() }, OfferedCode::None)));
    harness.on(Event::Joined(true));
    assert_eq!(harness.planned(Plan::default()), ["item nothing last"]);
}

#[test]
fn a_deposit_that_failed_is_tried_again_until_it_is_done() {
    let mut harness = owing();
    for round in 1..4 {
        assert!(harness.on(Event::Deposited(false)).is_empty());
        assert_eq!(harness.deadline(), round * 5_000);
        assert!(harness.at(round * 5_000 - 1).tick().is_empty());
        assert_eq!(harness.at(round * 5_000).tick(), ["deposit"]);
        assert!(harness.tick().is_empty(), "one deposit at a time");
    }
    assert!(harness.on(Event::Deposited(true)).is_empty());
    assert_eq!(harness.deadline(), 30_000);
}

#[test]
fn a_lost_domain_is_joined_again_and_the_work_not_repeated() {
    let mut harness = owing();
    harness.on(Event::Deposited(true));
    for _ in 0..2 {
        assert_eq!(harness.on(Event::DomainLost), ["join home"]);
        assert!(harness.on(Event::Joined(true)).is_empty());
    }
    assert_eq!(harness.on(Event::DomainLost), ["join home"]);
    assert!(harness.on(Event::Joined(false)).is_empty());
    assert_eq!(harness.on(Event::DomainLost), ["join home"], "at once, whenever it was to be asked again");
    assert!(harness.at(1_000).on(Event::Joined(true)).is_empty());
    assert!(harness.tick().is_empty());
}

#[test]
fn a_lost_domain_does_not_stop_the_retry_of_a_deposit() {
    let mut harness = owing();
    harness.on(Event::Deposited(false));
    harness.on(Event::DomainLost);
    harness.on(Event::Joined(true));
    assert_eq!(harness.at(5_000).tick(), ["deposit"]);
}

#[test]
fn a_lost_domain_does_not_affect_devices_outside() {
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::challenged(device())] {
        assert!(harness.on(Event::DomainLost).is_empty());
    }
}

#[test]
fn a_port_is_claimed_and_the_result_sent() {
    let mut harness = gateway();
    assert_eq!(harness.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);
    assert_eq!(harness.on(Event::PortClaimed(None)), ["result ok"]);
    assert_eq!(harness.bytes(provision("TEL4", OfferedCode::Malformed)), ["port TEL4 -"]);
    assert_eq!(harness.on(Event::PortClaimed(Some("unknown code"))), ["result unknown code"]);
}

#[test]
fn ports_are_claimed_one_after_the_other_while_the_first_waits() {
    let mut harness = gateway();
    assert_eq!(harness.bytes(provision("TEL1", code(1))), ["port TEL1 000000000001"]);
    assert!(harness.on(Event::PortWaits).is_empty());
    assert!(!harness.session.is_asking(), "everything else goes on");
    assert!(harness.bytes(provision("TEL2", code(2))).is_empty());
    assert_eq!(harness.receive(with_code(9)), ["claim Member"]);
    assert!(harness.claimed(known(device())).is_empty());
    assert_eq!(harness.on(Event::PortDue), ["port TEL1 000000000001"]);
    assert_eq!(harness.on(Event::PortClaimed(None)), ["result ok", "port TEL2 000000000002"]);
    assert_eq!(harness.on(Event::PortClaimed(Some("unknown code"))), ["result unknown code"]);
    assert!(harness.on(Event::PortDue).is_empty());
}

#[test]
fn of_too_many_ports_the_oldest_is_dropped() {
    let mut harness = gateway();
    harness.bytes(provision("TEL0", code(0)));
    harness.on(Event::PortWaits);
    for port in 1..9 {
        assert!(harness.bytes(provision(&format!("TEL{port}"), code(port))).is_empty());
    }
    let dropped = ["drop port", "result try again later", "port TEL1 000000000001"];
    assert_eq!(harness.bytes(provision("TEL9", code(9))), dropped);
}

#[test]
fn the_result_of_a_port_has_the_bytes_of_the_protocol() {
    let mut harness = gateway();
    harness.bytes(provision("TEL3", code(7)));
    let actions = harness.raw(Event::PortClaimed(None));
    assert!(matches!(&actions[..], [Action::Send(bytes)] if bytes == b"\x01\x00\x05{}"), "{actions:?}");
}

#[test]
fn ports_need_analogue_ports_and_membership() {
    assert_eq!(Harness::member().bytes(provision("TEL3", code(7))), ["result no such port"]);
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::challenged(device())] {
        assert_eq!(harness.bytes(provision("TEL3", code(7))), ["result not in a domain"]);
    }
}

#[test]
fn analogue_ports_reported_later_may_be_used() {
    let mut harness = Harness::member();
    harness.receive(identify(Facts { fxs: true, ..facts() }, OfferedCode::None));
    assert_eq!(harness.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);

    let mut harness = Harness::member();
    assert_eq!(harness.receive(identify(Facts { fxs: true, ..facts() }, code(9))), ["claim Member"]);
    assert!(harness.claimed(known(device())).is_empty());
    assert_eq!(harness.bytes(provision("TEL3", code(7))), ["port TEL3 000000000007"]);
}

#[test]
fn an_end_event_closes_once() {
    for close in [Close::Replaced, Close::Removed, Close::Stopping, Close::WrongKind] {
        let mut harness = Harness::member();
        assert_eq!(harness.on(Event::End(close)), [format!("close {} {}", close.code(), close.text())]);
        assert!(harness.on(Event::End(Close::Stopping)).is_empty());
        assert!(harness.receive(plain()).is_empty());
        assert!(harness.at(1_000_000).tick().is_empty());
    }
}

#[test]
fn a_changed_administrative_password_is_sent_to_members_that_have_no_random_one() {
    let changed = |way, password: &str| {
        let seed = SEED.into();
        Event::AdminPassword(handed(Device { way, ..device() }, password), seed)
    };
    let random = |way| {
        let own = Some(Secret::new("its own"));
        Event::AdminPassword(handed(Device { way, admin_password: own, ..device() }, "its own"), SEED.into())
    };
    let mut harness = Harness::member();
    assert_eq!(harness.on(changed(Way::Code, "new")), ["admin new"]);
    assert_eq!(harness.on(changed(Way::Manual, "new")), ["admin new"]);
    assert!(harness.on(random(Way::Auto)).is_empty());
    assert!(harness.on(random(Way::Code)).is_empty());
    assert!(harness.on(changed(Way::Code, "")).is_empty(), "never an empty one");
    let moved = Device { domain: domain("elsewhere"), ..device() };
    assert!(harness.on(Event::AdminPassword(handed(moved, "new"), SEED.into())).is_empty());
    assert!(Harness::new().on(changed(Way::Code, "new")).is_empty(), "not before it is a member");
}

#[test]
fn changed_jobs_are_planned_anew() {
    assert_eq!(Harness::member().on(Event::Replan), ["plan"]);
    assert!(Harness::new().on(Event::Replan).is_empty());
}
