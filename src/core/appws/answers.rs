//! Writes what Devices sends to its clients: results and the notice `DeviceProvisioned`.
//!
//! Every function gives the text of one message; only lists may take several. Member names are those of `appwebsocket.md`
//! sections 3 and 7 and of `devices-api.md` sections 1 and 2. Errors are written by [`Request::error`].

use serde::Serialize;
use serde_json::{Map, json};

use super::login::app_name;
use super::message::{DEVICES_API, Request, write};
use crate::core::device::{Category, Device};
use crate::core::ids::{CategoryId, Code, DeviceId, DomainId, Secret};
use crate::core::time::UnixMillis;

/// Most items in one message of a list (`devices-api.md` 1.1).
pub const MAX_ITEMS: usize = 1000;

/// Most bytes of items in one message of a list (`devices-api.md` 1.1).
pub const MAX_ITEM_BYTES: usize = 256 * 1024;

/// `AppChallengeResult` (`appwebsocket.md` 3.1).
pub fn challenge(request: &Request, challenge: &str) -> String {
    request.answer(json!({ "challenge": challenge }))
}

#[derive(Serialize)]
struct AppLoginResult<'a> {
    app: &'a str,
    domain: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// `AppLoginResult` of a log-in that succeeded (`appwebsocket.md` 3.4). `app` as sent, `domain` is that of the instance.
pub fn login_ok(request: &Request, app: &str, domain: &str) -> String {
    request.answer(AppLoginResult { app, domain, ok: true, error: None })
}

/// `AppLoginResult` of a log-in that failed; the same whatever was wrong (`appwebsocket.md` 3.4).
pub fn login_failed(request: &Request, app: &str, domain: &str) -> String {
    request.answer(AppLoginResult { app, domain, ok: false, error: Some("LOGIN_FAILED") })
}

#[derive(Serialize)]
struct LoginInfo<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<&'a str>,
    admin: bool,
}

/// `GetLoginInfoResult` (`devices-api.md` 2.1): the session key of passthrough addresses, and whether all domains are open.
pub fn login_info(request: &Request, key: &Secret, admin: bool) -> String {
    request.answer(LoginInfo { key: key.expose(), major: None, admin })
}

/// `GetUserInfoResult` (`devices-api.md` 4.1): the same with the release, such as `13r3`.
pub fn user_info(request: &Request, key: &Secret, major: &str, admin: bool) -> String {
    request.answer(LoginInfo { key: key.expose(), major: Some(major), admin })
}

/// `CheckBuildResult` (`appwebsocket.md` 7.1): with the current address only if it differs.
pub fn check_build(request: &Request, current: Option<&str>) -> String {
    let mut members = Map::new();
    if let Some(url) = current {
        members.insert("url".into(), url.into());
    }
    request.answer(members)
}

/// `KeepAlive` back (`appwebsocket.md` 7.4); not called a result.
pub fn keep_alive(request: &Request) -> String {
    write("KeepAlive", request.src.as_deref(), None, Map::new())
}

/// `AppInfoResult` by the table of `appwebsocket.md` 7.2. `app` with or without `.htm`; it goes back as it was sent.
pub fn app_info(request: &Request, app: &str) -> String {
    #[derive(Serialize)]
    struct AppInfo<'a> {
        app: &'a str,
        info: serde_json::Value,
        #[serde(rename = "serviceInfo", skip_serializing_if = "Option::is_none")]
        service_info: Option<serde_json::Value>,
    }
    let (info, service_info) = match app_name(app) {
        "innovaphone-devices" => (json!({ "apis": { "com.innovaphone.devicesui": {} } }), None),
        "innovaphone-devices-api" => {
            let apis = json!({ DEVICES_API: {} });
            (json!({ "hidden": true, "apis": &apis }), Some(json!({ "apis": &apis })))
        }
        _ => (json!({ "apis": {} }), None),
    };
    request.answer(AppInfo { app, info, service_info })
}

