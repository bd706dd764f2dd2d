//! Converts a request at the passthrough address to the request in the tunnel (`docs/protocol/sysclient.md` 8.1 and
//! 8.2).
//!
//! The target is passed on byte for byte: the device decodes it itself.

use bytes::Bytes;

use super::head::{is_hop_by_hop, is_token};
use super::{Expects, REQUEST_HEAD_MAX};
use crate::core::model::ids::Secret;
use crate::core::protocol::percent;

/// Longest body of a request, in bytes.
pub const BODY_MAX: usize = 8 * 1024 * 1024;

/// Why a request cannot be sent into a tunnel (`docs/protocol/sysclient.md` 8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The target contains bytes outside `21…7e`.
    #[error("bad request target")]
    Target,
    /// A field that is not allowed in any HTTP request.
    #[error("bad request head")]
    Head,
    /// CONNECT, TRACE, or no valid method.
    #[error("method not allowed")]
    Method,
    /// The body is longer than [`BODY_MAX`].
    #[error("request too large")]
    Body,
    /// The head would be longer than [`REQUEST_HEAD_MAX`].
    #[error("request head too large")]
    HeadTooLong,
}

impl Refusal {
    /// The HTTP status for it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Target | Self::Head => 400,
            Self::Method => 405,
            Self::Body => 413,
            Self::HeadTooLong => 431,
        }
    }
}

/// The part of a passthrough address after `/passthrough`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// Hardware identifier, decoded.
    pub device: String,
    /// Session key, decoded.
    pub key: Secret,
    /// Path and query for the device, byte for byte; if it does not start with a slash, it is empty or a query.
    rest: &'a str,
}

impl<'a> Address<'a> {
    /// Reads `/DEVICE/KEY/REST?QUERY`; `None` if device or key are missing or cannot be decoded.
    pub fn read(text: &'a str) -> Option<Self> {
        let (device, rest) = text.strip_prefix('/')?.split_once('/')?;
        let (key, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let decode = |text| percent::decode(text).ok().filter(|text| !text.is_empty());
        Some(Self { device: decode(device)?, key: Secret::new(decode(key)?), rest })
    }

    /// The request target for the device. `…/KEY` means `/`.
    pub fn target(&self) -> String {
        let slash = if self.rest.starts_with('/') { "" } else { "/" };
        format!("{slash}{}", self.rest)
    }
}

/// A request with a complete head except for the length of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    head: Vec<u8>,
    expects: Expects,
    /// The client has sent a `Content-Length` with a request that is no upgrade.
    had_length: bool,
}

