//! The code against the test vectors of the device protocol.

// clippy.toml exempts functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use provbroker::attempts::{AttemptRules, SecretKind};
use provbroker::core::model::device::{Facts, Way};
use provbroker::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use provbroker::core::model::hex;
use provbroker::core::model::ids::{Code, ConfigId, DomainId, HardwareId, MAX_ID_CHARS, Secret};
use provbroker::core::model::time::Tick;
use provbroker::core::policy::admin_password::AdminPassword;
use provbroker::core::policy::limits::SourceKey;
use provbroker::core::policy::limits::challenges::Challenges;
use provbroker::core::policy::limits::decisions::Name;
use provbroker::core::protocol::json::{MAX_DEPTH, Object};
use provbroker::core::protocol::percent;
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode, PRODUCT_MAX, VERSION_MAX};
use provbroker::core::protocol::sysclient::auth;
use provbroker::core::protocol::sysclient::config::{CONFIG_SEED_CHARS, ConfigItem};
use provbroker::core::protocol::sysclient::frame::{self, DeviceEvent, FromDevice, FromServer, Ignored, ServerEvent};
use provbroker::core::protocol::sysclient::tunnel::request::Draft;
use provbroker::core::protocol::sysclient::tunnel::{
    Action, DeviceAction, DeviceTunnel, Expects, HttpExchange, Limits,
};
use serde_json::Value;

/// The vectors of one section; an empty section is a fault of this test.
fn vectors(section: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let found = all[section].as_array().unwrap().clone();
    assert!(!found.is_empty());
    found
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} of {vector}"))
}

fn from_hex(vector: &Value, name: &str) -> Bytes {
    hex::decode(text(vector, name)).unwrap().into()
}

/// The message of a vector, literally or as a rule for building it; `None` for a text message.
fn message(vector: &Value) -> Option<Bytes> {
    let Some(build) = vector.get("build") else { return Some(from_hex(vector, "hex")) };
    build.get("prefix_hex")?;
    let fill = from_hex(build, "fill_hex").repeat(usize::try_from(build["count"].as_u64().unwrap()).unwrap());
    Some([&from_hex(build, "prefix_hex")[..], &fill].concat().into())
}

fn from_device(message: &Bytes) -> FromDevice {
    frame::decode_from_device(message).unwrap()
}

fn from_server(message: &Bytes) -> FromServer {
    frame::decode_from_server(message).unwrap()
}

#[test]
fn rc4_known_answers() {
    for v in vectors("rc4_known_answers") {
        let cipher = auth::rc4(text(&v, "key").as_bytes(), text(&v, "plain").as_bytes()).unwrap();
        assert_eq!(hex::encode(cipher), text(&v, "cipher_hex"), "{v}");
    }
}

#[test]
fn digests() {
    for v in vectors("sysclient_digest") {
        let password = Secret::new(text(&v, "password"));
        let [id, product, version, challenge] = ["id", "product", "version", "challenge"].map(|name| text(&v, name));
        let digest = auth::device_digest(id, product, version, challenge, &password);
        assert_eq!(digest, text(&v, "digest"), "{v}");
        let facts = Facts { product: product.into(), version: version.into(), ..Facts::default() };
        let given = Some(digest.to_uppercase().into());
        let identify = Identify { id: HardwareId::parse(id).unwrap(), facts, code: OfferedCode::None, digest: given };
        assert!(identify.answers(challenge, &password), "{v}");
        assert!(!identify.answers("other", &password), "{v}");
    }
}

#[test]
fn administrative_passwords() {
    for v in vectors("admin_password") {
        let (seed, key) = (text(&v, "seed"), Secret::new(text(&v, "sysclient_password")));
        let pwd = auth::seal_admin_password(seed, &key, &Secret::new(text(&v, "plain")));
        assert_eq!(pwd, text(&v, "pwd"), "{v}");
        assert_eq!(auth::open_admin_password(seed, &key, &pwd).unwrap().expose(), text(&v, "plain"));
        let encoded = FromServer::AdminPassword { seed: seed.into(), pwd: pwd.into() }.encode();
        assert_eq!(&encoded[3..], text(&v, "message_json").as_bytes());
    }
}

