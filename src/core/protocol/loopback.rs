//! Whether an address is on this machine, so that its traffic crosses no network.

use url::{Host, Url};

/// Whether the host of an address is this machine, judged by its name: nothing is resolved.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_recognised() {
        let is = |text: &str| is_loopback(&Url::parse(text).unwrap());
        for here in [
            "http://127.0.0.1:8080/x",
            "https://127.8.9.10",
            "http://[::1]:8080/",
            "http://localhost",
            "ws://LOCALHOST/x",
        ] {
            assert!(is(here), "{here}");
        }
        for elsewhere in [
            "http://192.0.2.1/",
            "http://0.0.0.0/",
            "http://[2001:db8::1]/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://localhost@evil.example/",
            "data:localhost",
        ] {
            assert!(!is(elsewhere), "{elsewhere}");
        }
    }
}
