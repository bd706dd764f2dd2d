//! The header of the PROXY protocol, versions 1 and 2, with which a proxy names its client before the first byte of it.
//!
//! `ppp` parses a whole header. Here stands when it is whole, how long it may be, and what of it is used: source
//! address and whether the client spoke TLS. Whether the sender may send one is decided in
//! [`crate::core::policy::proxies`].

use std::net::IpAddr;

use ppp::{v1, v2};

/// Longest header, in bytes. Version 2 allows 65,551; with all fields that `HAProxy` and nginx know it has less than 1,000.
pub const LONGEST: usize = 4096;

/// Longest line of version 1.
const LONGEST_LINE: usize = 107;

/// First bytes of a line of version 1.
const LINE: &[u8] = b"PROXY ";

/// Length of a header of version 2 without addresses and fields.
const FIXED: usize = 16;

/// Bit of the field `PP2_TYPE_SSL`: the client connected over TLS.
const CLIENT_SSL: u8 = 1;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// So far they are the beginning of a header, or nothing at all.
    Incomplete,
    /// Something else.
    Absent,
    /// They begin as a header does, and are none, or one that is too long.
    Malformed,
    /// A header.
    Complete {
        /// Its length in bytes.
        length: usize,
        /// Address of the client. `None` if the header names none (`LOCAL`, `UNKNOWN`, `UNSPEC`, a Unix socket): then
        /// the connection is the proxy's own.
        client: Option<IpAddr>,
        /// The client spoke TLS to the proxy.
        tls: bool,
    },
}

/// Reads the first bytes of a connection.
pub fn read(bytes: &[u8]) -> ProxyHeader {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(v2::PROTOCOL_PREFIX) {
        binary(bytes)
    } else if begins(LINE) {
        line(bytes)
    } else {
        ProxyHeader::Absent
    }
}

fn binary(bytes: &[u8]) -> ProxyHeader {
    if let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) {
        let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST {
            return ProxyHeader::Malformed;
        }
        if bytes.len() < length && bytes.get(..FIXED).is_some_and(|fixed| !is_sound(fixed)) {
            return ProxyHeader::Malformed;
        }
    }
    match v2::Header::try_from(bytes) {
        Ok(header) => whole(&header),
        Err(v2::ParseError::Incomplete(_) | v2::ParseError::Partial(..)) => ProxyHeader::Incomplete,
        Err(_) => ProxyHeader::Malformed,
    }
}

/// Whether version, command, family and transport are known, so that nobody waits for the rest of nonsense.
fn is_sound(fixed: &[u8]) -> bool {
    let mut probe = [0; FIXED];
    probe.copy_from_slice(fixed);
    !matches!(
        v2::Header::try_from(&probe[..]),
        Err(error) if !matches!(error, v2::ParseError::Incomplete(_) | v2::ParseError::Partial(..))
    )
}

