//! The header fields in which HTTP proxies say whom they forward for: `Forwarded` (RFC 7239), and `X-Forwarded-For`
//! with `X-Forwarded-Proto`.
//!
//! Whose word counts is decided in [`crate::core::policy::proxies`].

use std::net::IpAddr;

/// Elements that are read, from the right; no chain of proxies is that long.
const MOST: usize = 32;

/// What one proxy says about the request that it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hop {
    /// Who sent it; `None`: hidden, or not understood.
    pub address: Option<IpAddr>,
    /// Whether it came over TLS, if the proxy says so.
    pub https: Option<bool>,
}

/// The elements of `Forwarded`, in the order of the lines; the last one is of the nearest proxy.
pub fn forwarded<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Hop> {
    let mut hops: Vec<_> = lines.flat_map(|line| split(line, b',')).map(element).collect();
    hops.drain(..hops.len().saturating_sub(MOST));
    hops
}

/// The elements of `X-Forwarded-For`, each with its `X-Forwarded-Proto`: that at the same place from the right, or the
/// only one.
pub fn x_forwarded<'a>(addresses: impl Iterator<Item = &'a str>, schemes: impl Iterator<Item = &'a str>) -> Vec<Hop> {
    let mut addresses: Vec<_> = addresses.flat_map(|line| line.split(',')).map(node).collect();
    addresses.drain(..addresses.len().saturating_sub(MOST));
    let mut schemes: Vec<_> = schemes.flat_map(|line| line.split(',')).map(|scheme| is_https(scheme.trim())).collect();
    schemes.drain(..schemes.len().saturating_sub(MOST));
    if addresses.is_empty() {
        return schemes.last().map(|https| Hop { address: None, https: Some(*https) }).into_iter().collect();
    }
    let count = addresses.len();
    let scheme = |from_right: usize| match &schemes[..] {
        [only] => Some(*only),
        several => several.iter().rev().nth(from_right).copied(),
    };
    let hop = |(at, address)| Hop { address, https: scheme(count - 1 - at) };
    addresses.into_iter().enumerate().map(hop).collect()
}

fn is_https(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

/// Splits at `at` outside of quoted strings.
fn split(text: &str, at: u8) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (here, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if byte == at && !quoted => {
                parts.extend(text.get(from..here));
                from = here + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}

/// One element of `Forwarded`. One that is not well-formed says nothing, because a client may have begun it.
fn element(text: &str) -> Hop {
    fn read(text: &str) -> Option<Hop> {
        let (mut address, mut https) = (None, None);
        for pair in split(text, b';') {
            let pair = pair.trim();
            if pair.is_empty() {
                continue;
            }
            let (name, value) = pair.split_once('=')?;
            let value = unquoted(value)?;
            if name.eq_ignore_ascii_case("for") {
                if address.replace(node(&value)).is_some() {
                    return None;
                }
            } else if name.eq_ignore_ascii_case("proto") && https.replace(is_https(&value)).is_some() {
                return None;
            }
        }
        Some(Hop { address: address.flatten(), https })
    }
    read(text).unwrap_or_default()
}

/// The value of a token or a quoted string.
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.contains(['"', ' ', '\t'])).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let (mut text, mut escaped) = (String::new(), false);
    for letter in inner.chars() {
        match letter {
            letter if escaped => {
                text.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return None,
            letter => text.push(letter),
        }
    }
    (!escaped).then_some(text)
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]:4711`.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(address: &str, https: Option<bool>) -> Hop {
        Hop { address: address.parse().ok(), https }
    }

    #[test]
    fn addresses_with_and_without_ports() {
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7:4711 ", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(node(text), address.parse().ok(), "{text}");
        }
        for text in
            ["", "unknown", "_hidden", "192.0.2.7:", "192.0.2.7:123456", "[192.0.2.7]", "[::1", "a.example", "1.2.3"]
        {
            assert_eq!(node(text), None, "{text}");
        }
    }

    #[test]
    fn lists_of_x_forwarded() {
        let read = |addresses: &[&'static str], schemes: &[&'static str]| {
            x_forwarded(addresses.iter().copied(), schemes.iter().copied())
        };
        assert_eq!(read(&["192.0.2.7"], &["https"]), [hop("192.0.2.7", Some(true))]);
        assert_eq!(
            read(&["192.0.2.7, 10.0.0.1", "10.0.0.2"], &["https"]),
            [hop("192.0.2.7", Some(true)), hop("10.0.0.1", Some(true)), hop("10.0.0.2", Some(true))]
        );
        // What a client puts in front does not move what the proxies say.
        assert_eq!(
            read(&["192.0.2.7, 10.0.0.1"], &["https, http, http"]),
            [hop("192.0.2.7", Some(false)), hop("10.0.0.1", Some(false))]
        );
        assert_eq!(
            read(&["192.0.2.7,10.0.0.1"], &["https, HTTP"]),
            [hop("192.0.2.7", Some(true)), hop("10.0.0.1", Some(false))]
        );
        assert_eq!(read(&["192.0.2.7", "nonsense"], &[]), [hop("192.0.2.7", None), hop("", None)]);
        assert_eq!(read(&[], &["http, https"]), [hop("", Some(true))]);
        assert_eq!(read(&[], &[]), []);
        let long = vec!["192.0.2.7"; 1000];
        assert_eq!(read(&long, &[]).len(), MOST);
    }

    #[test]
    fn elements_of_forwarded() {
        let read = |lines: &[&'static str]| forwarded(lines.iter().copied());
        assert_eq!(read(&["for=192.0.2.7;proto=https;by=10.0.0.1"]), [hop("192.0.2.7", Some(true))]);
        assert_eq!(
            read(&["For=\"[2001:db8::7]:4711\" ; Proto=\"http\", for=10.0.0.1", "for=10.0.0.2;host=\"a,b;c\""]),
            [hop("2001:db8::7", Some(false)), hop("10.0.0.1", None), hop("10.0.0.2", None)]
        );
        assert_eq!(
            read(&["for=unknown, for=\"_x\", proto=https"]),
            [hop("", None), hop("", None), hop("", Some(true))]
        );
        assert_eq!(read(&["for=\"192.0.2\\.7\""]), [hop("192.0.2.7", None)]);
    }

    /// A client may write the beginning of a line that a proxy continues.
    #[test]
    fn an_element_that_a_client_has_left_open_names_nobody() {
        let read = |lines: &[&'static str]| forwarded(lines.iter().copied());
        let nobody = hop("", None);
        assert_eq!(read(&["for=198.51.100.1;x=\", for=192.0.2.7"]), [nobody]);
        assert_eq!(read(&["for=198.51.100.1, for=\", for=192.0.2.7"]), [hop("198.51.100.1", None), nobody]);
        assert_eq!(read(&["for=198.51.100.1;for=192.0.2.7"]), [nobody]);
        assert_eq!(read(&["for=198.51.100.1\\, for=192.0.2.7"]), [nobody, hop("192.0.2.7", None)]);
        assert_eq!(read(&["for=\"198.51.100.1\"x"]), [nobody]);
        assert_eq!(read(&["for 198.51.100.1"]), [nobody]);
    }
}
