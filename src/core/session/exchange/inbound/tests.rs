//! Log-in, acceptance of `PbxInfo`, and forwarding.

use super::*;
use crate::core::protocol::appws::login::{AppIdentity, write_login};

fn settings() -> InboundSettings {
    InboundSettings {
        domain: "example.com".into(),
        instance: "users".into(),
        build: "13bc22".into(),
        passwords: vec![("example.com".into(), Secret::new("Simulator1"))],
        check_names: true,
    }
}

fn receive(session: &mut InboundSession, text: &str) -> Vec<InboundAction> {
    receive_with(session, text, Tick(5), &settings())
}

/// A log-in is verified at once.
fn receive_with(session: &mut InboundSession, text: &str, now: Tick, settings: &InboundSettings) -> Vec<InboundAction> {
    let mut actions = Vec::new();
    session.on_text(text, now, settings, &mut actions);
    if let [InboundAction::Verify(login, challenge)] = &actions[..] {
        let right = right_password(login, challenge, settings);
        actions.clear();
        session.verified(right, now, settings, &mut actions);
    }
    actions
}

fn log_in(session: &mut InboundSession, sip: &str, info: &str, password: &str) -> Vec<InboundAction> {
    let actions = receive(session, r#"{"mt":"AppChallenge"}"#);
    let [InboundAction::Send(text)] = &actions[..] else { panic!("{actions:?}") };
    let challenge = Object::parse(text.as_bytes()).unwrap().str("challenge").unwrap().to_owned();
    let identity = AppIdentity { app: "users", domain: "example.com", sip, guid: "", dn: sip, info: Some(info) };
    receive(session, &write_login(&identity, None, &challenge, &Secret::new(password)))
}

fn session() -> InboundSession {
    InboundSession::new(Tick(0), [7; 32])
}

const OBJECT: &str = r#"{"appobj":"users","cn":"users"}"#;
const PBX_INFO: &str = r#"{"mt":"PbxInfo","domain":"example.com","pbx":"hq","apis":["PbxAdminApi"]}"#;

#[test]
fn the_pbx_is_believed_and_its_interfaces_are_handed_on() {
    let mut session = session();
    assert!(matches!(
        &log_in(&mut session, "users", OBJECT, "Simulator1")[..],
        [InboundAction::Send(_), InboundAction::LoggedIn]
    ));
    let notice = r#"{"mt":"ReplicateUpdate","api":"PbxTableUsers"}"#;
    assert!(
        matches!(&receive(&mut session, notice)[..], [InboundAction::Send(text)] if text.contains("unknown message"))
    );
    assert!(
        matches!(&receive(&mut session, PBX_INFO)[..], [InboundAction::Attached(info)] if info.pbx.as_deref() == Some("hq"))
    );
    assert_eq!(receive(&mut session, notice), [InboundAction::Forward]);
    assert_eq!(receive(&mut session, r#"{"mt":"GetObjectResult","src":"1"}"#), [InboundAction::Forward]);
    assert_eq!(
        receive(&mut session, r#"{"mt":"AppInfo","app":"users","src":"7"}"#),
        [InboundAction::Send(r#"{"mt":"AppInfoResult","src":"7","app":"users","info":{"apis":{}}}"#.into())]
    );
    assert_eq!(session.deadline(), None);
}

#[test]
fn a_users_log_in_is_no_pbx() {
    for (sip, info, pbx_info) in [
        ("anna", OBJECT, PBX_INFO),
        ("users", r#"{"appobj":"other"}"#, PBX_INFO),
        ("", "{}", PBX_INFO),
        ("users", OBJECT, r#"{"mt":"PbxInfo","domain":"example.net","pbx":"hq","apis":[]}"#),
        ("users", OBJECT, r#"{"mt":"PbxInfo","pbx":"hq","apis":[]}"#),
    ] {
        let mut session = session();
        log_in(&mut session, sip, info, "Simulator1");
        assert_eq!(receive(&mut session, pbx_info), [InboundAction::Forged], "{sip} {info}");
        let result = r#"{"mt":"GetObjectResult","api":"PbxAdminApi","src":"1"}"#;
        assert_ne!(receive(&mut session, result), [InboundAction::Forward], "{sip} {info}");
    }
    let mut actions = Vec::new();
    let mut session = session();
    log_in(&mut session, "anna", OBJECT, "Simulator1");
    let trusting = InboundSettings { check_names: false, ..settings() };
    session.on_text(PBX_INFO, Tick(5), &trusting, &mut actions);
    assert!(matches!(&actions[..], [InboundAction::Attached(_)]), "switched off");
}

#[test]
fn wrong_passwords_and_silence_end_the_connection() {
    let mut session = session();
    for _ in 0..2 {
        let failed = log_in(&mut session, "users", OBJECT, "wrong");
        assert!(matches!(&failed[..], [InboundAction::Send(_), InboundAction::LoginFailed]), "{failed:?}");
    }
    let failed = log_in(&mut session, "users", OBJECT, "wrong");
    assert!(matches!(failed.last(), Some(InboundAction::Close(Close::Refused))), "{failed:?}");
    assert_eq!(receive(&mut session, r#"{"mt":"AppChallenge"}"#), [], "nothing follows a close");

    let mut session = InboundSession::new(Tick(0), [7; 32]);
    let mut actions = Vec::new();
    session.timer(Tick(59_999), &mut actions);
    assert_eq!(actions, []);
    session.timer(Tick(60_000), &mut actions);
    assert_eq!(actions, [InboundAction::Close(Close::TooLate)]);
    assert_eq!(
        receive(&mut InboundSession::new(Tick(0), [7; 32]), PBX_INFO),
        [InboundAction::Close(Close::NotAllowed)]
    );
}

#[test]
fn a_password_is_that_of_one_pbx() {
    let mut session = session();
    let other = InboundSettings { passwords: vec![("example.net".into(), Secret::new("Simulator1"))], ..settings() };
    let mut actions = Vec::new();
    session.on_text(r#"{"mt":"AppChallenge"}"#, Tick(5), &other, &mut actions);
    let [InboundAction::Send(text)] = &actions[..] else { panic!("{actions:?}") };
    let challenge = Object::parse(text.as_bytes()).unwrap().str("challenge").unwrap().to_owned();
    let identity = AppIdentity { app: "users", domain: "example.com", ..AppIdentity::default() };
    let login = write_login(&identity, None, &challenge, &Secret::new("Simulator1"));
    assert!(receive_with(&mut session, &login, Tick(5), &other).contains(&InboundAction::LoginFailed));
}

#[test]
fn a_log_in_that_came_in_time_may_be_verified_later() {
    for right in [true, false] {
        let mut session = session();
        let identity = AppIdentity { app: "users", domain: "example.com", ..AppIdentity::default() };
        let challenge = receive(&mut session, r#"{"mt":"AppChallenge"}"#);
        let [InboundAction::Send(text)] = &challenge[..] else { panic!("{challenge:?}") };
        let challenge = Object::parse(text.as_bytes()).unwrap().str("challenge").unwrap().to_owned();
        let mut actions = Vec::new();
        let login = write_login(&identity, None, &challenge, &Secret::new("Simulator1"));
        session.on_text(&login, Tick(59_000), &settings(), &mut actions);
        assert!(matches!(&actions[..], [InboundAction::Verify(..)]), "{actions:?}");
        actions.clear();
        session.timer(Tick(60_000), &mut actions);
        assert_eq!((session.deadline(), &actions[..]), (None, &[][..]));
        session.verified(right, Tick(89_000), &settings(), &mut actions);
        let closed = actions.contains(&InboundAction::Close(Close::TooLate));
        assert_eq!((actions.contains(&InboundAction::LoggedIn), closed), (right, !right), "{actions:?}");
    }
}

#[test]
fn a_log_in_without_a_challenge_is_not_verified() {
    let identity = AppIdentity { app: "users", domain: "example.com", ..AppIdentity::default() };
    let mut actions = Vec::new();
    session().on_text(&write_login(&identity, None, "", &Secret::new("x")), Tick(5), &settings(), &mut actions);
    assert!(matches!(&actions[..], [InboundAction::Send(_), InboundAction::LoginFailed]), "{actions:?}");
}
