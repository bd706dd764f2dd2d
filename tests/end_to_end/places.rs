//! Who has a place when places get scarce, and how long a request may take.

use std::net::{IpAddr, Ipv4Addr};

use provbroker::config::Config;
use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, Keep, PASSWORD, with_broker};
use crate::support::peer::{Device, identify, until};
use crate::support::raw::{LOCALHOST, Raw, TEXT, exchange, frame, get, get_from};

/// Places of WebSocket connections, and those that strangers can have.
const PLACES: usize = 20;
const FOR_STRANGERS: usize = 18;

fn few_places(config: &mut Config) {
    config.server.max_connections = PLACES;
}

/// Another address of the loopback.
const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A device that has entered and disconnected: its password.
async fn known(broker: &Broker, id: &str) -> String {
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.code(CATEGORY, id).await;
    users.leave().await;
    let (device, password) = Device::enter(broker.addr, id, &code).await;
    device.leave().await;
    password
}

/// The device comes back from an address, at the first attempt.
async fn comes_back(broker: &Broker, from: IpAddr, id: &str, password: &str) -> Device {
    let mut device = Device::connect_from(from, broker.addr, "").await.expect("a place");
    device.identify_taken(&identify(id)).await;
    let challenge = device.expect_challenge().await;
    device.answer(&identify(id), &challenge, password).await;
    device.expect_admin_password(password).await;
    device
}

/// Connections from one address that say nothing.
async fn silent(broker: &Broker, from: IpAddr, many: usize) -> Vec<Device> {
    let mut held = Vec::new();
    for _ in 0..many {
        held.extend(Device::connect_from(from, broker.addr, "").await.ok());
    }
    held
}

#[test]
fn an_address_that_takes_all_places_keeps_nobody_out() {
    with_broker(&Keep::embedded(), few_places, async |broker: &Broker| {
        let (first, second) = ("009033440001", "009033440002");
        let passwords = [known(broker, first).await, known(broker, second).await];
        let mut held = silent(broker, address(9), FOR_STRANGERS + 5).await;
        assert!(held.len() >= FOR_STRANGERS, "{}", held.len());
        let mut from_elsewhere = comes_back(broker, LOCALHOST, first, &passwords[0]).await;
        let mut from_there = comes_back(broker, address(9), second, &passwords[1]).await;
        held.remove(0).expect_close(1013).await;
        // Members are not asked to give way, whatever strangers do.
        let _more = silent(broker, address(10), 2 * PLACES).await;
        from_elsewhere.quiet().await;
        from_there.quiet().await;
        let text = get(broker.ops, "/metrics").await.body;
        let evicted = text.lines().find_map(|line| {
            line.strip_prefix("provbroker_connections_evicted_total{kind=\"websocket\",reason=\"places\"} ")
        });
        assert!(evicted.unwrap().parse::<u64>().unwrap() >= 2, "{evicted:?}");
    });
}

#[test]
fn apps_that_have_not_logged_in_give_way_too() {
    with_broker(&Keep::embedded(), few_places, async |broker: &Broker| {
        let mut held = Vec::new();
        for _ in 0..FOR_STRANGERS {
            held.push(App::open_from(address(9), broker.addr).await.expect("a place"));
        }
        let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
        users.quiet().await;
        held.remove(0).expect_close(1013).await;
    });
}

#[test]
fn connections_without_a_request_give_way() {
    let few = |config: &mut Config| config.server.max_http_connections = 10;
    with_broker(&Keep::embedded(), few, async |broker: &Broker| {
        let mut held = Vec::new();
        for _ in 0..30 {
            held.push(crate::support::raw::connect(address(9), broker.addr).await);
        }
        for _ in 0..20 {
            assert_eq!(get_from(LOCALHOST, broker.addr, "/healthz").await.status, 200);
        }
    });
}

#[test]
fn the_operations_listener_answers_whoever_holds_connections() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut held = Vec::new();
            for _ in 0..300 {
                held.push(crate::support::raw::connect(address(9), broker.ops).await);
            }
            assert_eq!(get(broker.ops, "/healthz").await.status, 200);
        },
    );
}

