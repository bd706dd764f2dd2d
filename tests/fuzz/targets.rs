//! The targets.

use std::io::{Seek as _, SeekFrom, Write as _};

use bytes::Bytes;
use provbroker::admin::user_csv::Sheet;
use provbroker::core::model::bundle::SiteName;
use provbroker::core::model::ids::DomainName;
use provbroker::core::model::time::{Tick, UnixMillis};
use provbroker::core::model::users_role::UserQuery;
use provbroker::core::policy::bundle::Check;
use provbroker::core::protocol::appws::call::Call;
use provbroker::core::protocol::appws::message::Request;
use provbroker::core::protocol::bundle::{Fault, FileKey, Kind, Lock, Manifest, Opener, Writer};
use provbroker::core::protocol::frame_guard::{DataKind, FrameGuard};
use provbroker::core::protocol::init::{self, InitPath, InitRequest};
use provbroker::core::protocol::json;
use provbroker::core::protocol::script;
use provbroker::core::protocol::sysclient::frame::{DeviceEvent, ServerEvent, decode_from_device};
use provbroker::core::protocol::sysclient::tunnel::request::{Address, Draft};
use provbroker::core::protocol::sysclient::tunnel::{Action, Expects, HttpExchange, Limits};
use provbroker::core::session::device::query::Query;
use provbroker::users_role::backend::user_list::UserList;
use serde_json::Value;

use super::mutation::inputs;
use super::runner::{Finding, fuzz, kept};

/// Longest message of a device.
const LONGEST: u64 = 65_545;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Every text under a member of this name, anywhere in the vectors of `group`.
fn texts(group: &Value, member: &str) -> Vec<String> {
    match group {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == member => vec![text.clone()],
                value => texts(value, member),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(|value| texts(value, member)).collect(),
        _ => Vec::new(),
    }
}

fn bytes_of(groups: &[&str]) -> Vec<Vec<u8>> {
    let vectors = vectors();
    groups.iter().flat_map(|group| texts(&vectors[*group], "hex")).map(|text| hex(&text)).collect()
}

fn with_kept(target: &str, seeds: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Vec<Vec<u8>> {
    seeds.into_iter().map(Into::into).chain(kept(target)).collect()
}

fn must(holds: bool, what: impl Into<String>) -> Finding {
    if holds { Ok(()) } else { Err(what.into()) }
}

#[test]
fn device_messages() {
    let seeds = with_kept("device_messages", bytes_of(&["framing", "malformed_from_device", "tolerated_from_device"]));
    let words = ["\"id\":\"a\",", "\"product\":", "\"digest\":", "\"ethIfs\":[{\"if\":\"ETH0\"}],", "{\"a\":", "\u{1}"];
    fuzz("device_messages", &inputs(seeds, &words), |input| {
        let Ok(message) = decode_from_device(&Bytes::copy_from_slice(input)) else { return Ok(()) };
        let again = decode_from_device(&message.encode().into());
        must(again.as_ref() == Ok(&message), format!("written and read again it is {again:?} and not {message:?}"))
    });
}

/// Frames of a stream, cut where `cut` says: lengths of the frames, and whether it was refused.
fn frames(stream: &[u8], kind: DataKind, mut cut: impl FnMut() -> usize) -> (Vec<u64>, bool) {
    let (mut guard, mut ends, mut at, mut length) = (FrameGuard::new(kind), Vec::new(), 0, 0);
    while at < stream.len() {
        let piece = &stream[at..(at + cut().max(1)).min(stream.len())];
        match guard.scan(piece, LONGEST) {
            Ok(scan) => {
                at += scan.bytes;
                length += scan.bytes as u64;
                if scan.frame_ends {
                    ends.push(std::mem::take(&mut length));
                }
            }
            Err(_) => return (ends, true),
        }
    }
    (ends, false)
}

#[test]
fn web_socket_frames() {
    let frame =
        |first: u8, length: &[u8], payload: usize| [&[first], length, &[1, 2, 3, 4], &vec![0; payload]].concat();
    let seeds = [
        frame(0x82, &[0x85], 5),
        frame(0x81, &[0xfe, 0, 200], 200),
        frame(0x82, &[0xff, 0, 0, 0, 0, 0, 1, 0, 9], 65_545),
        [frame(0x01, &[0x81], 1), frame(0x00, &[0x81], 1), frame(0x80, &[0x80], 0)].concat(),
        [frame(0x89, &[0x80], 0), frame(0x8a, &[0x84], 4), frame(0x88, &[0x82], 2)].concat(),
    ];
    fuzz("web_socket_frames", &inputs(with_kept("web_socket_frames", seeds), &["\u{1}", "\u{7f}"]), |input| {
        for kind in [DataKind::Binary, DataKind::Text] {
            let whole = frames(input, kind, || usize::MAX >> 1);
            let (mut turn, sizes) = (0, [1, 3, 2, 7, 14, 1]);
            let cut = frames(input, kind, || {
                turn += 1;
                sizes[turn % sizes.len()]
            });
            must(whole == cut, format!("whole {whole:?}, in pieces {cut:?}"))?;
        }
        Ok(())
    });
}

/// What the HTTP client gets of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Received {
    status: Option<u16>,
    body: Vec<u8>,
    end: String,
}

