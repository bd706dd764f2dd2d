//! The service client against a scripted service.

use serde_json::{Value, json};

use super::*;

const CODE: &str = "402817739164";

fn login() -> Login {
    Login {
        app: "pbxadminapi".into(),
        domain: "".into(),
        sip: "".into(),
        guid: "".into(),
        dn: "".into(),
        password: Secret::new("pwd"),
    }
}

fn on(client: &mut UsersClient, event: Event<'_>, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    client.on(event, Tick(now), &mut actions);
    actions
}

fn receive(client: &mut UsersClient, message: &Value, now: u64) -> Vec<Action> {
    on(client, Event::Text(&message.to_string()), now)
}

fn sent(actions: &[Action]) -> Vec<Value> {
    let texts = actions.iter().filter_map(|action| match action {
        Action::Send(text) => Some(serde_json::from_str(text).unwrap()),
        _ => None,
    });
    texts.collect()
}

/// Connects and logs in; returns the actions of the log-in.
fn log_in(client: &mut UsersClient, now: u64) -> Vec<Action> {
    assert_eq!(sent(&on(client, Event::Connected, now)), [json!({"mt": "AppChallenge"})]);
    let challenge = json!({"mt": "AppChallengeResult", "challenge": "0123456789abcdef"});
    assert_eq!(sent(&receive(client, &challenge, now))[0]["mt"], "AppLogin");
    receive(client, &json!({"mt": "AppLoginResult", "ok": true, "domain": "example.com"}), now)
}

fn ask(client: &mut UsersClient, ask: Ask) -> Value {
    sent(&on(client, Event::Ask(CallTag(1), ask), 0)).remove(0)
}

fn device() -> Value {
    json!({"id": 31, "hwId": "00903341a0b1", "product": "IP112", "version": "13r3", "type": "PHONE", "online": true})
}

fn code() -> Code {
    Code::parse(CODE).unwrap()
}

/// A client that is ready and has one open code.
fn with_open_code() -> UsersClient {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    let src = ask(&mut client, Ask::Code { category: "Desk".into(), sip: None, rollout: false })["src"].clone();
    let result = json!({"mt": "GetProvisioningCodeResult", "src": src, "code": CODE, "validUntil": 1_767_225_600});
    let answer = Answer::Code { code: code(), valid_until: 1_767_225_600 };
    assert_eq!(receive(&mut client, &result, 0), [Action::Answer(CallTag(1), Ok(answer))]);
    client
}

fn notice_of(actions: &[Action]) -> &Notice {
    match actions {
        [Action::Notice(notice)] => notice,
        other => panic!("one notice, not {other:?}"),
    }
}

#[test]
fn the_log_in_carries_the_documented_digest() {
    let mut client = UsersClient::new(login());
    on(&mut client, Event::Connected, 0);
    let challenge = json!({"mt": "AppChallengeResult", "challenge": "0123456789abcdef"});
    let message = sent(&receive(&mut client, &challenge, 0)).remove(0);
    assert_eq!(message["digest"], "a205299ed2ef2786c311e0be1b14db343f2cadd906a6ae7b564eee34bda5e9a1");
    assert!(message.get("info").is_none());
}

#[test]
fn a_refused_log_in_is_reported_and_closed() {
    let mut client = UsersClient::new(login());
    on(&mut client, Event::Connected, 0);
    receive(&mut client, &json!({"mt": "AppChallengeResult", "challenge": "1"}), 0);
    let actions = receive(&mut client, &json!({"mt": "AppLoginResult", "ok": false, "error": "LOGIN_FAILED"}), 0);
    assert_eq!(actions, [Action::LoginFailed("LOGIN_FAILED".into()), Action::Close(1000)]);
    let absent = json!({"mt": "AppLoginResult"});
    assert_eq!(receive(&mut client, &absent, 0)[1], Action::Close(1000), "without ok it has failed too");
}

#[test]
fn requests_fail_before_the_log_in() {
    let mut client = UsersClient::new(login());
    on(&mut client, Event::Connected, 0);
    let actions = on(&mut client, Event::Ask(CallTag(5), Ask::Categories { kind: None }), 0);
    assert_eq!(actions, [Action::Answer(CallTag(5), Err(AskError::Offline))]);
}

