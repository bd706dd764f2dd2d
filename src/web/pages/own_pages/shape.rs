//! Rewrites the head of a device's answer for the browser. Does no I/O.

use crate::core::model::ids::DeviceKey;
use crate::core::protocol::sysclient::tunnel::{Field, Head};

/// Rewrites redirects to addresses below `below`, the path of the device's first page at `origin`, and the realm of
/// challenges. Which fields there are at all is decided where the answer is read
/// (`src/core/protocol/sysclient/tunnel/head.rs`).
pub(super) fn shape(head: &mut Head, device: &DeviceKey, origin: &str, below: &str) {
    for Field { name, value } in &mut head.fields {
        if name.eq_ignore_ascii_case("location") {
            *value = rewrite_location(value, origin, below).into();
        } else if name.eq_ignore_ascii_case("www-authenticate") {
            *value = rewrite_challenge(value, device).into();
        }
    }
}

/// Rewrites the target of a redirect: a path of the device is below the path of its pages here.
fn rewrite_location(to: &[u8], origin: &str, below: &str) -> Vec<u8> {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    // The device knows our host name from the request, but may assume another scheme.
    let own = ["http://", "https://"].iter().find_map(|scheme| {
        let rest = to.strip_prefix(scheme.as_bytes())?.strip_prefix(authority.as_bytes())?;
        rest.starts_with(b"/").then_some(rest)
    });
    let path = own.unwrap_or(to);
    if path.starts_with(b"/") && !path.starts_with(b"//") {
        return [below.trim_end_matches('/').as_bytes(), path].concat();
    }
    to.to_vec()
}

/// Replaces the realm of a Basic challenge by the device's key. Browsers send a password to every page with the same
/// realm and origin, and all devices have the same origin here. A Digest challenge is kept: it reveals no password, and
/// its realm is part of the digest.
fn rewrite_challenge(challenge: &[u8], device: &DeviceKey) -> Vec<u8> {
    if challenge.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"digest")) {
        return challenge.to_vec();
    }
    let named: String = device.as_str().chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect();
    format!("Basic realm=\"{named}\"").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://phones.example:8443";
    const BELOW: &str = "/device/0090/5d0c/";

    fn shaped(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let fields = fields.iter().map(|(name, value)| Field { name: (*name).into(), value: value.as_bytes().into() });
        let mut head = Head { status: 200, fields: fields.collect(), length: None };
        shape(&mut head, &DeviceKey::parse("0090").unwrap(), ORIGIN, BELOW);
        let text = |field: &Field| (field.name.to_string(), String::from_utf8(field.value.to_vec()).unwrap());
        head.fields.iter().map(text).collect()
    }

    #[test]
    fn other_fields_stay() {
        let kept = [("Content-Type", "text/xml"), ("ETag", "\"1\"")];
        assert_eq!(shaped(&kept), kept.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn redirects_stay_with_the_device() {
        for (to, rewrite_location) in [
            ("/admin.xml?a", "/device/0090/5d0c/admin.xml?a"),
            ("https://phones.example:8443/x", "/device/0090/5d0c/x"),
            ("http://phones.example:8443/x", "/device/0090/5d0c/x"),
            ("next.htm", "next.htm"),
            // The policy of the page that shows it lets the browser follow none of these.
            ("//evil.example/x", "//evil.example/x"),
            ("https://phones.example:8443.evil.example/x", "https://phones.example:8443.evil.example/x"),
            ("https://evil.example/", "https://evil.example/"),
        ] {
            assert_eq!(shaped(&[("Location", to)])[0].1, rewrite_location);
        }
    }

    #[test]
    fn each_device_asks_for_its_own_password() {
        let ask = |value| shaped(&[("WWW-Authenticate", value)])[0].1.clone();
        assert_eq!(ask("Basic realm=\"phone\""), "Basic realm=\"0090\"");
        assert_eq!(ask("Negotiate"), "Basic realm=\"0090\"");
        assert_eq!(ask("Digest realm=\"phone\", nonce=\"x\""), "Digest realm=\"phone\", nonce=\"x\"");
    }
}
