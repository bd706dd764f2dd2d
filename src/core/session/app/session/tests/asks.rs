//! Requests after the log-in: echoes, order, limits, small messages.

use super::*;

fn ask_code(harness: &mut Harness, src: &str) -> Vec<String> {
    harness.say(&json!({"mt": "GetProvisioningCode", "category": "Desk phones", "src": src}))
}

fn sources(output: &[String]) -> Vec<String> {
    let texts = output.iter().filter(|w| w.starts_with('{')).map(|w| parsed(w));
    texts.map(|message| message["src"].as_str().unwrap().into()).collect()
}

#[test]
fn get_login_info_returns_the_session_key() {
    let mut harness = Harness::logged_in();
    let answer = json!({"mt": "GetLoginInfoResult", "src": "a1", "key": KEY, "admin": false});
    assert_eq!(harness.answer_to(&json!({"mt": "GetLoginInfo", "src": "a1"})), answer);
    let answer = json!({"mt": "GetUserInfoResult", "key": KEY, "major": "13r3", "admin": false});
    assert_eq!(harness.answer_to(&json!({"mt": "GetUserInfo"})), answer);
}

#[test]
fn src_and_api_come_back_with_every_answer() {
    let api = "com.innovaphone.devices";
    let mut harness = Harness::logged_in();
    let answer = harness.answer_to(&json!({"mt": "GetLoginInfo", "src": "s\"", "api": api}));
    assert_eq!((&answer["src"], &answer["api"]), (&json!("s\""), &json!(api)));
    assert_eq!(harness.answer_to(&json!({"mt": "GetLoginInfo"})).get("src"), None);

    harness.say(&json!({"mt": "GetProvisioningCategories", "src": "c", "api": api}));
    let output = harness.answered(3, categories_answer());
    let category = json!({"id": 4, "domainId": 2, "name": "Desk phones", "config": true});
    let mt = "GetProvisioningCategoriesResult";
    assert_eq!(parsed(&output[0]), json!({"mt": mt, "src": "c", "api": api, "last": true, "categories": [category]}));
}

#[test]
fn answers_leave_in_the_order_of_the_requests() {
    let mut harness = Harness::logged_in();
    assert_eq!(ask_code(&mut harness, "1"), ["act home", "ask 1 code Desk phones"]);
    assert_eq!(harness.say(&json!({"mt": "GetProvisioningCategories", "src": "2"})), ["ask 2 categories"]);
    assert_eq!(ask_code(&mut harness, "3"), ["ask 3 code Desk phones"]);
    assert!(harness.say(&json!({"mt": "GetLoginInfo", "src": "4"})).is_empty(), "it waits for its turn");
    assert_eq!(ask_code(&mut harness, "5"), ["ask 5 code Desk phones"]);

    assert!(harness.answered(3, code_answer(33)).is_empty());
    assert!(harness.answered(2, Answer::Failed(ApiError::NotFound)).is_empty());
    let output = harness.answered(1, code_answer(11));
    assert_eq!(sources(&output), ["1", "2", "3", "4"]);
    assert_eq!(sources(&harness.answered(5, Answer::Failed(ApiError::DirectoryUnavailable))), ["5"]);
}

