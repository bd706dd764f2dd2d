//! Many sessions on one connection: their numbers, and server against device.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::protocol::sysclient::frame::{FromDevice, decode_from_device, decode_from_server};
use crate::core::protocol::sysclient::tunnel::{DeviceAction, DeviceTunnel, Failure};

const START: Tick = Tick(1_000);
const MOST: usize = 4;

fn request(bytes: impl Into<Bytes>) -> TunnelRequest {
    TunnelRequest { bytes: bytes.into(), expects: Expects::Answer }
}

fn open(tunnels: &mut Tunnels, id: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    tunnels.open(TunnelId(id), TunnelRequest::get("/"), MOST, START, &mut actions).unwrap();
    actions
}

fn device(tunnels: &mut Tunnels, number: u32, event: DeviceEvent) -> Vec<Action> {
    let mut actions = Vec::new();
    assert!(tunnels.device(number, event, START, &mut actions), "session {number} is not known");
    actions
}

/// The messages to the device.
fn sent(actions: &[Action]) -> Vec<(u32, ServerEvent)> {
    let decode = |action: &Action| match action {
        Action::Send(message) => match decode_from_server(&message.clone().into()).unwrap() {
            FromServer::Tunnel { session, event } => Some((session, event)),
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    actions.iter().filter_map(decode).collect()
}

/// The number that was assigned to a session.
fn number(actions: &[Action]) -> u32 {
    match sent(actions)[..] {
        [(number, ServerEvent::Send(_))] => number,
        ref other => panic!("{other:?}"),
    }
}

fn outputs(actions: Vec<Action>) -> Vec<(TunnelId, Output)> {
    let output = |action| if let Action::Tunnel(id, output) = action { Some((id, output)) } else { None };
    actions.into_iter().filter_map(output).collect()
}

#[test]
fn numbers_count_up_and_start_again_at_1() {
    let mut tunnels = Tunnels { last: MAX_NUMBER - 1, open: None };
    assert_eq!(number(&open(&mut tunnels, 1)), MAX_NUMBER);
    assert_eq!(number(&open(&mut tunnels, 2)), 1);
    tunnels.last = MAX_NUMBER - 1;
    assert_eq!(number(&open(&mut tunnels, 3)), 2, "both are open");
}

#[test]
fn a_number_is_free_when_its_shutdown_is_confirmed_and_never_if_it_is_not() {
    let mut tunnels = Tunnels::default();
    for id in [1, 2] {
        open(&mut tunnels, id);
        let mut actions = Vec::new();
        tunnels.abandon(TunnelId(id), START, &mut actions);
        assert_eq!(sent(&actions), [(u32::try_from(id).unwrap(), ServerEvent::Shutdown)]);
    }
    device(&mut tunnels, 1, DeviceEvent::Shutdown);
    tunnels.expire(START + Duration::from_secs(10), &mut Vec::new());
    assert!(!tunnels.device(2, DeviceEvent::Shutdown, START, &mut Vec::new()), "too late");
    tunnels.last = 0;
    assert_eq!(number(&open(&mut tunnels, 3)), 1);
    assert_eq!(number(&open(&mut tunnels, 4)), 3, "2 was never confirmed");
}

#[test]
fn only_sessions_of_others_are_limited() {
    let mut tunnels = Tunnels::default();
    for id in 1..=MOST as u64 {
        open(&mut tunnels, id);
    }
    let mut refused = Vec::new();
    let full = tunnels.open(TunnelId(9), TunnelRequest::get("/"), MOST, START, &mut refused);
    assert_eq!((full, refused.len()), (Err(TunnelRefused::TooMany), 0));
    open(&mut tunnels, TunnelId::own(1).0);
    tunnels.abandon(TunnelId(2), START, &mut Vec::new());
    let full = tunnels.open(TunnelId(9), TunnelRequest::get("/"), MOST, START, &mut Vec::new());
    assert_eq!(full, Err(TunnelRefused::TooMany), "the number is taken until the device confirms");
    device(&mut tunnels, 2, DeviceEvent::Shutdown);
    open(&mut tunnels, 9);
}

#[test]
fn nothing_is_kept_when_nothing_is_open() {
    let mut tunnels = Tunnels::default();
    open(&mut tunnels, 1);
    tunnels.abandon(TunnelId(1), START, &mut Vec::new());
    assert!(tunnels.deadline().is_some());
    device(&mut tunnels, 1, DeviceEvent::Shutdown);
    assert!(tunnels.open.is_none() && tunnels.deadline().is_none());
    assert!(!tunnels.device(1, DeviceEvent::Shutdown, START, &mut Vec::new()), "a stray");
    assert!(!tunnels.device(7, DeviceEvent::SendResult, START, &mut Vec::new()), "a stray");
}

#[test]
fn a_lost_connection_fails_every_session() {
    let mut tunnels = Tunnels::default();
    open(&mut tunnels, 1);
    open(&mut tunnels, 2);
    device(&mut tunnels, 2, DeviceEvent::SendResult);
    device(&mut tunnels, 2, DeviceEvent::ReceiveResult(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\nx")));
    let mut actions = Vec::new();
    tunnels.lost(&mut actions);
    let mut ends = outputs(actions);
    ends.sort_by_key(|(id, _)| id.0);
    let lost = Failure::Lost;
    assert_eq!(ends, [(TunnelId(1), Output::Failed(lost)), (TunnelId(2), Output::Abort(lost))]);
}

#[test]
fn long_sends_are_sent_one_after_another() {
    let mut tunnels = Tunnels::default();
    let mut actions = Vec::new();
    for id in 1..=3 {
        let upload = request(vec![b'x'; 40_000]);
        tunnels.open(TunnelId(id), upload, MOST, START, &mut actions).unwrap();
    }
    tunnels.open(TunnelId(4), TunnelRequest::get("/"), MOST, START, &mut actions).unwrap();
    let numbers = |actions: &[Action]| sent(actions).iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(numbers(&actions), [1], "in the order in which they came");
    // A confirmation without a send is ignored.
    assert!(device(&mut tunnels, 2, DeviceEvent::SendResult).is_empty());
    // The second is abandoned before its turn.
    let mut actions = Vec::new();
    tunnels.abandon(TunnelId(2), START, &mut actions);
    assert_eq!(sent(&actions), [(2, ServerEvent::Shutdown)]);
    // A waiting send has no timer.
    tunnels.expire(START + Duration::from_secs(10), &mut actions);
    assert_eq!(numbers(&actions), [2, 1], "one shutdown each: of the abandoned one and of the silent one");
    assert!(outputs(actions).iter().all(|(id, output)| (id.0, output) == (1, &Output::Failed(Failure::Timeout))));
    // The end of the first releases its bytes in flight.
    let next = device(&mut tunnels, 1, DeviceEvent::Shutdown);
    assert_eq!(numbers(&next), [3, 4]);
    assert_eq!(sent(&device(&mut tunnels, 4, DeviceEvent::SendResult)), [(4, ServerEvent::Receive(8192))]);
}

#[test]
fn a_pipe_has_no_receive_timers_and_one_send_at_a_time() {
    let mut tunnels = Tunnels::default();
    let mut actions = Vec::new();
    let upgrade = TunnelRequest { expects: Expects::Upgrade, ..TunnelRequest::get("/") };
    let id = TunnelId(1);
    tunnels.open(id, upgrade, MOST, START, &mut actions).unwrap();
    device(&mut tunnels, 1, DeviceEvent::SendResult);
    let head =
        Bytes::from_static(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let actions = device(&mut tunnels, 1, DeviceEvent::ReceiveResult(head));
    assert_eq!(sent(&actions), [(1, ServerEvent::Receive(8192))], "one receive is always open");
    let fields = match &outputs(actions)[..] {
        [(_, Output::Head(head))] => head.fields.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fields.iter().map(|field| &*field.name).collect::<Vec<_>>(), ["Upgrade"]);
    assert_eq!(tunnels.deadline(), None, "a pipe may be silent for ever");

    let mut actions = Vec::new();
    tunnels.client(id, Bytes::from_static(b"up"), START, &mut actions);
    assert_eq!(sent(&actions), [(1, ServerEvent::Send(Bytes::from_static(b"up")))]);
    assert_eq!(tunnels.deadline(), Some(START + Duration::from_secs(10)));
    let mut early = Vec::new();
    tunnels.client(id, Bytes::from_static(b"too early"), START, &mut early);
    assert!(early.is_empty());
    let actions = device(&mut tunnels, 1, DeviceEvent::ReceiveResult(Bytes::from_static(b"down")));
    assert!(sent(&actions).is_empty(), "not before these are taken");
    assert_eq!(outputs(actions), [(id, Output::Body(Bytes::from_static(b"down")))]);
    assert_eq!(outputs(device(&mut tunnels, 1, DeviceEvent::SendResult)), [(id, Output::Sent)]);
    let mut actions = Vec::new();
    tunnels.taken(id, START, &mut actions);
    tunnels.taken(id, START, &mut actions);
    assert_eq!(sent(&actions), [(1, ServerEvent::Receive(8192))]);
    let end = device(&mut tunnels, 1, DeviceEvent::Shutdown);
    assert_eq!(sent(&end), [(1, ServerEvent::Shutdown)]);
    assert_eq!(outputs(end), [(id, Output::Done)]);
}

/// Both sides of a connection, and the messages in flight, in order.
#[derive(Default)]
struct World {
    server: Tunnels,
    device: DeviceTunnel,
    down: std::collections::VecDeque<Vec<u8>>,
    up: std::collections::VecDeque<Bytes>,
    /// What each requester has received.
    got: BTreeMap<u64, Got>,
    /// What the web server in the device has received, and what it has yet to send.
    requests: BTreeMap<u32, Vec<u8>>,
    answers: BTreeMap<u32, Vec<u8>>,
    /// Highest number of bytes in flight, counted by the device.
    most_in_flight: usize,
}

#[derive(Default)]
struct Got {
    body: Vec<u8>,
    untaken: bool,
    end: Option<Output>,
}

impl World {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(message) => self.down.push_back(message),
                Action::Tunnel(id, output) => {
                    let got = self.got.entry(id.0).or_default();
                    assert!(got.end.is_none(), "nothing comes after the end");
                    match output {
                        Output::Head(head) => assert_eq!(head.status, 200),
                        Output::Body(bytes) => {
                            assert!(!std::mem::replace(&mut got.untaken, true), "one piece at a time");
                            got.body.extend(bytes);
                        }
                        end => got.end = Some(end),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let waiting: usize = self.down.iter().filter(|m| m[8] == 0).map(|m| m.len() - 9).sum();
        self.most_in_flight = self.most_in_flight.max(waiting);
    }

    fn device_does(&mut self, actions: Vec<DeviceAction>) {
        for action in actions {
            match action {
                DeviceAction::Open(number) => drop(self.requests.insert(number, Vec::new())),
                DeviceAction::Deliver(number, bytes) => self.requests.entry(number).or_default().extend(bytes),
                DeviceAction::Send(session, event) => {
                    self.up.push_back(FromDevice::Tunnel { session, event }.encode().into());
                }
                DeviceAction::Close(number) => drop(self.answers.remove(&number)),
            }
        }
    }

    /// Performs one of the possible steps, chosen by `choice`.
    fn step(&mut self, choice: u8, piece: usize) {
        let mut actions = Vec::new();
        match choice % 4 {
            0 => {
                let Some(message) = self.down.pop_front() else { return };
                let FromServer::Tunnel { session, event } = decode_from_server(&message.into()).unwrap() else {
                    return;
                };
                let done = self.device.server(session, event);
                self.device_does(done);
            }
            1 => {
                let Some(message) = self.up.pop_front() else { return };
                let FromDevice::Tunnel { session, event } = decode_from_device(&message).unwrap() else { return };
                self.server.device(session, event, START, &mut actions);
            }
            2 => {
                for (id, got) in &mut self.got {
                    if std::mem::take(&mut got.untaken) {
                        self.server.taken(TunnelId(*id), START, &mut actions);
                    }
                }
            }
            _ => self.web_server(piece),
        }
        self.perform(actions);
    }

    /// The web server in the device echoes whole requests twice, in pieces.
    fn web_server(&mut self, piece: usize) {
        let whole: Vec<u32> = self.requests.iter().filter(|(_, r)| r.ends_with(b"END")).map(|(n, _)| *n).collect();
        for number in whole {
            let body = self.requests.remove(&number).unwrap_or_default().repeat(2);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            self.answers.insert(number, [head.as_bytes(), &body].concat());
        }
        let numbers: Vec<u32> = self.answers.keys().copied().collect();
        for number in numbers {
            let Some(answer) = self.answers.get_mut(&number).filter(|answer| !answer.is_empty()) else { continue };
            let bytes: Vec<u8> = answer.drain(..piece.min(answer.len())).collect();
            let done = self.device.local_bytes(number, bytes.into());
            self.device_does(done);
        }
    }
}

fn body(id: u64, length: usize) -> Vec<u8> {
    let mut body: Vec<u8> = (0..length as u64).map(|at| (at * 7 + id).to_le_bytes()[0] & 0x3f).collect();
    body.extend(b"END");
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Concurrent sessions on one connection, with arbitrary timing of every message: each requester gets its own
    /// answer, byte for byte. Some requesters go away midway without affecting the others. If the connection is cut,
    /// each has the beginning of its answer and is told that it is incomplete.
    #[test]
    fn every_requester_gets_its_own_answer(
        lengths in proptest::collection::vec(0..90_000usize, 1..12),
        leave in proptest::collection::vec(proptest::option::weighted(0.2, 0..60usize), 12),
        choices in proptest::collection::vec(any::<u8>(), 1..40),
        piece in 1_000..20_000usize,
        cut in proptest::option::weighted(0.3, 0..400usize),
    ) {
        let mut world = World::default();
        for (id, length) in (1..).zip(&lengths) {
            let mut actions = Vec::new();
            world.server.open(TunnelId(id), request(body(id, *length)), 64, START, &mut actions).unwrap();
            world.perform(actions);
        }
        // First random steps, then every kind of step in turn until nothing is left to do.
        let order = choices.iter().copied().cycle().take(400).chain((0..=u8::MAX).cycle().take(20_000));
        for (at, choice) in order.enumerate() {
            for (id, leaves) in (1..).zip(&leave).take(lengths.len()) {
                if *leaves == Some(at) && world.got.get(&id).is_none_or(|got| got.end.is_none()) {
                    let mut actions = Vec::new();
                    world.server.abandon(TunnelId(id), START, &mut actions);
                    world.perform(actions);
                    world.got.entry(id).or_default().end = Some(Output::Sent);
                }
            }
            world.step(choice, piece);
            if cut == Some(at) {
                let mut actions = Vec::new();
                world.server.lost(&mut actions);
                world.perform(actions);
            }
            if world.server.open.is_none() {
                break;
            }
        }
        prop_assert!(world.server.open.is_none(), "all sessions are over");
        prop_assert!(world.most_in_flight <= 65_536, "{} bytes on the way", world.most_in_flight);
        for (id, length) in (1..).zip(&lengths) {
            let got = &world.got[&id];
            match got.end {
                Some(Output::Done) => prop_assert!(got.body == body(id, *length).repeat(2), "session {}", id),
                Some(Output::Sent) => {}
                Some(Output::Failed(Failure::Lost)) if cut.is_some() => prop_assert!(got.body.is_empty()),
                Some(Output::Abort(Failure::Lost)) if cut.is_some() => {
                    prop_assert!(body(id, *length).repeat(2).starts_with(&got.body), "session {}", id);
                }
                ref other => prop_assert!(false, "session {id} ended with {other:?}"),
            }
        }
    }

    /// For any messages of a device in any order, nothing panics, and every requester gets at most one end.
    #[test]
    fn no_device_message_causes_a_panic(
        says in proptest::collection::vec((0..5u32, 0..4u8, any::<bool>()), 0..60),
    ) {
        let mut world = World::default();
        for id in 1..=3 {
            let mut actions = Vec::new();
            let expects = if id == 3 { Expects::Upgrade } else { Expects::Answer };
            let upload = TunnelRequest { expects, ..request(vec![b'x'; 30_000]) };
            world.server.open(TunnelId(id), upload, 64, START, &mut actions).unwrap();
            world.perform(actions);
        }
        for (number, event, other) in says {
            let bytes: &[u8] = match (event, other, number) {
                (_, _, 3) if other => b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
                (2, true, _) => b"HTTP/1.1 200 OK\r\n\r\n",
                (2, false, _) => b"more",
                _ => b"",
            };
            let event = match event {
                0 => DeviceEvent::SendResult,
                1 => DeviceEvent::Shutdown,
                _ => DeviceEvent::ReceiveResult(Bytes::from_static(bytes)),
            };
            let mut actions = Vec::new();
            world.server.device(number, event, START, &mut actions);
            world.server.client(TunnelId(3), Bytes::from_static(b"up"), START, &mut actions);
            actions.retain(|action| !matches!(action, Action::Tunnel(_, Output::Head(_) | Output::Sent)));
            world.perform(actions);
            world.step(2, 0);
        }
        world.server.lost(&mut Vec::new());
        prop_assert!(world.server.open.is_none());
    }
}
