//! Both sides of the tunnel, alone and against each other.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::frame::{DeviceEvent, ServerEvent};

const SESSION: u32 = 7;
const START: Tick = Tick(1_000);

fn seconds(n: u64) -> Tick {
    START + Duration::from_secs(n)
}

fn bytes(data: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(data.as_ref())
}

fn result(data: &str) -> DeviceEvent {
    DeviceEvent::ReceiveResult(bytes(data))
}

fn send(event: ServerEvent) -> Action {
    Action::Send(event)
}

fn shutdown() -> Action {
    send(ServerEvent::Shutdown)
}

fn receive() -> Action {
    send(ServerEvent::Receive(8192))
}

/// An exchange whose request was sent and whose first receive is open.
fn asking(expects: Expects) -> HttpExchange {
    let (mut exchange, actions) =
        HttpExchange::open(SESSION, bytes("GET / HTTP/1.1\r\n\r\n"), expects, Limits::default(), START);
    assert_eq!(actions, [send(ServerEvent::Send(bytes("GET / HTTP/1.1\r\n\r\n")))]);
    assert_eq!(exchange.device(DeviceEvent::SendResult, START), [receive()]);
    exchange
}

/// The head of an answer that arrives in one piece, or why there is none.
fn head(text: &str) -> Result<Head, Failure> {
    match asking(Expects::Answer).device(result(text), START).into_iter().find(|a| !matches!(a, Action::Send(_))) {
        Some(Action::Head(head)) => Ok(head),
        Some(Action::Failed(failure)) => Err(failure),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_long_request_goes_out_in_pieces() {
    let request = bytes(vec![b'x'; 65_536 + 5]);
    let (mut exchange, first) = HttpExchange::open(SESSION, request.clone(), Expects::Answer, Limits::default(), START);
    assert_eq!(first, [send(ServerEvent::Send(request.slice(..65_536)))]);
    let second = exchange.device(DeviceEvent::SendResult, START);
    assert_eq!(second, [send(ServerEvent::Send(request.slice(65_536..)))]);
    assert_eq!(exchange.device(DeviceEvent::SendResult, START), [receive()]);
}

#[test]
fn the_next_receive_waits_until_the_bytes_are_taken() {
    let mut exchange = asking(Expects::Answer);
    let actions = exchange.device(result("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), START);
    assert_eq!(actions[1..], [Action::Body(bytes("ab"))]);
    assert_eq!(exchange.taken(START), [receive()]);
    assert_eq!(exchange.taken(START), [], "one receive is open already");
    let actions = exchange.device(result("cdef"), START);
    assert_eq!(actions, [Action::Body(bytes("cd")), shutdown(), Action::Done]);
    assert_eq!(exchange.device(DeviceEvent::Shutdown, START), [Action::Release]);
    assert!(exchange.is_over());
}

#[test]
fn unasked_bytes_end_the_exchange() {
    let mut exchange = asking(Expects::Answer);
    exchange.device(result("HTTP/1.1 200 OK\r\n\r\nab"), START);
    assert_eq!(exchange.device(result("cd"), START), [shutdown(), Action::Abort(Failure::Unasked)]);
    assert_eq!(exchange.device(result("ef"), START), [], "thrown away after the shutdown");
}

#[test]
fn only_fields_about_the_answer_itself_are_passed_on() {
    let head = head(
        "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nx-hop: 1\r\nSet-Cookie: a=b\r\nProxy-Authenticate: x\r\n\
         Clear-Site-Data: \"*\"\r\nstrict-transport-security: max-age=1\r\nAlt-Svc: h3=\":1\"\r\n\
         Content-Length: 3, 3\r\nContent-Length:3\r\nETag : \"a\"\r\nX-Any: b\r\nContent-Language: a,\r\n  b\r\n\r\n",
    )
    .unwrap();
    let fields: Vec<_> = head.fields.iter().map(|f| (&*f.name, std::str::from_utf8(&f.value).unwrap())).collect();
    assert_eq!((head.status, head.length), (200, Some(3)));
    assert_eq!(fields, [("ETag", "\"a\""), ("Content-Language", "a, b")]);
}

#[test]
fn a_page_keeps_what_it_needs() {
    let names = [
        "Accept-Ranges",
        "Age",
        "Allow",
        "Cache-Control",
        "Content-Disposition",
        "Content-Encoding",
        "content-range",
        "CONTENT-TYPE",
        "Date",
        "ETag",
        "Expires",
        "Last-Modified",
        "Location",
        "Retry-After",
        "Vary",
        "WWW-Authenticate",
    ];
    let lines = names.map(|name| format!("{name}: x\r\n")).concat();
    let head = head(&format!("HTTP/1.1 401 No\r\n{lines}Content-Length: 0\r\n\r\n")).unwrap();
    assert_eq!(head.fields.iter().map(|field| &*field.name).collect::<Vec<_>>(), names);
}

#[test]
fn chunked_goes_before_content_length() {
    let text = "HTTP/1.1 200 OK\nContent-Length: x\nTransfer-Encoding: gzip, Chunked\n\n1\na\n0\n\n";
    let actions = asking(Expects::Answer).device(result(text), START);
    assert!(
        matches!(&actions[0], Action::Head(head) if head.length.is_none() && head.fields.is_empty()),
        "{actions:?}"
    );
    assert_eq!(actions[1..], [Action::Body(bytes("a")), shutdown(), Action::Done]);
}

#[test]
fn invalid_http_is_502() {
    for text in [
        "SIP/2.0 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 99 \r\n\r\n",
        "HTTP/1.1 600 X\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: first\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: \x07\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    ] {
        assert_eq!(head(text), Err(Failure::NotHttp), "{text:?}");
    }
    assert_eq!(Failure::NotHttp.status(), 502);
    assert!(head("HTTP/1.1 204\r\nContent-Length: x\r\n\r\n").is_ok_and(|h| h.length.is_none()));
}

#[test]
fn a_wrong_beginning_is_noticed_before_the_head_is_whole() {
    assert_eq!(asking(Expects::Answer).device(result("H"), START), [receive()]);
    assert_eq!(asking(Expects::Answer).device(result("<"), START), [shutdown(), Action::Failed(Failure::NotHttp)]);
}

#[test]
fn a_head_may_have_65536_bytes() {
    let mut text = String::from("HTTP/1.1 200 OK\r\nX: ");
    text.push_str(&"x".repeat(ANSWER_HEAD_MAX - text.len() - 4));
    assert!(head(&format!("{text}\r\n\r\n")).is_ok());
    assert_eq!(head(&format!("{text}x\r\n\r\n")), Err(Failure::TooLong));
}

#[test]
fn an_end_in_the_middle_cuts_the_answer() {
    let confirmed = |outcome| vec![shutdown(), outcome, Action::Release];
    assert_eq!(asking(Expects::Answer).device(DeviceEvent::Shutdown, START), confirmed(Action::Failed(Failure::Cut)));
    assert_eq!(asking(Expects::Answer).device(result(""), START), [shutdown(), Action::Failed(Failure::Cut)]);
    for framing in ["Content-Length: 4", "Transfer-Encoding: chunked"] {
        let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n3\r");
        let mut exchange = asking(Expects::Answer);
        exchange.device(result(&text), START);
        exchange.taken(START);
        assert_eq!(exchange.device(result(""), START), [shutdown(), Action::Abort(Failure::Cut)]);
        let mut exchange = asking(Expects::Answer);
        exchange.device(result(&text), START);
        assert_eq!(exchange.device(DeviceEvent::Shutdown, START), confirmed(Action::Abort(Failure::Cut)));
        assert_eq!(exchange.device(DeviceEvent::Shutdown, START), [], "never a third shutdown");
    }
}

#[test]
fn crossing_shutdowns_confirm_each_other() {
    let mut exchange = asking(Expects::Answer);
    assert_eq!(exchange.abandon(START), [shutdown()]);
    assert_eq!(exchange.abandon(START), []);
    assert_eq!(exchange.device(DeviceEvent::Shutdown, START), [Action::Release]);
    assert_eq!((exchange.device(DeviceEvent::Shutdown, START), exchange.deadline()), (vec![], None));
}

#[test]
fn every_wait_has_its_own_time() {
    let (mut exchange, _) = HttpExchange::open(SESSION, bytes("x"), Expects::Answer, Limits::default(), START);
    assert_eq!(exchange.deadline(), Some(seconds(10)));
    exchange.device(DeviceEvent::SendResult, seconds(1));
    assert_eq!(exchange.deadline(), Some(seconds(61)));
    exchange.device(result("HTTP/1.1 200 OK\r\n\r\n"), seconds(2));
    assert_eq!(exchange.deadline(), Some(seconds(32)));
    exchange.device(result("x"), seconds(3));
    assert_eq!(exchange.deadline(), Some(seconds(600)), "the time of the HTTP client is not the device's");
    exchange.taken(seconds(590));
    assert_eq!(exchange.expire(seconds(599)), []);
    assert_eq!(exchange.expire(seconds(600)), [shutdown(), Action::Abort(Failure::Timeout)]);
    assert_eq!(exchange.deadline(), Some(seconds(610)));
    assert_eq!(exchange.expire(seconds(610)), [Action::Retire]);
    assert_eq!((exchange.deadline(), exchange.expire(seconds(700))), (None, vec![]));
}

#[test]
fn silence_before_the_head_is_504_and_a_lost_device_502() {
    let mut exchange = asking(Expects::Answer);
    assert_eq!(exchange.expire(seconds(60)), [shutdown(), Action::Failed(Failure::Timeout)]);
    assert_eq!(Failure::Timeout.status(), 504);
    assert_eq!(exchange.lost(), [], "the answer has ended already");
    assert_eq!(asking(Expects::Answer).lost(), [Action::Failed(Failure::Lost)]);
}

#[test]
fn a_device_answers_with_at_most_what_is_asked_for() {
    let mut device = DeviceTunnel::new();
    device.server(SESSION, ServerEvent::Send(bytes("x")));
    assert_eq!(device.local_bytes(SESSION, bytes(vec![b'a'; 20_000])), []);
    let mut ask = |wanted| match &device.server(SESSION, ServerEvent::Receive(wanted))[..] {
        [DeviceAction::Send(SESSION, DeviceEvent::ReceiveResult(data))] => data.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!([ask(0), ask(10), ask(8192), ask(u32::MAX)], [8000, 10, 8000, 3990]);
    assert_eq!(device.buffered(SESSION), 0);
    assert_eq!(device.server(SESSION, ServerEvent::Receive(1)), []);
    let end = [DeviceAction::Send(SESSION, DeviceEvent::Shutdown), DeviceAction::Close(SESSION)];
    assert_eq!(device.local_closed(SESSION), end);
    assert_eq!(device.server(SESSION, ServerEvent::Shutdown), [], "that was the confirmation");
    assert_eq!(device.server(SESSION, ServerEvent::Shutdown), end[..1], "and now the session is unknown");
}

/// How an answer marks its end.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Length,
    Chunked,
    Close,
}

fn answer_text(body: &[u8], ending: Ending, chunk: usize) -> Vec<u8> {
    let mut out = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n".to_vec();
    match ending {
        Ending::Length => out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes()),
        Ending::Chunked => {
            out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(chunk) {
                out.extend(format!("{:X};x=y\r\n", part.len()).bytes());
                out.extend([part, b"\r\n"].concat());
            }
            out.extend(b"0\r\nX-End: 1\r\n\r\n");
            return out;
        }
        Ending::Close => out.extend(b"\r\n"),
    }
    out.extend(body);
    out
}

fn pieces(mut text: &[u8], cuts: &[usize]) -> VecDeque<Bytes> {
    let mut out = VecDeque::new();
    for &cut in cuts.iter().cycle() {
        let (piece, rest) = text.split_at(cut.min(text.len()));
        out.push_back(bytes(piece));
        text = rest;
        if text.is_empty() {
            break;
        }
    }
    out
}

/// What the HTTP client has received, and what is in flight to the device.
#[derive(Debug, Default)]
struct Client {
    status: Option<u16>,
    body: Vec<u8>,
    ends: Vec<Action>,
    untaken: bool,
    outgoing: VecDeque<ServerEvent>,
}

impl Client {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(event) => self.outgoing.push_back(event),
                Action::Head(head) => assert_eq!(self.status.replace(head.status), None),
                Action::Body(data) => {
                    self.body.extend(data);
                    self.untaken = true;
                }
                end => self.ends.push(end),
            }
        }
    }
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Length), Just(Ending::Chunked), Just(Ending::Close)]
}

