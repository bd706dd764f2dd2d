//! Identify, challenge, digest: the rows of `docs/protocol/sysclient.md` section 5 up to membership.

use super::*;

const REFUSED: &str = "close 1008 refused";

#[test]
fn an_unknown_device_with_a_good_code_enters_and_is_served_in_the_documented_order() {
    let mut harness = Harness::new();
    let other = Facts { other: true, ..facts() };
    assert_eq!(harness.receive(identify(other.clone(), code(7))), ["claim Open"]);
    let entered = Device { facts: other, ..entered_device() };
    assert_eq!(harness.claimed(Claimed::Entered(handed(entered, "root"))), ["password", "admin root", "join home"]);
    assert_eq!(harness.session.domain(), Some(&domain("home")));
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    let plan = Plan { items: vec![item(ConfigType::Media, true), item(ConfigType::Ntp, true)], ..Plan::default() };
    assert_eq!(harness.planned(plan), ["item MEDIA seed 1", "item NTP seed 2 last", "keep", "deposit"]);
    assert!(harness.on(Event::Deposited(true)).is_empty());
}

#[test]
fn an_unassigned_device_enters_with_a_later_identify() {
    let mut harness = Harness::unassigned();
    assert_eq!(harness.receive(with_code(7)), ["claim Open"]);
    assert_eq!(harness.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn an_unassigned_device_gets_no_message_and_no_time_limit() {
    let mut harness = Harness::unassigned();
    for round in 1..100 {
        harness.at(round * 30_000);
        assert_eq!(harness.tick(), ["ping"]);
        harness.on(Event::Heard);
    }
    assert_eq!(harness.receive(plain()), ["claim Open"]);
    assert!(harness.claimed(Claimed::Unknown).is_empty());
}

#[test]
fn an_unassigned_device_that_was_put_into_a_domain_is_challenged() {
    let mut harness = Harness::unassigned();
    harness.receive(plain());
    assert_eq!(harness.claimed(known(device())), ["challenge"]);
    assert!(!harness.session.is_unassigned());
}

#[test]
fn a_known_device_enters_again_with_a_code_of_its_domain() {
    let mut harness = Harness::new();
    assert_eq!(harness.receive(with_code(7)), ["claim Open"]);
    assert_eq!(harness.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn a_right_digest_makes_a_member_and_hands_out_the_administrative_password() {
    let mut harness = Harness::new();
    harness.receive(plain());
    let claimed =
        Claimed::Known { membership: handed(device(), "root"), again_by_query: false, challenge_after: Duration::ZERO };
    assert_eq!(harness.claimed(claimed), ["challenge"]);
    assert_eq!(harness.session.domain(), None);
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "admin root", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    assert!(harness.planned(Plan::default()).is_empty());
}

#[test]
fn an_empty_administrative_password_is_never_sent() {
    let mut harness = Harness::new();
    harness.receive(with_code(7));
    assert_eq!(harness.claimed(Claimed::Entered(handed(entered_device(), ""))), ["password", "join home"]);
}

#[test]
fn the_first_right_digest_confirms_a_tentative_password_and_deposits_the_notice() {
    let mut harness = Harness::challenged(entered_device());
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "confirm", "join home"]);
    harness.on(Event::Joined(true));
    assert_eq!(harness.planned(Plan::default()), ["deposit"]);
}

#[test]
fn the_digest_counts_over_the_version_of_its_own_identify() {
    let mut harness = Harness::challenged(device());
    let newer = Facts { version: "14r1".into(), ..facts() };
    let answer = answer_with(PASSWORD, identify(newer, OfferedCode::None));
    assert_eq!(harness.receive(answer), ["proved", "refresh 14r1", "join home"]);
}

#[test]
fn a_wrong_digest_is_reported_and_closes_the_connection() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.receive(answer_with("another", plain())), ["wrong digest", REFUSED]);
    assert_eq!(harness.session.domain(), None);
    assert!(harness.receive(answer_with(PASSWORD, plain())).is_empty(), "nothing follows a close");
}

#[test]
fn a_wrong_digest_is_not_excused_by_a_code() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.receive(answer_with("another", with_code(7))), ["wrong digest", REFUSED]);
}

#[test]
fn a_digest_of_the_connection_before_is_ignored_in_the_first_identify() {
    let mut harness = Harness::new();
    assert_eq!(harness.receive(answer_with("stale", plain())), ["claim Open"]);
    assert_eq!(harness.claimed(known(device())), ["challenge"]);
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);
}

#[test]
fn a_challenge_is_valid_for_thirty_seconds() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.at(29_999).receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);

    let mut harness = Harness::challenged(device());
    assert!(harness.at(30_000).receive(answer_with(PASSWORD, plain())).is_empty(), "not even if the tick is late");
    assert_eq!(harness.session.domain(), None);
}

