//! Names that the service answers to.

use provbroker::config::Config;

use crate::client::{address, one_place_each, request, takes_place};
use crate::support::broker::{Broker, Keep, with_broker};
use crate::support::raw::{connect, exchange};

const CHECKED: [&str; 7] = [
    "GET /",
    "GET /ui/sign-in",
    "POST /ui/sign-in",
    "GET /%75i/sign-in",
    "GET /api/v1/openapi.json",
    "POST /api/v1/token",
    "POST /api/v1/codes",
];

fn named(config: &mut Config) {
    one_place_each(config);
    config.server.public_url = "https://broker.example".into();
    config.server.hosts = vec!["inner.example".into()];
}

#[test]
fn pages_and_rest_answer_to_their_own_names_only() {
    with_broker(&Keep::embedded(), named, async |broker: &Broker| {
        let status = async |line: &str, fields: &str| {
            let answer = request(address(1), broker.addr, line, fields, "").await;
            if answer.status == 421 {
                assert!(answer.body.contains("server.hosts"), "{line}: {}", answer.body);
                let kind = answer.field("content-type").unwrap();
                let expected = if line.contains("/api/") { "application/problem+json" } else { "text/html" };
                assert!(kind.starts_with(expected), "{line}: {kind}");
            }
            answer.status
        };
        for line in CHECKED {
            for foreign in [
                "Host: evil.example\r\n",
                "Host: evil.example:8080\r\n",
                "Host: broker.example.evil.example\r\n",
                "Host: evil.example@broker.example\r\n",
                "Host: 192.0.2.7\r\n",
                "Host: \r\n",
                "Host: broker.example\r\nHost: evil.example\r\n",
            ] {
                let status = status(line, foreign).await;
                assert!(matches!(status, 421 | 400), "{line} {foreign}: {status}");
            }
            for own in
                ["broker.example", "BROKER.example:8443", "inner.example", "localhost:1", "127.0.0.1", "[::1]:80"]
            {
                let status = status(line, &format!("Host: {own}\r\n")).await;
                assert!(status != 421 && status < 500, "{line} {own}: {status}");
            }
        }
        // The whole address in the request line counts as well as the field.
        assert_eq!(status("GET http://evil.example/api/v1/openapi.json", "Host: broker.example\r\n").await, 421);
        let old = exchange(address(1), broker.addr, "GET /api/v1/openapi.json HTTP/1.0\r\n\r\n").await;
        assert_eq!(old.status, 421);
        let german = request(address(1), broker.addr, "GET /ui/", "Host: x\r\nAccept-Language: de\r\n", "").await;
        assert!(german.body.contains("Falsche Adresse"), "{}", german.body);
    });
}

#[test]
fn devices_and_probes_may_use_any_name() {
    with_broker(&Keep::embedded(), named, async |broker: &Broker| {
        for line in ["GET /init?mac=009033410001", "GET /healthz"] {
            for host in ["evil.example", "192.0.2.7:8080", "broker.example"] {
                let answer = request(address(1), broker.addr, line, &format!("Host: {host}\r\n"), "").await;
                assert_eq!(answer.status, 200, "{line} {host}");
            }
        }
        let stream = connect(address(1), broker.addr).await;
        takes_place(stream, broker.addr, &[("host", "192.0.2.7")], 1).await.leave().await;
        let line = "GET /example.com/devices/passthrough/009033410001/key/";
        let answer = request(address(1), broker.addr, line, "Host: evil.example\r\n", "").await;
        assert_ne!(answer.status, 421);
    });
}
