//! `Forwarded` and `X-Forwarded-…` of a proxy at 127.0.0.2; 127.0.0.1 is a stranger.

use provbroker::config::Config;

use crate::client::{address, is_sent_away, one_place_each, request, sign_in, takes_place};
use crate::support::broker::{Broker, Keep, with_broker};
use crate::support::raw::connect;

fn behind(config: &mut Config) {
    one_place_each(config);
    config.server.trusted_proxies = vec!["127.0.0.2".into(), "10.0.0.0/8".into()];
}

#[test]
fn the_client_that_a_trusted_proxy_names_counts() {
    with_broker(&Keep::embedded(), behind, async |broker: &Broker| {
        let to = broker.addr;
        let by_proxy = async || connect(address(2), to).await;
        let first = takes_place(by_proxy().await, to, &[("x-forwarded-for", "192.0.2.7")], 1).await;
        for (number, fields) in (2..).zip([
            &[("x-forwarded-for", "192.0.2.7")][..],
            &[("x-forwarded-for", "198.51.100.1, 192.0.2.7")],
            &[("x-forwarded-for", "198.51.100.1, 192.0.2.7:4711, 10.1.1.1")],
            &[("x-forwarded-for", "::ffff:192.0.2.7")],
            &[("forwarded", "for=198.51.100.1, for=192.0.2.7;proto=https")],
            &[("forwarded", "For=\"192.0.2.7:4711\"")],
            &[("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "198.51.100.1, 192.0.2.7")],
        ]) {
            is_sent_away(by_proxy().await, to, fields, number).await;
        }
        for (number, fields) in (20..).zip([
            &[("x-forwarded-for", "192.0.2.8")][..],
            &[("forwarded", "for=192.0.2.8")],
            // Two addresses of one IPv6 network are one source.
            &[("forwarded", "for=\"[2001:db8::1]\"")],
            &[("x-forwarded-for", "2001:db8::2")],
        ]) {
            takes_place(by_proxy().await, to, fields, number).await.leave().await;
        }
        // What the proxy does not vouch for, and what its client has written beside it, counts for the proxy.
        let proxy = takes_place(by_proxy().await, to, &[("x-forwarded-for", "unknown")], 40).await;
        let disagreeing = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "198.51.100.2")];
        is_sent_away(by_proxy().await, to, &disagreeing, 41).await;
        is_sent_away(by_proxy().await, to, &[], 42).await;
        drop((first, proxy));
    });
}

#[test]
fn a_stranger_cannot_name_anybody() {
    with_broker(&Keep::embedded(), behind, async |broker: &Broker| {
        let to = broker.addr;
        let stranger = async || connect(address(1), to).await;
        let first = takes_place(stranger().await, to, &[("x-forwarded-for", "192.0.2.7")], 1).await;
        is_sent_away(stranger().await, to, &[("x-forwarded-for", "192.0.2.8")], 2).await;
        is_sent_away(stranger().await, to, &[("forwarded", "for=192.0.2.9")], 3).await;
        takes_place(connect(address(3), to).await, to, &[("forwarded", "for=192.0.2.7")], 4).await.leave().await;
        drop(first);
    });
}

#[test]
fn https_at_the_proxy_makes_cookies_secure() {
    with_broker(&Keep::embedded(), behind, async |broker: &Broker| {
        let here = broker.addr.to_string();
        let https = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
        let lines = sign_in(address(2), broker.addr, &format!("https://{here}"), https).await;
        assert!(lines.iter().all(|line| line.ends_with("; Secure")), "{lines:?}");
        for (from, fields) in [(2, ""), (2, "X-Forwarded-Proto: http\r\n"), (1, https)] {
            let lines = sign_in(address(from), broker.addr, &format!("http://{here}"), fields).await;
            assert!(lines.iter().all(|line| !line.contains("Secure")), "{lines:?}");
        }
    });
}

#[test]
fn strict_transport_security_over_tls_only() {
    let change = |config: &mut Config| {
        behind(config);
        config.server.public_url = "https://broker.example".into();
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let https = "X-Forwarded-Proto: https\r\n";
        let strict = async |from: u8, line: &str, host: &str, fields: &str| {
            let fields = format!("Host: {host}\r\n{fields}");
            let answer = request(address(from), broker.addr, line, &fields, "").await;
            answer.field("strict-transport-security").map(str::to_owned)
        };
        for line in ["GET /ui/sign-in", "GET /ui/nowhere", "GET /", "GET /api/v1/openapi.json", "GET /api/v1/domains"] {
            assert_eq!(strict(2, line, "broker.example", https).await.as_deref(), Some("max-age=31536000"), "{line}");
            assert_eq!(strict(2, line, "localhost", https).await, None, "{line}");
            assert_eq!(strict(2, line, "127.0.0.1:8443", https).await, None, "{line}");
            assert_eq!(strict(2, line, "broker.example", "").await, None, "{line}");
            assert_eq!(strict(1, line, "broker.example", https).await, None, "{line}");
        }
        assert_eq!(strict(2, "GET /init", "broker.example", https).await, None);
    });
}
