//! Requests about devices: order, parts, passthrough addresses, rights, limits, notices.

use super::*;
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::APP_PLATFORM;
use crate::core::model::device_view::{DeviceView, DomainView};
use crate::core::protocol::appws::search::{Hits, Search};
use crate::core::protocol::close::Close;
use crate::core::session::app::device_pager::DevicePager;
use crate::core::session::app::event::DataChange;
use std::sync::Arc;

fn page(ids: std::ops::Range<u64>, more: bool) -> Answer {
    let devices = ids.map(|id| views::view(id, 2, "PHONE")).collect();
    let rest = more.then(|| Box::new(DevicePager::new(Arc::default(), [None])));
    Answer::Page { devices, rest }
}

fn only(output: &[String]) -> Value {
    let [summary] = output else { panic!("{output:?}") };
    parsed(summary)
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
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetProvisioningCode", "category": "c", "src": "1"}));
    assert!(harness.say(&json!({"mt": "GetPhones", "src": "2"})).is_empty(), "asked for when it is its turn");
    assert!(harness.say(&json!({"mt": "GetPhones"})).is_empty());
    let output = harness.answered(1, code_answer(1));
    assert_eq!(output.last().unwrap(), "ask 2 list");
    assert_eq!(harness.answered(2, page(1..900, true)), ["ask 2 more"], "a part is not full yet");
    // The next part is full; nothing more is read before the client has taken it.
    let output = harness.answered(2, page(900..1800, true));
    let part = parsed(&output[0]);
    assert_eq!((&part["last"], &part["src"]), (&json!(false), &json!("2")));
    let sent = part["phones"].as_array().unwrap().len();
    assert!(sent > 900 && output[0].len() < 257 * 1024, "{sent}");
    assert_eq!(output[1..], ["flush"]);
    assert_eq!(harness.on(Event::Flushed), ["ask 2 more"]);
    let output = harness.answered(2, page(1800..1801, false));
    assert_eq!((parsed(&output[0])["phones"].as_array().unwrap().len(), output.len()), (1800 - sent, 2));
    assert_eq!(harness.on(Event::Flushed), ["ask 3 list"], "then the other list");
    assert_eq!(
        only(&harness.answered(3, page(0..0, false))),
        json!({"mt": "GetPhonesResult", "last": true, "phones": []})
    );
}

#[test]
fn a_failed_list_is_answered_in_the_form_of_a_list() {
    let mut harness = Harness::logged_in();
    assert_eq!(harness.say(&json!({"mt": "GetDects", "src": "1"})), ["ask 1 list"]);
    let output = harness.answered(1, Answer::Failed(ApiError::Internal));
    let error = json!({"mt": "GetDectsResult", "src": "1", "dects": [], "last": true, "error": "internal error"});
    assert_eq!(only(&output), error);
}

#[test]
fn the_address_of_a_device_is_that_of_this_session() {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetDevice", "hwId": "device-7"}));
    let answer = only(&harness.answered(1, Answer::Named(Box::new(views::view(7, 2, "PHONE")))));
    let uri = format!("https://ap.example.org/example.com/devices/passthrough/device-7/{KEY}/");
    assert_eq!(answer["device"]["uri"], uri);
    let get = json!({"mt": "HttpGet", "uri": format!("{uri}log.txt?a=b"), "src": "h"});
    assert_eq!(harness.say(&get), ["ask 2 fetch /log.txt?a=b of device-7"]);
    for foreign in ["http://127.0.0.1/", "https://ap.example.org/example.com/devices/passthrough/device-7/key/"] {
        assert_eq!(harness.answer_to(&json!({"mt": "HttpGet", "uri": foreign}))["error"], "bad request");
    }
}

#[test]
fn only_lists_of_the_app_interface_have_addresses() {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetPhones"}));
    let phones = parsed(&harness.answered(1, page(7..8, false))[0]);
    assert!(phones["phones"][0]["uri"].is_string(), "{phones}");
    harness.on(Event::Flushed);
    harness.say(&json!({"mt": "GetDevices"}));
    let devices = parsed(&harness.answered(2, page(7..8, false))[0]);
    assert_eq!((&devices["devices"][0]["id"], devices["devices"][0].get("uri")), (&json!(7), None));
}

