//! Requests and answers, byte for byte.

use super::with_phone;
use crate::support::tunnel::{MARK, RECEIVE_RESULT, SHUTDOWN, dangerous_lines, serve};

/// Bytes in which a missing, doubled or misplaced one is noticed.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251 + seed * 7) % 256).unwrap()).collect()
}

fn answer(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[test]
fn the_target_goes_through_byte_for_byte() {
    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    with_phone(16, async |_, way, mut phone, _app| {
        for rest in [
            "/",
            "//a//../b/./..",
            "/%2f%2F%00%zz%",
            "/!config%20write",
            "/a?",
            "/a?b=/../%2e%2e&c=%252F?d",
            "/mod_cmd.xml?cmd=show&reg=*",
            "/;a=b,c:d@e!f$g&h'i(j)k*l+m=n-o.p_q~r[s]t|u\\v^w",
            "/{}\"",
        ] {
            let path = way.path(rest);
            let (got, request) = tokio::join!(way.at("GET", &path, "", b""), phone.answer_once(NOTHING));
            assert_eq!((got.status, request.lines().next()), (204, Some(format!("GET {rest} HTTP/1.1").as_str())));
        }
        for (rest, target) in [("", "/"), ("?a", "/?a")] {
            let (_, request) = tokio::join!(way.get(rest), phone.answer_once(NOTHING));
            assert!(request.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{request}");
        }
    });
}

#[test]
fn fields_that_are_passed_on_and_fields_that_are_not() {
    with_phone(16, async |_, way, mut phone, _app| {
        let lines = "Cookie: a=b\r\nAuthorization: Basic eDp5\r\nTE: trailers\r\nX-Hop: 1\r\nConnection: X-Hop\r\n\
                     Keep-Alive: 5\r\nX-Two: 1\r\nX-Two: 2\r\nProxy-Authorization: p\r\n";
        let path = way.path("/");
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nSet-Cookie: a=b\r\nVary: One\r\nVary: Two\r\n\
                      Clear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=31536000\r\nAlt-Svc: clear\r\n\
                      Connection: X-Gone\r\nX-Gone: 1\r\nContent-Security-Policy: default-src 'self'\r\n\
                      Cache-Control: no-store\r\nContent-Type: text/xml\r\nContent-Length: 2\r\n\r\nok beyond";
        let (got, request) = tokio::join!(way.at("GET", &path, lines, b""), phone.answer_once(answer));
        let mut sent: Vec<_> = request.trim_end().lines().skip(1).map(str::to_lowercase).collect();
        sent.sort_unstable();
        assert_eq!(sent, ["authorization: basic edp5", "host: broker.example", "x-two: 1", "x-two: 2"]);

        assert_eq!((got.status, &got.body[..]), (200, &b"ok"[..]));
        assert_eq!(got.fields("vary"), ["One", "Two"]);
        let of_host = ["set-cookie", "clear-site-data", "strict-transport-security", "alt-svc"];
        for gone in of_host.into_iter().chain(["x-gone", "link", "transfer-encoding"]) {
            assert_eq!(got.field(gone), None, "{gone}");
        }
        assert_eq!((got.field("content-type"), got.field("content-length")), (Some("text/xml"), Some("2")));
        assert_eq!(got.fields("cache-control"), ["no-store"], "the device's own");
        assert_eq!(got.field("referrer-policy"), Some("no-referrer"));
        let policies = got.fields("content-security-policy");
        assert_eq!(policies.len(), 1, "a policy of the device could send reports, with the key, anywhere");
        assert!(policies[0].starts_with("sandbox ") && !policies[0].contains("same-origin"), "{policies:?}");
    });
}

#[test]
fn a_device_says_nothing_of_the_host_or_to_a_proxy() {
    with_phone(16, async |_, way, mut phone, _app| {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{}Trailer: X-Sendfile\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{}\r\n",
            dangerous_lines(),
            dangerous_lines()
        );
        let path = way.path("/");
        let (got, _) = tokio::join!(way.at("GET", &path, "", b""), phone.answer_once(&answer));
        assert_eq!((got.status, &got.body[..]), (200, &b"2\r\nok\r\n0\r\n\r\n"[..]), "without the trailers");
        assert!(!got.head.contains(MARK), "{}", got.head);
    });
}

#[test]
fn heads_without_bodies() {
    with_phone(16, async |_, way, mut phone, _app| {
        let path = way.path("/");
        for (method, answer, status, length) in [
            // Known clients send a body even then.
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, Some("5")),
            ("HEAD", "HTTP/1.1 200 OK\r\n\r\nhello", 200, None),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", 304, Some("5")),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\nhello", 204, None),
        ] {
            let (got, _) = tokio::join!(way.at(method, &path, "", b""), phone.answer_once(answer));
            assert_eq!(
                (got.status, got.field("content-length"), &got.body[..]),
                (status, length, &b""[..]),
                "{answer}"
            );
        }
    });
}

