//! Memory of a long answer through the tunnel.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{BINARY, Broker, Peer, TEXT, log_in};

/// Length of the body.
const BODY: usize = 50_000_000;

/// Memory that it may take: less than 2 MB.
const ALLOWED_KIB: u64 = 1_953;

/// Bytes that a device sends at once: as much as one frame of this client can carry.
const PIECE: usize = 65_000;

/// The key of a session that may access the devices of the domain.
fn key(app: &mut Peer) -> String {
    app.send(TEXT, br#"{"mt":"GetLoginInfo"}"#);
    let (_, answer) = app.receive().expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    answer["key"].as_str().unwrap().to_owned()
}

/// Serves one request with a body of [`BODY`] bytes.
fn serve(device: &mut Peer) {
    let mut left = BODY;
    let mut head = Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
    loop {
        let (opcode, message) = device.receive().expect("a message to the device");
        if opcode != BINARY || message[0] != 2 {
            continue;
        }
        let answer = |event: u8, data: &[u8]| [&message[..5], &[0, 0, 0, event], data].concat();
        match message[8] {
            0 => device.send(BINARY, &answer(3, b"")),
            1 => {
                let mut piece = head.take().map(String::into_bytes).unwrap_or_default();
                let length = left.min(PIECE - piece.len());
                left -= length;
                piece.resize(piece.len() + length, b'x');
                device.send(BINARY, &answer(2, &piece));
            }
            _ => {
                device.send(BINARY, &answer(4, b""));
                assert_eq!(left, 0);
                return;
            }
        }
    }
}

/// A client whose request was accepted, at the beginning of the body.
fn ask(broker: &Broker, path: &str) -> Peer {
    // A device becomes a member shortly after it has its password.
    loop {
        let mut client = Peer::connect(broker);
        client.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        if head.starts_with(b"HTTP/1.1 200 ") {
            return client;
        }
        assert!(head.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&head));
    }
}

#[test]
#[ignore = "measures memory"]
fn fifty_megabytes_through_a_tunnel() {
    let broker = Broker::start();
    let mut app = log_in(&broker);
    let key = key(&mut app);
    let number = AtomicU32::new(0);
    let growth = broker.peak_growth(|broker| {
        let id = format!("tunnel-{}", number.fetch_add(1, Ordering::Relaxed));
        let mut device = broker.register(&id);
        let device = std::thread::spawn(move || serve(&mut device));
        let mut client = ask(broker, &format!("/example.com/devices/passthrough/{id}/{key}/"));
        let mut buffer = vec![0; 65_536];
        let mut left = BODY;
        let mut read = |most: usize| {
            let most = most.min(left);
            client.stream.read_exact(&mut buffer[..most]).unwrap();
            left -= most;
            left > 0
        };
        // Nothing is read until every buffer is full, then little, then as fast as it arrives.
        std::thread::sleep(Duration::from_secs(1));
        for _ in 0..200 {
            assert!(read(4_096));
            std::thread::sleep(Duration::from_millis(5));
        }
        while read(65_536) {}
        device.join().unwrap();
    });
    assert!(growth < ALLOWED_KIB, "resident memory rose by {growth} KiB");
}
