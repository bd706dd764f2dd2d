//! The Devices interface: `docs/protocol/devices-api.md`.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::{App, Login};
use super::device::{RECEIVE, RECEIVE_RESULT, SEND, SEND_RESULT, SHUTDOWN, phone, with};
use super::finding::{Findings, Step, ensure};
use super::kit::{Check, Kit, alongside, check};

/// The checks of this text.
pub const CHECKS: &[Check] = &[
    check!(
        devices,
        [
            "devices-api-1-a",
            "devices-api-1-b",
            "devices-api-1.1-a",
            "devices-api-1.1-b",
            "devices-api-1.3-a",
            "devices-api-1.3-b",
            "devices-api-1.3-c",
            "devices-api-1.3-d",
            "devices-api-3.1-a",
            "devices-api-3.1-b",
            "devices-api-3.1-c",
            "devices-api-3.2-a",
            "devices-api-3.3-a",
            "devices-api-4.7-a",
            "devices-api-4.7-b",
        ]
    ),
    check!(errors, ["devices-api-1.2-a", "devices-api-1.2-b", "devices-api-1.2-c"]),
    check!(session_key, ["devices-api-2.1-a", "devices-api-2.1-b", "devices-api-4.1-a"]),
    check!(categories, ["devices-api-1.3-e", "devices-api-2.2-a", "devices-api-2.2-b"]),
    check!(
        codes,
        [
            "devices-api-2.3-a",
            "devices-api-2.3-b",
            "devices-api-2.3-c",
            "devices-api-2.3-d",
            "devices-api-2.3-e",
            "devices-api-2.3-f",
        ]
    ),
    check!(name, ["devices-api-2.3-g"]),
    check!(provisioned, ["devices-api-2.4-a", "devices-api-2.4-b", "devices-api-2.4-c"]),
    check!(notice, ["devices-api-2.5-a", "devices-api-2.5-d"]),
    check!(notice_with_api, ["devices-api-2.5-e"]),
    check!(asked_for, ["devices-api-2.5-b"]),
    check!(mailbox, ["devices-api-2.5-c"]),
    check!(remove_port, ["devices-api-3.4-a"]),
    check!(http_get, ["devices-api-3.5-a", "devices-api-3.5-b", "devices-api-5-b"]),
    check!(dead_key, ["devices-api-5-a"]),
    check!(domains, ["devices-api-1.3-f", "devices-api-4.2-a"]),
    check!(
        filters,
        ["devices-api-4.3-a", "devices-api-4.3-b", "devices-api-4.3-c", "devices-api-4.3-d", "devices-api-4.3-e"]
    ),
    check!(unassigned_count, ["devices-api-4.4-a"]),
    check!(switch, ["devices-api-4.5-a", "devices-api-4.5-b"]),
    check!(subscription, ["devices-api-4.6-a", "devices-api-4.6-b", "devices-api-4.6-c", "devices-api-4.6-d"]),
    check!(configs, ["devices-api-4.8-a", "devices-api-4.9-a"]),
    check!(too_many, ["devices-api-6-a"]),
    check!(search, ["devices-api-9-a", "devices-api-9-b", "devices-api-9-c"]),
];

/// Whether a value has a member that is null.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        _ => false,
    }
}

/// The members that every Device object has.
fn is_device(device: &Value) -> bool {
    device["id"].is_u64()
        && device["domainId"].is_u64()
        && ["hwId", "product", "version", "type"].iter().all(|name| device[name].is_string())
        && ["pbxActive", "online"].iter().all(|name| device[name].is_boolean())
}