fn some_bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..4usize, 1..300usize], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_answer_is_the_same_however_it_is_split(
        body in some_bytes(2_000), ending in ending(), chunk in 1..900usize, cuts in cuts(),
    ) {
        let mut exchange = asking(Expects::Answer);
        let mut client = Client::default();
        for piece in pieces(&answer_text(&body, ending, chunk), &cuts) {
            client.perform(exchange.device(DeviceEvent::ReceiveResult(piece), START));
            client.perform(exchange.taken(START));
        }
        client.perform(exchange.device(DeviceEvent::Shutdown, START));
        prop_assert_eq!(client.status, Some(200));
        prop_assert_eq!(client.body, body);
        prop_assert_eq!(client.ends, [Action::Done, Action::Release]);
    }

    #[test]
    fn both_sides_carry_request_and_answer_whole(
        request in some_bytes(300), body in some_bytes(30_000), ending in ending(), cuts in cuts(),
        order in Just(vec![0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 1, 1, 2, 3, 3, 3]).prop_shuffle(),
    ) {
        let limits = Limits { send: 100, ..Limits::default() };
        let (mut exchange, first) = HttpExchange::open(SESSION, bytes(&request), Expects::Answer, limits, START);
        let (mut device, mut client) = (DeviceTunnel::new(), Client::default());
        client.perform(first);
        let mut local = pieces(&answer_text(&body, ending, 4_000), &cuts.iter().map(|c| c * 50).collect::<Vec<_>>());
        let (mut incoming, mut got, mut open) = (VecDeque::new(), Vec::new(), false);
        // Steps in random order; impossible ones are skipped.
        for choice in order.into_iter().cycle().take(200_000) {
            if exchange.is_over() {
                break;
            }
            let actions = match choice {
                0 => client.outgoing.pop_front().map(|event| device.server(SESSION, event)),
                1 => {
                    let event = incoming.pop_front();
                    client.perform(event.map(|event| exchange.device(event, START)).unwrap_or_default());
                    None
                }
                2 => {
                    if std::mem::take(&mut client.untaken) {
                        client.perform(exchange.taken(START));
                    }
                    None
                }
                _ if got.len() < request.len() || !open => None,
                _ => Some(match local.pop_front() {
                    Some(piece) => device.local_bytes(SESSION, piece),
                    None => device.local_closed(SESSION),
                }),
            };
            for action in actions.unwrap_or_default() {
                match action {
                    DeviceAction::Deliver(_, data) => got.extend(data),
                    DeviceAction::Send(_, event) => incoming.push_back(event),
                    DeviceAction::Close(_) => open = false,
                    DeviceAction::Open(_) => open = true,
                }
            }
        }
        prop_assert!(exchange.is_over());
        prop_assert_eq!((got, client.status, client.body), (request, Some(200), body));
        prop_assert_eq!(client.ends, [Action::Done, Action::Release]);
    }

    #[test]
    fn no_answer_causes_a_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("HTTP/1.1 200 OK\r\n"), Just("\r\n"), Just("\n"), Just("Transfer-Encoding: chunked\r\n"),
                Just("Content-Length: 5\r\n"), Just("5\r\nabcde\r\n"), Just("0\r\n"), Just("ffffffffffffffff\r\n"),
                Just(":"), Just(" x"), Just("HTTP/1.1 1"), Just("Connection: \u{fc},\r\n"), Just(""), Just("\0"),
            ],
            0..20,
        ),
    ) {
        let mut exchange = asking(Expects::Answer);
        for part in parts {
            exchange.device(result(part), START);
            exchange.taken(START);
        }
    }
}
