//! Requests about devices: order, parts, passthrough addresses, rights, limits, notices.

use super::*;
use crate::core::model::device_view::DomainView;
use crate::core::protocol::close::Close;
use crate::core::session::app::event::DataChange;
use crate::core::session::app::walk::Walk;
use std::sync::Arc;

fn page(ids: std::ops::Range<u64>, more: bool) -> Answer {
    let devices = ids.map(|id| views::view(id, 2, "PHONE")).collect();
    let rest = more.then(|| Box::new(Walk::new(Arc::default(), [None])));
    Answer::Page { devices, rest }
}

fn only(words: &[String]) -> Value {
    let [word] = words else { panic!("{words:?}") };
    parsed(word)
}

fn news(ids: std::ops::Range<u64>) -> Event<'static> {
    Event::DataChange(DataChange::Devices(ids.map(|id| views::view(id, 2, "PHONE").key).collect()))
}

fn looked(ids: std::ops::Range<u64>, version: &str) -> Answer {
    let view = |id| {
        let mut view = views::view(id, 2, "PHONE");
        view.facts.version = version.into();
        (view.key.clone(), Some(view))
    };
    Answer::Looked(ids.map(view).collect())
}

#[test]
fn a_list_waits_for_its_turn_and_goes_out_in_parts() {
    let mut desk = Desk::inside();
    desk.say(&json!({"mt": "GetProvisioningCode", "category": "c", "src": "1"}));
    assert!(desk.say(&json!({"mt": "GetPhones", "src": "2"})).is_empty(), "asked for when it is its turn");
    assert!(desk.say(&json!({"mt": "GetPhones"})).is_empty());
    let words = desk.answered(1, code_answer(1));
    assert_eq!(words.last().unwrap(), "ask 2 list");
    assert_eq!(desk.answered(2, page(1..900, true)), ["ask 2 more"], "a part is not full yet");
    // The next part is full; nothing more is read before the client has it.
    let words = desk.answered(2, page(900..1800, true));
    let part = parsed(&words[0]);
    assert_eq!((&part["last"], &part["src"]), (&json!(false), &json!("2")));
    let sent = part["phones"].as_array().unwrap().len();
    assert!(sent > 900 && words[0].len() < 257 * 1024, "{sent}");
    assert_eq!(words[1..], ["flush"]);
    assert_eq!(desk.on(Event::Flushed), ["ask 2 more"]);
    let words = desk.answered(2, page(1800..1801, false));
    assert_eq!((parsed(&words[0])["phones"].as_array().unwrap().len(), words.len()), (1800 - sent, 2));
    assert_eq!(desk.on(Event::Flushed), ["ask 3 list"], "then the other list");
    assert_eq!(
        only(&desk.answered(3, page(0..0, false))),
        json!({"mt": "GetPhonesResult", "last": true, "phones": []})
    );
}

#[test]
fn a_list_that_fails_says_so_in_the_form_of_a_list() {
    let mut desk = Desk::inside();
    assert_eq!(desk.say(&json!({"mt": "GetDects", "src": "1"})), ["ask 1 list"]);
    let words = desk.answered(1, Answer::Failed(ApiError::Internal));
    let error = json!({"mt": "GetDectsResult", "src": "1", "dects": [], "last": true, "error": "internal error"});
    assert_eq!(only(&words), error);
}

#[test]
fn the_address_of_a_device_is_that_of_this_session() {
    let mut desk = Desk::inside();
    desk.say(&json!({"mt": "GetDevice", "hwId": "device-7"}));
    let answer = only(&desk.answered(1, Answer::Named(Box::new(views::view(7, 2, "PHONE")))));
    let uri = format!("https://ap.example.org/example.com/devices/passthrough/device-7/{KEY}/");
    assert_eq!(answer["device"]["uri"], uri);
    let get = json!({"mt": "HttpGet", "uri": format!("{uri}log.txt?a=b"), "src": "h"});
    assert_eq!(desk.say(&get), ["ask 2 fetch /log.txt?a=b of device-7"]);
    for foreign in ["http://127.0.0.1/", "https://ap.example.org/example.com/devices/passthrough/device-7/key/"] {
        assert_eq!(desk.answer_to(&json!({"mt": "HttpGet", "uri": foreign}))["error"], "bad request");
    }
}

#[test]
fn what_takes_long_is_overtaken_but_not_by_its_like() {
    let mut desk = Desk::inside();
    let uri = format!("https://ap.example.org/example.com/devices/passthrough/device-7/{KEY}/");
    let get = |src: &str| json!({"mt": "HttpGet", "uri": uri, "src": src});
    let fetched = || Answer::Fetched { status: 200, content_type: None, body: b"ok".to_vec() };
    for src in ["a", "a", "b", "c", "c", "c", "c", "c"] {
        assert_eq!(desk.say(&get(src)).len(), 1);
    }
    assert!(desk.say(&get("a")).is_empty(), "one too many, but in its place");
    assert_eq!(desk.answer_to(&get("d"))["error"], "too many requests");
    assert_eq!(desk.answer_to(&json!({"mt": "GetLoginInfo"}))["key"], KEY);
    assert!(desk.answered(2, fetched()).is_empty());
    assert_eq!(only(&desk.answered(3, fetched()))["src"], "b");
    let words = desk.answered(1, Answer::Failed(ApiError::Offline));
    let said: Vec<_> = words.iter().map(|w| (parsed(w)["status"].clone(), parsed(w)["error"].clone())).collect();
    assert_eq!(
        said,
        [(Value::Null, json!("offline")), (json!(200), Value::Null), (Value::Null, json!("too many requests")),]
    );
}