#[test]
fn framing() {
    for v in vectors("framing") {
        let bytes = from_hex(&v, "hex");
        let again: Bytes = if text(&v, "direction") == "device->server" {
            let again = from_device(&bytes).encode().into();
            assert_eq!(from_device(&again), from_device(&bytes), "{v}");
            again
        } else {
            from_server(&bytes).encode().into()
        };
        // A member that is `false` where its absence means the same.
        if text(&v, "name") != "identify with provisioning code" {
            assert_eq!(again, bytes, "{v}");
        }
        let (expected_session, expected_event) = (v["session"].as_u64(), v["event"].as_u64());
        if text(&v, "kind") == "tunnel" {
            assert_eq!(expected_session, Some(u64::from(u32::from_be_bytes(bytes[1..5].try_into().unwrap()))));
            assert_eq!(expected_event, Some(u64::from(u32::from_be_bytes(bytes[5..9].try_into().unwrap()))));
        } else {
            assert_eq!(&bytes[3..], text(&v, "json").as_bytes());
        }
    }
    let server = |hex: &str| from_server(&hex::decode(hex).unwrap().into());
    let receive = |session, wanted| FromServer::Tunnel { session, event: ServerEvent::Receive(wanted) };
    assert_eq!(server("020a0b0c0d0000000100010203"), receive(0x0a0b_0c0d, 0x0001_0203));
    assert_eq!(server("0100057b7d"), FromServer::ProvisionResult { error: None });
}

#[test]
fn configuration_secrets() {
    for v in vectors("config_secret") {
        let (password, plain) = (Secret::new(text(&v, "sysclient_password")), Secret::new(text(&v, "plain")));
        let message = text(&v, "message_json");
        let parsed = Object::parse(message.as_bytes()).unwrap();
        let config = parsed.object("config").unwrap();
        let common = ["id", "domainId", "type", "categories", text(&v, "seed_member")];
        let members = config.members().filter(|(name, _)| !common.contains(name)).map(|(name, value)| {
            let name: &str = name;
            let value = if name == text(&v, "member") {
                MemberValue::Secret(plain.clone())
            } else {
                MemberValue::Plain(serde_json::from_str(&value.canonical()).unwrap())
            };
            (&*name.to_owned().leak(), value)
        });
        let kind = ConfigType::SENT.into_iter().find(|kind| config.str("type") == Some(kind.name())).unwrap();
        let number = |name| config.u64(name).unwrap();
        let (id, domain) = (ConfigId(number("id")), DomainId(number("domainId")));
        let plain_config =
            DeviceConfig { id, domain, desc: None, kind, categories: Vec::new(), members: members.collect() };
        let item = ConfigItem::seal(&plain_config, text(&v, "seed"), &password);
        let encoded = FromServer::Configuration { item: Some(item), last: false }.encode();
        assert_eq!(&encoded[3..], message.as_bytes(), "{v}");
        let FromServer::Configuration { item: Some(read), last: false } = from_server(&encoded.into()) else {
            panic!("{v}")
        };
        assert_eq!(read.open(text(&v, "member"), &password), Some(plain), "{v}");
        assert_eq!((read.kind(), read.is_removed()), (kind.name().to_owned(), false));
    }
}

