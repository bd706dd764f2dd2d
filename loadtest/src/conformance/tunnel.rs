//! HTTP through a device: `docs/protocol/sysclient.md`, sections 7 and 8.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::app::App;
use super::device::{Device, Message, RECEIVE, RECEIVE_RESULT, SEND, SEND_RESULT, SHUTDOWN, phone};
use super::finding::{Findings, Step, Transcript, Unexpected, ensure};
use super::kit::{Check, Kit, check};
use super::target::HttpAnswer;

/// The checks of these sections.
pub const CHECKS: &[Check] = &[
    check!(
        plain,
        [
            "sysclient-7.1-a",
            "sysclient-7.2-a",
            "sysclient-7.2-d",
            "sysclient-7.2-g",
            "sysclient-7.3-a",
            "sysclient-7.4-a",
            "sysclient-8.1-a",
            "sysclient-8.1-b",
            "sysclient-8.1-c",
            "sysclient-8.2-a",
            "sysclient-8.2-b",
        ]
    ),
    check!(head, ["sysclient-8.2-c", "sysclient-8.2-d", "sysclient-8.2-e", "sysclient-8.2-f", "sysclient-8.2-g"]),
    check!(body, ["sysclient-7.2-b", "sysclient-8.2-h"]),
    check!(long_pieces, ["sysclient-7.2-e"]),
    check!(mixed, ["sysclient-7.1-b"]),
    check!(device_ends, ["sysclient-7.4-b", "sysclient-8.4-d"]),
    check!(unknown_sessions, ["sysclient-7.4-c", "sysclient-7.4-f"]),
    check!(strays, ["sysclient-7.4-d"]),
    check!(forbidden_events, ["sysclient-7.4-e"]),
    check!(extra_bytes, ["sysclient-7.4-g"]),
    check!(lost, ["sysclient-7.4-h"]),
    check!(access, ["sysclient-8.1-d", "sysclient-8.1-e", "sysclient-8.1-f", "sysclient-8.6-a"]),
    check!(fields, ["sysclient-8.3-a", "sysclient-8.3-b", "sysclient-8.3-c"]),
    check!(ends, ["sysclient-8.4-a", "sysclient-8.4-b", "sysclient-8.4-c", "sysclient-8.4-e"]),
    check!(client_leaves, ["sysclient-8.4-f"]),
];

/// A member that is reached through an app session.
struct Way {
    device: Device,
    id: String,
    // The session ends with it.
    _app: App,
    base: String,
    log: Transcript,
}

impl Way {
    async fn open(kit: &Kit, f: &Findings) -> Step<Self> {
        let log = f.transcript.clone();
        let mut app = kit.app(&log).await?;
        let member = kit.settled(&mut app, &log, phone(&kit.id())).await?;
        let key = kit.key(&mut app).await?;
        let id = member.id().to_owned();
        let base = format!("{}/passthrough/{id}/{key}", kit.target.path);
        Ok(Self { device: member.device, id, _app: app, base, log })
    }

    /// A GET that the device answers with these pieces.
    async fn get(&mut self, kit: &Kit, rest: &str, pieces: &[&[u8]]) -> Step<(HttpAnswer, Served)> {
        self.exchange(kit, "GET", rest, "", pieces).await
    }

    /// A request that the device answers with these pieces.
    async fn exchange(
        &mut self,
        kit: &Kit,
        method: &str,
        rest: &str,
        more: &str,
        pieces: &[&[u8]],
    ) -> Step<(HttpAnswer, Served)> {
        let target = format!("{}{rest}", self.base);
        let asked = kit.target.request(&self.log, method, &target, more);
        tokio::try_join!(asked, serve(&mut self.device, pieces))
    }
}

/// What a device saw of a session.
struct Served {
    session: u32,
    /// The bytes of the request, one for each send.
    request: String,
    /// How many bytes were asked for, each time.
    asked: Vec<u32>,
}