#[test]
fn only_the_app_of_devices_changes_things() {
    let remove = json!({"mt": "RemoveDevicePhone", "hwId": "device-7", "id": "TEL1", "src": "1"});
    let mut desk = Desk::inside();
    let refused = json!({"mt": "RemoveDevicePhoneResult", "src": "1", "error": "not allowed"});
    assert_eq!(desk.answer_to(&remove), refused);
    let mut rights = rights(false);
    rights.requester.app = "innovaphone-devices".into();
    let mut desk = Desk::new();
    let challenge = desk.challenge();
    desk.login_with(&challenge);
    desk.on(Event::Verified(Some(Box::new(rights)), Secret::new(KEY)));
    assert_eq!(desk.say(&remove), ["ask 1 remove TEL1 of device-7"]);
    assert_eq!(only(&desk.answered(1, Answer::Done)), json!({"mt": "RemoveDevicePhoneResult", "src": "1"}));
}

#[test]
fn notices_follow_the_list_and_are_merged() {
    let mut desk = Desk::inside();
    let words = desk.say(&json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"}));
    assert_eq!(words, ["follow true false true", "ask 1 list"], "nothing between the news and the list is lost");
    assert!(desk.on(news(1..2)).is_empty(), "no notice before the end of the list");
    let words = desk.answered(1, page(1..3, false));
    assert_eq!(parsed(&words[0])["devices"].as_array().unwrap().len(), 2);
    assert_eq!(words[1..], ["ask 2 look 1"]);
    let notice = only(&desk.answered(2, looked(1..2, "new")));
    assert_eq!((&notice["mt"], &notice["src"]), (&json!("DeviceUpdate"), &json!("d")));
    assert_eq!(notice["device"]["version"], "new");
    // Within the same second: gathered.
    for _ in 0..3 {
        assert!(desk.on(news(1..4)).is_empty());
    }
    assert_eq!(desk.deadline(), Some(1_000));
    assert_eq!(desk.at(1_000).tick(), ["ask 3 look 3"]);
    let words = desk.answered(3, looked(1..4, "newer"));
    let kinds: Vec<_> = words.iter().map(|w| parsed(w)["mt"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["DeviceUpdate", "DeviceUpdate", "DeviceAdded"]);
    // Nothing new: nothing said.
    desk.on(news(1..2));
    assert_eq!(desk.at(2_000).tick(), ["ask 4 look 1"]);
    assert!(desk.answered(4, looked(1..2, "newer")).is_empty());
    assert_eq!(desk.say(&json!({"mt": "SetDeviceFiler", "recvUpdates": false})).len(), 2);
    assert!(desk.at(9_000).on(news(1..2)).is_empty());
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_client_with_too_many_unsent_notices_is_sent_away() {
    let mut desk = Desk::inside();
    desk.say(&json!({"mt": "GetDevices", "recvUpdates": true}));
    desk.answered(1, page(0..0, false));
    let words = desk.on(news(0..1_000));
    assert_eq!(words, ["ask 2 look 256"]);
    assert_eq!(desk.answered(2, looked(0..256, "1")).last().unwrap(), "ask 3 look 256");
    let words = desk.answered(3, looked(256..512, "1"));
    assert!(words.contains(&"flush".to_owned()), "it does not read");
    assert!(!words.iter().any(|word| word.starts_with("ask")), "and nothing more is read for it");
    assert!(desk.on(news(0..60_000)).is_empty());
    let close = format!("close {} {}", Close::Overload.code(), Close::Overload.text());
    assert_eq!(desk.on(news(60_000..100_000)), [close]);
}

#[test]
fn domains_and_the_number_of_unassigned_devices_are_followed() {
    let view = |id, name: &str| DomainView {
        id: DomainId(id),
        name: domain(name),
        deploy_admin_passwords: false,
        is_instance_domain: false,
        categories: Vec::new(),
    };
    let mut desk = Desk::inside();
    assert_eq!(desk.say(&json!({"mt": "GetDomains", "recvUpdates": true, "src": "m"})), ["ask 1 domains"]);
    let words = desk.answered(1, Answer::Domains(vec![view(2, "home"), view(3, "old")]));
    assert_eq!(parsed(&words[0])["domains"].as_array().unwrap().len(), 2);
    assert_eq!(words[1..], ["follow false false true", "ask 2 domains"], "read once more when the news have begun");
    desk.answered(2, Answer::Domains(vec![view(2, "home"), view(3, "old")]));
    desk.on(Event::DataChange(DataChange::Domains));
    assert_eq!(desk.at(1_000).tick(), ["ask 3 domains"]);
    let words = desk.answered(3, Answer::Domains(vec![view(2, "house"), view(4, "new")]));
    let said: Vec<_> = words.iter().filter(|w| w.starts_with('{')).map(|w| parsed(w)["mt"].clone()).collect();
    assert_eq!(said, ["DomainUpdate", "DomainAdded", "DomainRemoved"]);

    desk.say(&json!({"mt": "GetUnassignedDevicesCount", "recvUpdates": true, "src": "c"}));
    let words = desk.answered(4, Answer::Unassigned(3));
    assert_eq!(parsed(&words[0])["count"], 3);
    assert_eq!(words[1..], ["follow false true true", "ask 5 unassigned"]);
    assert!(desk.answered(5, Answer::Unassigned(3)).is_empty());
    desk.on(Event::DataChange(DataChange::ListUnassigned));
    assert_eq!(desk.at(3_000).tick(), ["ask 6 unassigned"]);
    let notice = only(&desk.answered(6, Answer::Unassigned(4)));
    assert_eq!(notice, json!({"mt": "UnassignedDevicesCount", "src": "c", "count": 4}));
}
