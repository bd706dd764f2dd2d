//! `loadtest conformance` against our broker on both stores and over TLS, and against a server that is wrong on purpose.
//!
//! Uses the broker's program beside the load test; `--workspace` builds both.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

#[path = "../src/servers/redis.rs"]
#[allow(dead_code)]
mod redis_server;
#[path = "../src/ws.rs"]
#[allow(dead_code)]
mod ws;

const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

/// Two domains, one of which has everything.
const DOMAINS: &str = r#"
[instance]
password = "of the instance"
[[domains]]
name = "example.com"
password = "of example.com"
admin_password = "administrative"
auto_token = "t0ken#+"
[[domains.categories]]
name = "Desk phones"
provisioning = true
[[domains.categories]]
name = "Storage room"
[[domains]]
name = "other.example"
password = "of other.example"
[[domains.categories]]
name = "phones"
provisioning = true
"#;

/// A running broker; killed when dropped.
struct Broker {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    _redis: Option<redis_server::Redis>,
}

impl Broker {
    fn start(on_redis: bool, tls: bool) -> Self {
        let program = Path::new(LOADTEST).with_file_name("provbroker");
        assert!(program.is_file(), "build the whole workspace: {} is missing", program.display());
        let folder = tempfile::tempdir().unwrap();
        let redis = on_redis.then(|| redis_server::Redis::start(folder.path()).unwrap());
        let embedded = format!("embedded:{}", folder.path().join("broker.redb").display());
        let store = redis.as_ref().map_or(embedded, |redis| redis.url.clone());
        let mut config = format!(
            "[server]\nroles = [\"directory\", \"devices\"]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n\
             workers = 1\n{}[store]\nurl = {store:?}\ndeadline = \"5s\"\n\
             [log]\nformat = \"json\"\nfilter = \"warn,provbroker::app=info\"\n",
            if tls { "public_url = \"https://localhost\"\n" } else { "" }
        );
        if tls {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
            std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
            let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
            write!(config, "[tls]\ncertificate = {chain:?}\nkey = {key:?}\n").unwrap();
        }
        let file = folder.path().join("broker.toml");
        std::fs::write(&file, config + DOMAINS).unwrap();
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = |line: String| {
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            (said["message"] == "serving").then(|| said["listen"].as_str().unwrap().parse().unwrap())
        };
        let address = lines.find_map(address).expect("the broker starts");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, folder, _redis: redis }
    }

    /// The certificate to trust.
    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with everything that a broker of these tests has.
fn conformance(scheme: &str, host: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verdicts.json");
    let output = Command::new(LOADTEST)
        .args(["conformance", "--url", &format!("{scheme}://{host}/example.com/devices")])
        .args(["--init-url", &format!("{scheme}://{host}/init"), "--domain", "example.com", "--token", "t0ken#+"])
        .args(["--password", "of example.com"])
        .args(["--other-domain", "other.example", "--other-password", "of other.example"])
        .args(more)
        .arg("--json")
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let verdicts = std::fs::read(&file).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap());
    (output, verdicts)
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    out + &err
}

/// The ids of the rules with this result.
fn with_result(verdicts: &Value, result: &str) -> BTreeSet<String> {
    let rules = verdicts["rules"].as_array().unwrap().iter();
    rules.filter(|rule| rule["result"] == result).map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
}

/// Every rule that the program checks holds, and none is left out.
fn assert_all_hold((output, verdicts): &(Output, Value)) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    for result in ["FAILS", "skipped", "not observed"] {
        assert!(with_result(verdicts, result).is_empty(), "{}", said(output));
    }
    assert!(with_result(verdicts, "holds").len() > 200, "{}", said(output));
    assert!(verdicts["seconds"].as_f64().unwrap() < 100.0, "{verdicts:#}");
}

#[test]
fn our_broker_on_the_embedded_store() {
    let broker = Broker::start(false, false);
    assert_all_hold(&conformance("ws", &broker.address.to_string(), &[]));
}

#[test]
fn our_broker_on_redis() {
    let broker = Broker::start(true, false);
    assert_all_hold(&conformance("http", &broker.address.to_string(), &[]));
}