impl Draft {
    /// Writes the head: `Host`, the other fields sorted by name, then what is made here. `upgrade` keeps the field
    /// `Upgrade` (`docs/protocol/sysclient.md` 8.5).
    pub fn new(method: &str, target: &str, fields: &[(&str, &[u8])], upgrade: bool) -> Result<Self, Refusal> {
        if !is_token(method) || method == "CONNECT" || method == "TRACE" {
            return Err(Refusal::Method);
        }
        if !target.starts_with('/') || !target.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err(Refusal::Target);
        }
        let mut passed = Vec::new();
        let mut had_length = false;
        for &(name, value) in fields {
            let keeps = upgrade && name.eq_ignore_ascii_case("upgrade");
            had_length |= !upgrade && name.eq_ignore_ascii_case("content-length");
            if !keeps && ends_here(name, fields) {
                continue;
            }
            if !is_token(name) || value.iter().any(|&b| b != b'\t' && b.is_ascii_control()) {
                return Err(Refusal::Head);
            }
            passed.push((name.to_ascii_lowercase(), without_blanks(value)));
        }
        // Stable: fields of the same name stay in their order.
        passed.sort_by(|(one, _), (other, _)| (one != HOST, one).cmp(&(other != HOST, other)));
        let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in passed {
            head.extend([spelled(&name).as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if upgrade {
            head.extend(b"Connection: Upgrade\r\n");
        }
        let expects = match method {
            _ if upgrade => Expects::Upgrade,
            "HEAD" => Expects::HeadOnly,
            _ => Expects::Answer,
        };
        let draft = Self { head, expects, had_length };
        // Checked before a body is read that would never be sent.
        fits(draft.head.len() + 2).map(|()| draft)
    }

    /// The whole request, and what may follow it. A request without body has no `Content-Length` unless the client
    /// sent one.
    pub fn with_body(self, body: &[u8]) -> Result<(Bytes, Expects), Refusal> {
        if body.len() > BODY_MAX {
            return Err(Refusal::Body);
        }
        let mut end = String::from("\r\n");
        if self.had_length || !body.is_empty() {
            end.insert_str(0, &format!("Content-Length: {}\r\n", body.len()));
        }
        fits(self.head.len() + end.len())?;
        Ok(([&self.head, end.as_bytes(), body].concat().into(), self.expects))
    }
}

fn fits(head: usize) -> Result<(), Refusal> {
    if head > REQUEST_HEAD_MAX { Err(Refusal::HeadTooLong) } else { Ok(()) }
}

/// The field that comes first.
const HOST: &str = "host";

/// A value without blanks and tabs at its ends.
fn without_blanks(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let value = value.get(start..).unwrap_or_default();
    let end = value.iter().rposition(|b| !blank(b)).map_or(0, |last| last + 1);
    value.get(..end).unwrap_or_default()
}

/// A field name, given in lower case, in its usual spelling: small web servers may care.
fn spelled(name: &str) -> String {
    if name == "dnt" {
        return "DNT".into();
    }
    if let Some(rest) = name.strip_prefix("sec-websocket-") {
        return format!("Sec-WebSocket-{}", spelled(rest));
    }
    let mut at_start = true;
    let capital = |c: char| {
        let starts = std::mem::replace(&mut at_start, c == '-');
        if starts { c.to_ascii_uppercase() } else { c }
    };
    name.chars().map(capital).collect()
}

/// Whether a field belongs to the connection with the client, or to the platform, and is not passed on.
fn ends_here(name: &str, fields: &[(&str, &[u8])]) -> bool {
    const NAMES: [&str; 3] = ["expect", "cookie", "content-length"];
    if name.eq_ignore_ascii_case(HOST) {
        // Even if `Connection` names it: an HTTP/1.1 request needs it.
        return false;
    }
    is_hop_by_hop(name)
        || NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
        || fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case("connection"))
            .flat_map(|(_, value)| value.split(|&b| b == b','))
            .any(|named| named.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn draft(method: &str, target: &str, fields: Fields<'_>, upgrade: bool) -> Result<Draft, Refusal> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        Draft::new(method, target, &fields, upgrade)
    }

    fn written(method: &str, fields: Fields<'_>, body: &str) -> String {
        let (bytes, _) = draft(method, "/", fields, false).unwrap().with_body(body.as_bytes()).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn addresses() {
        let read = |text| Address::read(text).map(|a| (a.device.clone(), a.key.expose().to_owned(), a.target()));
        let parts = |device: &str, key: &str, target: &str| Some((device.into(), key.into(), target.into()));
        assert_eq!(read("/dev/key"), parts("dev", "key", "/"));
        assert_eq!(read("/dev/key/"), parts("dev", "key", "/"));
        assert_eq!(read("/dev/key?a/b"), parts("dev", "key", "/?a/b"));
        assert_eq!(read("/d%65v/%6bey/../%2f//a%20b?%41=/?"), parts("dev", "key", "/../%2f//a%20b?%41=/?"));
        for text in ["", "/", "/dev", "/dev/", "//key", "/%zz/key", "/dev/%zz/", "dev/key"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn fields_of_the_connection_and_the_platform_are_removed() {
        let fields = [
            ("Host", "h"),
            ("connection", "keep-alive, X-Hop , host"),
            ("x-hop", "1"),
            ("Keep-Alive", "5"),
            ("Proxy-Authorization", "p"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Upgrade", "websocket"),
            ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"),
            ("Cookie", "c"),
            ("Authorization", "Digest x"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        let expected = "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Digest x\r\nX-A: 1\r\nX-A: 2\r\n";
        assert_eq!(written("POST", &fields, "body"), format!("{expected}Content-Length: 4\r\n\r\nbody"));
        assert_eq!(written("POST", &fields, ""), format!("{expected}\r\n"));
        let with_length = [("Host", "h"), ("Content-Length", "0")];
        assert_eq!(written("GET", &with_length, ""), "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn an_upgrade_is_passed_on() {
        let fields = [("Host", "h"), ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")];
        let (bytes, expects) = draft("GET", "/ws", &fields, true).unwrap().with_body(b"").unwrap();
        assert_eq!(bytes, "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        assert_eq!(expects, Expects::Upgrade);
    }

    #[test]
    fn names_have_their_usual_spelling() {
        for (name, usual) in [
            ("user-agent", "User-Agent"),
            ("x-one", "X-One"),
            ("dnt", "DNT"),
            ("sec-websocket-key", "Sec-WebSocket-Key"),
            ("sec-fetch-mode", "Sec-Fetch-Mode"),
            ("x--1a-b_c", "X--1a-B_c"),
        ] {
            assert_eq!(spelled(name), usual);
        }
    }

    #[test]
    fn an_upgrade_has_no_length() {
        let fields = [("Content-Length", "0"), ("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade")];
        let (bytes, _) = draft("GET", "/ws", &fields, true).unwrap().with_body(b"").unwrap();
        assert_eq!(bytes, "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    }

    #[test]
    fn what_is_expected_depends_on_the_method() {
        let expects = |method| draft(method, "/", &[], false).unwrap().with_body(b"").unwrap().1;
        assert_eq!(
            [expects("HEAD"), expects("GET"), expects("head")],
            [Expects::HeadOnly, Expects::Answer, Expects::Answer]
        );
    }

    #[test]
    fn refusals() {
        let refused = |method, target, fields| draft(method, target, fields, false).unwrap_err().status();
        assert_eq!(refused("CONNECT", "/", &[]), 405);
        assert_eq!(refused("TRACE", "/", &[]), 405);
        assert_eq!(refused("G T", "/", &[]), 405);
        assert_eq!(refused("GET", "/a b", &[]), 400);
        assert_eq!(refused("GET", "/\u{7f}", &[]), 400);
        assert_eq!(refused("GET", "/ü", &[]), 400);
        assert_eq!(refused("GET", "/", &[("a", "b\r\nc: d")]), 400);
        let all: String = ('!'..='~').collect();
        assert!(draft("GET", &format!("/{all}"), &[], false).is_ok());
    }

    #[test]
    fn a_head_may_have_32768_bytes_and_a_body_8_mib() {
        let path = |length: usize| format!("/{}", "x".repeat(length - "GET / HTTP/1.1\r\n\r\n".len()));
        let fits = draft("GET", &path(REQUEST_HEAD_MAX), &[], false).unwrap();
        assert_eq!(fits.clone().with_body(b"").unwrap().0.len(), REQUEST_HEAD_MAX);
        assert_eq!(fits.with_body(b"x"), Err(Refusal::HeadTooLong));
        assert_eq!(draft("GET", &path(REQUEST_HEAD_MAX + 1), &[], false), Err(Refusal::HeadTooLong));
        let body = vec![0; BODY_MAX + 1];
        let post = draft("POST", "/", &[], false).unwrap();
        assert!(post.clone().with_body(&body[1..]).is_ok());
        assert_eq!(post.with_body(&body).map_err(Refusal::status), Err(413));
    }
}
