//! Aborted requests and answers, and back-pressure.

use super::with_phone;
use crate::support::tunnel::{RECEIVE, RECEIVE_RESULT, SEND_RESULT, SHUTDOWN};

#[test]
fn a_client_that_goes_away_ends_the_session_at_once() {
    with_phone(16, async |_, way, mut phone, _app| {
        // Before the send is confirmed, while a receive is open, and in the middle of the body.
        let client = way.ask("GET", &way.path("/"), "", b"").await;
        let session = phone.tunnelled().await.session;
        drop(client);
        assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
        phone.tunnel(session, SHUTDOWN, b"").await;

        let client = way.ask("GET", &way.path("/"), "", b"").await;
        let (session, _) = phone.request().await;
        drop(client);
        assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
        phone.tunnel(session, SHUTDOWN, b"").await;

        let mut client = way.ask("GET", &way.path("/"), "", b"").await;
        let (session, _) = phone.request().await;
        phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await;
        client.head().await;
        assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
        drop(client);
        assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
        // What was in flight is dropped, and an unconfirmed session keeps its number.
        phone.tunnel(session, RECEIVE_RESULT, b"def").await;
        phone.quiet().await;
        let (got, _) = tokio::join!(way.get("/"), phone.answer_once("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_eq!(got.status, 204);
    });
}

#[test]
fn a_cut_answer_is_recognisable() {
    with_phone(16, async |_, way, mut phone, _app| {
        for (framing, body) in [("Content-Length: 9", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")] {
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");
            let device = async {
                let (session, _) = phone.request().await;
                phone.tunnel(session, RECEIVE_RESULT, answer.as_bytes()).await;
                assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
                phone.tunnel(session, RECEIVE_RESULT, b"").await;
                assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
                phone.tunnel(session, SHUTDOWN, b"").await;
            };
            let (got, ()) = tokio::join!(way.get("/"), device);
            assert_eq!(got.status, 200);
            if framing.starts_with("Content") {
                assert_eq!((got.field("content-length"), &got.body[..]), (Some("9"), &b"abc"[..]));
            } else {
                assert_eq!(got.unchunked(), None);
            }
        }
    });
}

#[test]
fn a_lost_device_cuts_every_answer() {
    with_phone(16, async |_, way, mut phone, _app| {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = way.ask("GET", &way.path("/"), "", b"").await;
            let (session, _) = phone.request().await;
            phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await;
            client.head().await;
            phone.expect_tunnel(RECEIVE).await;
            clients.push(client);
        }
        drop(phone);
        for mut client in clients {
            assert_eq!(client.rest().await, b"abc");
        }
    });
}

#[test]
fn the_device_is_not_asked_faster_than_the_client_reads() {
    with_phone(16, async |_, way, mut phone, _app| {
        let mut client = way.ask("GET", &way.path("/"), "", b"").await;
        let (session, _) = phone.request().await;
        let piece = vec![b'x'; 60_000];
        phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 600000000\r\n\r\n").await;
        // The client does not read: buffers fill up, and then no further receive is sent.
        let mut taken = 0;
        while phone.is_asked().await {
            phone.tunnel(session, RECEIVE_RESULT, &piece).await;
            taken += piece.len();
            assert!(taken < 100_000_000, "no back-pressure");
        }
        client.head().await;
        client.bytes(taken).await;
        assert_eq!(phone.expect_tunnel(RECEIVE).await.session, session);
        drop(client);
        assert_eq!(phone.expect_tunnel(SHUTDOWN).await.session, session);
    });
}

#[test]
fn unasked_bytes_end_the_session() {
    with_phone(16, async |_, way, mut phone, _app| {
        let device = async {
            let session = phone.tunnelled().await.session;
            phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\n\r\n").await;
            phone.expect_tunnel(SHUTDOWN).await;
            phone.tunnel(session, SEND_RESULT, b"").await;
            phone.tunnel(session, SHUTDOWN, b"").await;
        };
        assert_eq!(tokio::join!(way.get("/"), device).0.status, 502);
    });
}
