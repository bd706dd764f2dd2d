//! Everything through the `HAProxy` and nginx of the system, with the files of `examples/proxies/`: devices, apps, pages,
//! and each client by its own address.

use std::net::{IpAddr, SocketAddr};

use provbroker::config::{Config, ProxyProtocol};

use crate::client::{address, is_sent_away, one_place_each, request, sign_in, takes_place};
use crate::programs::Proxy;
use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, Keep, OTHER, OTHER_PASSWORD, with_broker};
use crate::support::peer::{Device, identify_with, until};
use crate::support::raw::{connect, get};
use crate::support::tls::{Certificate, Client};

/// How a client of this address reaches the broker: the address that it connects from, and where to.
type Way = (IpAddr, SocketAddr);

fn behind(protocol: ProxyProtocol) -> impl FnOnce(&mut Config) {
    move |config| {
        one_place_each(config);
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
        config.server.proxy_protocol = protocol;
        config.server.public_url = "https://broker.example".into();
    }
}

/// Two clients behind one proxy. `tls`: TLS ends at the proxy.
async fn serves_both(one: Way, two: Way, tls: bool) {
    until("the proxy has found the broker", async || {
        request(one.0, one.1, "GET /healthz", "Host: broker.example\r\n", "").await.status == 200
    })
    .await;
    // An app requests a code, a device enters with it.
    let mut app = App::open_from(one.0, one.1).await.expect("not refused");
    let result = app.try_login("users", OTHER, "users", OTHER_PASSWORD).await;
    assert_eq!(result["ok"], true, "{result}");
    let code = app.code(CATEGORY, "p1").await;
    let mut phone = Device::connect_over(connect(two.0, two.1).await, two.1, &[]).await;
    phone.identify(&identify_with("009033410501", &code)).await;
    phone.expect_password().await;
    phone.quiet().await;
    app.next_notice().await;

    // Each address has a place of its own.
    let first = takes_place(connect(one.0, one.1).await, one.1, &[], 0x11).await;
    is_sent_away(connect(one.0, one.1).await, one.1, &[], 0x12).await;
    let forged = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
    is_sent_away(connect(one.0, one.1).await, one.1, &forged, 0x13).await;
    let second = takes_place(connect(two.0, two.1).await, two.1, &[], 0x14).await;
    drop((first, second));

    // Wrong codes of one do not touch the other.
    let init = async |way: Way, mac: u8, code: &str| {
        let line = format!("GET /init?mac=0090334106{mac:02x}&PROVISIONING-CODE={code}");
        request(way.0, way.1, &line, "Host: broker.example\r\n", "").await
    };
    for number in 0..60 {
        let answer = init(one, number, &format!("0000000000{number:02}")).await;
        if answer.status != 200 {
            break;
        }
    }
    let code = app.code(CATEGORY, "p2").await;
    let answer = init(two, 0xfe, &code).await;
    assert!(answer.status == 200 && answer.body.contains("%2Fsysclients"), "{} {}", answer.status, answer.body);

    // The pages, and the REST interface.
    let strict = if tls { Some("max-age=31536000") } else { None };
    let lines = sign_in(two.0, two.1, "https://broker.example", "").await;
    assert!(lines.iter().all(|line| line.contains("; Secure")), "{lines:?}");
    let rest = request(two.0, two.1, "GET /api/v1/openapi.json", "Host: broker.example\r\n", "").await;
    assert_eq!((rest.status, rest.field("strict-transport-security")), (200, strict));
    let foreign = request(two.0, two.1, "GET /api/v1/openapi.json", "Host: evil.example\r\n", "").await;
    assert_eq!(foreign.status, 421);
    phone.quiet().await;
    app.quiet().await;
}

#[test]
fn haproxy_in_tcp_mode() {
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Require), async |broker: &Broker| {
        let proxy = Proxy::haproxy("haproxy-tcp.cfg", broker, &Certificate::new()).await;
        serves_both((address(2), proxy.addr), (address(3), proxy.addr), false).await;
        let metrics = get(broker.ops, "/metrics").await.body;
        assert!(metrics.contains("provbroker_proxy_headers_total{outcome=\"client\"}"), "{metrics}");
    });
}

#[test]
fn haproxy_in_tcp_mode_with_tls_at_the_broker() {
    let certificate = Certificate::new();
    let change = |config: &mut Config| {
        behind(ProxyProtocol::Require)(config);
        certificate.configure(config);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let proxy = Proxy::haproxy("haproxy-tcp.cfg", broker, &certificate).await;
        let client = Client::new(&[&certificate]);
        let way = async |last| (address(1), client.way_from(address(last), proxy.addr).await);
        serves_both(way(2).await, way(3).await, true).await;
    });
}

#[test]
fn haproxy_in_http_mode() {
    let certificate = Certificate::new();
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Off), async |broker: &Broker| {
        let proxy = Proxy::haproxy("haproxy-http.cfg", broker, &certificate).await;
        let client = Client::new(&[&certificate]);
        let way = async |last| (address(1), client.way_from(address(last), proxy.addr).await);
        let one = way(2).await;
        serves_both(one, way(3).await, true).await;
        spelled_as_devices_read_it(one).await;
    });
}

#[test]
fn nginx_as_http_proxy() {
    let certificate = Certificate::new();
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Off), async |broker: &Broker| {
        let proxy = Proxy::nginx("nginx-http.conf", broker, &certificate).await;
        let client = Client::new(&[&certificate]);
        let way = async |last| (address(1), client.way_from(address(last), proxy.addr).await);
        let one = way(2).await;
        serves_both(one, way(3).await, true).await;
        spelled_as_devices_read_it(one).await;
    });
}

#[test]
fn nginx_as_tcp_proxy() {
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Require), async |broker: &Broker| {
        let proxy = Proxy::nginx("nginx-stream.conf", broker, &Certificate::new()).await;
        serves_both((address(2), proxy.addr), (address(3), proxy.addr), false).await;
    });
}

/// Known devices find the answer to their key in this spelling only (`docs/protocol/sysclient.md` 1.2).
async fn spelled_as_devices_read_it(way: Way) {
    let mut raw = crate::support::raw::Raw::over(connect(way.0, way.1).await);
    raw.send(crate::support::raw::upgrade_request("/example.com/devices/sysclients", "").as_bytes()).await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nSec-WebSocket-Accept: "), "{head}");
    assert!(head.len() < 1024, "{head}");
}
