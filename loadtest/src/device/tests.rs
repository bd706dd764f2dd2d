//! The device against scripted answers.

use provbroker::core::protocol::sysclient::auth::seal_admin_password;
use provbroker::core::protocol::sysclient::frame::decode_from_device;

use super::*;

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
const PASSWORD: &str = "Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT";
const SEED: &str = "k3Vx0Rz9Tq1Lm5Wb";

fn device() -> Device {
    let mut device = Device::new(HardwareId::parse("storm-1").unwrap(), None);
    device.connected();
    device
}

fn broker() -> DeviceProfile {
    DeviceProfile::new(Peer::Broker, None)
}

/// A frame as servers send it.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    if payload.len() < 126 {
        frame.push(u8::try_from(payload.len()).unwrap());
    } else {
        frame.push(126);
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    frame.extend(payload);
    frame
}

fn message(message: &FromServer) -> Vec<u8> {
    frame(BINARY, &message.encode())
}

fn admin_password(plain: &str) -> Vec<u8> {
    let pwd = seal_admin_password(SEED, &Secret::new(PASSWORD), &Secret::new(plain));
    message(&FromServer::AdminPassword { seed: SEED.into(), pwd: pwd.into() })
}

/// What the device sends for these bytes.
fn receive(device: &mut Device, profile: &DeviceProfile, bytes: &[u8]) -> (Result<ReadOutcome, Failure>, Vec<Vec<u8>>) {
    let mut out = Vec::new();
    let outcome = device.receive(profile, bytes, &mut out);
    let (mut sent, mut rest) = (Vec::new(), &out[..]);
    while !rest.is_empty() {
        // Masked, with a mask of zeros.
        let (start, length) = match rest[1] & 0x7f {
            126 => (8, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            short => (6, usize::from(short)),
        };
        sent.push([&rest[..1], &rest[start..start + length]].concat());
        rest = &rest[start + length..];
    }
    (outcome, sent)
}

fn identify(sent: &[u8]) -> Identify {
    match decode_from_device(&Bytes::copy_from_slice(&sent[1..])).unwrap() {
        FromDevice::Identify(identify) => *identify,
        other => panic!("{other:?}"),
    }
}

fn entered(device: &mut Device, profile: &DeviceProfile) {
    let password = message(&FromServer::Password(Secret::new(PASSWORD)));
    let all = [SWITCHING, &password, &admin_password("secret")].concat();
    let (outcome, sent) = receive(device, profile, &all);
    assert_eq!((outcome, sent.len()), (Ok(ReadOutcome::Registered), 1));
}

#[test]
fn it_enters_and_then_registers_by_its_password() {
    let (mut device, profile) = (device(), broker());
    entered(&mut device, &profile);
    device.connected();
    let (outcome, sent) = receive(&mut device, &profile, SWITCHING);
    assert_eq!(outcome, Ok(ReadOutcome::Nothing));
    assert_eq!(identify(&sent[0]).digest, None);
    let (_, sent) = receive(&mut device, &profile, &message(&FromServer::Challenge("4031886215".into())));
    assert!(identify(&sent[0]).answers("4031886215", &Secret::new(PASSWORD)));
    assert!(!device.is_registered());
    assert_eq!(receive(&mut device, &profile, &admin_password("secret")).0, Ok(ReadOutcome::Registered));
    assert!(device.is_registered());
    assert_eq!(
        receive(&mut device, &profile, &admin_password("secret")).0,
        Ok(ReadOutcome::Nothing),
        "registered once"
    );
}

#[test]
fn bytes_may_come_one_by_one() {
    let (mut device, profile) = (device(), broker());
    let password = message(&FromServer::Password(Secret::new(PASSWORD)));
    let all = [SWITCHING, &password, &admin_password("secret")].concat();
    let (last, before) = all.split_last().unwrap();
    for byte in before {
        assert_eq!(receive(&mut device, &profile, &[*byte]).0, Ok(ReadOutcome::Nothing));
    }
    assert_eq!(receive(&mut device, &profile, &[*last]).0, Ok(ReadOutcome::Registered));
}

#[test]
fn another_administrative_password_is_another_domain() {
    let (mut device, profile) = (device(), broker());
    entered(&mut device, &profile);
    device.connected();
    receive(&mut device, &profile, SWITCHING).0.unwrap();
    receive(&mut device, &profile, &message(&FromServer::Challenge("1".into()))).0.unwrap();
    let (outcome, _) = receive(&mut device, &profile, &admin_password("of another domain"));
    assert_eq!(outcome, Err(Failure::Wrong("another administrative password: another domain")));
}

#[test]
fn a_code_is_offered_and_does_not_bring_the_password_of_the_domain() {
    let profile = DeviceProfile::new(Peer::Broker, Some(Secret::new("secret")));
    let code = Code::parse("402817739164").unwrap();
    let mut device = Device::new(HardwareId::parse("new").unwrap(), Some(code));
    device.connected();
    let (_, sent) = receive(&mut device, &profile, SWITCHING);
    assert_eq!(identify(&sent[0]).code, OfferedCode::Code(code));
    assert_eq!(device.code_of_entry(), None);
    receive(&mut device, &profile, &message(&FromServer::Password(Secret::new(PASSWORD)))).0.unwrap();
    assert_eq!(device.code_of_entry(), Some(code));
    let (outcome, _) = receive(&mut device, &profile, &admin_password("secret"));
    assert_eq!(outcome, Err(Failure::Wrong("the administrative password of the domain")));
    assert_eq!(receive(&mut device, &profile, &admin_password("of its own")).0, Ok(ReadOutcome::Registered));
}

#[test]
fn a_device_without_password_is_not_to_be_challenged() {
    let (mut device, profile) = (device(), broker());
    let all = [SWITCHING, &message(&FromServer::Challenge("1".into()))].concat();
    assert_eq!(receive(&mut device, &profile, &all).0, Err(Failure::Wrong("challenged without ever having entered")));
}

#[test]
fn refusals_are_told_apart() {
    let profile = broker();
    let closed = |bytes: &[u8]| receive(&mut device(), &profile, bytes).0.unwrap_err();
    assert_eq!(closed(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Failure::Status(503));
    assert_eq!(closed(&[SWITCHING, &frame(CLOSE, &[3, 245])].concat()), Failure::Closed(1013));
    assert_eq!(closed(&[SWITCHING, &frame(CLOSE, &[])].concat()), Failure::Closed(1005));
    assert_eq!(closed(b"SMTP\r\n\r\n"), Failure::Wrong("no answer to the upgrade"));
}

#[test]
fn pings_are_answered() {
    let (mut device, profile) = (device(), broker());
    receive(&mut device, &profile, SWITCHING).0.unwrap();
    let (_, sent) = receive(&mut device, &profile, &frame(PING, b"now"));
    assert_eq!(sent, [[&[0x80 | PONG][..], b"now"].concat()]);
}

#[test]
fn the_floor_gets_as_many_messages_of_the_same_lengths() {
    let lengths = |peer| {
        let profile = DeviceProfile::new(peer, None);
        let mut device = device();
        if peer == Peer::Broker {
            entered(&mut device, &profile);
            device.connected();
        }
        let (_, first) = receive(&mut device, &profile, SWITCHING);
        let answer = match peer {
            Peer::Broker => message(&FromServer::Challenge("1".into())),
            Peer::Floor => frame(BINARY, &first[0][1..]),
        };
        let (_, second) = receive(&mut device, &profile, &answer);
        if peer == Peer::Floor {
            assert_eq!(receive(&mut device, &profile, &frame(BINARY, &second[0][1..])).0, Ok(ReadOutcome::Registered));
        }
        [first[0].len(), second[0].len()]
    };
    assert_eq!(lengths(Peer::Floor), lengths(Peer::Broker));
}
