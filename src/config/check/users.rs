//! Checks `[users]`.

use std::collections::BTreeSet;

use url::Url;

use super::super::values::{BackendKind, Role};
use super::{Config, Problem, wrong};
use crate::core::model::hex;

pub(super) fn users(config: &Config) -> Result<(), Problem> {
    let users = &config.users;
    if !config.plays(Role::Users) {
        return Ok(());
    }
    if users.devices.is_empty() && !config.plays(Role::Devices) {
        return wrong(
            "users.devices",
            "is empty, and this process does not have the role devices; give an address or add the role",
        );
    }
    if !users.devices.is_empty()
        && !Url::parse(&users.devices).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host())
    {
        return wrong("users.devices", "is not an address; write wss://HOST/DOMAIN/INSTANCE");
    }
    if users.phone_apps.is_empty() || users.phone_apps.iter().any(|app| app.trim().is_empty()) {
        return wrong("users.phone_apps", "must name at least one phone app, and no name may be empty");
    }
    let mut names = BTreeSet::new();
    for tenant in &users.tenants {
        if !names.insert(&tenant.name) {
            return wrong("users.tenants", format!("has {} twice (case does not count); remove one", tenant.name));
        }
        if tenant.password.is_empty() {
            return wrong(&format!("users.tenants[{}].password", tenant.name), "is empty; set that of its domain");
        }
    }
    if users.backend == BackendKind::Webhook {
        if !Url::parse(&users.webhook.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return wrong("users.webhook.url", "is not an address; write https://HOST/PATH");
        }
        if users.webhook.secret.expose().len() < 16 {
            return wrong(
                "users.webhook.secret",
                "is shorter than 16 bytes, so signatures could be forged; set a longer one",
            );
        }
    }
    if users.backend == BackendKind::Pbx { exchanges(config) } else { Ok(()) }
}

fn exchanges(config: &Config) -> Result<(), Problem> {
    let pbx = &config.users.pbx;
    if pbx.instance.is_empty() || pbx.instance == config.instance.name || pbx.instance.contains('/') {
        return wrong("users.pbx.instance", "must be one part of a path, and not the name of the Devices instance");
    }
    if pbx.exchanges.is_empty() {
        return wrong("users.pbx.exchanges", "is empty; name the PBX of each tenant");
    }
    let mut names = BTreeSet::new();
    for exchange in &pbx.exchanges {
        let key = |name: &str| format!("users.pbx.exchanges[{}].{name}", exchange.domain);
        if !names.insert(&exchange.domain) {
            return wrong(
                "users.pbx.exchanges",
                format!("has {} twice (case does not count); remove one", exchange.domain),
            );
        }
        if exchange.object.is_empty() || exchange.password.is_empty() {
            return wrong(&key("password"), "is empty, or the name of the app object is; set both");
        }
        let valid = Url::parse(&exchange.url).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host());
        if !exchange.url.is_empty() && !valid {
            return wrong(&key("url"), "is not an address; write wss://PBX/PBX0/APPS/websocket");
        }
        let digits = hex::decode(exchange.fingerprint.replace(':', "")).map(|bytes| bytes.len()).ok();
        if !exchange.fingerprint.is_empty() && digits != Some(32) {
            return wrong(&key("fingerprint"), "is not a SHA-256; write 64 hex digits");
        }
    }
    Ok(())
}