#[test]
fn lists_are_joined_until_the_last_part() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    let request = ask(&mut client, Ask::Categories { kind: Some("PHONE".into()) });
    assert_eq!((&request["mt"], &request["type"]), (&json!("GetProvisioningCategories"), &json!("PHONE")));
    let part = |id: u64, last: bool| {
        json!({"mt": "GetProvisioningCategoriesResult", "src": request["src"], "last": last,
               "categories": [{"id": id, "domainId": 2, "name": format!("c{id}"), "config": true}]})
    };
    assert!(receive(&mut client, &part(4, false), 0).is_empty());
    let actions = receive(&mut client, &part(9, true), 0);
    let [Action::Answer(_, Ok(Answer::Categories(list)))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(list.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["c4", "c9"]);
}

#[test]
fn phones_are_asked_for_by_their_keys() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    let keys = ["00903341a0b1", "00903341a0b2"].map(|key| DeviceKey::parse(key).unwrap());
    let request = ask(&mut client, Ask::Phones(keys.into()));
    assert_eq!((&request["mt"], &request["hwIds"]), (&json!("GetPhones"), &json!("00903341a0b1,00903341a0b2")));
    let part = |devices: Value, last: bool| json!({"mt": "GetPhonesResult", "src": request["src"], "last": last, "phones": devices});
    assert!(receive(&mut client, &part(json!([device(), {"id": 4}]), false), 0).is_empty());
    let actions = receive(&mut client, &part(json!([]), true), 0);
    let [Action::Answer(_, Ok(Answer::Phones(list)))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(list.iter().map(|phone| (&*phone.hw_id, phone.online)).collect::<Vec<_>>(), [("00903341a0b1", true)]);
}

#[test]
fn answers_match_requests_by_src_and_name() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    let request = ask(&mut client, Ask::Provisioned(code()));
    let answer = |mt: &str, src: &Value| json!({"mt": mt, "src": src, "code": CODE});
    assert!(receive(&mut client, &answer("GetProvisionedDeviceResult", &json!("99")), 0).is_empty());
    assert!(receive(&mut client, &answer("GetProvisioningCodeResult", &request["src"]), 0).is_empty());
    let actions = receive(&mut client, &answer("GetProvisionedDeviceResult", &request["src"]), 0);
    assert_eq!(actions, [Action::Answer(CallTag(1), Ok(Answer::Provisioned(None)))]);
    assert_eq!(client.open_codes().collect::<Vec<_>>(), [code()], "asked for and still open");
}

#[test]
fn an_invalid_code_is_refused() {
    for bad in [json!("12345"), json!(402_817_739_164_u64), Value::Null] {
        let mut client = UsersClient::new(login());
        log_in(&mut client, 0);
        let src = ask(&mut client, Ask::Code { category: "Desk".into(), sip: None, rollout: true })["src"].clone();
        let result = json!({"mt": "GetProvisioningCodeResult", "src": src, "code": bad, "validUntil": 1});
        assert_eq!(receive(&mut client, &result, 0), [Action::Answer(CallTag(1), Err(AskError::Malformed))]);
        assert_eq!(client.open_codes().count(), 0);
    }
}

#[test]
fn a_notice_has_its_device_as_object_or_in_an_array() {
    for form in [device(), json!([device()])] {
        let mut client = with_open_code();
        let actions = receive(&mut client, &json!({"mt": "DeviceProvisioned", "code": CODE, "device": form}), 1);
        let notice = notice_of(&actions);
        assert_eq!((&*notice.device.hw_id, notice.again, notice.asked), ("00903341a0b1", false, false));
        assert_eq!(client.open_codes().count(), 0);
    }
    for form in [json!([]), json!([device(), device()]), json!("31")] {
        let actions =
            receive(&mut with_open_code(), &json!({"mt": "DeviceProvisioned", "code": CODE, "device": form}), 1);
        assert!(matches!(actions[..], [Action::Invalid(_)]), "{actions:?}");
    }
}

#[test]
fn a_repeated_notice_is_marked() {
    let mut client = with_open_code();
    let notice = json!({"mt": "DeviceProvisioned", "code": CODE, "device": device()});
    assert!(!notice_of(&receive(&mut client, &notice, 1)).again);
    assert!(notice_of(&receive(&mut client, &notice, 2)).again);
}

