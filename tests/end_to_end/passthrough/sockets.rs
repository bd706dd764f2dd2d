//! WebSockets through a device (`docs/protocol/sysclient.md` 8.5).

use super::{Way, with_phone, with_phone_over_tls};
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::peer::{Device, until};
use crate::support::raw::{BINARY, Raw, TEXT, frame, upgrade_request};
use crate::support::tunnel::{MARK, RECEIVE, RECEIVE_RESULT, SEND, SEND_RESULT, SHUTDOWN, dangerous_lines};

/// The answer 101 with every dangerous field.
fn switching() -> Vec<u8> {
    let lines = dangerous_lines();
    [SWITCHING, lines.as_bytes(), b"\r\n"].concat()
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                           Set-Cookie: a=b\r\nStrict-Transport-Security: max-age=1\r\n\
                           Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

async fn echo(_: &Broker, way: Way, mut phone: Device, _app: App) {
    let mut client = Raw::connect(way.to).await;
    client.send(upgrade_request(&way.path("/ws?a=b"), "Cookie: a=b\r\n").as_bytes()).await;
    let (session, request) = phone.request().await;
    let lower = request.to_lowercase();
    assert!(request.starts_with("GET /ws?a=b HTTP/1.1\r\n") && !lower.contains("cookie"), "{request}");
    for line in ["\r\nupgrade: websocket\r\n", "\r\nconnection: upgrade\r\n", "\r\nsec-websocket-version: 13\r\n"] {
        assert!(lower.contains(line), "{request}");
    }
    // The first frame of the device comes with its head.
    phone.tunnel(session, RECEIVE_RESULT, &[&switching()[..], b"\x82\x02hi"].concat()).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let lower = head.to_lowercase();
    assert!(lower.contains("upgrade: websocket\r\n") && lower.contains("connection: upgrade\r\n"), "{head}");
    assert!(lower.contains("sec-websocket-accept: ") && !lower.contains("set-cookie"), "{head}");
    assert!(!lower.contains("strict-transport-security"), "{head}");
    assert!(!head.contains(MARK), "{head}");
    assert_eq!(client.frame().await, (BINARY, b"hi".to_vec()));
    assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);

    // Three frames at once, echoed as they arrive. At most one send is unanswered, and one receive is always open.
    let frames: Vec<_> = (0..3).map(|n| frame(TEXT, format!("frame {n}").repeat(30).as_bytes())).collect();
    client.send(&frames.concat()).await;
    let mut echoed: Vec<u8> = Vec::new();
    while echoed.len() < frames.concat().len() {
        let piece = phone.expect_tunnel(SEND).await.data;
        phone.tunnel(session, RECEIVE_RESULT, &piece).await;
        assert_eq!(client.bytes(piece.len()).await, piece);
        echoed.extend(&piece);
        assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
        phone.tunnel(session, SEND_RESULT, b"").await;
    }
    assert_eq!(echoed, frames.concat());

    drop(client);
    assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
    phone.tunnel(session, SHUTDOWN, b"").await;
    phone.quiet().await;
}

#[test]
fn an_echo_through_an_upgrade() {
    with_phone(16, echo);
}

#[test]
fn an_echo_through_an_upgrade_over_tls() {
    with_phone_over_tls(echo);
}

async fn a_lot(_: &Broker, way: Way, mut phone: Device, _app: App) {
    let mut client = Raw::connect(way.to).await;
    client.send(upgrade_request(&way.path("/"), "").as_bytes()).await;
    let (session, _) = phone.request().await;
    phone.tunnel(session, RECEIVE_RESULT, &switching()).await;
    client.head().await;
    let up: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let mut down: Vec<u8> = up.iter().rev().copied().collect();
    let expected = down.clone();
    let device = async {
        let mut got = Vec::new();
        while got.len() < up.len() || !down.is_empty() {
            let message = phone.tunnelled().await;
            match message.event {
                SEND => {
                    got.extend(message.data);
                    phone.tunnel(session, SEND_RESULT, b"").await;
                }
                RECEIVE if down.is_empty() => {}
                RECEIVE => {
                    let piece: Vec<u8> = down.drain(..down.len().min(50_000)).collect();
                    phone.tunnel(session, RECEIVE_RESULT, &piece).await;
                }
                _ => panic!("{message:?}"),
            }
        }
        assert!(got == up, "byte for byte");
        phone.tunnel(session, SHUTDOWN, b"").await;
        while phone.tunnelled().await.event != SHUTDOWN {}
    };
    let browser = async {
        client.send(&up).await;
        assert!(client.rest().await == expected, "byte for byte, and then the end");
    };
    tokio::join!(device, browser);
}

#[test]
fn a_lot_in_both_directions() {
    with_phone(16, a_lot);
}

#[test]
fn a_lot_in_both_directions_over_tls() {
    with_phone_over_tls(a_lot);
}

#[test]
fn an_upgrade_that_the_device_refuses() {
    with_phone(16, async |_, way, mut phone, _app| {
        let mut client = Raw::connect(way.to).await;
        client.send(upgrade_request(&way.path("/"), "").as_bytes()).await;
        let lines = dangerous_lines();
        phone.answer_once(&format!("HTTP/1.1 403 Forbidden\r\n{lines}Content-Length: 2\r\n\r\nno")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains("Content-Length: 2\r\n") && head.contains("Referrer-Policy: no-referrer\r\n"), "{head}");
        assert!(head.contains("Content-Security-Policy: sandbox ") && !head.contains(MARK), "{head}");
        assert_eq!(client.rest().await, b"no");
    });
}

#[test]
fn a_pipe_ends_with_the_session_of_its_key() {
    with_phone(16, async |_, way, mut phone, app| {
        let mut strange = Raw::connect(way.to).await;
        strange.send(upgrade_request(&way.path("/").replace(&way.key, "no-key"), "").as_bytes()).await;
        assert!(strange.head().await.starts_with("HTTP/1.1 403 "));

        let mut client = Raw::connect(way.to).await;
        client.send(upgrade_request(&way.path("/"), "").as_bytes()).await;
        let (session, _) = phone.request().await;
        phone.tunnel(session, RECEIVE_RESULT, &switching()).await;
        client.head().await;
        assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
        app.leave().await;
        assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
        client.ended().await;
        until("the key is dead", async || way.get("/").await.status == 403).await;
    });
}