fn exchange(answer: &[u8], expects: Expects, piece: usize) -> Received {
    let now = Tick::default();
    let request = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut session, actions) = HttpExchange::open(1, request, expects, Limits::default(), now);
    let mut received = Received::default();
    let mut todo: std::collections::VecDeque<Action> = actions.into();
    let mut pieces = answer.chunks(piece);
    let mut steps = 0;
    while let Some(action) = todo.pop_front() {
        steps += 1;
        assert!(steps < 10 * (answer.len() + 100), "the exchange does not end");
        let next = match action {
            Action::Send(ServerEvent::Send(_)) => session.device(DeviceEvent::SendResult, now),
            Action::Send(ServerEvent::Receive(_)) => match pieces.next() {
                Some(piece) => session.device(DeviceEvent::ReceiveResult(Bytes::copy_from_slice(piece)), now),
                None => session.device(DeviceEvent::Shutdown, now),
            },
            Action::Send(ServerEvent::Shutdown) => session.device(DeviceEvent::Shutdown, now),
            Action::Head(head) => {
                received.status = Some(head.status);
                Vec::new()
            }
            Action::Body(bytes) => {
                received.body.extend_from_slice(&bytes);
                session.taken(now)
            }
            Action::Done => {
                received.end.push_str("done");
                Vec::new()
            }
            Action::Failed(failure) | Action::Abort(failure) => {
                received.end = format!("{}{failure:?}", received.end);
                Vec::new()
            }
            Action::Sent | Action::Release | Action::Retire => Vec::new(),
        };
        todo.extend(next);
    }
    received
}

#[test]
fn tunnel_answers() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
    ];
    let words =
        ["Connection: close\r\n", "Content-Length: 99999999999999999999\r\n", "ffffffffffffffff\r\n", "0\r\n\r\n"];
    fuzz("tunnel_answers", &inputs(with_kept("tunnel_answers", answers), &words), |input| {
        for expects in [Expects::Answer, Expects::HeadOnly] {
            let whole = exchange(input, expects, 8000);
            must(!whole.end.is_empty(), format!("the HTTP client is told nothing of the end: {whole:?}"))?;
            let cut = exchange(input, expects, 1);
            // Of an answer that fails, more or less may have been passed on before.
            let same = if whole.end == "done" { whole == cut } else { whole.end == cut.end };
            must(same, format!("in one piece {whole:?}, byte by byte {cut:?}"))?;
        }
        exchange(input, Expects::Upgrade, 7);
        Ok(())
    });
}

