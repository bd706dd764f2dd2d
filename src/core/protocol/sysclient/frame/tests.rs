//! Properties of every message.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::core::model::device::{Category, EthIf, Facts};
use crate::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use crate::core::model::ids::{CategoryId, Code, ConfigId, DomainId, HardwareId, Secret};
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::config::ConfigItem;

fn read_device(message: &Bytes) -> FromDevice {
    decode_from_device(message).unwrap()
}

fn read_server(message: &Bytes) -> FromServer {
    decode_from_server(message).unwrap()
}

#[test]
fn size_is_checked_before_the_first_byte_and_that_before_the_header() {
    let error = |first: u8, len: usize| {
        let message: Bytes = [vec![first], vec![0xff; len - 1]].concat().into();
        (decode_from_device(&message).err(), decode_from_server(&message).err())
    };
    let both = |error| (Some(error), Some(error));
    assert_eq!(error(9, TUNNEL_MAX + 1), both(DecodeError::TooLong));
    assert_eq!(error(9, ADMIN_MAX + 1), both(DecodeError::MessageType));
    assert_eq!(error(1, ADMIN_MAX + 1), both(DecodeError::TooLong));
    assert_eq!(error(2, 8), both(DecodeError::TooShort));
    assert_eq!(error(1, 3), (None, None), "an unknown admin type needs no text");
}

#[test]
fn debug_shows_no_tunnel_bytes() {
    let event = (DeviceEvent::ReceiveResult(Bytes::from_static(b"A")), ServerEvent::Send(Bytes::from_static(b"A")));
    assert_eq!(format!("{event:?}"), "(ReceiveResult(1 bytes), Send(1 bytes))");
}

fn some_text() -> impl Strategy<Value = Box<str>> {
    proptest::collection::vec(any::<char>(), 1..30).prop_map(|chars| chars.into_iter().collect::<String>().into())
}

/// A text that is short enough for every member of an identify.
fn short_text() -> impl Strategy<Value = Box<str>> {
    proptest::collection::vec(any::<char>(), 1..8).prop_map(|chars| chars.into_iter().collect::<String>().into())
}

fn short() -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of(short_text())
}

fn maybe() -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of(some_text())
}

fn code() -> impl Strategy<Value = OfferedCode> {
    prop_oneof![
        Just(OfferedCode::Malformed),
        (0..Code::SPACE).prop_map(|n| OfferedCode::Code(Code::from_number(n).unwrap())),
    ]
}

fn interface() -> impl Strategy<Value = EthIf> {
    (short_text(), short(), short()).prop_map(|(name, ipv4, ipv6)| EthIf { name, ipv4, ipv6 })
}

fn facts() -> impl Strategy<Value = Facts> {
    let texts = (short_text(), short_text(), short_text());
    let flags = any::<[bool; 4]>();
    let interfaces = proptest::collection::vec(interface(), 0..=6);
    (texts, (short(), short(), short(), short(), short(), short()), flags, interfaces).prop_map(
        |(
            (product, version, platform),
            (name, fw_build, bc_build, major, fw, bc),
            [fxs, mini, pbx_active, other],
            eth_ifs,
        )| {
            Facts {
                product,
                version,
                platform,
                fxs,
                name,
                fw_build,
                bc_build,
                major,
                fw,
                bc,
                mini,
                pbx_active,
                other,
                eth_ifs,
            }
        },
    )
}

fn device_message() -> impl Strategy<Value = FromDevice> {
    let identify = ("[a-z0-9ü:-]{1,64}", facts(), prop_oneof![code(), Just(OfferedCode::None)], short());
    let identify = identify.prop_map(|(id, facts, code, digest)| {
        FromDevice::Identify(Box::new(Identify { id: HardwareId::parse(&id).unwrap(), facts, code, digest }))
    });
    let event = prop_oneof![
        any::<Vec<u8>>().prop_map(|data| DeviceEvent::ReceiveResult(data.into())),
        Just(DeviceEvent::SendResult),
        Just(DeviceEvent::Shutdown),
    ];
    prop_oneof![
        identify,
        (short_text(), code()).prop_map(|(port, code)| FromDevice::Provision { port, code }),
        (any::<u32>(), event).prop_map(|(session, event)| FromDevice::Tunnel { session, event }),
        (7..=u16::MAX).prop_map(|kind| FromDevice::Ignored(Ignored::AdminType(kind))),
        (5..=u32::MAX).prop_map(|event| FromDevice::Ignored(Ignored::TunnelEvent(event))),
    ]
}

fn server_message() -> impl Strategy<Value = FromServer> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        some_text().prop_map(|text| Value::from(&*text)),
    ];
    let names = prop_oneof![Just("ntp1"), Just("tz"), Just("\"\\é\u{1}")];
    let members = proptest::collection::btree_map(names, value.prop_map(MemberValue::Plain), 0..4);
    let category = (some_text(), any::<bool>()).prop_map(|(name, provisioning)| Category {
        id: CategoryId(4),
        name,
        provisioning,
    });
    let categories = proptest::collection::vec(category, 0..3);
    let item = (maybe(), categories, members, maybe()).prop_map(|(desc, categories, members, secret)| {
        let secret = MemberValue::Secret(secret.map(Secret::new).unwrap_or_default());
        let members = members.into_iter().chain([("turnPassword", secret)]).collect();
        let (id, domain) = (ConfigId(1), DomainId(2));
        let config = DeviceConfig { id, domain, desc, kind: ConfigType::Media, categories, members };
        ConfigItem::seal(&config, "0123456789abcdef", &Secret::new("x"))
    });
    let event = prop_oneof![
        any::<Vec<u8>>().prop_map(|data| ServerEvent::Send(data.into())),
        any::<u32>().prop_map(ServerEvent::Receive),
        Just(ServerEvent::Shutdown),
    ];
    prop_oneof![
        "[\\PC]{32}".prop_map(|text| FromServer::Password(Secret::new(text))),
        some_text().prop_map(FromServer::Challenge),
        ("[\\PC]{16}", some_text()).prop_map(|(seed, pwd)| FromServer::AdminPassword { seed: seed.into(), pwd }),
        maybe().prop_map(|error| FromServer::ProvisionResult { error }),
        (proptest::option::of(item), any::<bool>()).prop_map(|(item, last)| FromServer::Configuration { item, last }),
        (any::<u32>(), event).prop_map(|(session, event)| FromServer::Tunnel { session, event }),
        (7..=u16::MAX).prop_map(|kind| FromServer::Ignored(Ignored::AdminType(kind))),
    ]
}

proptest! {
    #[test]
    fn messages_of_a_device_survive_a_round_trip(message in device_message()) {
        prop_assert_eq!(read_device(&message.encode().into()), message);
    }

    #[test]
    fn messages_of_a_server_survive_a_round_trip(message in server_message()) {
        prop_assert_eq!(read_server(&message.encode().into()), message);
    }

    #[test]
    fn no_bytes_cause_a_decoder_panic(
        start in prop_oneof![Just(vec![]), Just(vec![1, 0, 0]), Just(vec![1, 0, 6, b'{']), Just(vec![2, 0, 0, 0, 1, 0, 0, 0])],
        rest in any::<Vec<u8>>(),
    ) {
        let message = Bytes::from([start, rest].concat());
        let _ = decode_from_device(&message);
        let _ = decode_from_server(&message);
    }
}