async fn devices(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let gateway = with(phone(&kit.id()), json!({"platform": {"type": "GW", "fxs": true}, "product": "IP411"}));
    let gateway = kit.enter_as(&mut app, &f.transcript, gateway).await?;
    let member = kit.enter(&mut app, &f.transcript).await?;
    let (id, its) = (member.id().to_owned(), gateway.id().to_owned());
    f.rule("devices-api-3.2-a");
    let answer = app.request(json!({"mt": "GetDevice", "hwId": id})).await?;
    let device = &answer["device"];
    ensure(device["hwId"] == id.as_str(), || answer.to_string())?;
    f.judge("devices-api-1.3-a", is_device(device), device);
    f.judge("devices-api-1.3-b", device.get("other").is_none() && device.get("rented").is_none(), device);
    f.judge("devices-api-1-b", !has_null(&answer), &answer);
    f.judge("devices-api-1.3-c", device["ethIfs"] == json!([{"if": "ETH0", "ipv4": "192.0.2.17"}]), device);
    f.rule("devices-api-3.1-a");
    let both = format!("{id},{its}");
    let phones = app.list(json!({"mt": "GetPhones", "hwIds": both}), "phones").await?;
    let gateways = app.list(json!({"mt": "GetGateways", "hwIds": both}), "gateways").await?;
    let only = |list: &[Value], id: &str| list.len() == 1 && list[0]["hwId"] == id;
    ensure(only(&phones, &id) && only(&gateways, &its), || format!("{phones:?} {gateways:?}"))?;
    let uri = phones[0]["uri"].as_str().unwrap_or_default();
    let good = uri.ends_with('/') && uri.contains("/passthrough/") && uri.contains(&id);
    f.judge("devices-api-1.3-d", good, &phones[0]);
    let all = app.list(json!({"mt": "GetDevices"}), "devices").await?;
    f.judge("devices-api-1.3-d", all.iter().all(|device| device.get("uri").is_none()), "uri in GetDevicesResult");
    f.rule("devices-api-3.1-b");
    let others = app.list(json!({"mt": "GetPhones", "hwIds": its}), "phones").await?;
    ensure(others.is_empty(), || format!("{} phones with the identifier of a gateway", others.len()))?;
    f.rule("devices-api-3.1-c");
    let request = json!({"mt": "GetGateways", "justFxs": true, "hwIds": both});
    ensure(only(&app.list(request, "gateways").await?, &its), || "another list with justFxs".into())?;
    f.rule("devices-api-1.1-b");
    let empty = app.request(json!({"mt": "GetDects", "hwIds": id})).await?;
    ensure(empty["dects"] == json!([]) && empty["last"] == true, || empty.to_string())?;
    f.rule("devices-api-1.1-a");
    let domains = app.request(json!({"mt": "GetDomains"})).await?;
    ensure(domains["last"] == true, || domains.to_string())?;
    f.rule("devices-api-3.3-a");
    let answer = app.request(json!({"mt": "GetDevicePhones", "hwId": its})).await?;
    ensure(answer["phones"] == json!([]), || answer.to_string())?;
    f.rule("devices-api-4.7-a");
    let request = json!({"mt": "GetFilteredDevices", "types": ["PHONE", "GW"], "hwIds": both});
    let filtered = app.list(request, "devices").await?;
    ensure(filtered.len() == 2, || format!("{filtered:?}"))?;
    f.rule("devices-api-1-a");
    ensure(filtered.iter().all(|device| device["domainId"] == kit.domain_id), || format!("{filtered:?}"))?;
    f.rule("devices-api-4.7-b");
    let sorted = filtered.is_sorted_by_key(|device| device["id"].as_u64());
    let none = app.list(json!({"mt": "GetFilteredDevices", "types": ["KIOSK"], "hwIds": both}), "devices").await?;
    ensure(sorted && none.is_empty(), || format!("{filtered:?} {none:?}"))
}