#[test]
fn app_messages() {
    let vectors = vectors();
    let logins = texts(&vectors["app_login"], "message");
    let calls = [
        r#"{"mt":"AppChallenge"}"#,
        r#"{"mt":"GetProvisioningCode","api":"Devices","src":"1","domain":"a.b","category":"1","sip":"anna"}"#,
        r#"{"mt":"GetDevices","recvUpdates":true,"domainIds":[1,2],"type":"PHONE","src":"x"}"#,
        r#"{"mt":"HttpGet","uri":"https://a/b/c/passthrough/00903341a0b1/k/x","src":"2"}"#,
        r#"{"mt":"CheckBuild","url":"https://a/b/c/000000/x.htm"}"#,
        r#"{"mt":"PbxInfo","domain":"a","pbx":"b","pbxDns":"c","apis":["d"]}"#,
    ];
    let seeds = with_kept("app_messages", logins.into_iter().chain(calls.map(str::to_owned)));
    let words = ["\"mt\":\"AppLogin\",", "\"info\":{\"a\":[1,{\"b\":null}]},", "\"src\":", "\\/", "\\u00e4", "1.0e+3"];
    fuzz("app_messages", &inputs(seeds, &words), |input| {
        if let Ok(object) = json::Object::parse(input) {
            let theirs: Result<Value, _> = serde_json::from_slice(input);
            // It reads numbers as binary ones and refuses those that are too large for them.
            let fits = |error: &serde_json::Error| error.to_string().starts_with("number out of range");
            must(theirs.as_ref().map_or_else(fits, |_| true), "another reader refuses it")?;
            let canonical = json::Value::Object(object).canonical();
            let again = json::Object::parse(canonical.as_bytes()).map(|again| json::Value::Object(again).canonical());
            must(again.as_ref() == Ok(&canonical), format!("{canonical} becomes {again:?}"))?;
        }
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        if let Ok(request) = Request::parse(text) {
            if let Ok(Call::AppLogin(login)) = Call::read(&request) {
                login.matches("1", &provbroker::core::model::ids::Secret::new("guess"));
            }
            let answer: Result<Value, _> = serde_json::from_str(
                &request.error(provbroker::core::protocol::appws::message::ApiError::TooManyRequests),
            );
            must(answer.is_ok(), "the answer is no JSON")?;
        }
        Ok(())
    });
}