impl Served {
    fn lines(&self) -> Vec<&str> {
        self.request.split("\r\n\r\n").next().unwrap_or_default().split("\r\n").collect()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.lines().iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The device's side of one request: the strict sequence of section 7.2.
async fn serve(device: &mut Device, pieces: &[&[u8]]) -> Step<Served> {
    let (session, request) = device.expect_tunnel(SEND).await?;
    device.tunnel(session, SEND_RESULT, b"").await?;
    let mut asked = Vec::new();
    for piece in pieces {
        let (its, most) = device.expect_tunnel(RECEIVE).await?;
        ensure(its == session, || format!("a receive of session {its}"))?;
        asked.push(most.first_chunk().map_or(0, |most| u32::from_be_bytes(*most)));
        device.tunnel(session, RECEIVE_RESULT, piece).await?;
    }
    device.expect_tunnel(SHUTDOWN).await?;
    device.tunnel(session, SHUTDOWN, b"").await?;
    Ok(Served { session, request: String::from_utf8_lossy(&request).into_owned(), asked })
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn plain(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let target = format!("{}/a%2Fb/../c//d?q=%20&x", way.base);
    let (device, log) = (&mut way.device, way.log.clone());
    let served = async {
        f.rule("sysclient-8.1-a");
        let (session, request) = device.expect_tunnel(SEND).await?;
        f.rule("sysclient-7.2-a");
        // Nothing may be asked for before the send result.
        if let Some(Message::Tunnel { event, .. }) = device.next(Duration::from_millis(300)).await? {
            return Err(Unexpected(format!("event {event} before the send result")));
        }
        device.tunnel(session, SEND_RESULT, b"").await?;
        let (_, most) = device.expect_tunnel(RECEIVE).await?;
        device.tunnel(session, RECEIVE_RESULT, OK).await?;
        f.rule("sysclient-7.4-a");
        device.expect_tunnel(SHUTDOWN).await?;
        device.tunnel(session, SHUTDOWN, b"").await?;
        f.prepare();
        let asked = vec![most.first_chunk().map_or(0, |most| u32::from_be_bytes(*most))];
        Ok(Served { session, request: String::from_utf8_lossy(&request).into_owned(), asked })
    };
    let (answer, served) = tokio::try_join!(kit.target.request(&log, "GET", &target, ""), served)?;
    f.judge("sysclient-8.1-a", answer.status == 200 && answer.text() == "ok", format_args!("{}", answer.status));
    f.judge("sysclient-7.2-d", served.asked == [8192], format_args!("{:?}", served.asked));
    let line = served.lines()[0].to_owned();
    f.judge("sysclient-8.2-a", line.starts_with("GET /") && line.ends_with(" HTTP/1.1"), &line);
    f.judge("sysclient-8.1-c", line == "GET /a%2Fb/../c//d?q=%20&x HTTP/1.1", &line);
    let host = format!("Host: {}", kit.target.authority());
    f.judge("sysclient-8.2-b", served.lines().get(1) == Some(&host.as_str()), format_args!("{:?}", served.lines()));
    f.rule("sysclient-7.2-g");
    match way.device.next(Duration::from_millis(700)).await? {
        None | Some(Message::Admin(..)) => {}
        Some(Message::Tunnel { event, .. }) => return Err(Unexpected(format!("event {event} after the end"))),
    }
    f.rule("sysclient-8.1-b");
    let mut numbers = vec![served.session];
    for rest in ["", "/"] {
        let (_, served) = way.get(kit, rest, &[OK]).await?;
        numbers.push(served.session);
        ensure(served.lines()[0] == "GET / HTTP/1.1", || served.lines()[0].to_owned())?;
    }
    let counting = numbers.iter().all(|number| (1..=0x7fff_ffff).contains(number))
        && (numbers.is_sorted() || numbers.contains(&1));
    let mut once = numbers.clone();
    once.dedup();
    f.judge("sysclient-7.1-a", once == numbers, format_args!("sessions {numbers:?} for three requests"));
    f.judge("sysclient-7.3-a", counting, format_args!("{numbers:?}"));
    f.prepare();
    let trace = kit.target.request(&way.log, "TRACE", &format!("{}/", way.base), "").await?;
    f.judge("sysclient-8.2-a", trace.status == 405, format_args!("TRACE: {}", trace.status));
    Ok(())
}

async fn head(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    f.rule("sysclient-8.2-c");
    let more = "x-b: 2\r\naccept: */*\r\nx-b: 1\r\nAUTHORIZATION: Basic eDp5\r\nCookie: a=b\r\nTE: trailers\r\n\
                Keep-Alive: 5\r\nProxy-Authorization: x\r\nx-named: 1";
    let (_, served) = way.exchange(kit, "GET", "/", more, &[OK]).await?;
    let lines = served.lines();
    let names: Vec<String> =
        lines[2..].iter().filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
    ensure(names.is_sorted(), || format!("{names:?}"))?;
    f.judge("sysclient-8.2-d", lines.contains(&"Accept: */*") && served.field("X-Named") == Some("1"), &served.request);
    let both: Vec<&&str> = lines.iter().filter(|line| line.starts_with("X-B: ")).collect();
    f.judge("sysclient-8.2-e", both == [&"X-B: 2", &"X-B: 1"], &served.request);
    let removed = ["connection", "cookie", "te", "keep-alive", "proxy-authorization"];
    let left: Vec<_> = names.iter().filter(|name| removed.contains(&name.as_str())).collect();
    f.judge("sysclient-8.2-f", left.is_empty(), format_args!("{left:?}"));
    f.judge("sysclient-8.2-g", served.field("Authorization") == Some("Basic eDp5"), "no Authorization");
    Ok(())
}

async fn body(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let body = "x".repeat(20_000);
    f.rule("sysclient-7.2-b");
    let more = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let (_, served) = way.exchange(kit, "POST", "/form", &more, &[OK]).await?;
    let whole = served.request.ends_with(&format!("\r\n\r\n{body}"));
    ensure(whole, || format!("{} bytes in the first send", served.request.len()))?;
    f.rule("sysclient-8.2-h");
    ensure(served.field("Content-Length") == Some("20000"), || format!("{:?}", served.lines()))?;
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (_, served) = way.exchange(kit, "POST", "/form", chunked, &[OK]).await?;
    let good = served.field("Content-Length") == Some("5") && served.request.ends_with("\r\n\r\nabcde");
    ensure(good, || served.request.clone())?;
    let (_, served) = way.get(kit, "/", &[OK]).await?;
    ensure(served.field("Content-Length").is_none(), || served.request.clone())
}

async fn long_pieces(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    f.rule("sysclient-7.2-e");
    let long = vec![b'y'; 60_000];
    let pieces: [&[u8]; 3] = [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 60001\r\n\r\n", &long];
    let (answer, _) = way.get(kit, "/long", &[pieces[0], pieces[1], pieces[2], b"z"]).await?;
    ensure(answer.body.len() == 60_001, || format!("{} bytes", answer.body.len()))
}

async fn mixed(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let [one, two] = ["one", "two"].map(|name| format!("{}/{name}", way.base));
    f.rule("sysclient-7.1-b");
    let (device, log) = (&mut way.device, way.log.clone());
    let both = async {
        let (first, request) = device.expect_tunnel(SEND).await?;
        let (second, _) = device.expect_tunnel(SEND).await?;
        let first_is_one = request.starts_with(b"GET /one ");
        for session in [second, first] {
            device.tunnel(session, SEND_RESULT, b"").await?;
        }
        for _ in 0..2 {
            let (session, _) = device.expect_tunnel(RECEIVE).await?;
            let name = if (session == first) == first_is_one { "one" } else { "two" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{name}");
            device.tunnel(session, RECEIVE_RESULT, answer.as_bytes()).await?;
        }
        for _ in 0..2 {
            let (session, _) = expect_any(device, SHUTDOWN).await?;
            device.tunnel(session, SHUTDOWN, b"").await?;
        }
        Ok(())
    };
    let get = |target: String| {
        let log = log.clone();
        async move { kit.target.request(&log, "GET", &target, "").await }
    };
    let (one, two, ()) = tokio::try_join!(get(one), get(two), both)?;
    ensure(one.text() == "one" && two.text() == "two", || format!("{} and {}", one.text(), two.text()))
}

/// A tunnel event, whatever other events come before it.
async fn expect_any(device: &mut Device, wanted: u32) -> Step<(u32, Vec<u8>)> {
    loop {
        match device.next(Duration::from_secs(10)).await? {
            Some(Message::Tunnel { session, event, data }) if event == wanted => return Ok((session, data)),
            Some(_) => {}
            None => return Err(Unexpected(format!("no tunnel event {wanted} in 10 s"))),
        }
    }
}

async fn device_ends(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let target = format!("{}/", way.base);
    f.rule("sysclient-7.4-b");
    let device = &mut way.device;
    let served = async {
        let (session, _) = device.expect_tunnel(SEND).await?;
        device.tunnel(session, SEND_RESULT, b"").await?;
        device.expect_tunnel(RECEIVE).await?;
        device.tunnel(session, RECEIVE_RESULT, b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await?;
        device.expect_tunnel(RECEIVE).await?;
        device.tunnel(session, SHUTDOWN, b"").await?;
        device.expect_tunnel(SHUTDOWN).await?;
        match device.next(Duration::from_millis(500)).await? {
            Some(Message::Tunnel { event, .. }) => Err(Unexpected(format!("event {event} after both shutdowns"))),
            _ => Ok(()),
        }
    };
    let (answer, ()) = tokio::try_join!(kit.target.request(&way.log, "GET", &target, ""), served)?;
    f.rule("sysclient-8.4-d");
    ensure(answer.text() == "until the end", || answer.text())?;
    let (answer, _) = way.get(kit, "/", &[b"HTTP/1.0 200 OK\r\n\r\nempty", b""]).await?;
    ensure(answer.text() == "empty", || answer.text())
}

async fn unknown_sessions(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    for (id, event) in [("sysclient-7.4-c", SHUTDOWN), ("sysclient-7.4-f", 77)] {
        f.rule(id);
        way.device.tunnel(0x7000_0000, event, b"").await?;
        match way.device.next(Duration::from_millis(500)).await? {
            Some(Message::Tunnel { event, .. }) => return Err(Unexpected(format!("event {event} as an answer"))),
            _ => way.device.socket.is_open().await?,
        }
    }
    Ok(())
}

async fn strays(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    f.rule("sysclient-7.4-d");
    for _ in 0..100 {
        way.device.tunnel(0x7000_0001, RECEIVE_RESULT, b"x").await?;
    }
    way.device.socket.is_open().await?;
    way.device.tunnel(0x7000_0001, RECEIVE_RESULT, b"x").await?;
    way.device.socket.expect_close(1008).await
}

async fn forbidden_events(kit: &Kit, f: &mut Findings) -> Step {
    for event in [SEND, RECEIVE] {
        let mut way = Way::open(kit, f).await?;
        f.rule("sysclient-7.4-e");
        way.device.tunnel(1, event, b"xxxx").await?;
        way.device.socket.expect_close(1002).await?;
        f.prepare();
    }
    Ok(())
}

async fn extra_bytes(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let target = format!("{}/", way.base);
    f.rule("sysclient-7.4-g");
    let device = &mut way.device;
    let served = async {
        let (session, _) = device.expect_tunnel(SEND).await?;
        device.tunnel(session, SEND_RESULT, b"more").await?;
        device.expect_tunnel(RECEIVE).await?;
        device.tunnel(session, RECEIVE_RESULT, OK).await?;
        device.expect_tunnel(SHUTDOWN).await?;
        device.tunnel(session, SHUTDOWN, b"more").await?;
        device.socket.is_open().await
    };
    let (answer, ()) = tokio::try_join!(kit.target.request(&way.log, "GET", &target, ""), served)?;
    ensure(answer.status == 200, || answer.status.to_string())
}

async fn lost(kit: &Kit, f: &mut Findings) -> Step {
    let Way { mut device, base, log, _app: app, .. } = Way::open(kit, f).await?;
    f.rule("sysclient-7.4-h");
    let target = format!("{base}/");
    let served = async {
        device.expect_tunnel(SEND).await?;
        drop(device);
        Ok(())
    };
    let (answer, ()) = tokio::try_join!(kit.target.request(&log, "GET", &target, ""), served)?;
    drop(app);
    ensure(answer.status == 502, || answer.status.to_string())
}

async fn access(kit: &Kit, f: &mut Findings) -> Step {
    let Way { device, id, _app: app, base, log } = Way::open(kit, f).await?;
    let path = &kit.target.path;
    f.rule("sysclient-8.1-d");
    let wrong = format!("{path}/passthrough/{id}/00000000-0000-4000-8000-000000000000/");
    let answer = kit.target.request(&log, "GET", &wrong, "").await?;
    ensure(answer.status == 403, || answer.status.to_string())?;
    f.rule("sysclient-8.6-a");
    let short = answer.body.len() <= 200 && answer.text().trim_end().lines().count() <= 1;
    ensure(short, || answer.text())?;
    f.rule("sysclient-8.1-e");
    let answer = kit.target.request(&log, "GET", &base.replace(&id, "02ffffffffff"), "").await?;
    ensure(answer.status == 404, || answer.status.to_string())?;
    f.prepare();
    drop(device);
    // It takes a moment until the server has noticed.
    let mut answer = None;
    f.rule("sysclient-8.1-f");
    for _ in 0..50 {
        let now = kit.target.request(&log, "GET", &format!("{base}/"), "").await?;
        let done = now.status == 503;
        answer = Some(now);
        if done {
            break;
        }
    }
    let answer = answer.ok_or("no answer")?;
    let again = answer.field("Retry-After");
    ensure(answer.status == 503 && again == Some("5"), || format!("{} and Retry-After {again:?}", answer.status))?;
    drop(app);
    Ok(())
}

async fn fields(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    f.rule("sysclient-8.3-a");
    let (answer, _) = way.get(kit, "/", &[b"SSH-2.0-x\r\n\r\n"]).await?;
    ensure(answer.status == 502, || answer.status.to_string())?;
    f.rule("sysclient-8.3-b");
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
    let (answer, _) = way.get(kit, "/", &[interim]).await?;
    ensure(answer.status == 201 && answer.text() == "ok", || answer.head.clone())?;
    f.rule("sysclient-8.3-c");
    let device = b"HTTP/1.1 401 Unauthorized\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic realm=\"x\"\r\nX-Own: 1\r\n\
                   Content-Type: text/html\r\nETag: \"e\"\r\nReport-To: x\r\nContent-Length: 2\r\n\r\nno";
    let (answer, _) = way.get(kit, "/", &[device]).await?;
    let passed = ["WWW-Authenticate", "Content-Type", "ETag"].iter().all(|name| answer.field(name).is_some());
    let kept = ["Set-Cookie", "X-Own", "Report-To"].iter().all(|name| answer.field(name).is_none());
    ensure(answer.status == 401 && passed && kept, || answer.head.clone())
}

async fn ends(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    f.rule("sysclient-8.4-a");
    let (answer, _) = way.exchange(kit, "HEAD", "/", "", &[OK]).await?;
    ensure(answer.status == 200 && answer.body.is_empty(), || answer.head.clone())?;
    f.rule("sysclient-8.4-b");
    let chunked: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: r\r\n\r\n";
    let (answer, _) = way.get(kit, "/", &[chunked]).await?;
    ensure(answer.text() == "abc", || format!("{}\n{}", answer.head, answer.text()))?;
    f.rule("sysclient-8.4-c");
    let (answer, _) = way.get(kit, "/", &[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokbeyond"]).await?;
    ensure(answer.text() == "ok", || answer.text())?;
    let (answer, _) =
        way.get(kit, "/", &[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"]).await?;
    ensure(answer.status == 502, || format!("two lengths: {}", answer.status))?;
    f.rule("sysclient-8.4-e");
    let (answer, _) = way.get(kit, "/", &[b"HTTP/1.1 200 OK\r\nConte", b""]).await?;
    ensure(answer.status == 502, || answer.status.to_string())
}

async fn client_leaves(kit: &Kit, f: &mut Findings) -> Step {
    let mut way = Way::open(kit, f).await?;
    let mut stream = kit.target.connect().await?;
    let request = format!("GET {}/ HTTP/1.1\r\nHost: {}\r\n\r\n", way.base, kit.target.authority());
    way.log.sent("GET … and then the end of the connection");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    f.rule("sysclient-8.4-f");
    way.device.expect_tunnel(SEND).await?;
    drop(stream);
    let (session, _) = way.device.expect_tunnel(SHUTDOWN).await?;
    way.device.tunnel(session, SHUTDOWN, b"").await
}