async fn errors(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-1.2-a");
    for request in [
        json!({"mt": "GetDevice"}),
        json!({"mt": "GetDevice", "hwId": 5}),
        json!({"mt": "GetProvisioningCode"}),
        json!({"mt": "GetProvisionedDevice", "code": 1}),
    ] {
        let answer = app.request(request).await?;
        ensure(answer["error"] == "bad request", || answer.to_string())?;
    }
    f.rule("devices-api-1.2-b");
    let answer = app.request(json!({"mt": "GetDevice", "hwId": "02ffffffffff"})).await?;
    ensure(answer["error"] == "not found", || answer.to_string())?;
    f.rule("devices-api-1.2-c");
    ensure(answer.get("device").is_none(), || answer.to_string())?;
    let answer = app.request(json!({"mt": "GetProvisioningCategories", "domainId": 9_007_199_254_740_991_u64})).await?;
    let good = answer["error"] == "not found" && answer["categories"] == json!([]) && answer["last"] == true;
    ensure(good, || answer.to_string())
}

async fn session_key(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-2.1-a");
    let answer = app.request(json!({"mt": "GetLoginInfo"})).await?;
    let key = answer["key"].as_str().unwrap_or_default().to_owned();
    let parts: Vec<usize> = key.split('-').map(str::len).collect();
    let guid = parts == [8, 4, 4, 4, 12] && key.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    ensure(guid && answer["admin"].is_boolean(), || "no GUID, or no admin".into())?;
    f.rule("devices-api-4.1-a");
    let answer = app.request(json!({"mt": "GetUserInfo"})).await?;
    ensure(answer["key"].is_string() && answer["admin"].is_boolean(), || "no key, or no admin".into())?;
    f.rule("devices-api-2.1-b");
    ensure(answer["key"] == key.as_str(), || "another key on the same connection".into())?;
    let mut second = kit.app(&f.transcript).await?;
    ensure(kit.key(&mut second).await? != key, || "the same key on two connections".into())
}

async fn categories(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-2.2-a");
    let answer = app.request(json!({"mt": "GetProvisioningCategories"})).await?;
    let list = answer["categories"].as_array().ok_or("no array")?.clone();
    ensure(list.iter().any(|its| its["name"] == kit.category.as_str()), || answer.to_string())?;
    f.rule("devices-api-1.3-e");
    let whole = |its: &Value| {
        its["id"].is_u64() && its["domainId"] == kit.domain_id && its["name"].is_string() && its["config"].is_boolean()
    };
    ensure(list.iter().all(whole), || answer.to_string())?;
    f.rule("devices-api-2.2-b");
    ensure(list.iter().all(|its| its["config"] == true), || answer.to_string())
}