#[test]
fn update_scripts() {
    let seeds = [
        "# ok\r\nconfig change SYSCLIENT /sysadmin wss%3A%2F%2Fa%2Fb\r\nconfig write\r\nconfig activate\r\nmod cmd UP1 provision 0\r\n",
        "vars create UPDATE/PROVISIONING-CODE h prompt\r\nconfig add UP1 /no-dhcp\r\nmod cmd UP1 provision 1\r\n",
        "mod cmd UP0 prot http://a/b ser 136044\r\nmod cmd UP0 boot http://a/b no 136044\r\nmod cmd UP1 check iser 1\r\n",
        "mod cmd UP1 times /allow 22,23 /initial 5\r\nmod cmd UP0 scfg http://a/b no /always config write\r\nreset\r\n",
        "vars del A\r\nvars read A/B\r\nconfig rem A /b\r\nmod cmd UP1 setvar A b\r\n",
    ];
    let words = ["config change ", "mod cmd UP1 ", " /", "ireset", "\u{a0}", "\u{2028}"];
    fuzz("update_scripts", &inputs(with_kept("update_scripts", seeds), &words), |input| {
        let text = String::from_utf8_lossy(input);
        for command in script::parse(&text) {
            let line = command.to_string();
            must(!line.contains(['\r', '\n']), format!("one command, two lines: {line:?}"))?;
            let again = script::parse(&line);
            must(again.len() <= 1, format!("one command becomes {again:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn request_heads() {
    let seeds = [
        "GET /00903341a0b1/5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21/admin.xml?a=b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        "POST /d/k/x%20y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: X-One\r\nX-One: 1\r\n\r\nabc",
        "GET /d/k HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n",
    ];
    fuzz("request_heads", &inputs(with_kept("request_heads", seeds), &["Host: b\r\n", "Upgrade: x\r\n"]), |input| {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut fields);
        if !matches!(request.parse(input), Ok(httparse::Status::Complete(_))) {
            return Ok(());
        }
        let (Some(method), Some(target)) = (request.method, request.path) else { return Ok(()) };
        let target = Address::read(target).map_or_else(|| target.to_owned(), |address| address.target());
        let fields: Vec<(&str, &[u8])> = request.headers.iter().map(|field| (field.name, field.value)).collect();
        for upgrade in [false, true] {
            let Ok(draft) = Draft::new(method, &target, &fields, upgrade) else { continue };
            let Ok((bytes, _)) = draft.with_body(b"abc") else { continue };
            let mut fields = [httparse::EMPTY_HEADER; 40];
            let mut written = httparse::Request::new(&mut fields);
            let Ok(httparse::Status::Complete(length)) = written.parse(&bytes) else {
                return Err(format!("what was written is no request: {:?}", String::from_utf8_lossy(&bytes)));
            };
            must(&bytes[length..] == b"abc", "the body is not what follows the head")?;
            must(written.path == Some(&target), "another target was written")?;
            let lengths = written.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
            let lengths: Vec<&[u8]> = lengths.map(|field| field.value).collect();
            must(lengths == [b"3"], format!("lengths of the body: {lengths:?}"))?;
            let kept = |name: &str| written.headers.iter().any(|field| field.name.eq_ignore_ascii_case(name));
            must(!kept("transfer-encoding") && !kept("cookie") && !kept("expect"), "a field that has to go")?;
        }
        Ok(())
    });
}

#[test]
fn init_queries() {
    let seeds = [
        "mac=009033a1b2c3&type=IP112&ip=192.0.2.17&PROT=136012&BOOT=136012&PROVISIONING-CODE=402817739164",
        "sn=00-90-33-A1-B2-C3&ver=IP112%20[13.6012/136012/300]&code=4028 1773 9164#",
        "mac=00:90:33:a1:b2:c3&PROVISIONING-CODE=prompt&&x",
    ];
    let words = ["mac=", "PROVISIONING-CODE=", "%0a", "wss://"];
    fuzz("init_queries", &inputs(with_kept("init_queries", seeds), &words), |input| {
        let query = String::from_utf8_lossy(input);
        // A text that is too long is refused.
        let path = InitPath::read("/init").unwrap();
        let Ok(request) = InitRequest::read(path, &query) else { return Ok(()) };
        for target in [None, Some("wss://a.example/b/devices/sysclients?x=y z")] {
            let text = init::answer(&request, target, true);
            must(text.ends_with("\r\n"), "the last line does not end")?;
            must(text.matches('\n').count() <= 6, format!("too many lines: {text:?}"))?;
            let unknown =
                script::parse(&text).into_iter().any(|command| matches!(command, script::Command::Unknown(_)));
            must(!unknown, format!("an unknown command: {text:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn provisioning_queries() {
    let seeds = [
        "domain=domain.com&token=abcdef%23XYZ&category=acme%20IP%20Phone&x=1",
        "category=a+b&token=t&domain=Example.COM",
    ];
    let words = ["domain=", "token=", "category=", "%C3%A4"];
    fuzz("provisioning_queries", &inputs(with_kept("provisioning_queries", seeds), &words), |input| {
        let text = String::from_utf8_lossy(input);
        let query = Query::read(&text);
        query.check(None);
        must(!matches!(&query, Query::Given(_)) || text.contains("token="), "a token out of nothing")
    });
}

#[test]
fn user_lists() {
    let seeds = [
        "sip,name\nanna,Anna Berg\nbert,\"Berg, Bert\"\n",
        "\u{feff}sip;name;guid;groups;number;domain\r\nanna;Anna;1;a|b;100;example.com\r\n",
        "sip\n\"a\"\"b\"\n",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    let domain = DomainName::parse("example.com").unwrap();
    fuzz("user_lists", &inputs(with_kept("user_lists", seeds), &["sip", "name", "domain", "\"\"", "\r"]), |input| {
        let mut file = std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        file.write_all(input).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let list = UserList::new(path.clone(), vec![domain.clone()]);
        let query = UserQuery::default();
        if let Ok(page) = runtime.block_on(list.users(&domain, &query)) {
            let control = page.users.iter().any(|user| user.sip.chars().chain(user.name.chars()).any(char::is_control));
            must(!control, "control characters in a name")?;
        }
        if let Ok(sheet) = Sheet::check(file) {
            let (count, users) = sheet.users();
            let read = users.flatten().count() as u64;
            must(read == count, format!("{count} users were checked, {read} can be read"))?;
        }
        Ok(())
    });
}

fn bundle_key() -> (Lock, FileKey) {
    let lock = Lock::by_key_file([7; 16]);
    let key = lock.open_by_key_file(&[b'k'; 64]).unwrap();
    (lock, key)
}

/// The records of a bundle, or why there are none.
fn bundle_records(file: &[u8], portion: usize) -> Result<(Kind, Vec<Vec<u8>>), Fault> {
    let (mut opener, mut records) = (Opener::new(bundle_key().1), Vec::new());
    for portion in file.chunks(portion) {
        opener.take(portion, &mut records)?;
    }
    Ok((opener.end()?.kind, records))
}

fn bundle(kind: Kind, records: &[&[u8]]) -> Vec<u8> {
    let (lock, key) = bundle_key();
    let manifest = Manifest {
        kind,
        id: "00".into(),
        centre: "00".into(),
        site: SiteName::parse("berlin").unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        serial: 1,
        created: UnixMillis(1),
        expires: UnixMillis(2),
        lock,
    };
    let mut writer = Writer::new(&manifest, &key);
    assert!(records.iter().all(|record| writer.add(record)));
    writer.finish()
}

#[test]
fn bundles() {
    let seeds = [
        bundle(Kind::Site, &[]),
        bundle(Kind::Results, &[br#"{"is":"end","of":0}"#]),
        bundle(Kind::Site, &[&vec![b'a'; 70_000], b"", b"{}"]),
    ];
    fuzz("bundles", &inputs(with_kept("bundles", seeds), &["provbroker bundle\n\0\0\u{1}", "\u{7f}"]), |input| {
        let whole = bundle_records(input, usize::MAX);
        must(whole == bundle_records(input, 13), format!("in portions it is not {whole:?}"))
    });
}

#[test]
fn bundle_contents() {
    let seeds = [
        concat!(
            r#"{"is":"domain","of":{"password":"p","adminPassword":"","autoToken":""}}"#,
            "\n",
            r#"{"is":"category","of":{"name":"Desk","provisioning":true}}"#,
            "\n",
            r#"{"is":"job","of":{"id":1,"task":{"config":{"kind":"ntp","values":{"server":"a"}}}}}"#,
            "\n",
            r#"{"is":"code","of":{"code":"402817739164","category":"Desk","requester":{"app":"a","sip":""},"rollout":true,"#,
            r#""administrative":true,"validUntil":1}}"#,
            "\n",
            r#"{"is":"end","of":4}"#
        ),
        concat!(
            r#"{"is":"device","of":{"key":"00903341a0b1","category":"Desk","way":"code","password":"p","entered":1,"#,
            r#""work":{"entry":1},"facts":{"product":"IP112","version":"13","platform":"PHONE"}}}"#,
            "\n",
            r#"{"is":"used","of":{"code":"402817739164","device":"00903341a0b1","port":"TEL1"}}"#,
            "\n",
            r#"{"is":"timeline","of":{"device":"00903341a0b1","steps":[{"at":1,"event":"issued"}]}}"#,
            "\n",
            r#"{"is":"end","of":3}"#
        ),
    ];
    for (kind, seed) in [Kind::Site, Kind::Results].into_iter().zip(seeds) {
        let mut check = Check::new(kind);
        seed.lines().for_each(|line| check.see(line.as_bytes()).unwrap());
        check.end().unwrap();
    }
    let words = [r#"{"is":"end","of":1}"#, "\n", r#""category":"../../etc","#, r#"{"is":"builds","of":{}}"#];
    fuzz("bundle_contents", &inputs(with_kept("bundle_contents", seeds), &words), |input| {
        for kind in [Kind::Site, Kind::Results] {
            let mut check = Check::new(kind);
            let records: Vec<_> = input.split(|byte| *byte == b'\n').collect();
            if records.iter().all(|record| check.see(record).is_ok())
                && let Ok(outline) = check.end()
            {
                let counted = outline.codes + outline.devices + outline.used;
                must(counted < records.len() as u64, format!("{counted} of {} records", records.len()))?;
            }
        }
        Ok(())
    });
}
