//! Before the log-in, the log-in, and what ends it (`docs/protocol/appwebsocket.md` sections 3, 5 and 9).

use super::*;

#[test]
fn a_challenge_has_sixteen_digits_and_is_new_every_time() {
    let mut desk = Desk::new();
    let (first, second) = (desk.challenge(), desk.challenge());
    assert_ne!(first, second);
    for challenge in [first, second] {
        assert!(challenge.len() == 16 && challenge.bytes().all(|b| b.is_ascii_digit()), "{challenge}");
    }
    let mut other = Session::new(Tick(0), [8; 32]);
    assert_ne!(other.challenges.draw(), Desk::new().session.challenges.draw());
}

#[test]
fn a_log_in_that_stands_is_told_and_made_known() {
    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    assert_eq!(desk.session.rights(), None);
    let words = desk.verified(true);
    let app = "innovaphone-devices-api";
    let result = json!({"mt": "AppLoginResult", "app": app, "domain": "example.com", "ok": true});
    assert_eq!(parsed(&words[0]), result, "the domain is that of the instance");
    assert_eq!(words[1..], ["enlist"]);
    assert_eq!(desk.session.rights(), Some(&rights(false)));
    assert_eq!(desk.deadline(), None, "silence alone is no reason to close");
}

#[test]
fn only_four_messages_are_allowed_before_the_log_in() {
    let url = "https://h/example.com/devices/12/x.htm";
    for allowed in [
        json!({"mt": "AppChallenge", "appObj": "x", "user": "y"}),
        json!({"mt": "CheckBuild", "url": url}),
        json!({"mt": "KeepAlive"}),
    ] {
        assert!(Desk::new().answer_to(&allowed).is_object());
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
        assert_eq!(Desk::new().say(&refused), ["close 1008 not allowed"], "{refused}");
    }
}

#[test]
fn check_build_without_an_address_is_an_error_and_no_close() {
    let answer = Desk::new().answer_to(&json!({"mt": "CheckBuild", "src": "1"}));
    assert_eq!(answer, json!({"mt": "CheckBuildResult", "src": "1", "error": "bad request"}));
}

#[test]
fn what_is_no_message_closes_before_and_after_the_log_in() {
    for text in ["", "[]", "{}", "null", r#"{"mt":1}"#, r#"{"mt":"A","mt":"A"}"#, r#"{"mt":"A"}x"#] {
        for mut desk in [Desk::new(), Desk::inside()] {
            assert_eq!(desk.text(text), ["close 1007 malformed"], "{text}");
            assert!(desk.say(&json!({"mt": "KeepAlive"})).is_empty(), "nothing follows a close");
            assert!(desk.tick().is_empty());
            assert_eq!(desk.deadline(), None);
        }
    }
}

#[test]
fn a_challenge_is_valid_for_sixty_seconds_and_a_new_one_replaces_it() {
    let late_enough = |desk: &mut Desk| desk.settings.login_timeout = Duration::from_secs(1_000);

    let mut desk = Desk::new();
    late_enough(&mut desk);
    let challenge = desk.challenge();
    assert_eq!(desk.at(59_999).login_with(&challenge), [format!("verify {challenge}")]);

    let mut desk = Desk::new();
    late_enough(&mut desk);
    let challenge = desk.challenge();
    let words = desk.at(60_000).login_with(&challenge);
    assert_eq!((parsed(&words[0])["ok"].clone(), &words[1..]), (json!(false), &["login failed".to_string()][..]));

    let mut desk = Desk::new();
    let first = desk.challenge();
    let second = desk.challenge();
    assert_eq!(desk.login_with(&first), [format!("verify {second}")]);
}

#[test]
fn a_challenge_serves_one_log_in() {
    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    assert_eq!(desk.verified(false)[1..], ["login failed"]);
    let words = desk.login_with(&challenge);
    assert_eq!(parsed(&words[0])["ok"], false, "without a challenge nothing is verified");
    assert_eq!(words[1..], ["login failed"]);
}

#[test]
fn the_third_failure_closes_after_its_result() {
    let mut desk = Desk::new();
    for attempt in 1..=3 {
        let challenge = desk.challenge();
        desk.login_with(&challenge);
        let words = desk.verified(false);
        let app = "innovaphone-devices-api";
        let failed =
            json!({"mt": "AppLoginResult", "app": app, "domain": "example.com", "ok": false, "error": "LOGIN_FAILED"});
        assert_eq!(parsed(&words[0]), failed);
        let rest = if attempt < 3 { vec!["login failed"] } else { vec!["login failed", "close 1008 refused"] };
        assert_eq!(words[1..], rest);
    }
}

#[test]
fn log_ins_without_a_challenge_fail_like_all_others() {
    let mut desk = Desk::new();
    for _ in 0..2 {
        assert_eq!(desk.login_with("")[1..], ["login failed"]);
    }
    assert_eq!(desk.login_with("")[1..], ["login failed", "close 1008 refused"]);
}

#[test]
fn a_failure_does_not_hinder_the_next_log_in() {
    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    desk.verified(false);
    desk.log_in();
}

#[test]
fn a_second_log_in_fails_and_closes() {
    let mut desk = Desk::inside();
    let challenge = desk.challenge();
    let words = desk.login_with(&challenge);
    assert_eq!(parsed(&words[0])["ok"], false);
    assert_eq!(words[1..], ["close 1008 not allowed"]);
}

#[test]
fn a_log_in_takes_sixty_seconds_at_most() {
    let mut desk = Desk::new();
    assert_eq!(desk.deadline(), Some(60_000));
    desk.challenge();
    assert!(desk.at(59_999).tick().is_empty());
    assert_eq!(desk.at(60_000).tick(), ["close 1008 too late"]);

    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    assert_eq!(desk.deadline(), Some(60_000), "the verification is part of it");
    assert_eq!(desk.at(60_000).tick(), ["close 1008 too late"]);
    assert!(desk.verified(true).is_empty());
    assert_eq!(desk.session.rights(), None);
}

#[test]
fn a_verdict_without_a_log_in_is_nothing() {
    for mut desk in [Desk::new(), Desk::inside()] {
        let before = desk.session.rights().is_some();
        assert!(desk.verified(true).is_empty());
        assert_eq!(desk.session.rights().is_some(), before);
    }
}

#[test]
fn an_end_from_outside_closes_once() {
    for mut desk in [Desk::new(), Desk::inside()] {
        assert_eq!(desk.on(Event::End(Close::Stopping)), ["close 1001 stopping"]);
        assert!(desk.on(Event::End(Close::WrongKind)).is_empty());
        assert!(desk.deliver(&[1]).is_empty());
    }
}
