//! The texts of the answers, compared with the samples of the protocol.

use super::*;
use crate::core::model::device::{EthIf, Facts};
use crate::core::model::device_view::{DeviceView, DomainView};
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::protocol::appws::list::MAX_ITEM_BYTES;
use crate::core::protocol::json::Object;

fn request(text: &str) -> Request {
    Request::parse(text).unwrap()
}

fn code() -> Code {
    Code::parse("402817739164").unwrap()
}

fn device() -> DeviceView {
    DeviceView {
        id: DeviceId(31),
        key: DeviceKey::parse("00-90-33-41-A0-B1").unwrap(),
        name: None,
        app_ip: None,
        domain: Some(DomainId(2)),
        category: Some(CategoryId(4)),
        category_name: None,
        online: true,
        facts: Facts {
            product: "IP112".into(),
            version: "13r3 sr9 [13.6012/136012/300]".into(),
            platform: "PHONE".into(),
            ..Facts::default()
        },
    }
}

const SAMPLE: &str = concat!(
    r#"{"id":31,"hwId":"00903341a0b1","domainId":2,"product":"IP112","version":"13r3 sr9 [13.6012/136012/300]","#,
    r#""type":"PHONE","pbxActive":false,"online":true,"ethIfs":[]}"#
);

#[test]
fn log_in() {
    assert_eq!(
        challenge(&request(r#"{"mt":"AppChallenge"}"#), "4400918273645566"),
        r#"{"mt":"AppChallengeResult","challenge":"4400918273645566"}"#
    );
    let login = request(r#"{"mt":"AppLogin","src":"l"}"#);
    assert_eq!(
        login_ok(&login, "innovaphone-devices", "example.com"),
        r#"{"mt":"AppLoginResult","src":"l","app":"innovaphone-devices","domain":"example.com","ok":true}"#
    );
    assert_eq!(
        login_failed(&login, "x", "example.com"),
        r#"{"mt":"AppLoginResult","src":"l","app":"x","domain":"example.com","ok":false,"error":"LOGIN_FAILED"}"#
    );
}

#[test]
fn login_info_and_user_info() {
    let key = Secret::new("5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21");
    assert_eq!(
        login_info(&request(r#"{"mt":"GetLoginInfo","src":"a1"}"#), &key, false),
        r#"{"mt":"GetLoginInfoResult","src":"a1","key":"5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21","admin":false}"#
    );
    assert_eq!(
        user_info(&request(r#"{"mt":"GetUserInfo"}"#), &key, "13r3", true),
        r#"{"mt":"GetUserInfoResult","key":"5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21","major":"13r3","admin":true}"#
    );
}

#[test]
fn basic_messages() {
    let check = request(r#"{"mt":"CheckBuild","url":"u"}"#);
    assert_eq!(check_build(&check, None), r#"{"mt":"CheckBuildResult"}"#);
    assert_eq!(check_build(&check, Some("v")), r#"{"mt":"CheckBuildResult","url":"v"}"#);
    assert_eq!(keep_alive(&request(r#"{"mt":"KeepAlive","src":"k"}"#)), r#"{"mt":"KeepAlive","src":"k"}"#);
    assert_eq!(keep_alive(&request(r#"{"mt":"KeepAlive"}"#)), r#"{"mt":"KeepAlive"}"#);
}

#[test]
fn apps_are_described_by_the_table() {
    let ask = request(r#"{"mt":"AppInfo","app":"a","src":"7"}"#);
    assert_eq!(
        app_info(&ask, "innovaphone-devices-api", false),
        concat!(
            r#"{"mt":"AppInfoResult","src":"7","app":"innovaphone-devices-api","#,
            r#""info":{"apis":{"com.innovaphone.devices":{}},"hidden":true},"#,
            r#""serviceInfo":{"apis":{"com.innovaphone.devices":{}}}}"#
        )
    );
    assert_eq!(
        app_info(&ask, "innovaphone-devices.htm", false),
        concat!(
            r#"{"mt":"AppInfoResult","src":"7","app":"innovaphone-devices.htm","#,
            r#""info":{"apis":{"com.innovaphone.devicesui":{}}}}"#
        )
    );
    assert_eq!(app_info(&ask, "a", false), r#"{"mt":"AppInfoResult","src":"7","app":"a","info":{"apis":{}}}"#);
}

#[test]
fn searches_are_announced_where_a_page_answers_them() {
    let ask = request(r#"{"mt":"AppInfo","app":"a","src":"7"}"#);
    assert_eq!(
        app_info(&ask, "innovaphone-devices-api", true),
        concat!(
            r#"{"mt":"AppInfoResult","src":"7","app":"innovaphone-devices-api","#,
            r#""info":{"apis":{"com.innovaphone.devices":{},"com.innovaphone.search":{}},"hidden":true},"#,
            r#""serviceInfo":{"apis":{"com.innovaphone.devices":{}}}}"#
        )
    );
}

#[test]
fn codes_and_devices() {
    let ask = request(r#"{"mt":"GetProvisioningCode","category":"c","src":"p7"}"#);
    assert_eq!(
        provisioning_code(&ask, &code(), UnixMillis(1_767_225_600_999), "wss://a/sysclients"),
        concat!(
            r#"{"mt":"GetProvisioningCodeResult","src":"p7","code":"402817739164","validUntil":1767225600,"#,
            r#""url":"wss://a/sysclients"}"#
        )
    );
    let record = device();
    let object = record.object();
    let ask =
        request(r#"{"mt":"GetProvisionedDevice","code":"402817739164","src":"p8","api":"com.innovaphone.devices"}"#);
    let head = r#"{"mt":"GetProvisionedDeviceResult","src":"p8","api":"com.innovaphone.devices","code":"402817739164""#;
    assert_eq!(provisioned_device(&ask, &code(), None), format!("{head}}}"));
    assert_eq!(provisioned_device(&ask, &code(), Some(&object)), format!("{head},\"device\":{SAMPLE}}}"));
    assert_eq!(
        device_provisioned(Some("p7"), None, &code(), None, &object),
        format!(r#"{{"mt":"DeviceProvisioned","src":"p7","code":"402817739164","device":{SAMPLE}}}"#)
    );
    assert_eq!(
        device_provisioned(None, None, &code(), Some("TEL1"), &object),
        format!(r#"{{"mt":"DeviceProvisioned","code":"402817739164","port":"TEL1","device":{SAMPLE}}}"#)
    );
}

#[test]
fn devices_with_all_their_members() {
    let mut view = device();
    view.name = Some("Lobby".into());
    view.facts.pbx_active = true;
    view.facts.other = true;
    view.category_name = Some("Desk phones".into());
    view.facts.eth_ifs = vec![EthIf { name: "ETH0".into(), ipv4: Some("192.0.2.17".into()), ipv6: None }];
    let address = |view: &DeviceView| format!("https://h/{}/k/", view.key);
    assert_eq!(
        view.object().with_uri(address).text(),
        concat!(
            r#"{"id":31,"hwId":"00903341a0b1","name":"Lobby","domainId":2,"product":"IP112","#,
            r#""version":"13r3 sr9 [13.6012/136012/300]","type":"PHONE","pbxActive":true,"online":true,"#,
            r#""other":true,"uri":"https://h/00903341a0b1/k/","ethIfs":[{"if":"ETH0","ipv4":"192.0.2.17"}],"#,
            r#""category":"Desk phones"}"#
        )
    );
    view.online = false;
    assert!(!view.object().with_uri(address).text().contains("uri"), "offline");
    (view.online, view.domain) = (true, None);
    let text = view.object().with_uri(address).text();
    assert!(!text.contains("uri") && text.contains(r#""domainId":0,"#), "of no domain: {text}");
}

#[test]
fn answers_of_the_app_interface() {
    let view = device();
    assert_eq!(
        super::device(&request(r#"{"mt":"GetDevice","hwId":"00903341a0b1","src":"1"}"#), &view.object()),
        format!(r#"{{"mt":"GetDeviceResult","src":"1","device":{SAMPLE}}}"#)
    );
    assert_eq!(
        ports(&request(r#"{"mt":"GetDevicePhones","hwId":"009033480c2e","src":"1"}"#), &["TEL1".into(), "TEL3".into()]),
        r#"{"mt":"GetDevicePhonesResult","src":"1","phones":["TEL1","TEL3"]}"#
    );
    assert_eq!(done(&request(r#"{"mt":"SetDeviceFiler","recvUpdates":true}"#)), r#"{"mt":"SetDeviceFilerResult"}"#);
    let get = request(r#"{"mt":"HttpGet","uri":"u","src":"h"}"#);
    assert_eq!(
        fetched(
            &get,
            200,
            Some("text/plain"),
            b"ok
"
        ),
        r#"{"mt":"HttpGetResult","src":"h","status":200,"contentType":"text/plain","data":"ok\n"}"#
    );
    assert_eq!(
        fetched(&get, 404, None, b"\xff\x00"),
        r#"{"mt":"HttpGetResult","src":"h","status":404,"data":"/wA=","base64":true}"#
    );
    assert_eq!(
        count(&request(r#"{"mt":"GetUnassignedDevicesCount"}"#), 3),
        r#"{"mt":"GetUnassignedDevicesCountResult","count":3}"#
    );
    assert_eq!(
        notice("DeviceUpdate", Some("d"), "device", SAMPLE),
        format!(r#"{{"mt":"DeviceUpdate","src":"d","device":{SAMPLE}}}"#)
    );
    assert_eq!(count_notice(None, 4), r#"{"mt":"UnassignedDevicesCount","count":4}"#);
}

#[test]
fn domains_are_listed_with_their_categories() {
    let view = DomainView {
        id: DomainId(2),
        name: DomainName::parse("example.com").unwrap(),
        deploy_admin_passwords: true,
        is_instance_domain: true,
        settings: 0,
        categories: vec![category(4, "Desk phones", true), category(5, "old", false)],
    };
    let text = objects::domain(&view);
    assert_eq!(
        domains(&request(r#"{"mt":"GetDomains","recvUpdates":true}"#), [text.as_str()]),
        [concat!(
            r#"{"mt":"GetDomainsResult","last":true,"domains":[{"id":2,"name":"example.com","#,
            r#""hasRentalProducts":false,"deployAdminPasswords":true,"isInstanceDomain":true,"categories":["#,
            r#"{"id":4,"name":"Desk phones","config":true},{"id":5,"name":"old","config":false}]}]}"#
        )]
    );
}

fn category(id: u64, name: &str, provisioning: bool) -> Category {
    Category { id: CategoryId(id), name: name.into(), provisioning }
}

#[test]
fn only_provisioning_categories_are_listed() {
    let ask = request(r#"{"mt":"GetProvisioningCategories","type":"PHONE","src":"a2"}"#);
    let all = [category(4, "Desk \"phones\"", true), category(5, "old", false), category(9, "Lobby", true)];
    assert_eq!(
        categories(&ask, DomainId(2), &all),
        [concat!(
            r#"{"mt":"GetProvisioningCategoriesResult","src":"a2","last":true,"categories":["#,
            r#"{"id":4,"domainId":2,"name":"Desk \"phones\"","config":true},"#,
            r#"{"id":9,"domainId":2,"name":"Lobby","config":true}]}"#
        )]
    );
    assert_eq!(
        categories(&ask, DomainId(2), &[]),
        [r#"{"mt":"GetProvisioningCategoriesResult","src":"a2","last":true,"categories":[]}"#]
    );
}

#[test]
fn long_lists_come_in_parts() {
    let ask = request(r#"{"mt":"GetProvisioningCategories"}"#);
    let sizes = |all: &[Category]| -> Vec<(usize, bool)> {
        let parts = categories(&ask, DomainId(2), all);
        let read = parts.iter().map(|text| Object::parse(text.as_bytes()).unwrap());
        read.map(|part| (part.array("categories").unwrap().len(), part.bool("last").unwrap())).collect()
    };
    let many = |count: u64, name: &str| -> Vec<Category> { (0..count).map(|id| category(id, name, true)).collect() };
    assert_eq!(sizes(&many(1000, "c")), [(1000, true)]);
    assert_eq!(sizes(&many(2001, "c")), [(1000, false), (1000, false), (1, true)]);
    assert_eq!(sizes(&many(3, &"x".repeat(MAX_ITEM_BYTES / 2))), [(1, false), (1, false), (1, true)]);
    assert_eq!(sizes(&many(2, &"x".repeat(MAX_ITEM_BYTES * 2))), [(1, false), (1, true)]);
}
