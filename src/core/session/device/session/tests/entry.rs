//! Identify, challenge, digest: the rows of `docs/protocol/sysclient.md` section 5 up to membership.

use super::*;

const REFUSED: &str = "close 1008 refused";

#[test]
fn an_unknown_device_with_a_good_code_enters_and_is_served_in_the_order_of_the_text() {
    let mut desk = Desk::new();
    let other = Facts { other: true, ..facts() };
    assert_eq!(desk.hear(identify(other.clone(), code(7))), ["claim Open"]);
    let entered = Device { facts: other, ..entered_device() };
    assert_eq!(desk.claimed(Claimed::Entered(handed(entered, "root"))), ["password", "admin root", "join home"]);
    assert_eq!(desk.session.domain(), Some(&domain("home")));
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    let plan = Plan { items: vec![item("ntp", true), item("ldap", true)], ..Plan::default() };
    assert_eq!(desk.planned(plan), ["item ntp", "item ldap last", "keep", "deposit"]);
    assert!(desk.on(Event::Deposited(true)).is_empty());
}

#[test]
fn an_unassigned_device_enters_with_a_later_identify() {
    let mut desk = Desk::unassigned();
    assert_eq!(desk.hear(with_code(7)), ["claim Open"]);
    assert_eq!(desk.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn an_unassigned_device_stays_so_without_a_word_and_without_a_time_limit() {
    let mut desk = Desk::unassigned();
    for round in 1..100 {
        desk.at(round * 30_000);
        assert_eq!(desk.tick(), ["ping"]);
        desk.on(Event::Heard);
    }
    assert_eq!(desk.hear(plain()), ["claim Open"]);
    assert!(desk.claimed(Claimed::Unknown { bad_code: false }).is_empty());
}

#[test]
fn an_unassigned_device_that_was_put_into_a_domain_is_challenged() {
    let mut desk = Desk::unassigned();
    desk.hear(plain());
    assert_eq!(desk.claimed(known(device())), ["challenge"]);
    assert!(!desk.session.is_unassigned());
}

#[test]
fn a_known_device_enters_again_with_a_code_of_its_domain() {
    let mut desk = Desk::new();
    assert_eq!(desk.hear(with_code(7)), ["claim Open"]);
    assert_eq!(desk.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn a_right_digest_makes_a_member_and_hands_out_the_administrative_password() {
    let mut desk = Desk::new();
    desk.hear(plain());
    let claimed = Claimed::Known { membership: handed(device(), "root"), again_by_query: false, bad_code: false };
    assert_eq!(desk.claimed(claimed), ["challenge"]);
    assert_eq!(desk.session.domain(), None);
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["proved", "admin root", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    assert!(desk.planned(Plan::default()).is_empty());
}

#[test]
fn an_empty_administrative_password_is_never_sent() {
    let mut desk = Desk::new();
    desk.hear(with_code(7));
    assert_eq!(desk.claimed(Claimed::Entered(handed(entered_device(), ""))), ["password", "join home"]);
}

#[test]
fn the_first_right_digest_confirms_a_tentative_password_and_pays_what_is_owed() {
    let mut desk = Desk::challenged(entered_device());
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["proved", "confirm", "join home"]);
    desk.on(Event::Joined(true));
    assert_eq!(desk.planned(Plan::default()), ["deposit"]);
}

#[test]
fn the_digest_counts_over_the_version_of_its_own_identify() {
    let mut desk = Desk::challenged(device());
    let newer = Facts { version: "14r1".into(), ..facts() };
    let answer = answer_with(PASSWORD, identify(newer, OfferedCode::None));
    assert_eq!(desk.hear(answer), ["proved", "refresh 14r1", "join home"]);
}

#[test]
fn a_wrong_digest_is_reported_and_ends_the_connection() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.hear(answer_with("another", plain())), ["wrong digest", REFUSED]);
    assert_eq!(desk.session.domain(), None);
    assert!(desk.hear(answer_with(PASSWORD, plain())).is_empty(), "nothing follows a close");
}

#[test]
fn a_wrong_digest_is_not_excused_by_a_code() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.hear(answer_with("another", with_code(7))), ["wrong digest", REFUSED]);
}

