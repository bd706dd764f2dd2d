//! A receiver of the backend `webhook`, as the documentation describes it: it checks the signature, accepts each
//! idempotency key once, and can be unavailable, slow, or refuse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use provbroker::core::model::ids::Secret;
use provbroker::users_role::backend::signature;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const SECRET: &str = "secret of the receiver";

/// How a receiver handles a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts it.
    Accepts,
    /// Answers with this status, without accepting it.
    Answers(u16),
    /// Accepts it, and cuts the connection instead of answering.
    AcceptsAndCuts,
}

#[derive(Default)]
struct State {
    /// Accepted orders, by key.
    taken: BTreeMap<String, serde_json::Value>,
    requests: u64,
    wrong: Vec<String>,
}

/// See the module. Accepted orders survive a restart. Runs in its own thread.
pub struct Receiver {
    state: Arc<Mutex<State>>,
    behaviour: Arc<Mutex<Behaviour>>,
    addr: SocketAddr,
    runtime: Handle,
    /// Ends the thread when it is dropped.
    _alive: oneshot::Sender<()>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::Accepts));
        let (alive, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(ended));
        let mut receiver =
            Self { state: Arc::default(), behaviour, addr, runtime: handle, _alive: alive, serving: None };
        receiver.serve(listener);
        receiver
    }

    fn serve(&mut self, listener: std::net::TcpListener) {
        let (state, behaviour) = (Arc::clone(&self.state), Arc::clone(&self.behaviour));
        listener.set_nonblocking(true).unwrap();
        self.serving = Some(self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(connection(stream, Arc::clone(&state), Arc::clone(&behaviour)));
                while open.try_join_next().is_some() {}
            }
        }));
    }

    pub fn url(&self) -> String {
        format!("http://{}/phones", self.addr)
    }

    pub fn behaviour(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Stops at once, whatever it is doing: listener and connections.
    pub async fn die(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        let _ = serving.await;
    }

    /// Starts again at the same address.
    pub fn come_back(&mut self) {
        // The standard library sets SO_REUSEADDR, so earlier connections do not prevent this.
        self.serve(std::net::TcpListener::bind(self.addr).unwrap());
    }

    /// Accepted entries: user and phone.
    pub fn effects(&self) -> Vec<(String, String)> {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        state.taken.values().map(|body| (text(&body["user"]["guid"]), text(&body["device"]["hwId"]))).collect()
    }

    /// Accepted bodies by their keys.
    pub fn bodies(&self) -> BTreeMap<String, serde_json::Value> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Number of requests, including repeated ones.
    pub fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }
}

async fn connection(mut stream: TcpStream, state: Arc<Mutex<State>>, behaviour: Arc<Mutex<Behaviour>>) {
    let mut bytes = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut bytes).await {
        let behaviour = *behaviour.lock().unwrap();
        let status = {
            let mut state = state.lock().unwrap();
            state.requests += 1;
            match (behaviour, take(&head, &body)) {
                (Behaviour::Answers(status), _) => status,
                (_, Err(wrong)) => {
                    state.wrong.push(wrong);
                    400
                }
                (_, Ok((key, json))) => {
                    state.taken.entry(key).or_insert(json);
                    204
                }
            }
        };
        if behaviour == Behaviour::AcceptsAndCuts {
            return;
        }
        let more = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n{more}\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Bytes)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = field(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = Bytes::copy_from_slice(&bytes[end + 4..end + 4 + length]);
                bytes.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Checks a request; returns key and body.
fn take(head: &str, body: &[u8]) -> Result<(String, serde_json::Value), String> {
    let signed = field(head, "provbroker-signature").ok_or("no signature")?;
    let time: u64 = signed
        .strip_prefix("t=")
        .and_then(|rest| rest.split(',').next())
        .and_then(|time| time.parse().ok())
        .ok_or("no time")?;
    if signed != signature(&Secret::new(SECRET), time, body) {
        return Err(format!("wrong signature: {signed}"));
    }
    let now = provbroker::clock::unix_seconds();
    if now.abs_diff(time) > 300 {
        return Err(format!("signed at {time}, now it is {now}"));
    }
    let key = field(head, "idempotency-key").ok_or("no key")?.to_owned();
    let json: serde_json::Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if json["id"] == key.as_str() { Ok((key, json)) } else { Err("another id than the key".into()) }
}