#[test]
fn after_the_time_limit_a_wrong_digest_counts_as_none() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.at(30_000).tick(), ["ping"]);
    assert!(harness.receive(answer_with("another", plain())).is_empty());
    assert_eq!(harness.receive(answer_with("another", with_code(7))), ["claim Challenged"]);
}

#[test]
fn a_challenge_is_used_up_by_its_answer() {
    let mut harness = Harness::member();
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["refresh 13r3 [1/2/3]", "plan"]);
    assert_eq!(harness.receive(answer_with("another", plain())), ["refresh 13r3 [1/2/3]", "plan"]);
}

#[test]
fn an_identify_without_digest_leaves_the_challenge_open() {
    let mut harness = Harness::challenged(device());
    assert!(harness.receive(plain()).is_empty(), "no code: nothing");
    assert_eq!(harness.receive(with_code(7)), ["claim Challenged"]);
    assert!(harness.claimed(known(device())).is_empty(), "no second challenge");
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);
}

#[test]
fn a_challenged_device_enters_again_with_a_code() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.receive(with_code(7)), ["claim Challenged"]);
    assert_eq!(harness.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn a_code_beside_the_right_digest_counts_once_the_member_has_joined() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.receive(answer_with(PASSWORD, with_code(7))), ["proved", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["claim Member"]);
    assert_eq!(harness.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    assert_eq!(harness.planned(Plan::default()), ["deposit"]);
}

#[test]
fn the_work_begins_whatever_the_result_of_the_code_beside_the_digest() {
    for claimed in [known(device()), Claimed::Unavailable] {
        let mut harness = Harness::challenged(entered_device());
        harness.receive(answer_with(PASSWORD, with_code(9)));
        assert_eq!(harness.on(Event::Joined(true)), ["claim Member"]);
        assert_eq!(harness.claimed(claimed), ["plan"]);
        assert_eq!(harness.planned(Plan::default()), ["deposit"]);
    }
}

#[test]
fn an_unproved_entry_is_repeated_before_the_time_limit_however_short_it_is() {
    let mut harness = Harness::new();
    harness.timing.challenged = std::time::Duration::from_secs(2);
    harness.receive(plain());
    let auto = Device { way: Way::Auto, tentative: true, ..device() };
    harness.claimed(Claimed::Known {
        membership: membership(auto),
        again_by_query: true,
        challenge_after: Duration::ZERO,
    });
    assert_eq!(harness.deadline(), 1000);
    assert_eq!(harness.at(1000).tick(), ["claim Challenged"]);
    assert_eq!(harness.claimed(Claimed::Entered(membership(device()))), ["password", "join home"]);
}

#[test]
fn an_unproved_entry_is_repeated_by_the_query_when_the_challenge_expires() {
    let mut harness = Harness::new();
    harness.receive(plain());
    let again = |again_by_query| Claimed::Known {
        membership: membership(Device { tentative: true, way: Way::Auto, ..device() }),
        again_by_query,
        challenge_after: Duration::ZERO,
    };
    assert_eq!(harness.claimed(again(true)), ["challenge"]);
    assert_eq!(harness.deadline(), 30_000);
    assert_eq!(harness.at(30_000).tick(), ["claim Challenged", "ping"]);
    assert!(harness.claimed(again(false)).is_empty(), "another connection was faster");
    assert_eq!(harness.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn an_unproved_entry_is_repeated_at_once_after_a_wrong_answer_or_none() {
    for answer in [answer_with("another", plain()), plain()] {
        let wrong = answer.digest.is_some();
        let mut harness = Harness::new();
        harness.receive(plain());
        let auto = Device { tentative: true, way: Way::Auto, ..device() };
        harness.claimed(Claimed::Known {
            membership: membership(auto),
            again_by_query: true,
            challenge_after: Duration::ZERO,
        });
        let output = harness.receive(answer);
        assert_eq!(output.first().is_some_and(|w| w == "wrong digest"), wrong);
        assert_eq!(output.last().unwrap(), "claim Challenged");
        assert_eq!(harness.claimed(Claimed::Entered(membership(device()))), ["password", "join home"]);
    }
}

#[test]
fn the_repeated_entry_uses_the_present_facts() {
    let newer = Facts { version: "14r1".into(), other: true, ..facts() };
    let mut harness = Harness::new();
    harness.receive(identify(newer.clone(), OfferedCode::None));
    let auto = Device { tentative: true, way: Way::Auto, ..device() };
    harness.claimed(Claimed::Known {
        membership: membership(auto),
        again_by_query: true,
        challenge_after: Duration::ZERO,
    });
    let actions = harness.at(30_000).raw(Event::Tick);
    let Some(Action::Claim(identify, Stage::Challenged)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(identify.facts, newer);
}

#[test]
fn an_identify_of_another_device_closes_the_connection() {
    let mut unassigned_device = plain();
    unassigned_device.id = HardwareId::parse("00903341a0b2").unwrap();
    for mut harness in [Harness::unassigned(), Harness::challenged(device()), Harness::member()] {
        assert_eq!(harness.receive(unassigned_device.clone()), ["close 1008 not allowed"]);
    }
}

#[test]
fn another_spelling_of_the_same_address_is_the_same_device() {
    let mut spelled = plain();
    spelled.id = HardwareId::parse("00-90-33-41-A0-B1").unwrap();
    assert_eq!(Harness::unassigned().receive(spelled), ["claim Open"]);
}

#[test]
fn bad_codes_are_answered_by_silence_however_many_there_are() {
    let mut harness = Harness::new();
    for _ in 0..100 {
        assert_eq!(harness.receive(with_code(9)), ["claim Open"]);
        assert!(harness.claimed(Claimed::Unknown).is_empty());
    }
    harness.receive(with_code(9));
    assert_eq!(harness.claimed(known(device())), ["challenge"]);
    for _ in 0..100 {
        assert_eq!(harness.receive(with_code(9)), ["claim Challenged"]);
        assert!(harness.claimed(known(device())).is_empty());
    }
    assert_eq!(harness.receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);
}

#[test]
fn a_challenge_waits_and_the_time_for_its_answer_runs_from_then_on() {
    let mut harness = Harness::new();
    harness.receive(plain());
    let later = Duration::from_secs(16);
    let claimed = Claimed::Known { membership: membership(device()), again_by_query: false, challenge_after: later };
    assert!(harness.claimed(claimed).is_empty());
    assert_eq!(harness.deadline(), 16_000);
    assert!(harness.at(1000).receive(answer_with(PASSWORD, plain())).is_empty(), "there is no challenge to answer");
    assert_eq!(harness.receive(with_code(7)), ["claim Challenged"], "codes go on meanwhile");
    assert!(harness.claimed(known(device())).is_empty());
    assert!(harness.at(15_999).tick().is_empty());
    assert_eq!(harness.at(16_000).tick(), ["challenge"]);
    harness.at(44_000).receive(plain());
    assert!(harness.at(75_999).tick().iter().all(|w| w == "ping"));
    let mut other = Harness::new();
    other.receive(plain());
    let claimed = Claimed::Known { membership: membership(device()), again_by_query: false, challenge_after: later };
    other.claimed(claimed);
    other.at(16_000).tick();
    assert_eq!(other.at(17_000).receive(answer_with(PASSWORD, plain())), ["proved", "join home"]);
    assert_eq!(harness.at(76_000).tick(), ["close 1008 too late"]);
}

#[test]
fn an_offer_that_waited_is_claimed_as_if_it_came_now() {
    let due = |harness: &mut Harness| harness.on(Event::OfferDue(with_code(7).into()));
    let mut harness = Harness::unassigned();
    assert_eq!(due(&mut harness), ["claim Open"]);
    assert!(harness.session.is_asking());
    assert_eq!(harness.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
    assert_eq!(due(&mut Harness::challenged(device())), ["claim Challenged"]);
    assert_eq!(due(&mut Harness::member()), ["claim Member"]);
    let mut harness = Harness::member();
    harness.on(Event::End(Close::Removed));
    assert!(due(&mut harness).is_empty());
}

#[test]
fn a_query_that_waited_leaves_the_time_for_the_answer_to_the_challenge() {
    let auto = || Device { tentative: true, way: Way::Auto, ..device() };
    let due = |harness: &mut Harness| harness.on(Event::OfferDue(plain().into()));
    let mut harness = Harness::challenged(auto());
    assert!(due(harness.at(5_000)).is_empty(), "it may still answer");
    assert_eq!(harness.at(30_000).tick(), ["claim Challenged", "ping"]);
    let mut harness = Harness::challenged(auto());
    harness.at(29_000).on(Event::Heard);
    assert_eq!(due(harness.at(31_000)), ["claim Challenged"]);
    assert_eq!(due(&mut Harness::unassigned()), ["claim Open"]);
}

#[test]
fn without_the_store_a_device_that_is_no_member_is_told_to_come_back_later() {
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::challenged(device())] {
        harness.receive(with_code(7));
        assert_eq!(harness.claimed(Claimed::Unavailable), ["close 1013 try again later"]);
    }
}
