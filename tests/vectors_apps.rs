//! The code against the test vectors of the app protocol and of the encodings for devices.

#![allow(clippy::expect_used, reason = "a vector file that cannot be read has to fail the test")]

use std::sync::Arc;

use provbroker::core::model::device::Facts;
use provbroker::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use provbroker::core::model::device_view::DeviceView;
use provbroker::core::model::ids::{ConfigId, DeviceId, DeviceKey, DomainId, Secret};
use provbroker::core::protocol::appws::answers::{PIECE_BYTES, device_config, pieces};
use provbroker::core::protocol::appws::login::{AppIdentity, Login, encrypt, hash, login_digest, session_key};
use provbroker::core::protocol::appws::message::Request;
use provbroker::core::protocol::appws::select::Selection;
use provbroker::core::protocol::json::Object;
use provbroker::core::protocol::script::{encode, ready};
use serde_json::Value;

fn vectors(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors.json");
    let entries = all[name].as_array().expect(name).clone();
    assert!(!entries.is_empty(), "{name}");
    entries
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_else(|| panic!("{name} in {entry}"))
}

fn secret(entry: &Value, name: &str) -> Secret {
    Secret::new(text(entry, name))
}

#[test]
fn app_logins_are_accepted_and_rejected() {
    let (mut accepted, mut rejected) = (0, 0);
    for entry in vectors("app_login") {
        let login = Request::parse(text(&entry, "message")).map(|request| Login::read(&request));
        let fits =
            login.as_ref().is_ok_and(|login| login.matches(text(&entry, "challenge"), &secret(&entry, "password")));
        match text(&entry, "expect") {
            "accept" => {
                accepted += 1;
                assert!(fits, "{}", entry["name"]);
                let login = login.expect("was read");
                let identity = AppIdentity {
                    app: &login.app,
                    domain: &login.domain,
                    sip: &login.sip,
                    guid: &login.guid,
                    dn: &login.dn,
                    info: entry["info_text"].as_str(),
                };
                let digest = login_digest(&identity, text(&entry, "challenge"), &secret(&entry, "password"));
                assert_eq!(digest, text(&entry, "digest"), "{}", entry["name"]);
                let forms = login.info.map(|info| [info.canonical, info.received]);
                let known = entry["info_text"].as_str();
                assert!(forms.map_or(known.is_none(), |f| f.iter().any(|f| Some(&**f) == known)), "{}", entry["name"]);
            }
            "reject" => {
                rejected += 1;
                assert!(!fits, "{}", entry["name"]);
            }
            other => panic!("{other}"),
        }
    }
    assert!(accepted >= 9 && rejected >= 4, "{accepted} {rejected}");
}

#[test]
fn session_keys() {
    for entry in vectors("app_session_key") {
        let key = session_key(text(&entry, "challenge"), &secret(&entry, "password"));
        assert_eq!(key.expose(), text(&entry, "key"));
    }
}

#[test]
fn session_ciphers_and_hashes() {
    for entry in vectors("app_session_crypt") {
        let (seed, key, plain) = (text(&entry, "seed"), secret(&entry, "session_key"), text(&entry, "plain"));
        assert_eq!(encrypt(seed, &key, plain), text(&entry, "cipher_hex"));
        assert_eq!(hash(seed, &key, plain), text(&entry, "hash"));
    }
}

