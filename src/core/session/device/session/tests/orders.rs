//! Operators' orders: into a domain, out of it, into another one.

use super::*;

/// The record after an operator's order.
fn ordered(home: &str) -> Device {
    Device { domain: domain(home), way: Way::Manual, tentative: true, entered: UnixMillis(5), ..device() }
}

impl Harness {
    fn rechecked(&mut self, found: Option<Membership>) -> Vec<String> {
        self.on(Event::Rechecked(found, RandomTexts { challenge: CHALLENGE.into(), seed: SEED.into() }))
    }
}

#[test]
fn an_unassigned_device_is_put_into_a_domain() {
    let mut harness = Harness::unassigned();
    assert!(harness.rechecked(None).is_empty());
    assert_eq!(harness.rechecked(Some(handed(ordered("home"), "root"))), ["password", "admin root", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    assert_eq!(harness.session.domain(), Some(&domain("home")));
}

#[test]
fn a_device_challenged_for_the_password_of_the_order_gets_it() {
    let mut harness = Harness::challenged(ordered("home"));
    assert_eq!(harness.rechecked(Some(membership(ordered("home")))), ["password", "join home"]);
}

#[test]
fn a_proved_password_is_never_handed_out() {
    for device in [device(), Device { tentative: false, ..ordered("home") }, entered_device()] {
        assert!(Harness::unassigned().rechecked(Some(membership(device.clone()))).is_empty());
        assert!(Harness::challenged(device.clone()).rechecked(Some(membership(device))).is_empty());
    }
    assert!(Harness::new().rechecked(Some(membership(ordered("home")))).is_empty(), "nobody has said who it is");
}

#[test]
fn a_member_is_removed() {
    assert_eq!(Harness::member().rechecked(None), ["close 1000 removed"]);
}

#[test]
fn a_member_is_moved() {
    let mut harness = Harness::member();
    assert_eq!(harness.rechecked(Some(handed(ordered("away"), "root"))), ["password", "admin root", "join away"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    harness.planned(Plan::default());
    // The same order again changes nothing, but other jobs may match by now.
    assert_eq!(harness.rechecked(Some(handed(ordered("away"), "root"))), ["plan"]);
    assert_eq!(harness.session.domain(), Some(&domain("away")));
}

#[test]
fn a_member_that_entered_on_another_connection_has_to_register_again() {
    let elsewhere = Device { domain: domain("away"), entered: UnixMillis(5), ..device() };
    assert_eq!(Harness::member().rechecked(Some(membership(elsewhere))), ["close 1000 removed"]);
    assert_eq!(Harness::member().rechecked(Some(membership(device()))), ["plan"]);
}
