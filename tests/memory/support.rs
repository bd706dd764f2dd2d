//! A broker as a separate process, its memory read from `/proc`, and clients that may send anything.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{HardwareId, Secret};
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::protocol::sysclient::frame::{FromDevice, FromServer, decode_from_server};

/// Longest wait; a test that would hang fails instead.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Memory that an attack may take, in KiB: less than 1 MB.
pub const ALLOWED_KIB: u64 = 976;

pub const DEVICES: &str = "/example.com/devices/sysclients?domain=tenant.example&token=t0ken&category=phones";
pub const APPS: &str = "/example.com/devices";
pub const DOMAIN_PASSWORD: &str = "domain-password";

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;

/// A running broker on an embedded store; stopped when dropped.
pub struct Broker {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With this section `[tls]` in its configuration, if it is not empty.
    pub fn start_with(tls: &str) -> Self {
        let scheme = if tls.is_empty() { "http" } else { "https" };
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("broker.toml");
        let store = folder.path().join("broker.redb");
        std::fs::write(
            &config,
            format!(
                "[server]\nroles = [\"directory\", \"devices\"]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\nworkers = 2\npublic_url = \"{scheme}://127.0.0.1:0\"\n\
                 [store]\nurl = \"embedded:{}\"\ndeadline = \"10s\"\n\
                 [devices]\nwrite_timeout = \"3s\"\n[apps]\nsend_window = 65536\n\
                 [log]\nformat = \"json\"\nfilter = \"error,provbroker::app=info\"\n\
                 {tls}\n[[domains]]\nname = \"tenant.example\"\npassword = \"{DOMAIN_PASSWORD}\"\nauto_token = \"t0ken\"\n\
                 [[domains.categories]]\nname = \"phones\"\nprovisioning = true\n",
                store.display()
            ),
        )
        .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_provbroker"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut broker = Self { child, address: ([0, 0, 0, 0], 0).into(), _folder: folder };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                match said["listen"].as_str() {
                    Some(listen) if said["message"] == "serving" => drop(tell.send(listen.parse().unwrap())),
                    _ => eprintln!("broker: {line}"),
                }
            }
        });
        broker.address = told.recv_timeout(MAX_WAIT).expect("the broker says where it listens");
        broker
    }

    /// Runs the attack and returns by how many KiB the resident memory of the broker rose at its peak. Devices connect
    /// and disconnect before, and the attack is run once, so that first-time allocations are not counted.
    pub fn peak_growth(&self, mut attack: impl FnMut(&Self)) -> u64 {
        for number in 0..50 {
            self.register(&format!("warm-up-{number}"));
        }
        attack(self);
        // Resets the high-water mark to the present resident memory.
        std::fs::write(self.proc("clear_refs"), "5").unwrap();
        let before = self.status("VmHWM:");
        attack(self);
        let after = self.status("VmHWM:");
        println!("resident memory: {before} KiB before, {after} KiB at its highest");
        after.saturating_sub(before)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    pub fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// A device enters the domain, which proves that the broker works.
    pub fn register(&self, id: &str) -> Peer {
        let mut peer = Peer::open(self, DEVICES);
        peer.send(BINARY, &identify(id, false));
        for _ in 0..3 {
            let (opcode, message) = peer.receive().expect("an answer");
            assert_eq!(opcode, BINARY, "{}", String::from_utf8_lossy(&message));
            // A device that was here before is challenged. That is proof enough.
            match decode_from_server(&message.into()).unwrap() {
                FromServer::AdminPassword { .. } | FromServer::Challenge(_) => return peer,
                FromServer::Password(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("not registered");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An identify message; `other` makes it a different one.
pub fn identify(id: &str, other: bool) -> Vec<u8> {
    let facts = Facts { product: "P".into(), version: "1".into(), platform: "PHONE".into(), other, ..Facts::default() };
    let id = HardwareId::parse(id).unwrap();
    FromDevice::Identify(Box::new(Identify { id, facts, code: OfferedCode::None, digest: None })).encode()
}

/// An app connection of the domain.
pub fn log_in(broker: &Broker) -> Peer {
    use provbroker::core::protocol::appws::login::{AppIdentity, write_login};
    let mut peer = Peer::open(broker, APPS);
    peer.send(TEXT, br#"{"mt":"AppChallenge"}"#);
    let (_, answer) = peer.receive().expect("a challenge");
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let identity =
        AppIdentity { app: "innovaphone-devices-api", domain: "tenant.example", sip: "", guid: "", dn: "", info: None };
    let password = Secret::new(DOMAIN_PASSWORD);
    peer.send(TEXT, write_login(&identity, None, answer["challenge"].as_str().unwrap(), &password).as_bytes());
    let (_, answer) = peer.receive().expect("the result of the log-in");
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    peer
}

/// A client connection.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    /// A connection on which nothing was sent.
    pub fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.set_write_timeout(Some(MAX_WAIT)).unwrap();
        Self { stream }
    }

    /// An open WebSocket.
    pub fn open(broker: &Broker, path: &str) -> Self {
        let mut peer = Self::connect(broker);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        peer.stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        peer
    }

    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.stream.write_all(&frame(true, opcode, payload)).unwrap();
    }

    /// The next frame; `None` when the connection has ended.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).ok()?;
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut long = [0; 2];
            self.stream.read_exact(&mut long).ok()?;
            length = usize::from(u16::from_be_bytes(long));
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        Some((head[0] & 15, payload))
    }

    /// Reads up to the close frame; returns its code.
    pub fn close_code(&mut self) -> Option<u16> {
        while let Some((opcode, payload)) = self.receive() {
            if opcode == CLOSE {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        None
    }

    /// Writes the same bytes up to `times` times without reading. Returns how often they were accepted until the peer
    /// closed the connection.
    pub fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
        (0..times).find(|_| self.stream.write_all(bytes).is_err()).unwrap_or(times)
    }

    /// Reads to the end; returns what was received. `None` if there is no end.
    pub fn read_to_end(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            _ => Some(all),
        }
    }
}

/// A client's frame, with a mask of zeros, which leaves the payload unchanged.
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(last, opcode, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The header of a frame that announces `length` bytes.
pub fn header(last: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut header = vec![u8::from(last) << 7 | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => header.push(0x80 | short),
        (_, Ok(medium)) => {
            header.push(0xfe);
            header.extend(medium.to_be_bytes());
        }
        _ => {
            header.push(0xff);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}