#[test]
fn secrets_of_device_configurations() {
    for entry in vectors("device_config_secret") {
        let key = session_key(text(&entry, "challenge"), &secret(&entry, "password"));
        assert_eq!(key.expose(), text(&entry, "session_key"));
        let message = text(&entry, "message_json");
        let parsed = Object::parse(message.as_bytes()).expect("JSON");
        let config = parsed.object("config").expect("config");
        let common = ["id", "domainId", "type", "categories", "seed"];
        let members = config.members().filter(|(name, _)| !common.contains(name)).map(|(name, value)| {
            let value = if name == text(&entry, "member") {
                MemberValue::Secret(secret(&entry, "plain"))
            } else {
                MemberValue::Plain(serde_json::from_str(&value.canonical()).expect("JSON"))
            };
            (&*name.to_owned().leak(), value)
        });
        let kind = ConfigType::SENT.into_iter().find(|kind| config.str("type") == Some(kind.name())).expect("type");
        let number = |name| config.u64(name).expect("a number");
        let config = DeviceConfig {
            id: ConfigId(number("id")),
            domain: DomainId(number("domainId")),
            desc: None,
            kind,
            categories: Vec::new(),
            members: members.collect(),
        };
        let ask = format!(r#"{{"mt":"GetDeviceConfig","src":"{}"}}"#, parsed.str("src").expect("src"));
        let request = Request::parse(&ask).expect("a request");
        assert_eq!(device_config(&request, &config, None, text(&entry, "seed"), &key), [message]);
    }
}

#[test]
fn pieces_of_scripts() {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors.json");
    assert_eq!(all["limits"]["config_value_piece_bytes"], PIECE_BYTES);
    for entry in vectors("config_value_pieces") {
        let count = usize::try_from(entry["count"].as_u64().expect("count")).expect("count");
        let script = text(&entry, "unit").repeat(count);
        let pieces = pieces(&script);
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(Value::from(lengths), entry["piece_bytes"], "{}", entry["name"]);
        assert_eq!(pieces.concat(), script);
    }
}

#[test]
fn addresses_of_automatic_provisioning() {
    for entry in vectors("auto_provisioning_url") {
        let name = text(&entry, "name");
        let token = secret(&entry, "token");
        let url = encode::auto_provisioning_url(
            text(&entry, "base"),
            text(&entry, "domain"),
            &token,
            text(&entry, "category"),
        );
        assert_eq!(url.expose(), text(&entry, "url"), "{name}");
        assert_eq!(encode::value(url.expose()), text(&entry, "config_value"), "{name}");
        let (base, domain, category) = (text(&entry, "base"), text(&entry, "domain"), text(&entry, "category"));
        let line = ready::auto_provisioning_line(base, domain, &token, category).unwrap().expose().to_owned();
        assert_eq!(line, text(&entry, "config_line"), "{name}");
        let path = encode::command_path(&line);
        assert_eq!(path, text(&entry, "command_path"), "{name}");
        assert_eq!(encode::line_of_path(&path), Some(line), "{name}");
    }
}

#[test]
fn devices_that_a_filter_gives() {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors.json");
    let table = &all["get_devices"];
    let list = |of: &Value| of.as_array().expect("an array").clone();
    let devices: Vec<_> = list(&table["devices"])
        .iter()
        .map(|device| {
            let number = |name: &str| device[name].as_u64().expect("a number");
            DeviceView {
                id: DeviceId(number("id")),
                key: DeviceKey::parse(&number("id").to_string()).expect("a key"),
                name: None,
                domain: Some(DomainId(number("domainId"))).filter(|domain| domain.0 != 0),
                category: None,
                category_name: device["category"].as_str().map(Into::into),
                app_ip: None,
                online: false,
                facts: Facts::default(),
            }
        })
        .collect();
    let names: Vec<_> = table["categories"].as_object().expect("categories").values().flat_map(list).collect();
    for case in list(&table["cases"]) {
        let request = case["request"].to_string();
        let request = Object::parse(request.as_bytes()).expect("a request");
        let mut filter = Selection::filter(&request).expect("a filter");
        // What the session and the service add: the rights.
        filter.unassigned &= case["admin"] == true;
        let reach = list(&case["domains_within_rights"]);
        let filter = Arc::new(filter).with_names(|name| names.iter().any(|known| known == name));
        let within = |view: &&DeviceView| view.domain.is_none_or(|domain| reach.contains(&domain.0.into()));
        let found: Vec<_> = devices.iter().filter(within).filter(|view| filter.takes(view)).map(|v| v.id.0).collect();
        assert_eq!(serde_json::json!(found), case["expect"], "{}", case["name"]);
    }
}
