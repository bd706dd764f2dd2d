//! Passthrough addresses (`docs/protocol/devices-api.md` section 5):
//! `https://HOST/DOMAIN/INSTANCE/passthrough/HWID/KEY/REST`.

use crate::core::model::ids::{DeviceKey, Secret};
use crate::core::protocol::percent;
use crate::core::protocol::sysclient::tunnel::request::Address;

/// The passthrough address of a device in the session with this key. `base` ends with `passthrough/`.
pub fn address(base: &str, device: &DeviceKey, key: &Secret) -> String {
    format!("{base}{}/{}/", percent::encode(device.as_str()), key.expose())
}

/// Splits a passthrough address into the device and the request target (path and query). `None` if it does not start
/// with the prefix of this session; otherwise the service would fetch foreign addresses
/// (`docs/protocol/devices-api.md` 3.5).
pub fn read(uri: &str, base: &str, key: &Secret) -> Option<(DeviceKey, String)> {
    let parts = Address::read(uri.strip_prefix(base.strip_suffix('/')?)?)?;
    let device = DeviceKey::parse(&parts.device).ok()?;
    let target = parts.target();
    // Bytes that are allowed in a request line; a fragment never leaves a browser either.
    let sound = target.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b'#');
    (parts.key == *key && sound).then_some((device, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://ap.example.org/example.com/devices/passthrough/";

    fn read(uri: &str) -> Option<(String, String)> {
        let (device, target) = super::read(uri, BASE, &Secret::new("5d0c"))?;
        Some((device.as_str().into(), target))
    }

    #[test]
    fn an_address_is_read_back() {
        for name in ["009033480c2e", "türsprecher-07", "a+b:c"] {
            let device = DeviceKey::parse(name).unwrap();
            let uri = address(BASE, &device, &Secret::new("5d0c"));
            assert_eq!(read(&format!("{uri}a/../b//c?d=%2f")), Some((name.into(), "/a/../b//c?d=%2f".into())));
        }
        assert_eq!(address(BASE, &DeviceKey::parse("ü").unwrap(), &Secret::new("k")), format!("{BASE}%C3%BC/k/"));
    }

    #[test]
    fn key_alone_means_the_root() {
        assert_eq!(read(&format!("{BASE}a/5d0c")), Some(("a".into(), "/".into())));
        assert_eq!(read(&format!("{BASE}a/5d0c/")), Some(("a".into(), "/".into())));
        assert_eq!(read(&format!("{BASE}a/5d0c?x")), Some(("a".into(), "/?x".into())));
    }

    #[test]
    fn foreign_addresses_are_refused() {
        for uri in [
            "",
            "/log.txt",
            BASE,
            "https://ap.example.org/example.com/devices/passthrough/a",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0d/log.txt",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0c0/log.txt",
            "https://ap.example.org/example.com/devices/passthrough/a/5D0C/",
            "https://ap.example.org/example.com/devices/passthrough//5d0c/",
            "https://ap.example.org/example.com/devices/passthrough/a%2fb/5d0c/",
            "https://ap.example.org/example.com/devices/passthrough/%zz/5d0c/",
            "https://ap.example.org/example.com/other/passthrough/a/5d0c/",
            "http://ap.example.org/example.com/devices/passthrough/a/5d0c/",
            "https://ap.example.org.evil/example.com/devices/passthrough/a/5d0c/",
            "https://evil@ap.example.org/example.com/devices/passthrough/a/5d0c/",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0c/x y",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0c/x\r\nHost: b",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0c/#top",
            "https://ap.example.org/example.com/devices/passthrough/a/5d0c/ü",
        ] {
            assert_eq!(read(uri), None, "{uri}");
        }
    }
}
