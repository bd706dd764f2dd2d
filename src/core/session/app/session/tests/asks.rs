//! Requests after the log-in: echoes, order, limits, small messages.

use super::*;

fn ask_code(desk: &mut Desk, src: &str) -> Vec<String> {
    desk.say(&json!({"mt": "GetProvisioningCode", "category": "Desk phones", "src": src}))
}

fn sources(words: &[String]) -> Vec<String> {
    let texts = words.iter().filter(|w| w.starts_with('{')).map(|w| parsed(w));
    texts.map(|message| message["src"].as_str().unwrap().into()).collect()
}

#[test]
fn the_key_of_the_log_in_is_told() {
    let mut desk = Desk::inside();
    let answer = json!({"mt": "GetLoginInfoResult", "src": "a1", "key": KEY, "admin": false});
    assert_eq!(desk.answer_to(&json!({"mt": "GetLoginInfo", "src": "a1"})), answer);
    let answer = json!({"mt": "GetUserInfoResult", "key": KEY, "major": "13r3", "admin": false});
    assert_eq!(desk.answer_to(&json!({"mt": "GetUserInfo"})), answer);
}

#[test]
fn src_and_api_come_back_with_every_answer() {
    let api = "com.innovaphone.devices";
    let mut desk = Desk::inside();
    let answer = desk.answer_to(&json!({"mt": "GetLoginInfo", "src": "s\"", "api": api}));
    assert_eq!((&answer["src"], &answer["api"]), (&json!("s\""), &json!(api)));
    assert_eq!(desk.answer_to(&json!({"mt": "GetLoginInfo"})).get("src"), None);

    desk.say(&json!({"mt": "GetProvisioningCategories", "src": "c", "api": api}));
    let words = desk.answered(3, categories_answer());
    let category = json!({"id": 4, "domainId": 2, "name": "Desk phones", "config": true});
    let mt = "GetProvisioningCategoriesResult";
    assert_eq!(parsed(&words[0]), json!({"mt": mt, "src": "c", "api": api, "last": true, "categories": [category]}));
}

#[test]
fn answers_leave_in_the_order_of_the_requests() {
    let mut desk = Desk::inside();
    assert_eq!(ask_code(&mut desk, "1"), ["act home", "ask 1 code Desk phones"]);
    assert_eq!(desk.say(&json!({"mt": "GetProvisioningCategories", "src": "2"})), ["ask 2 categories"]);
    assert_eq!(ask_code(&mut desk, "3"), ["ask 3 code Desk phones"]);
    assert!(desk.say(&json!({"mt": "GetLoginInfo", "src": "4"})).is_empty(), "it waits for its turn");
    assert_eq!(ask_code(&mut desk, "5"), ["ask 5 code Desk phones"]);

    assert!(desk.answered(3, code_answer(33)).is_empty());
    assert!(desk.answered(2, Answer::Failed(ApiError::NotFound)).is_empty());
    let words = desk.answered(1, code_answer(11));
    assert_eq!(sources(&words), ["1", "2", "3", "4"]);
    assert_eq!(sources(&desk.answered(5, Answer::Failed(ApiError::DirectoryUnavailable))), ["5"]);
}

