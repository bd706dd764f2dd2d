//! Messages before the log-in, the log-in, and what closes the connection (`docs/protocol/appwebsocket.md` sections 3,
//! 5 and 9).

use super::*;

#[test]
fn a_challenge_has_sixteen_digits_and_is_new_every_time() {
    let mut harness = Harness::new();
    let (first, second) = (harness.challenge(), harness.challenge());
    assert_ne!(first, second);
    for challenge in [first, second] {
        assert!(challenge.len() == 16 && challenge.bytes().all(|b| b.is_ascii_digit()), "{challenge}");
    }
    let mut other = Session::new(Tick(0), [8; 32]);
    assert_ne!(other.challenges.draw(), Harness::new().session.challenges.draw());
}

#[test]
fn a_successful_log_in_is_answered_and_enlisted() {
    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    assert_eq!(harness.session.rights(), None);
    let output = harness.verified(true);
    let app = "innovaphone-devices-api";
    let result = json!({"mt": "AppLoginResult", "app": app, "domain": "example.com", "ok": true});
    assert_eq!(parsed(&output[0]), result, "the domain is that of the instance");
    assert_eq!(output[1..], ["enlist"]);
    assert_eq!(harness.session.rights(), Some(&rights(false)));
    assert_eq!(harness.deadline(), None, "silence alone is no reason to close");
}

#[test]
fn only_four_messages_are_allowed_before_the_log_in() {
    let url = "https://h/example.com/devices/12/x.htm";
    for allowed in [
        json!({"mt": "AppChallenge", "appObj": "x", "user": "y"}),
        json!({"mt": "CheckBuild", "url": url}),
        json!({"mt": "KeepAlive"}),
    ] {
        assert!(Harness::new().answer_to(&allowed).is_object());
    }
    for refused in [
        json!({"mt": "AppInfo", "app": "x"}),
        json!({"mt": "PbxInfo"}),
        json!({"mt": "GetLoginInfo"}),
        json!({"mt": "GetProvisioningCode", "category": "c"}),
        json!({"mt": "AppCheckLogin"}),
        json!({"mt": "AppLoginResult"}),
        json!({"mt": "Nonsense"}),
        json!({"mt": ""}),
        json!({"mt": "AppChallenge", "api": "com.innovaphone.devices"}),
        json!({"mt": "KeepAlive", "api": "x"}),
    ] {
        assert_eq!(Harness::new().say(&refused), ["close 1008 not allowed"], "{refused}");
    }
}

#[test]
fn check_build_without_an_address_is_an_error_but_does_not_close() {
    let answer = Harness::new().answer_to(&json!({"mt": "CheckBuild", "src": "1"}));
    assert_eq!(answer, json!({"mt": "CheckBuildResult", "src": "1", "error": "bad request"}));
}

#[test]
fn an_invalid_message_closes_before_and_after_the_log_in() {
    for text in ["", "[]", "{}", "null", r#"{"mt":1}"#, r#"{"mt":"A","mt":"A"}"#, r#"{"mt":"A"}x"#] {
        for mut harness in [Harness::new(), Harness::logged_in()] {
            assert_eq!(harness.text(text), ["close 1007 malformed"], "{text}");
            assert!(harness.say(&json!({"mt": "KeepAlive"})).is_empty(), "nothing follows a close");
            assert!(harness.tick().is_empty());
            assert_eq!(harness.deadline(), None);
        }
    }
}

#[test]
fn a_challenge_is_valid_for_sixty_seconds_and_a_new_one_replaces_it() {
    let late_enough = |harness: &mut Harness| harness.settings.login_timeout = Duration::from_secs(1_000);

    let mut harness = Harness::new();
    late_enough(&mut harness);
    let challenge = harness.challenge();
    assert_eq!(harness.at(59_999).login_with(&challenge), [format!("verify {challenge}")]);

    let mut harness = Harness::new();
    late_enough(&mut harness);
    let challenge = harness.challenge();
    let output = harness.at(60_000).login_with(&challenge);
    assert_eq!((parsed(&output[0])["ok"].clone(), &output[1..]), (json!(false), &["login failed".to_string()][..]));

    let mut harness = Harness::new();
    let first = harness.challenge();
    let second = harness.challenge();
    assert_eq!(harness.login_with(&first), [format!("verify {second}")]);
}