#[test]
fn a_digest_of_the_connection_before_is_ignored_in_the_first_identify() {
    let mut desk = Desk::new();
    assert_eq!(desk.hear(answer_with("stale", plain())), ["claim Open"]);
    assert_eq!(desk.claimed(known(device())), ["challenge"]);
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["proved", "join home"]);
}

#[test]
fn a_challenge_is_valid_for_thirty_seconds() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.at(29_999).hear(answer_with(PASSWORD, plain())), ["proved", "join home"]);

    let mut desk = Desk::challenged(device());
    assert!(desk.at(30_000).hear(answer_with(PASSWORD, plain())).is_empty(), "not even if the tick is late");
    assert_eq!(desk.session.domain(), None);
}

#[test]
fn after_its_time_a_wrong_digest_is_as_good_as_none() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.at(30_000).tick(), ["ping"]);
    assert!(desk.hear(answer_with("another", plain())).is_empty());
    assert_eq!(desk.hear(answer_with("another", with_code(7))), ["claim Challenged"]);
}

#[test]
fn a_challenge_is_used_up_by_its_answer() {
    let mut desk = Desk::member();
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["refresh 13r3 [1/2/3]", "plan"]);
    assert_eq!(desk.hear(answer_with("another", plain())), ["refresh 13r3 [1/2/3]", "plan"]);
}

#[test]
fn an_identify_without_digest_leaves_the_challenge_open() {
    let mut desk = Desk::challenged(device());
    assert!(desk.hear(plain()).is_empty(), "no code: nothing");
    assert_eq!(desk.hear(with_code(7)), ["claim Challenged"]);
    assert!(desk.claimed(known(device())).is_empty(), "no second challenge");
    assert_eq!(desk.hear(answer_with(PASSWORD, plain())), ["proved", "join home"]);
}

#[test]
fn a_challenged_device_enters_again_with_a_code() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.hear(with_code(7)), ["claim Challenged"]);
    assert_eq!(desk.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
}

#[test]
fn a_code_beside_the_right_digest_counts_once_the_member_has_joined() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.hear(answer_with(PASSWORD, with_code(7))), ["proved", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["claim Member"]);
    assert_eq!(desk.claimed(Claimed::Entered(membership(entered_device()))), ["password", "join home"]);
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    assert_eq!(desk.planned(Plan::default()), ["deposit"]);
}

#[test]
fn whatever_becomes_of_the_code_beside_the_digest_the_work_begins() {
    for claimed in [known(device()), Claimed::Blocked, Claimed::Unavailable] {
        let mut desk = Desk::challenged(entered_device());
        desk.hear(answer_with(PASSWORD, with_code(9)));
        assert_eq!(desk.on(Event::Joined(true)), ["claim Member"]);
        assert_eq!(desk.claimed(claimed), ["plan"]);
        assert_eq!(desk.planned(Plan::default()), ["deposit"]);
    }
}

#[test]
fn an_entry_in_vain_is_repeated_in_good_time_however_short_the_wait_is() {
    let mut desk = Desk::new();
    desk.timing.challenged = std::time::Duration::from_secs(2);
    desk.hear(plain());
    let auto = Device { way: Way::Auto, tentative: true, ..device() };
    desk.claimed(Claimed::Known { membership: membership(auto), again_by_query: true, bad_code: false });
    assert_eq!(desk.deadline(), 1000);
    assert_eq!(desk.at(1000).tick(), ["claim Challenged"]);
    assert_eq!(desk.claimed(Claimed::Entered(membership(device()))), ["password", "join home"]);
}

