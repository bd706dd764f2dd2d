//! The PROXY protocol on the public listener. The proxy of these tests is at 127.0.0.2; 127.0.0.1 is a stranger.

use std::net::{IpAddr, SocketAddr};

use provbroker::config::{Config, ProxyProtocol, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{address, is_sent_away, one_place_each, takes_place};
use crate::support::broker::{Broker, Keep, with_broker};
use crate::support::peer::{guarded, until};
use crate::support::raw::{connect, get};

const PROXY: IpAddr = address(2);
const ELSEWHERE: IpAddr = address(1);

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn behind(protocol: ProxyProtocol) -> impl FnOnce(&mut Config) {
    move |config| {
        one_place_each(config);
        config.server.trusted_proxies = vec!["127.0.0.2".into()];
        config.server.proxy_protocol = protocol;
    }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &u16::try_from(rest.len()).unwrap().to_be_bytes(), rest].concat()
}

/// A client's address in all three forms.
fn headers_of(last: u8) -> Vec<Vec<u8>> {
    let pair = [192, 0, 2, last, 127, 0, 0, 1, 0xc0, 0, 0x1f, 0x90];
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, last], &[0; 16], &[0xc0, 0, 0x1f, 0x90]].concat();
    vec![
        format!("PROXY TCP4 192.0.2.{last} 127.0.0.1 49152 8080\r\n").into_bytes(),
        format!("PROXY TCP6 ::ffff:192.0.2.{last} ::1 49152 8080\r\n").into_bytes(),
        binary(0x21, 0x11, &pair),
        binary(0x21, 0x21, &mapped),
        binary(0x21, 0x11, &[&pair[..], &[3, 0, 4, 1, 2, 3, 4], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat()),
    ]
}

async fn proxied(from: IpAddr, to: SocketAddr, header: &[u8]) -> TcpStream {
    let mut stream = connect(from, to).await;
    stream.write_all(header).await.unwrap();
    stream
}

/// Everything that comes back on a connection until its end; nothing if it is reset at once.
async fn answer(from: IpAddr, to: SocketAddr, header: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let Ok(mut stream) = guarded("connecting", socket.connect(to)).await else { return String::new() };
    // The connection may be closed before this is written.
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(&[header, request].concat()).await;
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end, too.
    let _ = guarded("the end", stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn the_client_that_a_header_names_counts() {
    for protocol in [ProxyProtocol::Accept, ProxyProtocol::Require] {
        with_broker(&Keep::embedded(), behind(protocol), async |broker: &Broker| {
            let to = broker.addr;
            let headers = headers_of(7);
            let first = takes_place(proxied(PROXY, to, &headers[0]).await, to, &[], 1).await;
            for (number, header) in (2..).zip(&headers) {
                is_sent_away(proxied(PROXY, to, header).await, to, &[], number).await;
            }
            for (number, header) in (20..).zip(&headers_of(8)) {
                takes_place(proxied(PROXY, to, header).await, to, &[], number).await.leave().await;
            }
            drop(first);
        });
    }
}

#[test]
fn connections_of_the_proxy_itself_are_served() {
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Require), async |broker: &Broker| {
        for header in [
            binary(0x20, 0x00, &[]),
            binary(0x20, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 0, 1, 0, 2]),
            binary(0x21, 0x00, &[]),
            binary(0x21, 0x31, &[0; 216]),
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff:f::1 ffff::2 1 2\r\n".to_vec(),
        ] {
            let said = answer(PROXY, broker.addr, &header).await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{header:?}: {said}");
        }
        // They share the place of the proxy's address.
        let to = broker.addr;
        let first = takes_place(proxied(PROXY, to, b"PROXY UNKNOWN\r\n").await, to, &[], 1).await;
        is_sent_away(proxied(PROXY, to, &binary(0x20, 0x00, &[])).await, to, &[], 2).await;
        drop(first);
    });
}

#[test]
fn a_header_of_a_stranger_closes_the_connection() {
    for protocol in [ProxyProtocol::Off, ProxyProtocol::Accept, ProxyProtocol::Require] {
        with_broker(&Keep::embedded(), behind(protocol), async |broker: &Broker| {
            for header in headers_of(7) {
                let said = answer(ELSEWHERE, broker.addr, &header).await;
                assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{header:?}: {said}");
            }
        });
    }
}

#[test]
fn who_needs_a_header() {
    for (protocol, of_proxy, of_stranger) in
        [(ProxyProtocol::Off, true, true), (ProxyProtocol::Accept, true, true), (ProxyProtocol::Require, false, false)]
    {
        with_broker(&Keep::embedded(), behind(protocol), async |broker: &Broker| {
            for (from, served) in [(PROXY, of_proxy), (ELSEWHERE, of_stranger)] {
                let said = answer(from, broker.addr, b"").await;
                assert_eq!(said.starts_with("HTTP/1.1 200 "), served, "{protocol:?} {from}: {said}");
                assert!(served || said.is_empty(), "{said}");
            }
        });
    }
}

#[test]
fn a_header_that_is_malformed_or_not_finished_closes_the_connection() {
    with_broker(&Keep::embedded(), behind(ProxyProtocol::Accept), async |broker: &Broker| {
        let pair = [192, 0, 2, 7, 127, 0, 0, 1, 0, 1, 0, 2];
        for header in [
            b"PROXY TCP4 192.0.2.700 127.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec(),
            [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
            binary(0x11, 0x11, &pair),
            binary(0x2f, 0x11, &pair),
            binary(0x21, 0x51, &pair),
            binary(0x21, 0x11, &pair[..4]),
            binary(0x21, 0x11, &vec![0; 60_000])[..16].to_vec(),
            binary(0x21, 0x11, &[&pair[..], &[0x20, 0xff, 0xff, 1]].concat()),
        ] {
            assert_eq!(answer(PROXY, broker.addr, &header).await, "", "{header:?}");
        }
        // Half of one, and then nothing, or the end.
        let half = &headers_of(7)[2][..20];
        assert_eq!(rest(proxied(PROXY, broker.addr, half).await).await, "");
        let mut ended = proxied(PROXY, broker.addr, half).await;
        ended.shutdown().await.unwrap();
        assert_eq!(rest(ended).await, "");
        // One that comes byte by byte is complete at last.
        let mut slow = connect(PROXY, broker.addr).await;
        for byte in &headers_of(7)[0] {
            slow.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(slow).await.starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn the_users_role_of_the_process_needs_no_header() {
    let change = |config: &mut Config| {
        behind(ProxyProtocol::Require)(config);
        config.server.roles = [Role::Directory, Role::Devices, Role::Users].into();
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        until("both tenants are logged in", async || {
            get(broker.ops, "/metrics").await.body.contains("\nprovbroker_people_links 2\n")
        })
        .await;
        assert_eq!(answer(ELSEWHERE, broker.addr, b"").await, "");
        let metrics = get(broker.ops, "/metrics").await.body;
        assert!(metrics.contains("provbroker_proxy_headers_total{outcome=\"stranger\"}"), "{metrics}");
    });
}