#[test]
fn a_device_reads_configurations_in_every_form() {
    let read = |json: &str| match frame::decode_from_server(&[b"\x01\x00\x06", json.as_bytes()].concat().into()) {
        Ok(FromServer::Configuration { item, last }) => Ok((item.map(|item| item.kind()), last)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.close().code()),
    };
    let ntp = || Some("NTP".to_owned());
    assert_eq!(read("{}"), Ok((None, false)));
    assert_eq!(read(r#"{"config":7,"last":"yes"}"#), Ok((None, false)));
    assert_eq!(read(r#"{"config":{"tz":"","type":"NTP","ntp1":"a","id":1,"new":[1,{}]}}"#), Ok((ntp(), false)));
    assert_eq!(read(r#"{"last":true,"config":{"type":"NTP"}}"#), Ok((ntp(), true)));
    assert_eq!(read(r#"{"config":{"type":"NTP","last":true}}"#), Ok((ntp(), true)));
    for json in [r#"{"config":{}}"#, r#"{"config":{"type":""}}"#, r#"{"config":{"type":7}}"#] {
        assert_eq!(read(json), Err(1007), "{json}");
    }
}

#[test]
fn malformed_messages() {
    let mut text_messages = 0;
    for v in vectors("malformed_from_device") {
        let Some(message) = message(&v) else {
            text_messages += 1;
            continue;
        };
        let decoded = frame::decode_from_device(&message);
        match (text(&v, "action"), text(&v, "rule")) {
            ("close", _) => {
                let code = decoded.expect_err(text(&v, "name")).close().code();
                assert_eq!(Some(u64::from(code)), v["close_code"].as_u64(), "{v}");
            }
            ("drop", "unknown admin type") => {
                assert!(matches!(decoded, Ok(FromDevice::Ignored(Ignored::AdminType(_)))), "{v}");
            }
            ("drop", "unknown event") => {
                assert!(matches!(decoded, Ok(FromDevice::Ignored(Ignored::TunnelEvent(_)))), "{v}");
            }
            ("drop", "unknown session") => assert!(matches!(decoded, Ok(FromDevice::Tunnel { .. })), "{v}"),
            ("answer", "state") => {
                let code = OfferedCode::Code(Code::parse("118822007734").unwrap());
                assert_eq!(decoded, Ok(FromDevice::Provision { port: "TEL1".into(), code }));
                let answer = FromServer::ProvisionResult { error: Some("not in a domain".into()) };
                assert_eq!(hex::encode(answer.encode()), text(&v, "answer_hex"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(text_messages, 1, "only the text message is refused before the decoder");
}

#[test]
fn tolerated_messages() {
    let mut plain = None;
    for v in vectors("tolerated_from_device") {
        let decoded = from_device(&from_hex(&v, "hex"));
        let FromDevice::Identify(identify) = decoded else {
            let shutdown = text(&v, "name").starts_with("shutdown");
            let event = if shutdown { DeviceEvent::Shutdown } else { DeviceEvent::SendResult };
            assert_eq!(decoded, FromDevice::Tunnel { session: 1, event }, "{v}");
            continue;
        };
        assert_eq!(identify.id.key().as_str(), text(&v, "id"), "{v}");
        let facts = &identify.facts;
        match text(&v, "name") {
            "unknown members" => plain = Some(facts.clone()),
            "interface without name" => assert_eq!(facts.eth_ifs.len(), 1),
            "MAC address with separators and capitals" => assert_eq!(identify.id.as_str(), "00-90-33-41-A0-B1"),
            "digest although no challenge was sent" => assert!(identify.digest.is_some()),
            "unknown platform type" => assert!(Some(facts) != plain.as_ref() && !facts.platform.is_empty()),
            _ => assert_eq!(Some(facts), plain.as_ref(), "{v}"),
        }
    }
}

#[test]
fn largest_legal_messages() {
    for v in vectors("largest_legal") {
        let message = message(&v).unwrap();
        assert!(matches!(message.len(), frame::ADMIN_MAX | frame::TUNNEL_MAX), "{v}");
        assert!(frame::decode_from_device(&message).is_ok(), "{v}");
    }
}

#[test]
fn limits() {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let limit = |name: &str| usize::try_from(all["limits"][name].as_u64().unwrap()).unwrap();
    assert_eq!(limit("admin_message_bytes"), frame::ADMIN_MAX);
    assert_eq!(limit("tunnel_message_bytes"), frame::TUNNEL_MAX);
    assert_eq!(limit("json_depth"), MAX_DEPTH);
    assert_eq!(limit("id_chars"), MAX_ID_CHARS);
    assert_eq!(limit("product_bytes"), PRODUCT_MAX);
    assert_eq!(limit("version_bytes"), VERSION_MAX);
    assert_eq!(limit("password_chars"), auth::PASSWORD_CHARS);
    assert_eq!(limit("seed_chars"), auth::SEED_CHARS);
    assert_eq!(limit("config_seed_chars"), CONFIG_SEED_CHARS);
}

fn steps(vector: &Value) -> Vec<(bool, Bytes)> {
    let steps = vector["steps"].as_array().unwrap();
    steps.iter().map(|step| (text(step, "from") == "server", from_hex(step, "hex"))).collect()
}

fn command(frame: &Bytes) -> (u32, ServerEvent) {
    match from_server(frame) {
        FromServer::Tunnel { session, event } => (session, event),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tunnel_exchanges_on_the_server() {
    for v in vectors("tunnel_exchanges") {
        let steps = steps(&v);
        let sends: Vec<_> = steps.iter().filter(|(server, _)| *server).map(|(_, frame)| command(frame)).collect();
        let sends =
            sends.iter().filter_map(|(_, event)| if let ServerEvent::Send(data) = event { Some(data) } else { None });
        let sends: Vec<&[u8]> = sends.map(|data| &data[..]).collect();
        let session = command(&steps[0].1).0;
        // One vector splits a short request into two sends, so the limit is set accordingly.
        let limits = Limits { send: sends[0].len(), ..Limits::default() };
        let expects = if text(&v, "method") == "HEAD" { Expects::HeadOnly } else { Expects::Answer };
        let (mut exchange, mut actions) = HttpExchange::open(session, sends.concat().into(), expects, limits, Tick(0));
        let (mut status, mut body, mut ends, mut sent) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut steps = steps.into_iter();
        loop {
            let mut untaken = false;
            for action in actions {
                match action {
                    Action::Send(event) => sent.push(Bytes::from(FromServer::Tunnel { session, event }.encode())),
                    Action::Head(head) => status = Some(u64::from(head.status)),
                    Action::Body(data) => {
                        body.extend(data);
                        untaken = true;
                    }
                    end => ends.push(end),
                }
            }
            if untaken {
                actions = exchange.taken(Tick(0));
                continue;
            }
            let expected: Vec<_> = steps.by_ref().take(sent.len()).collect();
            assert_eq!(sent.drain(..).map(|frame| (true, frame)).collect::<Vec<_>>(), expected, "{v}");
            let Some((false, frame)) = steps.next() else { break };
            let FromDevice::Tunnel { event, .. } = from_device(&frame) else { panic!("{v}") };
            actions = exchange.device(event, Tick(0));
        }
        assert_eq!((status, hex::encode(&body).as_str()), (v["status"].as_u64(), text(&v, "body_hex")), "{v}");
        assert_eq!(ends, [Action::Done, Action::Release], "{v}");
        assert!(exchange.is_over() && steps.next().is_none());
    }
}

#[test]
fn tunnel_exchanges_on_the_device() {
    for v in vectors("tunnel_exchanges") {
        let mut device = DeviceTunnel::new();
        let mut actions = Vec::new();
        for (server, frame) in steps(&v) {
            let sent = |actions: &[DeviceAction]| -> Vec<Bytes> {
                let frame = |action: &DeviceAction| match action.clone() {
                    DeviceAction::Send(session, event) => Some(FromDevice::Tunnel { session, event }.encode().into()),
                    _ => None,
                };
                actions.iter().filter_map(frame).collect()
            };
            if server {
                assert!(sent(&actions).is_empty(), "{v}");
                let (session, event) = command(&frame);
                actions = device.server(session, event);
                continue;
            }
            let FromDevice::Tunnel { session, event } = from_device(&frame) else { panic!("{v}") };
            match event {
                // Our device does not end an answer like this.
                DeviceEvent::ReceiveResult(data) if data.is_empty() => break,
                DeviceEvent::ReceiveResult(data) => actions = device.local_bytes(session, data),
                DeviceEvent::Shutdown if actions.is_empty() => actions = device.local_closed(session),
                DeviceEvent::SendResult | DeviceEvent::Shutdown => {}
            }
            assert_eq!(sent(&actions), [frame], "{v}");
            actions.clear();
        }
    }
}

/// Delays of challenges and of decisions on codes (`docs/protocol/sysclient.md` 9.1).
#[test]
fn heads_of_tunnel_requests() {
    for v in vectors("tunnel_request_head") {
        let fields: Vec<(&str, &[u8])> = v["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| (field[0].as_str().unwrap(), field[1].as_str().unwrap().as_bytes()))
            .collect();
        let body = vec![b'x'; usize::try_from(v["body_bytes"].as_u64().unwrap()).unwrap()];
        let draft = Draft::new(text(&v, "method"), text(&v, "target"), &fields, v["upgrade"].as_bool().unwrap());
        let (bytes, _) = draft.unwrap().with_body(&body).unwrap();
        let (head, rest) = bytes.split_at(bytes.len() - body.len());
        assert_eq!((std::str::from_utf8(head).unwrap(), rest), (text(&v, "head"), &body[..]), "{v}");
        assert_eq!(hex::encode(head), text(&v, "hex"), "{v}");
    }
}

#[test]
fn choice_of_the_administrative_password() {
    for v in vectors("administrative_choice") {
        let way = match text(&v, "entered") {
            "code" => Way::Code,
            "manual" => Way::Manual,
            _ => Way::Auto,
        };
        let administrative = v["administrative"].as_bool().unwrap_or_default();
        let sent = match text(&v, "sent") {
            "domain" => AdminPassword::Domain,
            "random" => AdminPassword::Random,
            _ => AdminPassword::None,
        };
        assert_eq!(AdminPassword::after(way, administrative, v["domain_hands_out"].as_bool().unwrap()), sent, "{v}");
    }
}

#[test]
fn attempt_delays() {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let all = &all["attempt_delay"];
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name} of {row}"));
    let (name, address) = (Name(1), SourceKey::from(IpAddr::from([198, 51, 100, 7])));
    for row in all["digests"].as_array().unwrap() {
        let mut challenges = Challenges::new(Duration::from_secs(600), 10);
        for _ in 0..number(row, "wrong") {
            challenges.wrong(name, address, Tick(0));
        }
        assert_eq!(challenges.delay(name, address, Tick(0)).as_secs(), number(row, "waits_s"), "{row}");
    }
    let rules = AttemptRules::default();
    for kind in [SecretKind::DeviceCode, SecretKind::InitCode] {
        for row in all["codes"].as_array().unwrap() {
            let bad = u32::try_from(number(row, "bad")).unwrap();
            assert_eq!(rules.of(kind).pair_delay(bad).as_secs(), number(row, "waits_s"), "{row}");
        }
    }
    let mut challenges = Challenges::new(Duration::from_secs(600), 10);
    for row in all["sequence"].as_array().unwrap() {
        let now = Tick(number(row, "second") * 1000);
        let name = Name(u64::from_str_radix(text(row, "device"), 16).unwrap());
        let source = SourceKey::from(text(row, "address").parse::<IpAddr>().unwrap());
        match text(row, "event") {
            "wrong" => challenges.wrong(name, source, now),
            "right" => challenges.right(name, source),
            "challenge" => {
                assert_eq!(challenges.delay(name, source, now).as_secs(), number(row, "waits_s"), "{row}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn percent_decoding() {
    for v in vectors("percent_decoding") {
        match (percent::query(text(&v, "raw")), v.get("error")) {
            (Ok(pairs), None) => {
                let pairs: serde_json::Map<_, _> = pairs.into_iter().map(|(n, v)| (n, v.into())).collect();
                assert_eq!(Value::Object(pairs), v["values"], "{v}");
            }
            (Err(error), Some(expected)) => assert_eq!(Some(error.to_string().as_str()), expected.as_str()),
            (outcome, _) => panic!("{outcome:?} for {v}"),
        }
    }
}

#[test]
fn the_query_of_automatic_provisioning() {
    for v in vectors("auto_provisioning_url") {
        let names = ["domain", "token", "category"];
        let pairs = names.map(|name| format!("{name}={}", percent::encode(text(&v, name))));
        assert_eq!(format!("{}?{}", text(&v, "base"), pairs.join("&")), text(&v, "url"));
        let (_, query) = text(&v, "url").split_once('?').unwrap();
        assert_eq!(percent::query(query).unwrap(), names.map(|name| (name.to_owned(), text(&v, name).to_owned())));
        assert_eq!(percent::encode(text(&v, "url")), text(&v, "config_value"));
    }
}
