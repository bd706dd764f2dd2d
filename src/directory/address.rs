//! Checks an address of Devices (`docs/protocol/directory.md` 3.1 and section 6).
//!
//! The rules apply to the text itself, not only to the result of a URL parser: parsers accept white space and missing
//! slashes, but the phone gets the text as it is.

use url::{Host, Url};

const MAX_BYTES: usize = 512;
const END: &str = "/sysclients";

/// What is wrong with an address; the text becomes the `message` of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Longer than 512 bytes.
    #[error("url is longer than 512 bytes")]
    TooLong,
    /// Control characters, white space or `\`.
    #[error("url contains white space, control characters or a backslash")]
    Characters,
    /// Neither `wss` nor `ws`.
    #[error("url does not begin with wss://")]
    Scheme,
    /// `ws` for a host other than a loopback one.
    #[error("url begins with ws://, which this directory does not allow; use wss://")]
    Plain,
    /// A query.
    #[error("url has a query")]
    Query,
    /// A fragment.
    #[error("url has a fragment")]
    Fragment,
    /// A user name or password.
    #[error("url has a user part")]
    User,
    /// Does not end with `/sysclients`.
    #[error("url does not end with /sysclients")]
    End,
    /// No host, or not a URL for another reason.
    #[error("url is not a valid address")]
    Invalid,
}

/// Checks an address; `ws` is allowed for loopback hosts, for others only with `allow_ws`.
pub fn check_address(text: &str, allow_ws: bool) -> Result<(), AddressFault> {
    if text.len() > MAX_BYTES {
        return Err(AddressFault::TooLong);
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(AddressFault::Characters);
    }
    let (scheme, rest) = text.split_once("://").ok_or(AddressFault::Scheme)?;
    let secure = scheme.eq_ignore_ascii_case("wss");
    if !secure && !scheme.eq_ignore_ascii_case("ws") {
        return Err(AddressFault::Scheme);
    }
    if text.contains('#') {
        return Err(AddressFault::Fragment);
    }
    if text.contains('?') {
        return Err(AddressFault::Query);
    }
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(AddressFault::User);
    }
    if !text.ends_with(END) {
        return Err(AddressFault::End);
    }
    if rest.starts_with('/') {
        return Err(AddressFault::Invalid);
    }
    let url = Url::parse(text).map_err(|_| AddressFault::Invalid)?;
    let host = url.host().ok_or(AddressFault::Invalid)?;
    if secure || allow_ws || is_loopback(&host) { Ok(()) } else { Err(AddressFault::Plain) }
}

/// Whether a host is this machine, judged by its name only: nothing is resolved.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses() {
        for text in [
            "wss://ap.example.org/example.com/devices/sysclients",
            "WSS://ap.example.org:8443/x/sysclients",
            "wss://[2001:db8::1]/x/sysclients",
            "ws://127.0.0.1:8080/x/sysclients",
            "ws://[::1]/x/sysclients",
            "ws://localhost/x/sysclients",
            "wss://ap.example.org/a@b/sysclients",
        ] {
            assert_eq!(check_address(text, false), Ok(()), "{text}");
        }
        assert_eq!(check_address("ws://ap.example.org/x/sysclients", true), Ok(()));
        let longest = format!("wss://h/{}/sysclients", "x".repeat(512 - 19));
        assert_eq!((longest.len(), check_address(&longest, false)), (512, Ok(())));
    }

    #[test]
    fn bad_addresses() {
        use AddressFault::{Characters, End, Fragment, Invalid, Plain, Query, Scheme, TooLong, User};
        for (text, fault) in [
            ("", Scheme),
            ("https://h/sysclients", Scheme),
            ("wss:h/sysclients", Scheme),
            ("wss:/h/sysclients", Scheme),
            (" wss://h/sysclients", Characters),
            ("wss://h/a\r\nb/sysclients", Characters),
            ("wss:\\\\h/sysclients", Characters),
            ("ws://h/sysclients", Plain),
            ("ws://localhost.example.org/sysclients", Plain),
            ("ws://127.0.0.1.example.org/sysclients", Plain),
            ("wss://h/sysclients?a=/sysclients", Query),
            ("wss://h/x#/sysclients", Fragment),
            ("wss://u:p@h/sysclients", User),
            ("wss://@h/sysclients", User),
            ("wss://h/sysclients/", End),
            ("wss://h/xsysclients", End),
            ("wss:///sysclients", Invalid),
            ("wss://:80/sysclients", Invalid),
            ("wss://h:99999/sysclients", Invalid),
        ] {
            assert_eq!(check_address(text, false), Err(fault), "{text:?}");
        }
        assert_eq!(check_address(&format!("wss://h/{}/sysclients", "x".repeat(494)), false), Err(TooLong));
    }
}
