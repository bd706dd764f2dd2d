//! Notices and when they are settled (`docs/protocol/devices-api.md` 2.5).

use super::*;

/// A connection that waits for the notice of code 11, requested with `src` p7.
fn waiting() -> Harness {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetProvisioningCode", "category": "c", "src": "p7"}));
    harness.answered(1, code_answer(11));
    harness
}

#[test]
fn a_notice_has_the_src_of_its_request_and_a_ping_behind_it() {
    let output = waiting().deliver(&[11]);
    let device = json!({"id": 31, "hwId": "00903341a0b1", "domainId": 2, "product": "IP112", "version": "13r3",
                        "type": "PHONE", "pbxActive": false, "online": true, "ethIfs": []});
    let notice = json!({"mt": "DeviceProvisioned", "src": "p7", "code": "000000000011", "device": device});
    assert_eq!(parsed(&output[0]), notice);
    assert_eq!(output[1..], ["ping 1"]);
}

#[test]
fn a_notice_to_a_request_with_api_has_it_and_the_gateway() {
    for request in ["GetProvisioningCode", "GetProvisionedDevice"] {
        let mut harness = Harness::logged_in();
        let api = "com.innovaphone.devices";
        harness.say(&json!({"mt": request, "api": api, "category": "c", "code": "000000000011", "src": "p9"}));
        let answer = match request {
            "GetProvisioningCode" => code_answer(11),
            _ => Answer::Device { name: domain("home"), code: code(11), device: None },
        };
        harness.answered(1, answer);
        let notice = parsed(&harness.deliver(&[11])[0]);
        assert_eq!((&notice["api"], &notice["src"]), (&json!(api), &json!("p9")));
        assert_eq!((&notice["gateway"], &notice["gateway"]["hwId"]), (&notice["device"], &json!("00903341a0b1")));
    }
    let notice = parsed(&waiting().deliver(&[11])[0]);
    assert_eq!((notice.get("api"), notice.get("gateway")), (None, None));
}

#[test]
fn a_notice_of_a_code_that_another_connection_asked_for_has_no_src() {
    let output = waiting().deliver(&[99, 11]);
    assert_eq!(parsed(&output[0]).get("src"), None);
    assert_eq!(parsed(&output[1])["src"], "p7");
    assert_eq!(output[2..], ["ping 1"], "one ping behind them all");
}

#[test]
fn the_src_is_that_of_the_last_request_for_the_code() {
    let mut harness = waiting();
    harness.say(&json!({"mt": "GetProvisionedDevice", "code": "000000000011", "src": "p8"}));
    harness.answered(2, Answer::Device { name: domain("home"), code: code(11), device: None });
    assert_eq!(parsed(&harness.deliver(&[11])[0])["src"], "p8");
}

#[test]
fn a_notice_for_an_analogue_port_names_it() {
    let delivery = Delivery { code: code(11), port: Some("TEL3".into()), device: view() };
    let output = waiting().on(Event::Deliver(&domain("home"), vec![delivery]));
    assert_eq!(parsed(&output[0])["port"], "TEL3");
}

#[test]
fn a_notice_is_settled_five_seconds_after_its_pong() {
    let mut harness = waiting();
    assert_eq!(harness.deadline(), None);
    harness.deliver(&[11, 99]);
    assert_eq!(harness.deadline(), Some(30_000));
    assert!(harness.at(3_000).pong(1).is_empty());
    assert_eq!(harness.deadline(), Some(8_000));
    assert!(harness.at(7_999).tick().is_empty());
    assert_eq!(harness.at(8_000).tick(), ["settle home 000000000011,000000000099"]);
    assert_eq!(harness.deadline(), None);
    assert!(harness.at(90_000).tick().is_empty());
}

#[test]
fn a_settled_code_is_not_waited_for_any_more() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    assert_eq!(parsed(&harness.deliver(&[11])[0])["src"], "p7", "until then it is");
    harness.pong(2);
    assert_eq!(harness.at(5_000).tick(), ["settle home 000000000011", "settle home 000000000011"]);
    assert_eq!(parsed(&harness.deliver(&[11])[0]).get("src"), None);
}

#[test]
fn a_client_that_stays_silent_is_closed_and_settles_nothing() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.pong(2);
    harness.on(Event::Pong(b"foreign"));
    assert!(harness.at(29_999).tick().is_empty());
    assert_eq!(harness.at(30_000).tick(), ["close 1008 not acknowledged"]);
    assert!(harness.pong(1).is_empty());
    assert!(harness.at(60_000).tick().is_empty());
}

#[test]
fn a_client_that_answers_no_ping_but_goes_on_sending_counts_as_having_answered() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.at(2_000).say(&json!({"mt": "KeepAlive"}));
    assert!(harness.at(29_999).tick().is_empty());
    assert_eq!(harness.at(30_000).tick(), ["settle home 000000000011"]);
}

#[test]
fn a_message_at_the_last_moment_still_needs_five_seconds_open() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.at(29_000).say(&json!({"mt": "SomethingResult"}));
    assert!(harness.at(33_999).tick().is_empty());
    assert_eq!(harness.at(34_000).tick(), ["settle home 000000000011"]);
}

#[test]
fn a_message_before_the_notice_does_not_count() {
    let mut harness = waiting();
    harness.say(&json!({"mt": "KeepAlive"}));
    harness.deliver(&[11]);
    assert_eq!(harness.at(30_000).tick(), ["close 1008 not acknowledged"]);
}

#[test]
fn a_message_counts_for_all_notices_before_it_only() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.at(1_000).say(&json!({"mt": "KeepAlive"}));
    harness.at(2_000).deliver(&[12]);
    assert_eq!(harness.at(30_000).tick(), ["settle home 000000000011"]);
    assert_eq!(harness.at(32_000).tick(), ["close 1008 not acknowledged"]);
}

#[test]
fn due_notices_are_settled_before_a_silent_client_is_closed() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.pong(1);
    harness.at(1_000).deliver(&[12]);
    assert_eq!(harness.at(31_000).tick(), ["settle home 000000000011", "close 1008 not acknowledged"]);
}

#[test]
fn a_connection_lost_before_the_five_seconds_settles_nothing() {
    let mut harness = waiting();
    harness.deliver(&[11]);
    harness.pong(1);
    harness.at(4_000).on(Event::End(Close::ByPeer));
    assert!(harness.at(10_000).tick().is_empty());
}

#[test]
fn nothing_is_delivered_before_the_log_in() {
    assert!(Harness::new().deliver(&[11]).is_empty());
}