#[test]
fn answers_in_any_order_leave_in_order() {
    for step in [1, 3, 7, 9, 11, 13] {
        let mut harness = Harness::logged_in();
        for number in 0..20 {
            ask_code(&mut harness, &number.to_string());
        }
        // A step coprime to twenty visits all.
        let output: Vec<_> = (0..20).flat_map(|n| harness.answered(n * step % 20 + 1, code_answer(n))).collect();
        assert_eq!(sources(&output), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(harness.answered(1, code_answer(1)).iter().all(|w| !w.starts_with('{')), "answered once");
    }
}

#[test]
fn the_notice_of_a_code_is_awaited_only_after_its_result() {
    let mut harness = Harness::logged_in();
    ask_code(&mut harness, "1");
    ask_code(&mut harness, "2");
    assert!(harness.answered(2, code_answer(22)).is_empty());
    let output = harness.answered(1, code_answer(11));
    assert_eq!(parsed(&output[0])["code"], "000000000011");
    assert_eq!(parsed(&output[0])["validUntil"], 1_767_225_600);
    assert_eq!(output[1], "await home 000000000011");
    assert_eq!(parsed(&output[2])["code"], "000000000022");
    assert_eq!(output[3], "await home 000000000022");
}

#[test]
fn a_failed_request_awaits_no_notice() {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetProvisionedDevice", "code": "000000000011"}));
    let output = harness.answered(1, Answer::Failed(ApiError::NotFound));
    let mt = "GetProvisionedDeviceResult";
    assert_eq!(output.len(), 1);
    assert_eq!(parsed(&output[0]), json!({"mt": mt, "code": "000000000011", "error": "not found"}));
}

#[test]
fn get_provisioned_device_returns_the_device_or_awaits_the_notice() {
    for device in [None, Some(Box::new(view()))] {
        let known = device.is_some();
        let mut harness = Harness::logged_in();
        let question = json!({"mt": "GetProvisionedDevice", "code": "000000000011", "src": "p8"});
        assert_eq!(harness.say(&question), ["act home", "ask 1 device 000000000011"]);
        let output = harness.answered(1, Answer::Device { name: domain("home"), code: code(11), device });
        assert_eq!(parsed(&output[0])["device"].is_object(), known);
        assert_eq!(output[1..], ["await home 000000000011"]);
    }
}

#[test]
fn a_connection_acts_as_users_once_for_each_domain() {
    let mut harness = Harness::logged_in();
    assert!(!harness.say(&json!({"mt": "GetLoginInfo"})).contains(&"act home".to_string()));
    assert_eq!(harness.say(&json!({"mt": "GetProvisioningCategories"})), ["act home", "ask 2 categories"]);
    assert_eq!(harness.say(&json!({"mt": "GetProvisioningCategories"})), ["ask 3 categories"]);
    assert!(!harness.answered(2, categories_answer()).contains(&"act home".to_string()));
    let other = || Answer::Categories { name: domain("other"), domain: DomainId(9), categories: Vec::new() };
    assert_eq!(harness.answered(3, other())[1..], ["act other"]);
    harness.say(&json!({"mt": "GetProvisioningCategories", "domainId": 9}));
    assert_eq!(harness.answered(4, other()).len(), 1);
}

#[test]
fn our_own_users_do_not_take_the_notices_of_others() {
    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    let requester = Requester { app: OWN_USERS.into(), sip: OWN_USERS.into() };
    harness.on(Event::Verified(Some(Box::new(Rights { requester, ..rights(false) })), Secret::new(KEY)));
    assert_eq!(harness.say(&json!({"mt": "GetProvisioningCategories"})), ["ask 1 categories"]);
}

#[test]
fn at_most_fifty_requests_a_second() {
    let mut harness = Harness::logged_in();
    for _ in 0..50 {
        assert_eq!(harness.answer_to(&json!({"mt": "GetLoginInfo"}))["error"], Value::Null);
    }
    assert_eq!(harness.answer_to(&json!({"mt": "GetLoginInfo"}))["error"], "too many requests");
    let list = harness.say(&json!({"mt": "GetProvisioningCategories", "src": "1"}));
    let answer = parsed(list.last().unwrap());
    let mt = "GetProvisioningCategoriesResult";
    assert_eq!(answer, json!({"mt": mt, "src": "1", "categories": [], "last": true, "error": "too many requests"}));
    assert_eq!(ask_code(&mut harness, "2").len(), 1, "codes are counted apart");
    harness.answered(53, Answer::Failed(ApiError::Internal));
    assert_eq!(harness.at(1_000).answer_to(&json!({"mt": "GetLoginInfo"}))["error"], Value::Null);
}

#[test]
fn at_most_five_hundred_codes_a_second() {
    let mut harness = Harness::logged_in();
    for number in 1..=500 {
        assert_eq!(*ask_code(&mut harness, "x").last().unwrap(), format!("ask {number} code Desk phones"));
    }
    assert!(ask_code(&mut harness, "501").is_empty(), "the refusal waits for its turn");
    assert_eq!(harness.at(1_000).say(&json!({"mt": "GetProvisioningCode", "category": "c"})), ["ask 502 code c"]);
    for number in 1..500 {
        harness.answered(number, Answer::Failed(ApiError::Internal));
    }
    let output = harness.answered(500, Answer::Failed(ApiError::Internal));
    assert_eq!(parsed(&output[1])["error"], "too many requests");
    assert_eq!(parsed(&output[1])["src"], "501");
}

#[test]
fn a_wrong_member_is_a_bad_request() {
    let mut harness = Harness::logged_in();
    for (request, error) in [
        (json!({"mt": "GetProvisioningCode"}), "bad request"),
        (json!({"mt": "GetProvisioningCode", "category": "c", "domainId": "2"}), "bad request"),
        (json!({"mt": "GetProvisionedDevice"}), "bad request"),
        (json!({"mt": "GetProvisionedDevice", "code": "12"}), "not found"),
        (json!({"mt": "AppInfo"}), "bad request"),
    ] {
        assert_eq!(harness.answer_to(&request)["error"], error, "{request}");
    }
}

#[test]
fn unknown_messages_are_answered_and_results_are_not() {
    let mut harness = Harness::logged_in();
    let answer = json!({"mt": "GetMoonResult", "src": "1", "api": "x", "error": "unknown message"});
    assert_eq!(harness.answer_to(&json!({"mt": "GetMoon", "src": "1", "api": "x"})), answer);
    assert_eq!(harness.answer_to(&json!({"mt": "AppCheckLogin"}))["error"], "unknown message");
    for mt in ["GetMoonResult", "AppLoginResult", "Result"] {
        assert!(harness.say(&json!({"mt": mt, "src": "1"})).is_empty());
    }
}

#[test]
fn keep_alive_is_answered_in_and_outside() {
    for mut harness in [Harness::new(), Harness::logged_in()] {
        assert_eq!(harness.answer_to(&json!({"mt": "KeepAlive"})), json!({"mt": "KeepAlive"}));
        assert_eq!(harness.answer_to(&json!({"mt": "KeepAlive", "src": "k"})), json!({"mt": "KeepAlive", "src": "k"}));
    }
}

#[test]
fn an_old_page_gets_the_new_address() {
    let page = |mark: &str| format!("https://ap.example.org/example.com/devices/{mark}/innovaphone-devices.htm?x=1");
    for mut harness in [Harness::new(), Harness::logged_in()] {
        let answer = harness.answer_to(&json!({"mt": "CheckBuild", "url": page("12af07")}));
        assert_eq!(answer, json!({"mt": "CheckBuildResult", "url": page("13bc22")}));
        let answer = harness.answer_to(&json!({"mt": "CheckBuild", "url": page("13bc22")}));
        assert_eq!(answer, json!({"mt": "CheckBuildResult"}));
    }
}

#[test]
fn app_info_describes_the_app() {
    let mut harness = Harness::logged_in();
    let apis = json!({"com.innovaphone.devices": {}});
    let app = "innovaphone-devices-api";
    assert_eq!(
        harness.answer_to(&json!({"mt": "AppInfo", "app": app, "src": "7"})),
        json!({"mt": "AppInfoResult", "src": "7", "app": app,
               "info": {"hidden": true, "apis": &apis}, "serviceInfo": {"apis": &apis}})
    );
    let answer = harness.answer_to(&json!({"mt": "AppInfo", "app": "x"}));
    assert_eq!(answer, json!({"mt": "AppInfoResult", "app": "x", "info": {"apis": {}}}));
}

#[test]
fn pbx_info_is_kept_and_not_answered() {
    let mut harness = Harness::logged_in();
    assert!(harness.session.pbx().is_none());
    assert!(
        harness
            .say(&json!({"mt": "PbxInfo", "domain": "d", "pbx": "master", "pbxDns": 7, "apis": ["a", 1]}))
            .is_empty()
    );
    let info = harness.session.pbx().unwrap();
    assert_eq!((info.pbx.as_deref(), info.pbx_dns.as_deref(), info.apis.len()), (Some("master"), None, 1));
    assert_eq!((info.version.as_deref(), info.build.as_deref()), (None, None), "of 13r1");
    // The build is a string.
    for (build, kept) in [(json!("14.1103"), Some("14.1103")), (json!(141_103), None)] {
        let info = json!({"mt": "PbxInfo", "domain": "d", "pbx": "hq", "apis": [], "version": "14r1", "build": build});
        assert!(harness.say(&info).is_empty());
        let info = harness.session.pbx().unwrap();
        assert_eq!((info.pbx.as_deref(), info.version.as_deref()), (Some("hq"), Some("14r1")), "the later one counts");
        assert_eq!(info.build.as_deref(), kept);
    }
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let mut harness = Harness::logged_in();
    // A long answer that is never reported as flushed.
    let output = harness.say(&json!({"mt": "GetLoginInfo", "src": "x".repeat(100_000)}));
    assert_eq!(output[1..], ["flush"]);
    let ask = json!({"mt": "GetLoginInfo", "src": "a"});
    let asked = (0..1_000).find(|_| harness.say(&ask).iter().any(|summary| summary.starts_with("close 1008")));
    assert!(asked.is_some_and(|asked| asked > 500), "{asked:?}");
}