/// `GetProvisioningCategoriesResult` (`devices-api.md` 2.2), in as many messages as needed. Categories that are not meant for
/// provisioning are left out; that they suit the type of device asked for is the caller's part.
pub fn categories<'a>(
    request: &Request,
    domain: DomainId,
    categories: impl IntoIterator<Item = &'a Category>,
) -> Vec<String> {
    #[derive(Serialize)]
    struct Item<'a> {
        id: CategoryId,
        #[serde(rename = "domainId")]
        domain: DomainId,
        name: &'a str,
        config: bool,
    }
    let items = categories.into_iter().filter(|c| c.provisioning).map(|category| Item {
        id: category.id,
        domain,
        name: &category.name,
        config: true,
    });
    list(request, "categories", items)
}

/// Writes a list in parts (`devices-api.md` 1.1). `array` is the member's name; it needs no escapes.
fn list(request: &Request, array: &str, items: impl Iterator<Item = impl Serialize>) -> Vec<String> {
    let part = |items: &str, last: bool| {
        let mut text = request.answer(json!({ "last": last }));
        // The answer is an object with members, so its last character is the brace that the array goes before.
        text.truncate(text.len().saturating_sub(1));
        format!("{text},\"{array}\":[{items}]}}")
    };
    let (mut parts, mut open, mut count) = (Vec::new(), String::new(), 0);
    for item in items {
        // Plain structures always serialise.
        let item = serde_json::to_string(&item).unwrap_or_default();
        if count == MAX_ITEMS || (count > 0 && open.len() + 1 + item.len() > MAX_ITEM_BYTES) {
            parts.push(part(&open, false));
            open.clear();
            count = 0;
        }
        if count > 0 {
            open.push(',');
        }
        open.push_str(&item);
        count += 1;
    }
    parts.push(part(&open, true));
    parts
}

/// `GetProvisioningCodeResult` (`devices-api.md` 2.3); the end of validity goes out in whole seconds.
pub fn provisioning_code(request: &Request, code: &Code, valid_until: UnixMillis) -> String {
    #[derive(Serialize)]
    struct Issued<'a> {
        code: &'a str,
        #[serde(rename = "validUntil")]
        valid_until: u64,
    }
    request.answer(Issued { code: code.expose(), valid_until: valid_until.seconds() })
}

#[derive(Serialize)]
struct Provisioned<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a DeviceObject<'a>>,
}

/// `GetProvisionedDeviceResult` (`devices-api.md` 2.4); without device while the code is open.
pub fn provisioned_device(request: &Request, code: &Code, device: Option<&DeviceObject<'_>>) -> String {
    request.answer(Provisioned { code: code.expose(), port: None, device })
}

/// The notice `DeviceProvisioned` (`devices-api.md` 2.5). `src` is that of the request that asked for the code or for the
/// device, if this connection made it; `port` names the analogue port, if the code was for one.
pub fn device_provisioned(src: Option<&str>, code: &Code, port: Option<&str>, device: &DeviceObject<'_>) -> String {
    write("DeviceProvisioned", src, None, Provisioned { code: code.expose(), port, device: Some(device) })
}

/// A device as clients see it (`devices-api.md` 1.3), without passthrough address and interfaces.
#[derive(Debug, Clone, Copy)]
pub struct DeviceObject<'a> {
    /// The record.
    pub device: &'a Device,
    /// Number of its domain.
    pub domain: DomainId,
    /// Whether it is connected.
    pub online: bool,
    /// Name of its category.
    pub category: Option<&'a str>,
}

impl Serialize for DeviceObject<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'a> {
            id: DeviceId,
            hw_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            domain_id: DomainId,
            product: &'a str,
            version: &'a str,
            r#type: &'a str,
            pbx_active: bool,
            online: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            category: Option<&'a str>,
        }
        let Device { id, key, facts, .. } = self.device;
        Members {
            id: *id,
            hw_id: key.as_str(),
            name: facts.name.as_deref(),
            domain_id: self.domain,
            product: &facts.product,
            version: &facts.version,
            r#type: &facts.platform,
            pbx_active: facts.pbx_active,
            online: self.online,
            category: self.category,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