#[test]
fn a_challenge_is_valid_for_one_log_in() {
    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    assert_eq!(harness.verified(false)[1..], ["login failed"]);
    let output = harness.login_with(&challenge);
    assert_eq!(parsed(&output[0])["ok"], false, "without a challenge nothing is verified");
    assert_eq!(output[1..], ["login failed"]);
}

#[test]
fn the_third_failure_closes_after_its_result() {
    let mut harness = Harness::new();
    for attempt in 1..=3 {
        let challenge = harness.challenge();
        harness.login_with(&challenge);
        let output = harness.verified(false);
        let app = "innovaphone-devices-api";
        let failed =
            json!({"mt": "AppLoginResult", "app": app, "domain": "example.com", "ok": false, "error": "LOGIN_FAILED"});
        assert_eq!(parsed(&output[0]), failed);
        let rest = if attempt < 3 { vec!["login failed"] } else { vec!["login failed", "close 1008 refused"] };
        assert_eq!(output[1..], rest);
    }
}

#[test]
fn log_ins_without_a_challenge_fail_like_all_others() {
    let mut harness = Harness::new();
    for _ in 0..2 {
        assert_eq!(harness.login_with("")[1..], ["login failed"]);
    }
    assert_eq!(harness.login_with("")[1..], ["login failed", "close 1008 refused"]);
}

#[test]
fn a_failure_does_not_hinder_the_next_log_in() {
    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    harness.verified(false);
    harness.log_in();
}

#[test]
fn a_second_log_in_fails_and_closes() {
    let mut harness = Harness::logged_in();
    let challenge = harness.challenge();
    let output = harness.login_with(&challenge);
    assert_eq!(parsed(&output[0])["ok"], false);
    assert_eq!(output[1..], ["close 1008 not allowed"]);
}

#[test]
fn the_log_in_has_to_succeed_within_sixty_seconds() {
    let mut harness = Harness::new();
    assert_eq!(harness.deadline(), Some(60_000));
    harness.challenge();
    assert!(harness.at(59_999).tick().is_empty());
    assert_eq!(harness.at(60_000).tick(), ["close 1008 too late"]);

    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    assert_eq!(harness.deadline(), None, "it came in time, and its verification may have to wait");
    assert!(harness.at(89_000).tick().is_empty());
    assert_eq!(harness.verified(true)[1..], ["enlist"]);

    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    assert_eq!(harness.at(89_000).verified(false)[1..], ["login failed"]);
    assert_eq!(harness.deadline(), Some(60_000), "there is no time for another one");
    assert_eq!(harness.tick(), ["close 1008 too late"]);
}

#[test]
fn a_verification_without_a_log_in_is_ignored() {
    for mut harness in [Harness::new(), Harness::logged_in()] {
        let before = harness.session.rights().is_some();
        assert!(harness.verified(true).is_empty());
        assert_eq!(harness.session.rights().is_some(), before);
    }
}

#[test]
fn an_end_event_closes_once() {
    for mut harness in [Harness::new(), Harness::logged_in()] {
        assert_eq!(harness.on(Event::End(Close::Stopping)), ["close 1001 stopping"]);
        assert!(harness.on(Event::End(Close::WrongKind)).is_empty());
        assert!(harness.deliver(&[1]).is_empty());
    }
}

#[test]
fn after_a_time_without_traffic_a_ping_is_sent() {
    let mut harness = Harness::new();
    harness.settings.ping_every = Duration::from_secs(25);
    harness.log_in();
    assert_eq!(harness.deadline(), Some(25_000));
    harness.at(10_000).say(&json!({"mt": "KeepAlive"}));
    assert_eq!(harness.deadline(), Some(35_000), "the answer has gone out");
    assert!(harness.at(34_999).tick().is_empty());
    assert_eq!(harness.at(35_000).tick(), ["keep alive"]);
    // A missing pong closes nothing, and one that comes changes nothing.
    harness.on(Event::Pong(b"{}"));
    assert_eq!(harness.at(60_000).tick(), ["keep alive"]);
    harness.settings.ping_every = Duration::ZERO;
    assert_eq!(harness.deadline(), None);
}
