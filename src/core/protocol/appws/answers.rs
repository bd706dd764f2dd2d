//! Writes what Devices sends to its clients: results and notices.
//!
//! Every function gives the text of one message; only lists may take several. Member names are those of
//! `docs/protocol/appwebsocket.md` sections 3 and 7 and of `docs/protocol/devices-api.md` sections 1 to 4. Errors are
//! written by [`Request::error`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, json};

use super::list;
use super::login::{app_name, encrypt};
use super::message::{DEVICES_API, Request, write};
use super::objects::{self, DeviceObject};
use super::search::SEARCH_API;
use crate::core::model::device::Category;
use crate::core::model::device_config::DeviceConfig;
use crate::core::model::ids::{Code, ConfigId, DomainId, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::device_config;

/// `AppChallengeResult` (`docs/protocol/appwebsocket.md` 3.1).
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

/// `AppLoginResult` of a successful log-in (`docs/protocol/appwebsocket.md` 3.4). `app` as sent; `domain` is that of
/// the instance.
pub fn login_ok(request: &Request, app: &str, domain: &str) -> String {
    request.answer(AppLoginResult { app, domain, ok: true, error: None })
}

/// `AppLoginResult` of a failed log-in; the same whatever the reason (`docs/protocol/appwebsocket.md` 3.4).
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

/// `GetLoginInfoResult` (`docs/protocol/devices-api.md` 2.1): the session key of passthrough addresses, and whether all
/// domains are open.
pub fn login_info(request: &Request, key: &Secret, admin: bool) -> String {
    request.answer(LoginInfo { key: key.expose(), major: None, admin })
}

/// `GetUserInfoResult` (`docs/protocol/devices-api.md` 4.1): the same with the release, such as `13r3`.
pub fn user_info(request: &Request, key: &Secret, major: &str, admin: bool) -> String {
    request.answer(LoginInfo { key: key.expose(), major: Some(major), admin })
}

/// `CheckBuildResult` (`docs/protocol/appwebsocket.md` 7.1): with the current address only if it differs.
pub fn check_build(request: &Request, current: Option<&str>) -> String {
    let mut members = Map::new();
    if let Some(url) = current {
        members.insert("url".into(), url.into());
    }
    request.answer(members)
}

/// The answer to `KeepAlive`, which has the same name (`docs/protocol/appwebsocket.md` 7.4).
pub fn keep_alive(request: &Request) -> String {
    write("KeepAlive", request.src.as_deref(), None, Map::new())
}

/// `AppInfoResult` from the table of `docs/protocol/appwebsocket.md` 7.2. `app` with or without `.htm`; returned as it
/// was sent.
///
/// `with_search`: the hidden app has a page that answers searches.
pub fn app_info(request: &Request, app: &str, with_search: bool) -> String {
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
            let of_service = json!({ DEVICES_API: {} });
            let of_page = if with_search { json!({ DEVICES_API: {}, SEARCH_API: {} }) } else { of_service.clone() };
            (json!({ "hidden": true, "apis": of_page }), Some(json!({ "apis": of_service })))
        }
        _ => (json!({ "apis": {} }), None),
    };
    request.answer(AppInfo { app, info, service_info })
}

/// `GetProvisioningCategoriesResult` (`docs/protocol/devices-api.md` 2.2), in as many messages as needed. Categories
/// not marked for provisioning are left out; the caller has already filtered by type of device.
pub fn categories<'a>(
    request: &Request,
    domain: DomainId,
    categories: impl IntoIterator<Item = &'a Category>,
) -> Vec<String> {
    let items = categories.into_iter().filter(|c| c.provisioning).map(|c| objects::category(domain, c));
    list::all(request, "categories", items)
}

/// `GetDomainsResult` (`docs/protocol/devices-api.md` 4.2), in as many messages as needed. Takes the JSON texts of the
/// domains.
pub fn domains<'a>(request: &Request, domains: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    list::all(request, "domains", domains.into_iter().map(Into::into))
}

/// `GetProvisioningCodeResult` (`docs/protocol/devices-api.md` 2.3); the end of validity in whole seconds. `url` is the
/// address that a device with this code connects to.
pub fn provisioning_code(request: &Request, code: &Code, valid_until: UnixMillis, url: &str) -> String {
    #[derive(Serialize)]
    struct Issued<'a> {
        code: &'a str,
        #[serde(rename = "validUntil")]
        valid_until: u64,
        url: &'a str,
    }
    request.answer(Issued { code: code.expose(), valid_until: valid_until.seconds(), url })
}

#[derive(Serialize)]
struct Provisioned<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a DeviceObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a DeviceObject<'a>>,
}

/// `GetProvisionedDeviceResult` (`docs/protocol/devices-api.md` 2.4); without device while the code is open.
pub fn provisioned_device(request: &Request, code: &Code, device: Option<&DeviceObject<'_>>) -> String {
    request.answer(Provisioned { code: code.expose(), port: None, device, gateway: None })
}

