//! Both gates of a process together: permits, waiting entries, and the effect of registrations on handshakes.

use std::net::IpAddr;

use futures_util::FutureExt as _;

use super::*;
use crate::core::model::ids::DomainName;

fn limits() -> AdmissionLimits {
    AdmissionLimits {
        registrations: 2,
        handshakes: 2,
        waiting: 3,
        longest: Duration::from_secs(20),
        target: Duration::from_millis(200),
        memory: 0,
        reserve: 0,
    }
}

fn domain(name: &str) -> Lane {
    Lane::Domain(DomainName::parse(name).unwrap())
}

fn source(last: u8) -> SourceKey {
    SourceKey::from(IpAddr::from([192, 0, 2, last]))
}

fn now(passage: Passage<Lane>) -> Permit<Lane> {
    let Passage::Now(permit) = passage else { panic!("has to go on at once") };
    permit
}

fn later(admission: &AdmissionController, lane: &str) -> Turn<Lane> {
    let Passage::Later(turn) = admission.registration(Rank::Known, &domain(lane)) else { panic!("has to wait") };
    turn
}

/// State of a waiting entry: undecided, rejected, or admitted with a permit.
fn look<T>(turn: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    turn.as_mut().now_or_never()
}

#[test]
fn who_waits_is_let_in_when_a_permit_is_given_back() {
    let admission = AdmissionController::new(limits());
    let one = now(admission.registration(Rank::Known, &domain("a.example")));
    let two = now(admission.registration(Rank::Known, &domain("a.example")));
    let mut three = Box::pin(later(&admission, "a.example").wait());
    assert!(look(&mut three).is_none());
    drop(one);
    let three = look(&mut three).flatten().expect("its turn");
    assert_eq!(admission.waiting(GateName::Registration), 0);
    let four = later(&admission, "a.example");
    drop((two, three));
    let _four = four.wait().now_or_never().flatten().expect("its turn");
    let _five = now(admission.registration(Rank::Known, &domain("a.example")));
}

#[test]
fn one_who_goes_away_leaves_its_place_and_takes_no_permit() {
    let admission = AdmissionController::new(limits());
    let held = [0; 2].map(|_| now(admission.registration(Rank::Known, &domain("a.example"))));
    let gone = later(&admission, "a.example");
    let mut next = Box::pin(later(&admission, "a.example").wait());
    drop(gone);
    assert_eq!(admission.waiting(GateName::Registration), 1);
    drop(held);
    assert!(look(&mut next).flatten().is_some());
}

#[test]
fn one_that_was_admitted_and_goes_away_gives_its_permit_to_the_next() {
    let admission = AdmissionController::new(limits());
    let held = [0; 2].map(|_| now(admission.registration(Rank::Known, &domain("a.example"))));
    let gone = [0; 2].map(|_| later(&admission, "a.example"));
    let mut next = Box::pin(later(&admission, "a.example").wait());
    // Both are admitted before they are dropped.
    drop(held);
    assert!(look(&mut next).is_none());
    drop(gone);
    assert!(look(&mut next).flatten().is_some());
}

#[test]
fn a_neighbour_finds_a_place_in_a_full_room() {
    let admission = AdmissionController::new(limits());
    let _held = [0; 2].map(|_| now(admission.registration(Rank::Known, &domain("a.example"))));
    let mut crowd = [0; 3].map(|_| Box::pin(later(&admission, "a.example").wait()));
    assert!(matches!(admission.registration(Rank::Known, &domain("a.example")), Passage::Refused));
    let mut neighbour = Box::pin(later(&admission, "b.example").wait());
    assert!(look(&mut crowd[2]).is_some_and(|permit| permit.is_none()), "the newest of the crowd is sent away");
    assert!(look(&mut crowd[1]).is_none() && look(&mut neighbour).is_none());
    let unassigned_device = admission.registration(Rank::Other, &Lane::Source(source(1)));
    assert!(matches!(unassigned_device, Passage::Refused), "known ones do not make room for others");
}

#[test]
fn handshakes_wait_while_the_room_behind_them_is_full() {
    let admission = AdmissionController::new(limits());
    let _held = [0; 2].map(|_| now(admission.registration(Rank::Known, &domain("a.example"))));
    let mut crowd = Vec::from([0; 3].map(|_| later(&admission, "a.example")));
    admission.maintain();
    let Passage::Later(turn) = admission.connection(source(1), 3, || false) else { panic!("has to wait") };
    let mut turn = Box::pin(turn.wait());
    admission.maintain();
    assert!(turn.as_mut().now_or_never().is_none());
    crowd.pop();
    admission.maintain();
    assert!(turn.as_mut().now_or_never().flatten().is_some());
}

#[test]
fn those_who_say_nothing_do_not_shut_others_out() {
    let admission = AdmissionController::new(limits());
    let silent = [0; 100].map(|_| admission.expect_registration());
    admission.maintain();
    let Passage::Now(_first) = admission.connection(source(1), 3, || false) else { panic!("has to go on at once") };
    let Passage::Now(_second) = admission.connection(source(1), 3, || false) else { panic!("has to go on at once") };
    drop(silent);
    assert_eq!(admission.expected.load(Ordering::Relaxed), 0);
}

#[test]
fn who_waits_too_long_is_sent_away() {
    let admission = AdmissionController::new(AdmissionLimits { longest: Duration::ZERO, ..limits() });
    let _held = [0; 2].map(|_| now(admission.registration(Rank::Known, &domain("a.example"))));
    let mut turn = Box::pin(later(&admission, "a.example").wait());
    admission.maintain();
    assert!(look(&mut turn).is_some_and(|permit| permit.is_none()));
}

#[test]
fn without_memory_nobody_new_is_let_in_and_who_is_in_goes_on() {
    let admission = AdmissionController::new(AdmissionLimits { memory: 1, ..limits() });
    assert!(matches!(admission.connection(source(1), 3, || false), Passage::Refused));
    let _admitted = now(admission.registration(Rank::Known, &domain("a.example")));
    let _again = [0; 5].map(|_| admission.readmit());
}

#[test]
fn those_sent_away_are_told_different_times() {
    let admission = AdmissionController::new(limits());
    let times: std::collections::HashSet<_> = (0..100).map(|_| admission.retry_after()).collect();
    assert!(times.len() > 50 && times.iter().all(|time| (1000..=120_000).contains(&time.as_millis())), "{times:?}");
}