/// Seconds since 1970.
fn now() -> u64 {
    // Wall clock, because the end of a validity is a time of day.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

async fn codes(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let ask = json!({"mt": "GetProvisioningCode", "category": kit.category});
    f.rule("devices-api-2.3-a");
    let answer = app.request(ask.clone()).await?;
    let code = answer["code"].as_str().unwrap_or_default();
    ensure(code.len() == 12 && code.bytes().all(|byte| byte.is_ascii_digit()), || answer.to_string())?;
    // The clocks of both sides may differ a little.
    let about = |answer: &Value, seconds: u64| {
        answer["validUntil"].as_u64().is_some_and(|end| end.abs_diff(now() + seconds) < 60)
    };
    f.judge("devices-api-2.3-b", about(&answer, 600), &answer);
    f.rule("devices-api-2.3-c");
    let long = app.request(with(ask.clone(), json!({"rollout": true}))).await?;
    ensure(about(&long, 7 * 86_400), || long.to_string())?;
    let url = answer["url"].as_str().unwrap_or_default();
    f.judge("devices-api-2.3-d", url.starts_with("ws") && url.ends_with("/sysclients"), &answer);
    f.rule("devices-api-2.3-e");
    for wrong in [json!({"administrative": "yes"}), json!({"sip": "x".repeat(129)})] {
        let answer = app.request(with(ask.clone(), wrong)).await?;
        ensure(answer["error"] == "bad request", || answer.to_string())?;
    }
    f.rule("devices-api-2.3-f");
    let answer = app.request(with(ask, json!({"category": kit.unique("none")}))).await?;
    ensure(answer["error"] == "not found" && answer.get("code").is_none(), || answer.to_string())
}

async fn name(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let sip = kit.unique("anna");
    let code = kit.code_with(&mut app, json!({"sip": sip})).await?;
    let id = kit.id();
    let identify = with(phone(&id), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.3-g");
    let answer = app.request(json!({"mt": "GetDevice", "hwId": id})).await?;
    ensure(answer["device"]["name"] == sip.as_str(), || answer.to_string())
}

async fn provisioned(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    f.rule("devices-api-2.4-a");
    let answer = app.request(json!({"mt": "GetProvisionedDevice", "code": code})).await?;
    let open = answer["error"].is_null() && answer.get("device").is_none() && answer["code"] == code.as_str();
    ensure(open, || answer.to_string())?;
    f.prepare();
    let id = kit.id();
    let identify = with(phone(&id), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.4-b");
    let answer = app.request(json!({"mt": "GetProvisionedDevice", "code": code})).await?;
    ensure(answer["device"]["hwId"] == id.as_str(), || answer.to_string())?;
    f.rule("devices-api-2.4-c");
    let answer = app.request(json!({"mt": "GetProvisionedDevice", "code": "000000000000"})).await?;
    ensure(answer["error"] == "not found", || answer.to_string())
}

async fn notice(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code_with(&mut app, json!({"src": "mine"})).await?;
    let id = kit.id();
    let identify = with(phone(&id), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.5-a");
    let fits = |notice: &Value| notice["code"] == code.as_str();
    let notice = alongside(&mut device, app.notice("DeviceProvisioned", fits)).await?;
    let good = notice["src"] == "mine" && notice["device"]["hwId"] == id.as_str() && is_device(&notice["device"]);
    ensure(good, || notice.to_string())?;
    f.rule("devices-api-2.5-d");
    let before = app.socket.pings.len();
    app.next(Duration::from_secs(2)).await?;
    ensure(app.socket.pings.len() > before, || "no ping behind the notice".into())
}

async fn notice_with_api(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let api = "com.innovaphone.devices";
    let code = kit.code_with(&mut app, json!({"api": api})).await?;
    let id = kit.id();
    let identify = with(phone(&id), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.5-e");
    let fits = |notice: &Value| notice["code"] == code.as_str();
    let notice = alongside(&mut device, app.notice("DeviceProvisioned", fits)).await?;
    let good =
        notice["api"] == api && notice["gateway"]["hwId"] == id.as_str() && notice["gateway"] == notice["device"];
    ensure(good, || notice.to_string())
}

async fn asked_for(kit: &Kit, f: &mut Findings) -> Step {
    let (mut app, mut other) = (kit.app(&f.transcript).await?, kit.app(&f.transcript).await?);
    let code = kit.code(&mut app).await?;
    other.request(json!({"mt": "GetProvisionedDevice", "code": code, "src": "asked"})).await?;
    drop(app);
    let identify = with(phone(&kit.id()), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.5-b");
    let fits = |notice: &Value| notice["code"] == code.as_str();
    let notice = alongside(&mut device, other.notice("DeviceProvisioned", fits)).await?;
    ensure(notice["src"] == "asked", || notice.to_string())
}

async fn mailbox(kit: &Kit, f: &mut Findings) -> Step {
    // A name of its own: who logs in with it later is the same Users.
    let login = Login { sip: kit.unique("users"), ..kit.login() };
    let mut app = kit.app_with(&f.transcript, &login).await?;
    let code = kit.code(&mut app).await?;
    let identify = with(phone(&kit.id()), json!({"provisioningCode": code}));
    let mut device = super::device::Device::connect(&kit.target, &f.transcript, "").await?;
    drop(app);
    // The next connection of the same Users is served whether it comes before the notice or after it.
    let mut again = kit.app_with(&f.transcript, &login).await?;
    device.identify(&identify).await?;
    device.expect_password().await?;
    f.rule("devices-api-2.5-c");
    let fits = |notice: &Value| notice["code"] == code.as_str();
    let notice = alongside(&mut device, again.notice("DeviceProvisioned", fits)).await?;
    ensure(notice.get("src").is_none(), || notice.to_string())
}

async fn remove_port(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let gateway = with(phone(&kit.id()), json!({"platform": {"type": "GW", "fxs": true}, "product": "IP411"}));
    let mut member = kit.settled(&mut app, &f.transcript, gateway).await?;
    let code = kit.code(&mut app).await?;
    member.device.admin(4, &json!({"id": "TEL1", "code": code})).await?;
    let fits = |notice: &Value| notice["code"] == code.as_str();
    alongside(&mut member.device, app.notice("DeviceProvisioned", fits)).await?;
    f.rule("devices-api-3.4-a");
    let answer = app.request(json!({"mt": "RemoveDevicePhone", "hwId": member.id(), "id": "TEL1"})).await?;
    ensure(answer["error"].is_null(), || answer.to_string())?;
    let answer = app.request(json!({"mt": "GetDevicePhones", "hwId": member.id()})).await?;
    ensure(answer["phones"] == json!([]), || answer.to_string())
}

/// The passthrough address of a device, as this session is told.
async fn uri(app: &mut App, id: &str) -> Step<String> {
    let answer = app.request(json!({"mt": "GetDevice", "hwId": id})).await?;
    Ok(answer["device"]["uri"].as_str().ok_or("GetDevice without uri")?.to_owned())
}

async fn http_get(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let mut member = kit.settled(&mut app, &f.transcript, phone(&kit.id())).await?;
    let uri = uri(&mut app, member.id()).await?;
    f.rule("devices-api-3.5-a");
    let device = &mut member.device;
    let served = async {
        let (session, request) = device.expect_tunnel(SEND).await?;
        device.tunnel(session, SEND_RESULT, b"").await?;
        device.expect_tunnel(RECEIVE).await?;
        let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
        device.tunnel(session, RECEIVE_RESULT, page).await?;
        device.expect_tunnel(SHUTDOWN).await?;
        device.tunnel(session, SHUTDOWN, b"").await?;
        Ok(request)
    };
    let asked = app.request(json!({"mt": "HttpGet", "uri": format!("{uri}log.txt")}));
    let (answer, request) = tokio::try_join!(asked, served)?;
    let good = answer["status"] == 200 && answer["data"] == "ok\n" && answer["contentType"] == "text/plain";
    ensure(good && request.starts_with(b"GET /log.txt HTTP/1.1\r\n"), || answer.to_string())?;
    f.rule("devices-api-3.5-b");
    let answer = app.request(json!({"mt": "HttpGet", "uri": "https://pbx.example/"})).await?;
    ensure(answer["error"] == "bad request", || answer.to_string())?;
    f.rule("devices-api-5-b");
    let path = format!("/{}", uri.splitn(4, '/').nth(3).unwrap_or_default());
    let served = async {
        let (session, _) = device.expect_tunnel(SEND).await?;
        device.tunnel(session, SEND_RESULT, b"").await?;
        device.expect_tunnel(RECEIVE).await?;
        device.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
        device.expect_tunnel(SHUTDOWN).await?;
        device.tunnel(session, SHUTDOWN, b"").await
    };
    let (answer, ()) = tokio::try_join!(kit.target.request(&f.transcript, "GET", &path, ""), served)?;
    let good =
        answer.field("Referrer-Policy") == Some("no-referrer") && answer.field("Cache-Control") == Some("private");
    ensure(good, || answer.head.clone())
}

async fn dead_key(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let member = kit.enter(&mut app, &f.transcript).await?;
    let key = kit.key(&mut app).await?;
    let target = format!("{}/passthrough/{}/{key}/", kit.target.path, member.id());
    drop(app);
    f.rule("devices-api-5-a");
    // It takes a moment until the server has noticed; while the key lives, the request waits for the device.
    for _ in 0..50 {
        let asked = kit.target.request(&f.transcript, "TRACE", &target, "");
        if asked.await?.status == 403 {
            return Ok(());
        }
        let asked =
            tokio::time::timeout(Duration::from_millis(100), kit.target.request(&f.transcript, "GET", &target, ""));
        if let Ok(Ok(answer)) = asked.await
            && answer.status == 403
        {
            return Ok(());
        }
    }
    Err("the key outlives its session".into())
}

async fn domains(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-4.2-a");
    let answer = app.request(json!({"mt": "GetDomains"})).await?;
    let list = answer["domains"].as_array().ok_or("no array")?;
    let own = list.iter().find(|its| its["id"] == kit.domain_id).ok_or("without the own domain")?;
    f.rule("devices-api-1.3-f");
    let flags = ["hasRentalProducts", "deployAdminPasswords", "isInstanceDomain"];
    let inside = own["categories"].as_array().is_some_and(|all| {
        all.iter().all(|its| its["id"].is_u64() && its["name"].is_string() && its.get("domainId").is_none())
    });
    ensure(inside && own["name"].is_string() && flags.iter().all(|name| own[name].is_boolean()), || own.to_string())
}

async fn filters(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let member = kit.enter(&mut app, &f.transcript).await?;
    let id = member.id().to_owned();
    let mut lists = async |filter: Value| {
        let list = app.list(with(json!({"mt": "GetDevices"}), filter), "devices").await?;
        Ok::<_, super::finding::Unexpected>((list.iter().any(|its| its["hwId"] == id.as_str()), list))
    };
    f.rule("devices-api-4.3-a");
    let (there, _) = lists(json!({"domainIds": kit.domain_id.to_string(), "categories": ""})).await?;
    ensure(there, || "not listed by the number of its domain".into())?;
    f.rule("devices-api-4.3-b");
    let (there, list) = lists(json!({"categories": format!("nothing, {}", kit.category)})).await?;
    ensure(there && list.iter().all(|its| its["category"] == kit.category.as_str()), || "another category".into())?;
    f.rule("devices-api-4.3-c");
    let (_, list) = lists(json!({"categories": kit.unique("none")})).await?;
    ensure(list.is_empty(), || format!("{} devices", list.len()))?;
    f.rule("devices-api-4.3-e");
    let (_, list) = lists(json!({"unassigned": true})).await?;
    ensure(list.is_empty(), || format!("{} devices without a domain", list.len()))?;
    f.rule("devices-api-4.3-d");
    let answer = app.request(json!({"mt": "GetDevices", "domainIds": "x"})).await?;
    ensure(answer["error"] == "bad request", || answer.to_string())
}

async fn unassigned_count(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-4.4-a");
    let answer = app.request(json!({"mt": "GetUnassignedDevicesCount"})).await?;
    ensure(answer["count"] == 0, || answer.to_string())
}

async fn switch(kit: &Kit, f: &mut Findings) -> Step {
    let (mut app, mut maker) = (kit.app(&f.transcript).await?, kit.app(&f.transcript).await?);
    f.rule("devices-api-4.5-a");
    for mt in ["SetDeviceFiler", "SetDeviceFilter"] {
        let answer = app.request(json!({"mt": mt, "recvUpdates": true})).await?;
        ensure(answer["error"].is_null(), || answer.to_string())?;
    }
    f.rule("devices-api-4.5-b");
    let _member = kit.enter(&mut maker, &f.transcript).await?;
    match app.next(Duration::from_millis(1500)).await? {
        Some(notice) => Err(notice["mt"].to_string().into()),
        None => Ok(()),
    }
}

async fn subscription(kit: &Kit, f: &mut Findings) -> Step {
    let (mut app, mut maker) = (kit.app(&f.transcript).await?, kit.app(&f.transcript).await?);
    let request = json!({"mt": "GetDevices", "recvUpdates": true, "domainIds": kit.domain_id.to_string(), "src": "w"});
    f.rule("devices-api-4.6-c");
    app.send(&request).await?;
    loop {
        let message = app.receive().await?;
        ensure(message["mt"] == "GetDevicesResult", || format!("{} before the end of the list", message["mt"]))?;
        if message["last"] != false {
            break;
        }
    }
    f.prepare();
    let member = kit.enter(&mut maker, &f.transcript).await?;
    let id = member.id().to_owned();
    f.rule("devices-api-4.6-a");
    let notice = app.notice("DeviceAdded", |notice| notice["device"]["hwId"] == id.as_str()).await?;
    ensure(is_device(&notice["device"]), || notice.to_string())?;
    f.judge("devices-api-4.6-d", notice["src"] == "w", &notice);
    f.prepare();
    drop(member);
    f.rule("devices-api-4.6-b");
    let gone = |notice: &Value| notice["device"]["hwId"] == id.as_str() && notice["device"]["online"] == false;
    app.notice("DeviceUpdate", gone).await?;
    Ok(())
}

async fn configs(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-4.8-a");
    let list = app.list(json!({"mt": "GetDeviceConfigs"}), "configs").await?;
    let common = |its: &Value| its["id"].is_u64() && its["type"].is_string() && its["categories"].is_array();
    ensure(list.iter().all(common) && list.is_sorted_by_key(|its| its["id"].as_u64()), || format!("{list:?}"))?;
    f.rule("devices-api-4.9-a");
    let answer = app.request(json!({"mt": "GetDeviceConfig", "id": 9_007_199_254_740_991_u64})).await?;
    ensure(answer["error"] == "not found" && answer.get("config").is_none(), || answer.to_string())
}

async fn too_many(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("devices-api-6-a");
    let mut refused = 0;
    for number in 0..200 {
        app.send(&json!({"mt": "GetUserInfo", "src": number.to_string()})).await?;
    }
    for _ in 0..200 {
        let answer = app.receive().await?;
        refused += usize::from(answer["error"] == "too many requests");
    }
    // Within two seconds at most a hundred are answered.
    ensure((50..=150).contains(&refused), || format!("{refused} of 200 requests are too many"))
}

async fn search(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let sip = kit.unique("Search");
    let code = kit.code_with(&mut app, json!({"sip": sip})).await?;
    let id = kit.id();
    let identify = with(phone(&id), json!({"provisioningCode": code}));
    let mut device = super::device::Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_password().await?;
    let mut found = async |text: &str, src: &str| {
        let api = "com.innovaphone.search";
        app.send(&json!({"mt": "Search", "api": api, "search": text, "type": "device", "src": src})).await?;
        let mut all = Vec::new();
        loop {
            let message = app.receive().await?;
            if message["mt"] == "SearchResult" {
                return Ok::<_, super::finding::Unexpected>((all, message["src"] == src && message["api"] == api));
            }
            if message["mt"] == "SearchInfo" {
                all.push(message);
            }
        }
    };
    f.rule("devices-api-9-a");
    let (all, echoed) = found(&sip.to_uppercase(), "s1").await?;
    ensure(echoed && all.iter().all(|info| info["src"] == "s1"), || format!("{all:?}"))?;
    f.rule("devices-api-9-b");
    let good =
        |info: &Value| info["dn"] == sip.as_str() && info["relevance"] == 1000 && info["device"]["hwId"] == id.as_str();
    ensure(all.len() == 1 && good(&all[0]), || format!("{all:?}"))?;
    f.rule("devices-api-9-c");
    let (all, _) = found("S", "s2").await?;
    ensure(all.is_empty(), || format!("{} for one character", all.len()))
}