#[test]
fn open_codes_are_asked_for_after_a_reconnect() {
    let mut client = with_open_code();
    on(&mut client, Event::Closed, 1);
    let request = sent(&log_in(&mut client, 2)).remove(0);
    assert_eq!((&request["mt"], &request["code"]), (&json!("GetProvisionedDevice"), &json!(CODE)));
    let result = json!({"mt": "GetProvisionedDeviceResult", "src": request["src"], "code": CODE, "device": [device()]});
    let actions = receive(&mut client, &result, 3);
    assert!(notice_of(&actions).asked);
    let late = json!({"mt": "DeviceProvisioned", "code": CODE, "device": device()});
    assert!(notice_of(&receive(&mut client, &late, 4)).again, "the notice from the mailbox comes later");
}

#[test]
fn a_notice_that_overtakes_the_answer_is_reported_once() {
    let mut client = with_open_code();
    on(&mut client, Event::Closed, 1);
    let request = sent(&log_in(&mut client, 2)).remove(0);
    receive(&mut client, &json!({"mt": "DeviceProvisioned", "code": CODE, "device": device()}), 3);
    let result = json!({"mt": "GetProvisionedDeviceResult", "src": request["src"], "code": CODE, "device": device()});
    assert!(receive(&mut client, &result, 4).is_empty());
}

#[test]
fn a_code_that_the_service_no_longer_knows_has_expired() {
    let mut client = with_open_code();
    on(&mut client, Event::Closed, 1);
    let request = sent(&log_in(&mut client, 2)).remove(0);
    let result = json!({"mt": "GetProvisionedDeviceResult", "src": request["src"], "code": CODE, "error": "not found"});
    assert_eq!(receive(&mut client, &result, 3), [Action::Expired(code())]);
    assert_eq!(client.open_codes().count(), 0);
}

#[test]
fn open_codes_are_asked_for_at_a_limited_rate() {
    let mut client = UsersClient::new(login());
    let all = RESUME_PER_SECOND * 2 + 1;
    for n in 0..all as u64 {
        on(&mut client, Event::Watch(Code::from_number(n).unwrap()), 0);
    }
    let mut asked = sent(&log_in(&mut client, 10)).len();
    assert_eq!(asked, RESUME_PER_SECOND);
    assert!(on(&mut client, Event::Timer, 500).is_empty());
    while let Some(wake) = client.next_wake().filter(|_| asked < all) {
        let more = sent(&on(&mut client, Event::Timer, wake.0)).len();
        assert!(more <= RESUME_PER_SECOND);
        asked += more;
    }
    assert_eq!(asked, all);
}

#[test]
fn a_resume_that_is_throttled_is_tried_again() {
    let mut client = with_open_code();
    on(&mut client, Event::Closed, 1);
    let request = sent(&log_in(&mut client, 2)).remove(0);
    let result =
        json!({"mt": "GetProvisionedDeviceResult", "src": request["src"], "code": CODE, "error": "too many requests"});
    assert!(receive(&mut client, &result, 3).is_empty());
    let wake = client.next_wake().unwrap().0;
    assert_eq!(sent(&on(&mut client, Event::Timer, wake))[0]["code"], CODE);
}

#[test]
fn lost_and_late_answers_are_reported() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    ask(&mut client, Ask::Categories { kind: None });
    assert_eq!(on(&mut client, Event::Closed, 1), [Action::Answer(CallTag(1), Err(AskError::Lost))]);
    log_in(&mut client, 2);
    ask(&mut client, Ask::Categories { kind: None });
    let late = on(&mut client, Event::Timer, 60_000);
    assert_eq!(late[0], Action::Answer(CallTag(1), Err(AskError::Timeout)));
}

#[test]
fn keep_alive_is_sent_and_a_silent_service_is_closed() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    let wake = client.next_wake().unwrap();
    assert_eq!(wake, Tick(60_000));
    assert_eq!(sent(&on(&mut client, Event::Timer, wake.0)), [json!({"mt": "KeepAlive"})]);
    assert!(receive(&mut client, &json!({"mt": "KeepAlive"}), wake.0 + 1).is_empty());
    on(&mut client, Event::Closed, 60_001);
    on(&mut client, Event::Connected, 60_002);
    assert!(on(&mut client, Event::Timer, 120_002).contains(&Action::Close(1000)));
}

#[test]
fn invalid_json_closes_the_connection() {
    let mut client = UsersClient::new(login());
    log_in(&mut client, 0);
    assert!(on(&mut client, Event::Text("[]"), 1).contains(&Action::Close(1007)));
    assert!(receive(&mut client, &json!({"mt": "SomethingNew"}), 2).is_empty());
}
