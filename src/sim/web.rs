//! The web server inside a simulated phone, reached through the tunnel.
//!
//! It serves `GET /`, `/admin.xml` and `/!COMMAND LINE` (`docs/protocol/update-script.md` 6); everything else is 404.
//! It has no socket: bytes of a request in, bytes of the answer out, always with a `Content-Length`.

use std::fmt::Write as _;

use crate::core::protocol::percent;

/// Longest request, head and body together; longer ones are answered with 413.
pub const MAX_REQUEST: usize = 1 << 20;

/// What the pages show of the phone.
#[derive(Debug, Clone, Copy)]
pub struct PhoneInfo<'a> {
    /// Hardware identifier.
    pub id: &'a str,
    /// Product.
    pub product: &'a str,
    /// Version text.
    pub version: &'a str,
    /// The first page, if not the built-in one.
    pub page: Option<&'a str>,
}

/// One answered request.
#[derive(Debug, PartialEq, Eq)]
pub struct ServedRequest {
    /// Method and path, shortened for display; of a command only its first word.
    pub what: Box<str>,
    /// Status.
    pub status: u16,
    /// The full answer.
    pub answer: Vec<u8>,
}

/// Answers a request if `bytes` contain a complete one; `None`: incomplete.
///
/// `run` executes a command line and returns the text to show, or an error text (status 400).
pub fn serve(
    bytes: &[u8],
    info: PhoneInfo<'_>,
    run: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Option<ServedRequest> {
    if bytes.len() > MAX_REQUEST {
        return Some(served("request", 413, "text/plain", "too large\n", true));
    }
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]);
    if bytes.len() < (head_end + 4).saturating_add(body_length(&head)) {
        return None;
    }
    let mut parts = head.lines().next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) = (parts.next(), parts.next(), parts.next()) else {
        return Some(served("?", 400, "text/plain", "bad request line\n", true));
    };
    let body = method != "HEAD";
    if !matches!(method, "GET" | "HEAD" | "POST" | "PUT") {
        return Some(served(&format!("{method} {target}"), 405, "text/plain", "method not allowed\n", body));
    }
    if let Some(command) = target.strip_prefix("/!") {
        let line = percent::decode(command).unwrap_or_default();
        // The rest of the line may contain a code or a token.
        let what = format!("{method} /!{} …", line.split(' ').next().unwrap_or_default());
        return Some(match run(&line) {
            Ok(text) => served(&what, 200, "text/plain", &text, body),
            Err(text) => served(&what, 400, "text/plain", &text, body),
        });
    }
    let path = target.split('?').next().unwrap_or_default();
    let what = format!("{method} {path}");
    Some(match path {
        "/" => served(&what, 200, "text/html; charset=utf-8", &page(info), body),
        "/admin.xml" => served(&what, 200, "text/xml; charset=utf-8", &admin(info), body),
        _ => served(&what, 404, "text/plain", "no such page\n", body),
    })
}

fn body_length(head: &str) -> usize {
    let field = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut lengths = field.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

fn served(what: &str, status: u16, kind: &str, text: &str, body: bool) -> ServedRequest {
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        _ => "Bad Request",
    };
    let mut answer =
        format!("HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", text.len());
    if body {
        answer.push_str(text);
    }
    ServedRequest { what: what.into(), status, answer: answer.into_bytes() }
}

fn page(info: PhoneInfo<'_>) -> String {
    if let Some(page) = info.page {
        return page.to_owned();
    }
    let (id, product, version) = (escape(info.id), escape(info.product), escape(info.version));
    format!("<!doctype html><title>{product}</title><h1>{product} {id}</h1><p>{version}</p>\n")
}

fn admin(info: PhoneInfo<'_>) -> String {
    let (id, product, version) = (escape(info.id), escape(info.product), escape(info.version));
    format!("<?xml version=\"1.0\"?><info><sys id=\"{id}\" product=\"{product}\" version=\"{version}\"/></info>\n")
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: PhoneInfo<'_> = PhoneInfo { id: "00903341a0b1", product: "IP<112>", version: "13r3", page: None };

    fn ask(request: &str) -> Option<ServedRequest> {
        serve(request.as_bytes(), ABOUT, &mut |line| if line == "bad" { Err("no\n".into()) } else { Ok(line.into()) })
    }

    #[test]
    fn serves_its_pages_with_a_true_length() {
        for target in ["/", "/admin.xml", "/?a=b"] {
            let served = ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
            let answer = String::from_utf8(served.answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains(&format!("Content-Length: {}", body.len())));
            assert!(body.contains("00903341a0b1") && body.contains("IP&#60;112&#62;"));
        }
        let info = PhoneInfo { page: Some("<p>other</p>"), ..ABOUT };
        let served = serve(b"GET / HTTP/1.1\r\n\r\n", info, &mut |_| Err(String::new())).unwrap();
        assert!(served.answer.ends_with(b"\r\n\r\n<p>other</p>"));
        assert_eq!(ask("GET /secret HTTP/1.1\r\n\r\n").unwrap().status, 404);
        assert_eq!(ask("DELETE / HTTP/1.1\r\n\r\n").unwrap().status, 405);
        assert_eq!(ask("GET /\r\n\r\n").unwrap().status, 400);
    }

    #[test]
    fn a_head_has_the_length_of_the_page_but_no_page() {
        let get = ask("GET / HTTP/1.1\r\n\r\n").unwrap().answer;
        let head = ask("HEAD / HTTP/1.1\r\n\r\n").unwrap().answer;
        assert!(get.starts_with(&head) && head.ends_with(b"\r\n\r\n") && get.len() > head.len());
    }

    #[test]
    fn a_command_line_is_decoded_once() {
        let served = ask("GET /!config%20change%20X%20wss%253A%252F%252Fa HTTP/1.1\r\n\r\n").unwrap();
        assert!(served.answer.ends_with(b"\r\n\r\nconfig change X wss%3A%2F%2Fa"));
        assert_eq!(&*served.what, "GET /!config …", "what is shown holds no value");
        assert_eq!(ask("GET /!bad HTTP/1.1\r\n\r\n").unwrap().status, 400);
    }

    #[test]
    fn waits_for_head_and_body() {
        let request = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody";
        for end in 0..request.len() {
            assert_eq!(ask(&request[..end]), None, "{end} bytes");
        }
        assert_eq!(ask(request).unwrap().status, 200);
        assert_eq!(ask(&format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", usize::MAX)), None);
    }
}