#[test]
fn every_shuffle_of_answers_leaves_in_order() {
    for step in [1, 3, 7, 9, 11, 13] {
        let mut desk = Desk::inside();
        for number in 0..20 {
            ask_code(&mut desk, &number.to_string());
        }
        // A step without common factor with twenty visits all.
        let words: Vec<_> = (0..20).flat_map(|n| desk.answered(n * step % 20 + 1, code_answer(n))).collect();
        assert_eq!(sources(&words), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(desk.answered(1, code_answer(1)).iter().all(|w| !w.starts_with('{')), "answered once");
    }
}

#[test]
fn the_notice_of_a_code_is_awaited_only_after_its_result() {
    let mut desk = Desk::inside();
    ask_code(&mut desk, "1");
    ask_code(&mut desk, "2");
    assert!(desk.answered(2, code_answer(22)).is_empty());
    let words = desk.answered(1, code_answer(11));
    assert_eq!(parsed(&words[0])["code"], "000000000011");
    assert_eq!(parsed(&words[0])["validUntil"], 1_767_225_600);
    assert_eq!(words[1], "await home 000000000011");
    assert_eq!(parsed(&words[2])["code"], "000000000022");
    assert_eq!(words[3], "await home 000000000022");
}

#[test]
fn a_question_that_failed_awaits_nothing() {
    let mut desk = Desk::inside();
    desk.say(&json!({"mt": "GetProvisionedDevice", "code": "000000000011"}));
    let words = desk.answered(1, Answer::Failed(ApiError::NotFound));
    let mt = "GetProvisionedDeviceResult";
    assert_eq!(words.len(), 1);
    assert_eq!(parsed(&words[0]), json!({"mt": mt, "code": "000000000011", "error": "not found"}));
}

#[test]
fn asking_for_a_device_tells_it_or_waits_for_it() {
    for device in [None, Some(Box::new(view()))] {
        let known = device.is_some();
        let mut desk = Desk::inside();
        let question = json!({"mt": "GetProvisionedDevice", "code": "000000000011", "src": "p8"});
        assert_eq!(desk.say(&question), ["act home", "ask 1 device 000000000011"]);
        let words = desk.answered(1, Answer::Device { name: domain("home"), code: code(11), device });
        assert_eq!(parsed(&words[0])["device"].is_object(), known);
        assert_eq!(words[1..], ["await home 000000000011"]);
    }
}

#[test]
fn a_connection_acts_as_users_once_for_each_domain() {
    let mut desk = Desk::inside();
    assert!(!desk.say(&json!({"mt": "GetLoginInfo"})).contains(&"act home".to_string()));
    assert_eq!(desk.say(&json!({"mt": "GetProvisioningCategories"})), ["act home", "ask 2 categories"]);
    assert_eq!(desk.say(&json!({"mt": "GetProvisioningCategories"})), ["ask 3 categories"]);
    assert!(!desk.answered(2, categories_answer()).contains(&"act home".to_string()));
    let other = || Answer::Categories { name: domain("other"), domain: DomainId(9), categories: Vec::new() };
    assert_eq!(desk.answered(3, other())[1..], ["act other"]);
    desk.say(&json!({"mt": "GetProvisioningCategories", "domainId": 9}));
    assert_eq!(desk.answered(4, other()).len(), 1);
}

#[test]
fn our_own_users_do_not_take_the_notices_of_others() {
    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    let requester = Requester { app: OWN_USERS.into(), sip: OWN_USERS.into() };
    desk.on(Event::Verified(Some(Box::new(Rights { requester, ..rights(false) })), Secret::new(KEY)));
    assert_eq!(desk.say(&json!({"mt": "GetProvisioningCategories"})), ["ask 1 categories"]);
}

#[test]
fn fifty_requests_a_second_and_no_more() {
    let mut desk = Desk::inside();
    for _ in 0..50 {
        assert_eq!(desk.answer_to(&json!({"mt": "GetLoginInfo"}))["error"], Value::Null);
    }
    assert_eq!(desk.answer_to(&json!({"mt": "GetLoginInfo"}))["error"], "too many requests");
    let list = desk.say(&json!({"mt": "GetProvisioningCategories", "src": "1"}));
    let answer = parsed(list.last().unwrap());
    let mt = "GetProvisioningCategoriesResult";
    assert_eq!(answer, json!({"mt": mt, "src": "1", "categories": [], "last": true, "error": "too many requests"}));
    assert_eq!(ask_code(&mut desk, "2").len(), 1, "codes are counted apart");
    desk.answered(53, Answer::Failed(ApiError::Internal));
    assert_eq!(desk.at(1_000).answer_to(&json!({"mt": "GetLoginInfo"}))["error"], Value::Null);
}

#[test]
fn five_hundred_codes_a_second_and_no_more() {
    let mut desk = Desk::inside();
    for number in 1..=500 {
        assert_eq!(*ask_code(&mut desk, "x").last().unwrap(), format!("ask {number} code Desk phones"));
    }
    assert!(ask_code(&mut desk, "501").is_empty(), "the refusal waits for its turn");
    assert_eq!(desk.at(1_000).say(&json!({"mt": "GetProvisioningCode", "category": "c"})), ["ask 502 code c"]);
    for number in 1..500 {
        desk.answered(number, Answer::Failed(ApiError::Internal));
    }
    let words = desk.answered(500, Answer::Failed(ApiError::Internal));
    assert_eq!(parsed(&words[1])["error"], "too many requests");
    assert_eq!(parsed(&words[1])["src"], "501");
}

#[test]
fn a_wrong_member_is_a_bad_request() {
    let mut desk = Desk::inside();
    for (request, error) in [
        (json!({"mt": "GetProvisioningCode"}), "bad request"),
        (json!({"mt": "GetProvisioningCode", "category": "c", "domainId": "2"}), "bad request"),
        (json!({"mt": "GetProvisionedDevice"}), "bad request"),
        (json!({"mt": "GetProvisionedDevice", "code": "12"}), "not found"),
        (json!({"mt": "AppInfo"}), "bad request"),
    ] {
        assert_eq!(desk.answer_to(&request)["error"], error, "{request}");
    }
}

#[test]
fn unknown_messages_are_answered_and_results_are_not() {
    let mut desk = Desk::inside();
    let answer = json!({"mt": "GetMoonResult", "src": "1", "api": "x", "error": "unknown message"});
    assert_eq!(desk.answer_to(&json!({"mt": "GetMoon", "src": "1", "api": "x"})), answer);
    assert_eq!(desk.answer_to(&json!({"mt": "AppCheckLogin"}))["error"], "unknown message");
    for mt in ["GetMoonResult", "AppLoginResult", "Result"] {
        assert!(desk.say(&json!({"mt": mt, "src": "1"})).is_empty());
    }
}

#[test]
fn keep_alive_is_answered_in_and_outside() {
    for mut desk in [Desk::new(), Desk::inside()] {
        assert_eq!(desk.answer_to(&json!({"mt": "KeepAlive"})), json!({"mt": "KeepAlive"}));
        assert_eq!(desk.answer_to(&json!({"mt": "KeepAlive", "src": "k"})), json!({"mt": "KeepAlive", "src": "k"}));
    }
}

#[test]
fn an_old_page_is_told_its_new_address() {
    let page = |mark: &str| format!("https://ap.example.org/example.com/devices/{mark}/innovaphone-devices.htm?x=1");
    for mut desk in [Desk::new(), Desk::inside()] {
        let answer = desk.answer_to(&json!({"mt": "CheckBuild", "url": page("12af07")}));
        assert_eq!(answer, json!({"mt": "CheckBuildResult", "url": page("13bc22")}));
        let answer = desk.answer_to(&json!({"mt": "CheckBuild", "url": page("13bc22")}));
        assert_eq!(answer, json!({"mt": "CheckBuildResult"}));
    }
}

#[test]
fn an_app_is_described() {
    let mut desk = Desk::inside();
    let apis = json!({"com.innovaphone.devices": {}});
    let app = "innovaphone-devices-api";
    assert_eq!(
        desk.answer_to(&json!({"mt": "AppInfo", "app": app, "src": "7"})),
        json!({"mt": "AppInfoResult", "src": "7", "app": app,
               "info": {"hidden": true, "apis": &apis}, "serviceInfo": {"apis": &apis}})
    );
    let answer = desk.answer_to(&json!({"mt": "AppInfo", "app": "x"}));
    assert_eq!(answer, json!({"mt": "AppInfoResult", "app": "x", "info": {"apis": {}}}));
}

#[test]
fn what_a_telephone_exchange_says_of_itself_is_kept_without_an_answer() {
    let mut desk = Desk::inside();
    assert!(desk.session.pbx().is_none());
    assert!(
        desk.say(&json!({"mt": "PbxInfo", "domain": "d", "pbx": "master", "pbxDns": 7, "apis": ["a", 1]})).is_empty()
    );
    let info = desk.session.pbx().unwrap();
    assert_eq!((info.pbx.as_deref(), info.pbx_dns.as_deref(), info.apis.len()), (Some("master"), None, 1));
}

#[test]
fn who_asks_and_does_not_read_is_closed() {
    let mut desk = Desk::inside();
    // A long answer, and nobody ever says that it has left.
    let words = desk.say(&json!({"mt": "GetLoginInfo", "src": "x".repeat(100_000)}));
    assert_eq!(words[1..], ["flush"]);
    let ask = json!({"mt": "GetLoginInfo", "src": "a"});
    let asked = (0..1_000).find(|_| desk.say(&ask).iter().any(|word| word.starts_with("close 1008")));
    assert!(asked.is_some_and(|asked| asked > 500), "{asked:?}");
}
