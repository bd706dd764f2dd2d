//! The head of an HTTP answer: status, fields, and how the body ends (`docs/protocol/sysclient.md` 8.3 and 8.4).

use super::{Expects, Failure};

/// The head of an answer for the HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Status, 200 to 599; or 101, after which a byte pipe follows.
    pub status: u16,
    /// The fields that reach the HTTP client, in order, without `Content-Length`; with 101 also `Upgrade`.
    pub fields: Vec<Field>,
    /// `Content-Length`, in bytes. A body of this length follows, except after HEAD, 204 and 304.
    pub length: Option<u64>,
}

/// One field of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name as sent; only token characters.
    pub name: Box<str>,
    /// Value without white space around it and without control characters; not always UTF-8.
    pub value: Box<[u8]>,
}

impl Field {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// After the last chunk and its trailer section.
    Chunked,
    /// After this many bytes.
    Length(u64),
    /// At the end of the session, or at an empty result.
    UntilEnd,
    /// There is no body but a byte pipe.
    Pipe,
}

/// A parsed head.
pub(super) enum Parsed {
    /// An interim answer (1xx); another head follows.
    Interim,
    Final(Head, Framing),
}

/// Whether a field is hop-by-hop, so that the broker does not pass it on (`docs/protocol/sysclient.md` 8.2 and 8.3).
/// Fields named by `Connection` are hop-by-hop too.
pub fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 6] = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    let proxy = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"));
    proxy || NAMES.iter().any(|n| name.eq_ignore_ascii_case(n))
}

/// Fields of an answer that reach the HTTP client (`docs/protocol/sysclient.md` 8.3), sorted. To a browser, and to a
/// proxy in front, the answer comes from the broker's host: a device says what the body is and how long it may be kept,
/// and nothing that concerns the host, its other pages or the proxy.
const PASSED: [&str; 20] = [
    "accept-ranges",
    "age",
    "allow",
    "authentication-info",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "pragma",
    "retry-after",
    "vary",
    "www-authenticate",
    "x-content-type-options",
];

/// Whether a field passes. Those of a WebSocket handshake pass with any status, since a refusal names versions.
fn passes(name: &str) -> bool {
    const HANDSHAKE: [&str; 4] =
        ["sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version"];
    PASSED.iter().chain(&HANDSHAKE).any(|passed| name.eq_ignore_ascii_case(passed))
}

/// Whether the bytes are a prefix of a status line.
pub(super) fn may_be_http(text: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    let known = text.len().min(START.len());
    text[..known] == START[..known]
}

/// Reads a head, with its blank line.
///
/// httparse reads the lines: a lone line feed ends one, blanks may stand before a colon, a folded line continues the
/// field before it. The rules of the gateway (range of the status, interim answers, how a fold is passed on) are
/// checked here.
pub(super) fn parse(text: &[u8], expects: Expects) -> Result<Parsed, Failure> {
    // httparse would skip empty lines in front.
    if !may_be_http(text) {
        return Err(Failure::NotHttp);
    }
    // Each field has a line of its own, so they all fit: only the length of the section is bounded.
    let lines = text.split(|&b| b == b'\n').count();
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut response = httparse::Response::new(&mut headers);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = parser.parse_response(&mut response, text);
    // The fields of an interim answer may be anything, so the status counts as soon as its own line is good.
    let status = response.code.filter(|status| (100..=599).contains(status) && parsed != Err(httparse::Error::Status));
    let status = status.ok_or(Failure::NotHttp)?;
    match status {
        101 if expects == Expects::Upgrade => {}
        // No upgrade was requested, since the field `Upgrade` was not passed on.
        101 => return Err(Failure::NotHttp),
        100..=199 => return Ok(Parsed::Interim),
        _ => {}
    }
    if !parsed.is_ok_and(|parsed| parsed.is_complete()) {
        return Err(Failure::NotHttp);
    }
    let mut fields: Vec<_> = response.headers.iter().map(field).collect();
    let length = content_length(&fields);
    let (framing, length) = if status == 101 {
        (Framing::Pipe, None)
    } else if expects == Expects::HeadOnly || matches!(status, 204 | 304) {
        (Framing::None, length.unwrap_or_default())
    } else if is_chunked(&fields) {
        (Framing::Chunked, None)
    } else {
        let length = length?;
        (length.map_or(Framing::UntilEnd, Framing::Length), length)
    };
    let named: Vec<_> = elements(&fields, "connection").map(<[u8]>::to_ascii_lowercase).collect();
    fields.retain(|field| {
        let upgrade = status == 101 && field.is("upgrade");
        let ends_here = is_hop_by_hop(&field.name) || named.contains(&field.name.to_ascii_lowercase().into_bytes());
        upgrade || (passes(&field.name) && !ends_here)
    });
    Ok(Parsed::Final(Head { status, fields, length }, framing))
}

/// A field whose folds are replaced by blanks, as RFC 9112 section 5.2 asks of a gateway.
fn field(header: &httparse::Header<'_>) -> Field {
    let lines: Vec<&[u8]> = header.value.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).collect();
    Field { name: header.name.into(), value: lines.join(&b' ').trim_ascii().into() }
}

pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The elements of a list field, which may occur several times.
fn elements<'a>(fields: &'a [Field], name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    let values = fields.iter().filter(move |field| field.is(name));
    values.flat_map(|field| field.value.split(|&b| b == b',')).map(<[u8]>::trim_ascii)
}

fn is_chunked(fields: &[Field]) -> bool {
    elements(fields, "transfer-encoding").next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"))
}

/// Several equal values are one; anything but digits, or different values, is an error.
fn content_length(fields: &[Field]) -> Result<Option<u64>, Failure> {
    let mut length = None;
    for element in elements(fields, "content-length") {
        let digits = std::str::from_utf8(element).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let value = digits.and_then(|text| text.parse::<u64>().ok()).ok_or(Failure::NotHttp)?;
        if length.is_some_and(|length| length != value) {
            return Err(Failure::NotHttp);
        }
        length = Some(value);
    }
    Ok(length)
}
