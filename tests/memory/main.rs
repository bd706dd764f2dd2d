//! Memory of a broker under attack, measured from outside: a separate process, its resident pages, real sockets.
//!
//! Ignored by default, because each test needs the machine for itself; continuous integration runs them one after the
//! other: `cargo test --test memory -- --ignored --test-threads 1`. Asserts memory, counts and close codes, never
//! time.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
mod tls;
mod tunnel;

use std::io::Write as _;

use support::{ALLOWED_KIB, APPS, BINARY, Broker, DEVICES, PING, Peer, TEXT, frame, header, identify, log_in};

const GIB: u64 = 1 << 30;

/// Asserts the requirement for every attack: little memory, and the broker still serves others.
fn takes_little_memory(attack: impl FnMut(&Broker)) {
    takes_at_most(ALLOWED_KIB, attack);
}

fn takes_at_most(allowed_kib: u64, attack: impl FnMut(&Broker)) {
    let broker = Broker::start();
    let mut bystander = broker.register("bystander");
    let growth = broker.peak_growth(attack);
    assert!(growth < allowed_kib, "resident memory rose by {growth} KiB");
    broker.register("newcomer");
    bystander.send(PING, b"still there?");
    assert_eq!(bystander.receive().map(|(_, payload)| payload).as_deref(), Some(&b"still there?"[..]));
}

#[test]
#[ignore = "measures memory"]
fn a_frame_of_one_gib() {
    for (path, opcode) in [(DEVICES, BINARY), (APPS, TEXT)] {
        takes_little_memory(|broker| {
            let mut peer = Peer::open(broker, path);
            peer.stream.write_all(&header(true, opcode, GIB)).unwrap();
            let mut sender = peer.stream.try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                let some = vec![b'x'; 1 << 20];
                (0..GIB >> 20).take_while(|_| sender.write_all(&some).is_ok()).count()
            });
            assert_eq!(peer.close_code(), Some(1009));
            let sent = sending.join().unwrap();
            assert!(sent < 64, "{sent} MiB were taken after the close");
        });
    }
}

#[test]
#[ignore = "measures memory"]
fn pings_without_reading_the_answers() {
    let ping = frame(true, PING, &[b'p'; 125]).repeat(100);
    for path in [DEVICES, APPS] {
        takes_little_memory(|broker| {
            let taken = Peer::open(broker, path).flood(&ping, 2_000_000);
            assert!(taken < 2_000_000, "never cut");
        });
    }
}

#[test]
#[ignore = "measures memory"]
fn two_hundred_thousand_tiny_frames() {
    // An admin message of a type that is dropped, a pong, and an empty fragment.
    let unknown = frame(true, BINARY, &[1, 0, 99, b'{', b'}']);
    for tiny in [unknown, frame(true, 10, b"")] {
        let tiny = tiny.repeat(100);
        takes_little_memory(|broker| {
            let mut peer = broker.register("chatterer");
            assert_eq!(peer.flood(&tiny, 2_000), 2_000, "a member may say what means nothing");
            peer.send(PING, b"all read");
            while peer.receive().expect("an answer").1 != b"all read" {}
        });
    }
}

#[test]
#[ignore = "measures memory"]
fn tunnel_messages_of_no_session() {
    let stray = frame(true, BINARY, &[2, 0, 0, 0, 1, 0, 0, 0, 2]);
    takes_little_memory(|broker| {
        let mut peer = Peer::open(broker, DEVICES);
        peer.send(BINARY, &identify("stray", false));
        peer.flood(&stray, 200_000);
        assert_eq!(peer.close_code(), Some(1008));
    });
}

#[test]
#[ignore = "measures memory"]
fn a_message_of_endless_fragments() {
    for (path, opcode) in [(DEVICES, BINARY), (APPS, TEXT)] {
        takes_little_memory(|broker| {
            let mut peer = Peer::open(broker, path);
            peer.stream.write_all(&frame(false, opcode, &[b' '; 1000])).unwrap();
            let taken = peer.flood(&frame(false, 0, &[b' '; 1000]), 1_000_000);
            assert!(taken < 1_000_000, "never cut");
        });
        takes_little_memory(|broker| {
            let mut peer = Peer::open(broker, path);
            peer.stream.write_all(&frame(false, opcode, &[b' '; 1000])).unwrap();
            // Only few beyond the limit, so that the close is not overtaken by a reset.
            peer.flood(&frame(false, 0, &[b' '; 1000]), 140);
            assert_eq!(peer.close_code(), Some(1009));
        });
        takes_little_memory(|broker| {
            let mut peer = Peer::open(broker, path);
            peer.stream.write_all(&frame(false, opcode, b"")).unwrap();
            assert_eq!(peer.flood(&frame(false, 0, b"").repeat(100), 2_000), 2_000);
            peer.send(PING, b"all read");
            assert_eq!(peer.receive().expect("an answer").1, b"all read");
        });
    }
}

