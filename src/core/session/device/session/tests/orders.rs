//! What operators order: into a domain, out of it, into another one.

use super::*;

/// As an operator's order leaves it.
fn ordered(home: &str) -> Device {
    Device { domain: domain(home), way: Way::Manual, tentative: true, entered: UnixMillis(5), ..device() }
}

impl Desk {
    fn rechecked(&mut self, found: Option<Membership>) -> Vec<String> {
        self.on(Event::Rechecked(found, Draw { challenge: CHALLENGE.into(), seed: SEED.into() }))
    }
}

#[test]
fn an_unassigned_device_is_put_into_a_domain() {
    let mut desk = Desk::unassigned();
    assert!(desk.rechecked(None).is_empty());
    assert_eq!(desk.rechecked(Some(handed(ordered("home"), "root"))), ["password", "admin root", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    assert_eq!(desk.session.domain(), Some(&domain("home")));
}

#[test]
fn a_device_that_was_asked_for_the_password_of_the_order_gets_it() {
    let mut desk = Desk::challenged(ordered("home"));
    assert_eq!(desk.rechecked(Some(membership(ordered("home")))), ["password", "join home"]);
}

#[test]
fn a_password_that_somebody_has_proved_is_handed_to_nobody() {
    for device in [device(), Device { tentative: false, ..ordered("home") }, entered_device()] {
        assert!(Desk::unassigned().rechecked(Some(membership(device.clone()))).is_empty());
        assert!(Desk::challenged(device.clone()).rechecked(Some(membership(device))).is_empty());
    }
    assert!(Desk::new().rechecked(Some(membership(ordered("home")))).is_empty(), "nobody has said who it is");
}

#[test]
fn a_member_is_removed() {
    assert_eq!(Desk::member().rechecked(None), ["close 1000 removed"]);
}

#[test]
fn a_member_is_moved() {
    let mut desk = Desk::member();
    assert_eq!(desk.rechecked(Some(handed(ordered("away"), "root"))), ["password", "admin root", "join away"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    desk.planned(Plan::default());
    // The same order once more changes nothing, but other jobs may match by now.
    assert_eq!(desk.rechecked(Some(handed(ordered("away"), "root"))), ["plan"]);
    assert_eq!(desk.session.domain(), Some(&domain("away")));
}

#[test]
fn a_member_that_has_shown_elsewhere_who_it_is_has_to_come_again() {
    let elsewhere = Device { domain: domain("away"), entered: UnixMillis(5), ..device() };
    assert_eq!(Desk::member().rechecked(Some(membership(elsewhere))), ["close 1000 removed"]);
    assert_eq!(Desk::member().rechecked(Some(membership(device()))), ["plan"]);
}
