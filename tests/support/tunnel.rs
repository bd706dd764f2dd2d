//! The device's side of the tunnel, written from `docs/protocol/sysclient.md` section 7 alone: anything that the
//! server must not do fails the test.

use std::collections::{HashMap, HashSet};

use super::peer::Device;

pub const SEND: u32 = 0;
pub const RECEIVE: u32 = 1;
pub const RECEIVE_RESULT: u32 = 2;
pub const SEND_RESULT: u32 = 3;
pub const SHUTDOWN: u32 = 4;

/// Response fields with which a device would say something of the broker's host, of its other pages, or to a proxy.
const DANGEROUS: &[&str] = &[
    "Accept-CH",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Origin",
    "Alt-Svc",
    "Clear-Site-Data",
    "Content-Location",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Expect-CT",
    "Link",
    "NEL",
    "Origin-Agent-Cluster",
    "P3P",
    "Permissions-Policy",
    "Public-Key-Pins",
    "Referrer-Policy",
    "Refresh",
    "Report-To",
    "Reporting-Endpoints",
    "Server",
    "Server-Timing",
    "Service-Worker-Allowed",
    "Set-Cookie",
    "Set-Cookie2",
    "SourceMap",
    "Speculation-Rules",
    "Strict-Transport-Security",
    "Timing-Allow-Origin",
    "X-Accel-Buffering",
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-DNS-Prefetch-Control",
    "X-Frame-Options",
    "X-LIGHTTPD-send-file",
    "X-Permitted-Cross-Domain-Policies",
    "X-Powered-By",
    "X-Reproxy-URL",
    "X-Robots-Tag",
    "X-Sendfile",
    "X-SourceMap",
    "X-Forwarded-For",
];

/// The value of each of them.
pub const MARK: &str = "said-by-the-device";

/// All of them, a line each.
pub fn dangerous_lines() -> String {
    DANGEROUS.iter().flat_map(|name| [name, ": ", MARK, "\r\n"]).collect()
}

/// A tunnel message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnelled {
    pub session: u32,
    pub event: u32,
    pub data: Vec<u8>,
}

impl Device {
    /// The next message, which has to be a tunnel message.
    pub async fn tunnelled(&mut self) -> Tunnelled {
        let message = self.binary().await;
        assert_eq!(message[0], 2, "a tunnel message");
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        let (session, event, data) = (word(1), word(5), message[9..].to_vec());
        assert!((1..=0x7fff_ffff).contains(&session), "{session:x}");
        match event {
            SEND => assert!(data.len() <= 65_536),
            RECEIVE => assert_eq!(data, 8192_u32.to_be_bytes()),
            SHUTDOWN => assert_eq!(data, b""),
            _ => panic!("event {event} of a server"),
        }
        Tunnelled { session, event, data }
    }

    /// The next message has to be this event.
    pub async fn expect_tunnel(&mut self, event: u32) -> Tunnelled {
        let message = self.tunnelled().await;
        assert_eq!(message.event, event, "of session {}", message.session);
        message
    }

    /// Sends a tunnel message.
    pub async fn tunnel(&mut self, session: u32, event: u32, data: &[u8]) {
        self.send([&[2][..], &session.to_be_bytes(), &event.to_be_bytes(), data].concat()).await;
    }

    /// Reads one short request and the receive after it; returns session and text.
    pub async fn request(&mut self) -> (u32, String) {
        let Tunnelled { session, data, .. } = self.expect_tunnel(SEND).await;
        self.tunnel(session, SEND_RESULT, b"").await;
        assert_eq!(self.expect_tunnel(RECEIVE).await.session, session);
        (session, String::from_utf8(data).unwrap())
    }

    /// Whether a receive has arrived; everything sent before was handled.
    pub async fn is_asked(&mut self) -> bool {
        for _ in 0..50 {
            if let Some(message) = self.before_pong().await {
                assert_eq!(message[5..9], RECEIVE.to_be_bytes());
                return true;
            }
        }
        false
    }

    /// Reads one short request, answers it with one piece, and confirms the end. Returns the request.
    pub async fn answer_once(&mut self, answer: &str) -> String {
        let (session, request) = self.request().await;
        self.tunnel(session, RECEIVE_RESULT, answer.as_bytes()).await;
        // Nothing between the last piece and the shutdown: a device without more data sends nothing.
        assert_eq!(self.expect_tunnel(SHUTDOWN).await.session, session);
        self.tunnel(session, SHUTDOWN, b"").await;
        request
    }
}

/// A whole request.
#[derive(Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
    /// Lengths of the sends.
    pub pieces: Vec<usize>,
}

#[derive(Default)]
struct Session {
    request: Vec<u8>,
    pieces: Vec<usize>,
    answer: Option<Vec<u8>>,
}

/// Serves requests until `stop` of them are done. Every receive is answered with a piece of up to 8000 bytes; after
/// the last one the device sends nothing. `answer` makes the answer for a request.
pub async fn serve(device: &mut Device, stop: usize, mut answer: impl FnMut(&Request) -> Vec<u8>) {
    let mut open: HashMap<u32, Session> = HashMap::new();
    let (mut used, mut over) = (HashSet::new(), 0);
    while over < stop {
        let Tunnelled { session, event, data } = device.tunnelled().await;
        match event {
            SEND => {
                let this = open.entry(session).or_insert_with(|| {
                    assert!(used.insert(session), "session {session} twice");
                    Session::default()
                });
                assert!(this.answer.is_none(), "a send after the whole request");
                this.pieces.push(data.len());
                this.request.extend(data);
                if let Some(request) = whole(this) {
                    this.answer = Some(answer(&request));
                }
                device.tunnel(session, SEND_RESULT, b"").await;
            }
            RECEIVE => {
                let answer = open.get_mut(&session).and_then(|this| this.answer.as_mut());
                let answer = answer.expect("a receive before the whole request");
                assert!(!answer.is_empty(), "a receive after the end");
                let piece: Vec<u8> = answer.drain(..answer.len().min(8000)).collect();
                device.tunnel(session, RECEIVE_RESULT, &piece).await;
            }
            _ => {
                assert!(open.remove(&session).is_some(), "shutdown of no session");
                device.tunnel(session, SHUTDOWN, b"").await;
                over += 1;
            }
        }
    }
    assert!(open.is_empty());
}

fn whole(session: &Session) -> Option<Request> {
    let end = session.request.windows(4).position(|four| four == b"\r\n\r\n").expect("the head is whole") + 4;
    let head = String::from_utf8(session.request[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let body = session.request[end..].to_vec();
    (body.len() == length.unwrap_or(0)).then(|| Request { head, body, pieces: session.pieces.clone() })
}