#[test]
#[ignore = "measures memory"]
fn an_app_that_sends_requests_and_never_reads() {
    let ask = frame(true, TEXT, br#"{"mt":"GetProvisioningCategories","src":"a source that comes back"}"#).repeat(20);
    takes_little_memory(|broker| {
        let taken = log_in(broker).flood(&ask, 200_000);
        assert!(taken < 200_000, "never cut");
    });
    let challenge = frame(true, TEXT, br#"{"mt":"AppChallenge","src":"a source that comes back"}"#).repeat(20);
    takes_little_memory(|broker| {
        let taken = Peer::open(broker, APPS).flood(&challenge, 200_000);
        assert!(taken < 200_000, "never cut");
    });
}

#[test]
#[ignore = "measures memory"]
fn heads_that_never_end() {
    // Slow: the rest of the head never arrives.
    takes_little_memory(|broker| {
        let mut slow: Vec<_> = (0..20).map(|_| Peer::connect(broker)).collect();
        for peer in &mut slow {
            peer.stream.write_all(b"GET /example.com/devices/sysclients HTTP/1.1\r\nHost: loc").unwrap();
        }
        for peer in &mut slow {
            assert!(peer.read_to_end().is_some(), "the connection stays open");
        }
    });
    // Fast: field after field, or one line without end.
    for some in [b"X-Field: value\r\n".repeat(1000), vec![b'x'; 16_000]] {
        takes_little_memory(|broker| {
            let mut peer = Peer::connect(broker);
            peer.stream.write_all(b"GET /example.com/devices/sysclients HTTP/1.1\r\n").unwrap();
            let taken = peer.flood(&some, 10_000);
            assert!(taken < 10_000, "never cut");
        });
    }
}

#[test]
#[ignore = "measures memory"]
fn json_that_is_deep_wide_or_repeats_itself() {
    let admin = |json: &str| [&[1, 0, 0], json.as_bytes()].concat();
    let deep = admin(&format!("{{\"id\":{}", "[".repeat(65_000)));
    let repeated = admin(&format!("{{{}\"id\":1}}", "\"id\":1,".repeat(9_000)));
    let wide = admin(&format!("{{\"x\":[{}1]}}", "1,".repeat(32_000)));
    // Tens of thousands of different values in one message take some MiB while it is read, once for each of the two
    // workers. The memory has to be released: a hundred such messages take no more than one.
    for (message, allowed) in [(deep, ALLOWED_KIB), (repeated, ALLOWED_KIB), (wide, 8 * 1024)] {
        takes_at_most(allowed, |broker| {
            for _ in 0..100 {
                let mut peer = Peer::open(broker, DEVICES);
                peer.send(BINARY, &message);
                assert_eq!(peer.close_code(), Some(1007));
            }
        });
    }
}

/// The same for bodies that the HTTP service has read before it is answered; how much that is depends on the kernel.
const BODIES_KIB: u64 = 96 * 1024;

/// Memory that strangers may take together, in KiB: unfinished messages and requests of one address, and what their
/// connections cost.
const STRANGERS_KIB: u64 = 48 * 1024;

#[test]
#[ignore = "measures memory"]
fn three_hundred_bodies_that_do_not_end() {
    // As much of a body as the kernel takes, of a length that a list may have.
    let token = "POST /api/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let codes =
        "POST /api/v1/domains/tenant.example/codes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let form = "POST /ui/sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    for head in [token, codes, form] {
        for encoding in ["Content-Length: 1048000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfff00\r\n"] {
            takes_at_most(BODIES_KIB, |broker| {
                let mut slow: Vec<_> = (0..300).map(|_| Peer::connect(broker)).collect();
                for peer in &mut slow {
                    peer.stream.write_all(format!("{head}{encoding}").as_bytes()).unwrap();
                    peer.flood(&[b'x'; 16_000], 64);
                }
                for peer in &mut slow {
                    peer.read_to_end().expect("it is not waited for");
                }
            });
        }
    }
}

#[test]
#[ignore = "measures memory"]
fn three_hundred_heads_that_do_not_end() {
    takes_at_most(STRANGERS_KIB, |broker| {
        let mut slow: Vec<_> = (0..300).map(|_| Peer::connect(broker)).collect();
        for peer in &mut slow {
            peer.flood(&[&b"GET /healthz HTTP/1.1\r\nX: "[..], &vec![b'x'; 120_000]].concat(), 1);
        }
        for peer in &mut slow {
            peer.read_to_end().expect("it is not waited for");
        }
    });
}

#[test]
#[ignore = "measures memory"]
fn three_hundred_messages_that_do_not_end() {
    for (path, opcode, length) in [(DEVICES, BINARY, 65_000), (APPS, TEXT, 131_000)] {
        takes_at_most(STRANGERS_KIB, |broker| {
            let message = [header(true, opcode, length), vec![b' '; usize::try_from(length).unwrap() - 1]].concat();
            let mut slow: Vec<_> = (0..300).map(|_| Peer::open(broker, path)).collect();
            for peer in &mut slow {
                // One that has given way refuses it.
                let _ = peer.stream.write_all(&message);
            }
        });
    }
}