fn whole(header: &v2::Header<'_>) -> ProxyHeader {
    let mut tls = false;
    for field in header.tlvs() {
        let Ok(field) = field else { return ProxyHeader::Malformed };
        if field.kind == u8::from(v2::Type::SSL) {
            tls = field.value.first().is_some_and(|flags| flags & CLIENT_SSL != 0);
        }
    }
    let client = match &header.addresses {
        v2::Addresses::IPv4(pair) => Some(IpAddr::V4(pair.source_address)),
        v2::Addresses::IPv6(pair) => Some(IpAddr::V6(pair.source_address)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    };
    let proxied = header.command == v2::Command::Proxy;
    let client = client.filter(|_| proxied).map(|client| client.to_canonical());
    ProxyHeader::Complete { length: header.len(), client, tls: tls && proxied }
}

fn line(bytes: &[u8]) -> ProxyHeader {
    let head = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { ProxyHeader::Incomplete } else { ProxyHeader::Malformed };
    };
    let Some(text) = head.get(..=end).filter(|text| text.ends_with(b"\r\n")) else { return ProxyHeader::Malformed };
    let complete = |client: Option<IpAddr>| ProxyHeader::Complete {
        length: text.len(),
        client: client.map(|client| client.to_canonical()),
        tls: false,
    };
    // After UNKNOWN anything may follow.
    if text == b"PROXY UNKNOWN\r\n" || text.starts_with(b"PROXY UNKNOWN ") {
        return complete(None);
    }
    match v1::Header::try_from(text).map(|header| header.addresses) {
        Ok(v1::Addresses::Tcp4(pair)) => complete(Some(pair.source_address.into())),
        Ok(v1::Addresses::Tcp6(pair)) => complete(Some(pair.source_address.into())),
        Ok(v1::Addresses::Unknown) => complete(None),
        Err(_) => ProxyHeader::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2: second half of the fixed part, then addresses and fields.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn complete(length: usize, client: Option<&str>, tls: bool) -> ProxyHeader {
        ProxyHeader::Complete { length, client: client.map(|client| client.parse().unwrap()), tls }
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xc3, 0x50, 1, 0xbb];

    fn v6(source: &str) -> Vec<u8> {
        let source: std::net::Ipv6Addr = source.parse().unwrap();
        [&source.octets()[..], &[0; 16], &[0, 1, 0, 2]].concat()
    }

    #[test]
    fn lines() {
        for (text, client) in [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n", Some("192.0.2.7")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n", Some("2001:db8::7")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 50000 443\r\n", Some("192.0.2.7")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 a b c d e f g h\r\n", None),
        ] {
            assert_eq!(read(text.as_bytes()), complete(text.len(), client, false), "{text}");
            let with_more = format!("{text}GET / HTTP/1.1\r\n");
            assert_eq!(read(with_more.as_bytes()), complete(text.len(), client, false), "{text}");
            for end in 0..text.len() {
                assert_eq!(read(&text.as_bytes()[..end]), ProxyHeader::Incomplete, "{end} of {text}");
            }
        }
        for text in [
            "PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 50000 443 \r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 50000 70000\r\n",
            "PROXY TCP4 192.0.2.700 10.0.0.1 50000 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 50000 443\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 50000 443\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 50000 443\r\n",
            "PROXY  TCP4 192.0.2.7 10.0.0.1 50000 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(read(text.as_bytes()), ProxyHeader::Malformed, "{text}");
        }
        assert_eq!(read(format!("PROXY {}", "x".repeat(200)).as_bytes()), ProxyHeader::Malformed);
    }

    #[test]
    fn binary_headers() {
        for (bytes, client, tls) in [
            (binary(0x21, 0x11, &V4), Some("192.0.2.7"), false),
            (binary(0x21, 0x21, &v6("2001:db8::7")), Some("2001:db8::7"), false),
            (binary(0x21, 0x21, &v6("::ffff:192.0.2.7")), Some("192.0.2.7"), false),
            // LOCAL: the connection is the proxy's own, whatever addresses follow.
            (binary(0x20, 0x00, &[]), None, false),
            (binary(0x20, 0x11, &V4), None, false),
            (binary(0x21, 0x00, &[]), None, false),
            (binary(0x21, 0x00, &[1, 2, 3]), None, false),
            (binary(0x21, 0x31, &[0; 216]), None, false),
            // Fields after the addresses: authority, then TLS.
            (
                binary(0x21, 0x11, &[&V4[..], &[2, 0, 1, b'a'], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat()),
                Some("192.0.2.7"),
                true,
            ),
            (binary(0x21, 0x11, &[&V4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat()), Some("192.0.2.7"), false),
            (binary(0x20, 0x11, &[&V4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat()), None, false),
        ] {
            assert_eq!(read(&bytes), complete(bytes.len(), client, tls), "{bytes:?}");
            assert_eq!(read(&[&bytes[..], b"\x16\x03\x01"].concat()), complete(bytes.len(), client, tls), "{bytes:?}");
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), ProxyHeader::Incomplete, "{end} of {bytes:?}");
            }
        }
        for bytes in [
            binary(0x11, 0x11, &V4),
            binary(0x22, 0x11, &V4),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x13, &V4),
            binary(0x21, 0x11, &V4[..8]),
            binary(0x21, 0x21, &V4),
            binary(0x21, 0x11, &[&V4[..], &[0x20, 0, 9, 1]].concat()),
            binary(0x21, 0x11, &[0; LONGEST]),
        ] {
            assert_eq!(read(&bytes), ProxyHeader::Malformed, "{bytes:?}");
        }
        // Nobody waits for the rest of a header that is wrong already.
        assert_eq!(read(&binary(0x21, 0x11, &[0; LONGEST])[..FIXED]), ProxyHeader::Malformed);
        assert_eq!(read(&binary(0x31, 0x11, &V4)[..FIXED]), ProxyHeader::Malformed);
    }

    #[test]
    fn other_beginnings_are_no_header() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"POST", b"PROXIES", b"\x16\x03\x01", b"\r\n\r\n\0\r\nQUIX", b"PROXY\t"]
        {
            assert_eq!(read(bytes), ProxyHeader::Absent, "{bytes:?}");
        }
        for bytes in [&b""[..], b"P", b"PROXY", b"\r\n"] {
            assert_eq!(read(bytes), ProxyHeader::Incomplete, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            start in prop::sample::select(vec![&b""[..], LINE, v2::PROTOCOL_PREFIX, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"]),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, &rest].concat();
            if let ProxyHeader::Complete { length, .. } = read(&bytes) {
                prop_assert!(length <= bytes.len() && length <= LONGEST);
            }
        }
    }
}