#[test]
fn the_address_of_an_app_platform_among_the_gateways_leads_to_its_app_ip() {
    let platform = || {
        let app_ip = AppIpPath::parse("/ip").ok();
        let devices = vec![DeviceView { app_ip, ..views::view(7, 2, APP_PLATFORM) }];
        Answer::Page { devices, rest: None }
    };
    let address = format!("https://ap.example.org/example.com/devices/passthrough/device-7/{KEY}/");
    let mut harness = Harness::logged_in();
    for (number, mt, array, expected) in
        [(1, "GetGateways", "gateways", format!("{address}ip/")), (2, "GetAppPlatforms", "appPlatforms", address)]
    {
        harness.say(&json!({"mt": mt}));
        let listed = parsed(&harness.answered(number, platform())[0])[array][0].clone();
        assert_eq!((&listed["type"], &listed["uri"]), (&json!(APP_PLATFORM), &json!(expected)));
        harness.on(Event::Flushed);
    }
}

#[test]
fn http_get_is_overtaken_but_not_by_one_with_the_same_src() {
    let mut harness = Harness::logged_in();
    let uri = format!("https://ap.example.org/example.com/devices/passthrough/device-7/{KEY}/");
    let get = |src: &str| json!({"mt": "HttpGet", "uri": uri, "src": src});
    let fetched = || Answer::Fetched { status: 200, content_type: None, body: b"ok".to_vec() };
    for src in ["a", "a", "b", "c", "c", "c", "c", "c"] {
        assert_eq!(harness.say(&get(src)).len(), 1);
    }
    assert!(harness.say(&get("a")).is_empty(), "one too many, but in its place");
    assert_eq!(harness.answer_to(&get("d"))["error"], "too many requests");
    assert_eq!(harness.answer_to(&json!({"mt": "GetLoginInfo"}))["key"], KEY);
    assert!(harness.answered(2, fetched()).is_empty());
    assert_eq!(only(&harness.answered(3, fetched()))["src"], "b");
    let output = harness.answered(1, Answer::Failed(ApiError::Offline));
    let said: Vec<_> = output.iter().map(|w| (parsed(w)["status"].clone(), parsed(w)["error"].clone())).collect();
    assert_eq!(
        said,
        [(Value::Null, json!("offline")), (json!(200), Value::Null), (Value::Null, json!("too many requests")),]
    );
}

#[test]
fn only_the_app_of_devices_may_change_things() {
    let remove = json!({"mt": "RemoveDevicePhone", "hwId": "device-7", "id": "TEL1", "src": "1"});
    let mut harness = Harness::logged_in();
    let refused = json!({"mt": "RemoveDevicePhoneResult", "src": "1", "error": "not allowed"});
    assert_eq!(harness.answer_to(&remove), refused);
    let mut rights = rights(false);
    rights.requester.app = "innovaphone-devices".into();
    let mut harness = Harness::new();
    let challenge = harness.challenge();
    harness.login_with(&challenge);
    harness.on(Event::Verified(Some(Box::new(rights)), Secret::new(KEY)));
    assert_eq!(harness.say(&remove), ["ask 1 remove TEL1 of device-7"]);
    assert_eq!(only(&harness.answered(1, Answer::Done)), json!({"mt": "RemoveDevicePhoneResult", "src": "1"}));
}