/// A POST of which only the beginning of the body is sent.
fn unfinished(path: &str, length: usize, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{more}\r\n{{\"password\":"
    )
}

#[test]
fn a_body_is_not_waited_for_without_need() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let answer = exchange(LOCALHOST, broker.addr, unfinished("/api/v1/token", 4097, "")).await;
            assert_eq!(answer.status, 413);
            for path in ["/api/v1/domains", "/api/v1/domains/example.com/codes", "/api/v1/domains/example.com/rollouts"]
            {
                for more in ["", "Authorization: Bearer wrong\r\n"] {
                    let answer = exchange(LOCALHOST, broker.addr, unfinished(path, 1000, more)).await;
                    assert_eq!(answer.status, 401, "{path}");
                }
            }
            // Without a length the body ends where it is too long.
            let mut chunked = Raw::connect(broker.addr).await;
            let head = "POST /api/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            chunked.send(format!("{head}1001\r\n{}\r\n", "x".repeat(4097)).as_bytes()).await;
            assert!(chunked.head().await.starts_with("HTTP/1.1 413 "));
            chunked.rest().await;
        },
    );
}

#[test]
fn what_does_not_come_in_time_is_not_waited_for() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut slow = Raw::connect(broker.addr).await;
            slow.send(unfinished("/api/v1/token", 60, "").as_bytes()).await;
            let mut expects = Raw::connect(broker.addr).await;
            let unsent = unfinished("/api/v1/token", 60, "Expect: 100-continue\r\n");
            expects.send(unsent.as_bytes()).await;
            let mut chunked = Raw::connect(broker.addr).await;
            let head = "POST /api/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Transfer-Encoding: chunked\r\n\r\n5\r\n{\"pas\r\n";
            chunked.send(head.as_bytes()).await;
            // The second head on a connection, and the rest of a body that nobody reads.
            let mut second = Raw::connect(broker.addr).await;
            second.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            assert!(second.head().await.starts_with("HTTP/1.1 200 "));
            second.send(b"GET /healthz HTTP/1.1\r\nHost: bro").await;
            let mut unread = Raw::connect(broker.addr).await;
            let head =
                "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
            unread.send(head.as_bytes()).await;
            assert!(unread.head().await.starts_with("HTTP/1.1 200 "));
            let mut ops = Raw::connect(broker.ops).await;
            ops.send(b"GET /metrics HTTP/1.1\r\nHost: bro").await;
            for late in [&mut slow, &mut chunked] {
                let head = late.head().await;
                assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
                late.rest().await;
            }
            assert!(expects.head().await.starts_with("HTTP/1.1 100 "));
            assert!(expects.head().await.starts_with("HTTP/1.1 408 "));
            unread.rest().await;
            second.rest().await;
            ops.rest().await;
        },
    );
}

#[test]
fn unfinished_messages_of_strangers_have_a_bound() {
    let little = |config: &mut Config| config.server.unproven_memory = 4 << 20;
    with_broker(&Keep::embedded(), little, async |broker: &Broker| {
        // Half is for WebSockets, and a quarter of that for one address: a few messages of this length.
        let message = vec![b' '; 100_000];
        let mut held = Vec::new();
        for _ in 0..12 {
            let mut app = Raw::upgrade(broker.addr, INSTANCE).await;
            app.send(&frame(TEXT, &message)[..90_000]).await;
            held.push(app);
        }
        assert_eq!(held.remove(0).close_code().await, 1013, "the oldest");
        until("the memory is given back", async || {
            let text = get(broker.ops, "/metrics").await.body;
            let held = text
                .lines()
                .find_map(|line| line.strip_prefix("provbroker_connections_unproven_bytes{kind=\"websocket\"} "));
            held.unwrap().parse::<f64>().unwrap() <= 524_288.0
        })
        .await;
        // Who has logged in may send long messages.
        let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
        let long = json!({"mt": "GetProvisioningCategories", "src": "s", "more": "x".repeat(200_000)});
        users.send(&long).await;
        users.receive().await;
    });
}