#[test]
fn our_broker_over_tls() {
    let broker = Broker::start(false, true);
    let host = format!("localhost:{}", broker.address.port());
    assert_all_hold(&conformance("wss", &host, &["--tls-ca", broker.chain().to_str().unwrap()]));
    let (output, verdicts) = conformance("https", &host, &["--insecure", "--only", "sysclient-1.2-a"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(verdicts["rules"].as_array().unwrap().len(), 1);
    // Without either nobody is trusted, and nothing is judged.
    let (output, _) = conformance("wss", &host, &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
}

#[test]
fn what_is_not_given_is_skipped_with_its_reason() {
    let broker = Broker::start(false, false);
    let url = format!("ws://{}/example.com/devices", broker.address);
    let output = Command::new(LOADTEST)
        .args(["conformance", "--url", &url, "--domain", "example.com", "--password", "of example.com"])
        .args(["--only", "directory-4.5", "--only", "sysclient-6-d", "--only", "sysclient-5-o"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for reason in ["needs --init-url", "needs --token", "needs --other-domain"] {
        assert!(said(&output).contains(reason), "{}", said(&output));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_id_judge_nothing() {
    let broker = Broker::start(false, false);
    let host = broker.address.to_string();
    let (output, _) = conformance("ws", &host, &["--only", "nothing"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("no rule has an id that begins with nothing"), "{}", said(&output));
    let url = format!("ws://{host}/example.com/devices");
    let arguments = ["conformance", "--url", &url, "--domain", "example.com", "--password", "wrong"];
    let output = Command::new(LOADTEST).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("the log-in is refused"), "{}", said(&output));
}

/// Published rules that the wrong server breaks.
const PUBLISHED: [&str; 3] = ["appwebsocket-7.2-b", "devices-api-2.3-b", "devices-api-2.3-c"];

/// Rules of ours that it breaks.
const OURS: [&str; 6] = [
    "appwebsocket-1-h",
    "appwebsocket-2-e",
    "directory-4.5-b",
    "sysclient-1.2-f",
    "sysclient-3.5-e",
    "sysclient-8.2-a",
];

/// The parts of the list that are looked at: everything that does not take half a minute.
const PARTS: [&str; 11] = [
    "sysclient-1.2-f",
    "sysclient-1.2-g",
    "sysclient-3.2",
    "sysclient-3.5",
    "sysclient-8.2",
    "appwebsocket-1-h",
    "appwebsocket-2",
    "appwebsocket-3",
    "appwebsocket-7",
    "devices-api",
    "directory",
];

#[test]
fn a_server_that_is_wrong_breaks_exactly_the_rules_that_it_breaks() {
    let broker = Broker::start(false, false);
    let wrong = wrong_server(broker.address);
    let only: Vec<&str> = PARTS.iter().flat_map(|part| ["--only", part]).collect();
    let (output, verdicts) = conformance("ws", &wrong.to_string(), &only);
    let expected: BTreeSet<String> = PUBLISHED.iter().chain(&OURS).map(ToString::to_string).collect();
    assert_eq!(with_result(&verdicts, "FAILS"), expected, "{}", said(&output));
    assert_eq!(output.status.code(), Some(1), "a published rule: {}", said(&output));
    // A failure says what was sent, what is expected and what came.
    let said = said(&output);
    assert!(said.contains("    came: ") && said.contains("    → ") && said.contains("    ← "), "{said}");

    let only: Vec<&str> = OURS.iter().flat_map(|id| ["--only", id]).collect();
    let (output, _) = conformance("ws", &wrong.to_string(), &only);
    assert_eq!(output.status.code(), Some(3), "only rules of ours: {}", self::said(&output));
}

/// Our broker, with answers that are changed on their way; on a thread that ends with the test.
fn wrong_server(broker: SocketAddr) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, broker));
            }
        });
    });
    told.recv().unwrap()
}

async fn pass_on(client: TcpStream, broker: SocketAddr) {
    // The broker ends before this thread does.
    let Ok(server) = TcpStream::connect(broker).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // An end in one direction is an end.
    tokio::select! {
        () = copy(from_client, to_server) => {}
        () = change(from_server, to_client) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Passes on what the broker says, changed.
async fn change(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (mut bytes, mut some) = (Vec::new(), [0; 16_384]);
    let (mut head, mut sockets, mut held) = (true, false, None);
    loop {
        let read = from.read(&mut some).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&some[..read]);
        let mut out = Vec::new();
        if head && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            head = false;
            sockets = bytes.starts_with(b"HTTP/1.1 101 ");
            if bytes.starts_with(b"HTTP/1.1 405 ") {
                bytes[9..12].copy_from_slice(b"404");
            }
            out.extend(bytes.drain(..end + 4));
        }
        if !head && !sockets {
            out.append(&mut bytes);
        }
        while sockets && let Some((first, payload, rest)) = ws::take_any_frame(&bytes) {
            let (payload, rest) = (changed(first, payload), rest.to_vec());
            let frame = frame(first, &payload);
            bytes = rest;
            if held.is_none() && is_held(&payload) {
                held = Some(frame);
            } else {
                out.extend(frame);
                out.extend(held.take().unwrap_or_default());
            }
        }
        if to.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// An answer that is sent after the next one.
fn is_held(payload: &[u8]) -> bool {
    serde_json::from_slice::<Value>(payload)
        .is_ok_and(|message| message["mt"] == "GetDomainsResult" && message.get("src").is_none())
}

/// A payload with the faults of this server.
fn changed(first: u8, payload: &[u8]) -> Vec<u8> {
    if first & 15 == ws::CLOSE && payload.starts_with(&1003_u16.to_be_bytes()) {
        return 1002_u16.to_be_bytes().to_vec();
    }
    if payload.starts_with(&[1, 0, 5]) {
        return String::from_utf8_lossy(payload).replace("unknown code", "no such code").into_bytes();
    }
    let Ok(mut message) = serde_json::from_slice::<Value>(payload) else { return payload.to_vec() };
    let dropped = match message["mt"].as_str() {
        Some("GetProvisioningCodeResult") => "validUntil",
        Some("AppInfoResult") => "serviceInfo",
        _ => return payload.to_vec(),
    };
    message.as_object_mut().unwrap().remove(dropped);
    message.to_string().into_bytes()
}

/// A frame of a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => frame.push(short),
        (_, Ok(long)) => {
            frame.push(126);
            frame.extend(long.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