#[test]
fn notices_follow_the_list_and_are_merged() {
    let mut harness = Harness::logged_in();
    let output = harness.say(&json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"}));
    assert_eq!(output, ["follow true false true", "ask 1 list"], "nothing between the news and the list is lost");
    assert!(harness.on(news(1..2)).is_empty(), "no notice before the end of the list");
    let output = harness.answered(1, page(1..3, false));
    assert_eq!(parsed(&output[0])["devices"].as_array().unwrap().len(), 2);
    assert_eq!(output[1..], ["ask 2 look 1"]);
    let notice = only(&harness.answered(2, looked(1..2, "new")));
    assert_eq!((&notice["mt"], &notice["src"]), (&json!("DeviceUpdate"), &json!("d")));
    assert_eq!(notice["device"]["version"], "new");
    // Within the same second: merged.
    for _ in 0..3 {
        assert!(harness.on(news(1..4)).is_empty());
    }
    assert_eq!(harness.deadline(), Some(1_000));
    assert_eq!(harness.at(1_000).tick(), ["ask 3 look 3"]);
    let output = harness.answered(3, looked(1..4, "newer"));
    let kinds: Vec<_> = output.iter().map(|w| parsed(w)["mt"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["DeviceUpdate", "DeviceUpdate", "DeviceAdded"]);
    // No change, no notice.
    harness.on(news(1..2));
    assert_eq!(harness.at(2_000).tick(), ["ask 4 look 1"]);
    assert!(harness.answered(4, looked(1..2, "newer")).is_empty());
    assert_eq!(harness.say(&json!({"mt": "SetDeviceFiler", "recvUpdates": false})).len(), 2);
    assert!(harness.at(9_000).on(news(1..2)).is_empty());
    assert_eq!(harness.deadline(), None);
}

#[test]
fn a_client_with_too_many_unsent_notices_is_closed() {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetDevices", "recvUpdates": true}));
    harness.answered(1, page(0..0, false));
    let output = harness.on(news(0..1_000));
    assert_eq!(output, ["ask 2 look 256"]);
    assert_eq!(harness.answered(2, looked(0..256, "1")).last().unwrap(), "ask 3 look 256");
    let output = harness.answered(3, looked(256..512, "1"));
    assert!(output.contains(&"flush".to_owned()), "it does not read");
    assert!(!output.iter().any(|summary| summary.starts_with("ask")), "and nothing more is read for it");
    assert!(harness.on(news(0..60_000)).is_empty());
    let close = format!("close {} {}", Close::Overload.code(), Close::Overload.text());
    assert_eq!(harness.on(news(60_000..100_000)), [close]);
}

#[test]
fn domains_and_the_number_of_unassigned_devices_are_followed() {
    let view = |id, name: &str| DomainView {
        settings: 0,
        id: DomainId(id),
        name: domain(name),
        deploy_admin_passwords: false,
        is_instance_domain: false,
        categories: Vec::new(),
    };
    let mut harness = Harness::logged_in();
    assert_eq!(harness.say(&json!({"mt": "GetDomains", "recvUpdates": true, "src": "m"})), ["ask 1 domains"]);
    let output = harness.answered(1, Answer::Domains(vec![view(2, "home"), view(3, "old")]));
    assert_eq!(parsed(&output[0])["domains"].as_array().unwrap().len(), 2);
    assert_eq!(output[1..], ["follow false false true", "ask 2 domains"], "read once more when the news have begun");
    harness.answered(2, Answer::Domains(vec![view(2, "home"), view(3, "old")]));
    harness.on(Event::DataChange(DataChange::Domains));
    assert_eq!(harness.at(1_000).tick(), ["ask 3 domains"]);
    let output = harness.answered(3, Answer::Domains(vec![view(2, "house"), view(4, "new")]));
    let said: Vec<_> = output.iter().filter(|w| w.starts_with('{')).map(|w| parsed(w)["mt"].clone()).collect();
    assert_eq!(said, ["DomainEdited", "DomainAdded", "DomainDeleted"]);
    let deleted = output.iter().find(|text| text.contains("DomainDeleted")).unwrap();
    assert_eq!(parsed(deleted), json!({"mt": "DomainDeleted", "src": "m", "id": 3}));
    // A setting that is not shown, such as a password.
    harness.on(Event::DataChange(DataChange::Domains));
    assert_eq!(harness.at(2_000).tick(), ["ask 4 domains"]);
    let changed = DomainView { settings: 1, ..view(2, "house") };
    let notice = only(&harness.answered(4, Answer::Domains(vec![changed, view(4, "new")])));
    assert_eq!((&notice["mt"], &notice["domain"]["id"]), (&json!("DomainEdited"), &json!(2)));

    harness.say(&json!({"mt": "GetUnassignedDevicesCount", "recvUpdates": true, "src": "c"}));
    let output = harness.answered(5, Answer::Unassigned(3));
    assert_eq!(parsed(&output[0])["count"], 3);
    assert_eq!(output[1..], ["follow false true true", "ask 6 unassigned"]);
    assert!(harness.answered(6, Answer::Unassigned(3)).is_empty());
    harness.on(Event::DataChange(DataChange::UnassignedChanged));
    assert_eq!(harness.at(4_000).tick(), ["ask 7 unassigned"]);
    let notice = only(&harness.answered(7, Answer::Unassigned(4)));
    assert_eq!(notice, json!({"mt": "UnassignedDevicesCount", "src": "c", "count": 4}));
}

#[test]
fn the_switch_alone_starts_nothing() {
    let mut harness = Harness::logged_in();
    let switch = |on: bool| json!({"mt": "SetDeviceFiler", "recvUpdates": on, "src": "f"});
    let switched = json!({"mt": "SetDeviceFilerResult", "src": "f"});
    assert_eq!(harness.answer_to(&switch(true)), switched, "nothing is followed");
    harness.say(&json!({"mt": "GetDevices", "src": "d"}));
    assert_eq!(harness.answered(2, page(1..3, false)).len(), 1);
    assert_eq!(harness.answer_to(&switch(true)), switched, "nor after a list without notices");
    harness.say(&json!({"mt": "GetDevices", "recvUpdates": true, "src": "d"}));
    harness.answered(4, page(1..3, false));
    assert_eq!(harness.say(&switch(false)).last().unwrap(), "follow false false false");
    assert!(harness.on(news(1..2)).is_empty());
    let output = harness.say(&switch(true));
    assert_eq!(output[1..], ["follow true false true", "ask 7 list"]);
    let notice = only(&harness.answered(7, page(1..4, false)));
    assert_eq!((&notice["mt"], &notice["src"]), (&json!("DeviceAdded"), &json!("d")), "of the subscribing request");
    // A list without notices ends it.
    assert_eq!(harness.say(&json!({"mt": "GetDevices", "src": "d"}))[0], "follow false false false");
    harness.answered(8, page(1..3, false));
    assert_eq!(harness.answer_to(&switch(true)), switched);
}

#[test]
fn devices_without_a_domain_are_read_again_by_themselves() {
    let mut admin = Harness::new();
    let challenge = admin.challenge();
    admin.login_with(&challenge);
    admin.on(Event::Verified(Some(Box::new(rights(true))), Secret::new(KEY)));
    let without = |id| DeviceView { domain: None, category: None, category_name: None, ..views::view(id, 2, "PHONE") };
    let read = |ids: &[u64]| Answer::Page { devices: ids.iter().map(|id| without(*id)).collect(), rest: None };
    let output = admin.say(&json!({"mt": "GetDevices", "recvUpdates": true}));
    assert_eq!(output, ["follow true true true", "ask 1 list"], "everything");
    let Answer::Page { devices, .. } = page(1..3, false) else { panic!("a page") };
    admin.answered(1, Answer::Page { devices: [devices, vec![without(7)]].concat(), rest: None });
    admin.on(Event::DataChange(DataChange::UnassignedChanged));
    // Those of domains are not read, and not missed.
    let output = admin.answered(2, read(&[8]));
    assert_eq!(
        parsed(&output[0])["device"],
        json!({"id": 8, "hwId": "device-8", "domainId": 0, "product": "IP112",
        "version": "13r3", "type": "PHONE", "pbxActive": false, "online": true, "ethIfs": []})
    );
    assert_eq!(output[1..], ["ask 3 look 1"], "the one that is missed");
    let gone = Answer::Looked(vec![(without(7).key, None)]);
    let notice = only(&admin.answered(3, gone));
    assert_eq!((&notice["mt"], &notice["device"]["domainId"]), (&json!("DeviceRemoved"), &json!(0)));
    // Changes of members and of the others have their turns in the same second.
    admin.on(Event::DataChange(DataChange::UnassignedChanged));
    admin.on(news(1..2));
    assert_eq!(admin.at(1_000).tick(), ["ask 4 look 1"]);
    assert_eq!(admin.answered(4, looked(1..2, "13r3")), ["ask 5 list"]);

    // Nobody else is told of them.
    let mut other = Harness::logged_in();
    let output = other.say(&json!({"mt": "GetDevices", "recvUpdates": true}));
    assert_eq!(output, ["follow true false true", "ask 1 list"]);
}

#[test]
fn a_connection_searches_one_text_after_another() {
    let mut harness = Harness::logged_in();
    let search = |src: &str| json!({"mt": "Search", "api": "com.innovaphone.search", "search": "ip11", "src": src});
    assert_eq!(harness.say(&search("1")), ["ask 1 search"]);
    assert!(harness.say(&search("2")).is_empty(), "asked for when it is its turn");
    let mut hits = Hits::new(Search::read(&Request::parse(&search("1").to_string()).unwrap().body).unwrap());
    hits.device(&views::view(7, 2, "PHONE"));
    let output = harness.answered(1, Answer::Hits(hits));
    let said: Vec<_> =
        output[..2].iter().map(|text| (parsed(text)["mt"].clone(), parsed(text)["src"].clone())).collect();
    assert_eq!(said, [(json!("SearchInfo"), json!("1")), (json!("SearchResult"), json!("1"))]);
    assert_eq!(output[2..], ["ask 2 search"]);
    let error = only(&harness.answered(2, Answer::Failed(ApiError::Internal)));
    assert_eq!((&error["mt"], &error["api"]), (&json!("SearchResult"), &json!("com.innovaphone.search")));
}