/// The notice `DeviceProvisioned` (`docs/protocol/devices-api.md` 2.5). `src` and `api` are those of the request for
/// the code or the device, if it was made on this connection; with `api` the device is named `gateway`, too. `port` is
/// the analogue port, if the code was for one.
pub fn device_provisioned(
    src: Option<&str>,
    api: Option<&str>,
    code: &Code,
    port: Option<&str>,
    device: &DeviceObject<'_>,
) -> String {
    let gateway = api.map(|_| device);
    write("DeviceProvisioned", src, api, Provisioned { code: code.expose(), port, device: Some(device), gateway })
}

/// `GetDeviceResult` (`docs/protocol/devices-api.md` 3.2).
pub fn device(request: &Request, device: &DeviceObject<'_>) -> String {
    #[derive(Serialize)]
    struct Found<'a> {
        device: &'a DeviceObject<'a>,
    }
    request.answer(Found { device })
}

/// `GetDevicePhonesResult` (`docs/protocol/devices-api.md` 3.3).
pub fn ports(request: &Request, ports: &[Box<str>]) -> String {
    request.answer(json!({ "phones": ports }))
}

/// An empty result of success (`docs/protocol/devices-api.md` 3.4 and 4.5).
pub fn done(request: &Request) -> String {
    request.answer(Map::new())
}

/// `GetUnassignedDevicesCountResult` (`docs/protocol/devices-api.md` 4.4).
pub fn count(request: &Request, count: u64) -> String {
    request.answer(json!({ "count": count }))
}

/// `HttpGetResult` (`docs/protocol/devices-api.md` 3.5): the body as text, or in base64 if it is not UTF-8.
pub fn fetched(request: &Request, status: u16, content_type: Option<&str>, body: &[u8]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Fetched<'a> {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<&'a str>,
        data: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<bool>,
    }
    let (data, base64) = match std::str::from_utf8(body) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (Cow::Owned(BASE64_STANDARD.encode(body)), Some(true)),
    };
    request.answer(Fetched { status, content_type, data, base64 })
}

/// `GetDeviceConfigsResult` (`docs/protocol/devices-api.md` 4.8), in as many messages as needed. Takes the JSON texts of
/// the configurations.
pub fn device_configs<'a>(request: &Request, configs: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    list::all(request, "configs", configs.into_iter().map(Into::into))
}

/// Most bytes of a piece of a script (`docs/protocol/devices-api.md` 4.9).
pub const PIECE_BYTES: usize = 16_384;

/// A text in pieces of at most [`PIECE_BYTES`], cut between characters; an empty one has none.
pub fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let end = (0..=text.len().min(PIECE_BYTES)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let (piece, rest) = text.split_at(end);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

/// `GetDeviceConfigValueResult` for each piece of the script, if there is one, then `GetDeviceConfigResult`
/// (`docs/protocol/devices-api.md` 4.9). Secrets are encrypted with this seed and session key.
pub fn device_config(
    request: &Request,
    config: &DeviceConfig,
    script: Option<&Secret>,
    seed: &str,
    session_key: &Secret,
) -> Vec<String> {
    let value = |piece: &&str| {
        let (src, api) = (request.src.as_deref(), request.api.as_deref());
        write("GetDeviceConfigValueResult", src, api, json!({ "name": "script", "value": piece }))
    };
    let mut texts: Vec<_> = script.map(|script| pieces(script.expose())).iter().flatten().map(value).collect();
    let members = device_config::members(config, |name, secret| {
        [(name, encrypt(seed, session_key, secret.expose())), ("seed", seed.to_owned())]
    });
    texts.push(with_object(request.answer(Map::new()), "config", &device_config::object(&members)));
    texts
}

/// The notice `DeviceConfigDeleted` (`docs/protocol/devices-api.md` 4.6).
pub fn device_config_deleted(src: Option<&str>, id: ConfigId, domain: DomainId) -> String {
    #[derive(Serialize)]
    struct Deleted {
        id: ConfigId,
        #[serde(rename = "domainId")]
        domain: DomainId,
    }
    write("DeviceConfigDeleted", src, None, Deleted { id, domain })
}

/// A notice about a device, a domain or a device configuration (`docs/protocol/devices-api.md` 4.6) with its object as JSON text. `member`
/// must not need escapes.
pub fn notice(mt: &str, src: Option<&str>, member: &str, object: &str) -> String {
    with_object(write(mt, src, None, Map::new()), member, object)
}

/// A message with an object as its last member.
fn with_object(mut text: String, member: &str, object: &str) -> String {
    // The message has at least its type, so it ends with the brace before which the member is inserted.
    text.truncate(text.len().saturating_sub(1));
    format!("{text},\"{member}\":{object}}}")
}

/// The notice `DomainDeleted` (`docs/protocol/devices-api.md` 4.6).
pub fn domain_deleted(src: Option<&str>, domain: DomainId) -> String {
    write("DomainDeleted", src, None, json!({ "id": domain }))
}

/// The notice `UnassignedDevicesCount` (`docs/protocol/devices-api.md` 4.6).
pub fn count_notice(src: Option<&str>, count: u64) -> String {
    write("UnassignedDevicesCount", src, None, json!({ "count": count }))
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