#[test]
fn answers_without_a_length() {
    with_phone(16, async |_, way, mut phone, _app| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n\
                       3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-End: 1\r\n\r\n";
        let (got, _) = tokio::join!(way.get("/"), phone.answer_once(chunked));
        assert_eq!((got.unchunked().as_deref(), got.field("content-length")), (Some(&b"abcde"[..]), None));

        // The two ways to mark the end.
        for last in [RECEIVE_RESULT, SHUTDOWN] {
            let device = async {
                let (session, _) = phone.request().await;
                phone.tunnel(session, RECEIVE_RESULT, b"HTTP/1.0 200 OK\r\n\r\nabc").await;
                phone.tunnelled().await;
                phone.tunnel(session, last, b"").await;
                phone.expect_tunnel(SHUTDOWN).await;
                if last == RECEIVE_RESULT {
                    phone.tunnel(session, SHUTDOWN, b"").await;
                }
            };
            let (got, ()) = tokio::join!(way.get("/"), device);
            assert_eq!(got.unchunked().as_deref(), Some(&b"abc"[..]));
        }
    });
}

#[test]
fn sixty_four_sessions_at_once() {
    with_phone(64, async |_, way, mut phone, _app| {
        let bodies: Vec<_> = (0..64).map(|n| pattern(1_000 + n * 700, n)).collect();
        let mut clients = Vec::new();
        for (n, body) in bodies.iter().enumerate() {
            let lines = format!("Content-Length: {}\r\n", body.len());
            clients.push(way.ask("POST", &way.path(&format!("/{n}")), &lines, body).await);
        }
        // Every answer is three times the request, and the device works on all of them in the order in which it is
        // asked.
        serve(&mut phone, 64, |request| answer(&request.body.repeat(3))).await;
        for (mut client, body) in clients.into_iter().zip(&bodies) {
            assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(client.rest().await == body.repeat(3), "byte for byte");
        }
        phone.quiet().await;
    });
}

#[test]
fn a_long_body_goes_in_pieces_of_65536_bytes() {
    with_phone(16, async |_, way, mut phone, _app| {
        let body = pattern(8 << 20, 3);
        let path = way.path("/upload");
        let lines = "Content-Length: 8388608\r\nExpect: 100-continue\r\n";
        let client = async {
            let mut raw = way.ask("POST", &path, lines, b"").await;
            assert_eq!(raw.head().await, "HTTP/1.1 100 Continue\r\n\r\n", "said by the server itself");
            raw.send(&body).await;
            assert!(raw.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(raw.rest().await, b"taken");
        };
        let device = serve(&mut phone, 1, |request| {
            assert!(request.body == body, "byte for byte");
            assert!(!request.head.to_lowercase().contains("expect"), "{}", request.head);
            let (last, full) = request.pieces.split_last().unwrap();
            assert!(full.iter().all(|&length| length == 65_536));
            assert_eq!(*last, (request.head.len() + (8 << 20)) % 65_536);
            answer(b"taken")
        });
        tokio::join!(client, device);
    });
}

#[test]
fn a_chunked_request_gets_a_length() {
    with_phone(16, async |_, way, mut phone, _app| {
        let path = way.path("/");
        let body = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let client = way.at("PUT", &path, "Transfer-Encoding: chunked\r\n", body);
        let device = serve(&mut phone, 1, |request| {
            assert_eq!(request.body, b"abcde");
            assert!(!request.head.to_lowercase().contains("transfer-encoding"), "{}", request.head);
            answer(b"")
        });
        assert_eq!(tokio::join!(client, device).0.status, 200);
    });
}