#[test]
fn an_entry_in_vain_is_repeated_by_the_query_when_the_challenge_runs_out() {
    let mut desk = Desk::new();
    desk.hear(plain());
    let again = |again_by_query| Claimed::Known {
        membership: membership(Device { tentative: true, way: Way::Auto, ..device() }),
        again_by_query,
        bad_code: false,
    };
    assert_eq!(desk.claimed(again(true)), ["challenge"]);
    assert_eq!(desk.deadline(), 30_000);
    assert_eq!(desk.at(30_000).tick(), ["claim Challenged", "ping"]);
    assert!(desk.claimed(again(false)).is_empty(), "another connection was faster");
    assert_eq!(desk.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn an_entry_in_vain_is_repeated_at_once_by_a_device_that_gives_a_wrong_answer_or_none() {
    for answer in [answer_with("another", plain()), plain()] {
        let wrong = answer.digest.is_some();
        let mut desk = Desk::new();
        desk.hear(plain());
        let auto = Device { tentative: true, way: Way::Auto, ..device() };
        desk.claimed(Claimed::Known { membership: membership(auto), again_by_query: true, bad_code: false });
        let words = desk.hear(answer);
        assert_eq!(words.first().is_some_and(|w| w == "wrong digest"), wrong);
        assert_eq!(words.last().unwrap(), "claim Challenged");
        assert_eq!(desk.claimed(Claimed::Entered(membership(device()))), ["password", "join home"]);
    }
}

#[test]
fn the_repeated_entry_is_made_with_what_the_device_says_now() {
    let newer = Facts { version: "14r1".into(), other: true, ..facts() };
    let mut desk = Desk::new();
    desk.hear(identify(newer.clone(), OfferedCode::None));
    let auto = Device { tentative: true, way: Way::Auto, ..device() };
    desk.claimed(Claimed::Known { membership: membership(auto), again_by_query: true, bad_code: false });
    let actions = desk.at(30_000).raw(Event::Tick);
    let Some(Action::Claim(identify, Stage::Challenged)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(identify.facts, newer);
}

#[test]
fn an_identify_of_another_device_ends_the_connection() {
    let mut unassigned_device = plain();
    unassigned_device.id = HardwareId::parse("00903341a0b2").unwrap();
    for mut desk in [Desk::unassigned(), Desk::challenged(device()), Desk::member()] {
        assert_eq!(desk.hear(unassigned_device.clone()), ["close 1008 not allowed"]);
    }
}

#[test]
fn another_spelling_of_the_same_address_is_the_same_device() {
    let mut spelled = plain();
    spelled.id = HardwareId::parse("00-90-33-41-A0-B1").unwrap();
    assert_eq!(Desk::unassigned().hear(spelled), ["claim Open"]);
}

#[test]
fn the_fourth_bad_code_ends_the_connection() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        assert_eq!(desk.hear(with_code(9)), ["claim Open"]);
        assert!(desk.claimed(Claimed::Unknown { bad_code: true }).is_empty(), "a bad code is answered by silence");
    }
    desk.hear(plain());
    assert!(desk.claimed(Claimed::Unknown { bad_code: false }).is_empty(), "no code, no attempt");
    desk.hear(with_code(9));
    assert_eq!(desk.claimed(Claimed::Unknown { bad_code: true }), ["close 1008 too many"]);
}

#[test]
fn bad_codes_count_over_all_states_before_membership() {
    let bad = || Claimed::Known { membership: membership(device()), again_by_query: false, bad_code: true };
    let mut desk = Desk::new();
    desk.hear(with_code(9));
    desk.claimed(Claimed::Unknown { bad_code: true });
    desk.hear(with_code(9));
    assert_eq!(desk.claimed(bad()), ["challenge"]);
    desk.hear(with_code(9));
    assert!(desk.claimed(bad()).is_empty());
    desk.hear(identify(facts(), OfferedCode::Malformed));
    assert_eq!(desk.claimed(bad()), ["close 1008 too many"]);
}

#[test]
fn too_many_attempts_of_the_device_end_a_connection_that_is_no_member() {
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::challenged(device())] {
        desk.hear(with_code(7));
        assert_eq!(desk.claimed(Claimed::Blocked), ["close 1008 too many"]);
    }
}

#[test]
fn without_the_store_a_device_that_is_no_member_has_to_come_back_later() {
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::challenged(device())] {
        desk.hear(with_code(7));
        assert_eq!(desk.claimed(Claimed::Unavailable), ["close 1013 try again later"]);
    }
}
