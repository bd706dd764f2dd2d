//! A directory on a loopback socket, a store in memory, and a client that shows the received bytes.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use provbroker::attempts::{AttemptRules, AttemptService};
use provbroker::core::model::hex;
use provbroker::core::model::ids::{Code, DeviceKey, DomainName};
use provbroker::core::model::time::{Tick, UnixMillis};
use provbroker::core::policy::limits::SourceKey;
use provbroker::directory::{DirectoryService, DirectorySettings};
use provbroker::store::{
    Attempts, Contact, DirectoryRecords, Listed, Misdirected, NewListing, Recorded, Remembered, Result, StoreError,
};
use provbroker::web::directory::{DirectoryWeb, routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// Two valid credentials.
pub const CREDENTIAL: &str = "credential-one";
pub const OTHER_CREDENTIAL: &str = "credential-two";
pub const ADDRESS: &str = "wss://ap.example.org/example.com/devices/sysclients";

/// Start of the clock of the fake store.
pub const START: u64 = 1_767_225_000_000;

#[derive(Default)]
pub struct State {
    pub codes: HashMap<Code, (String, String, u64)>,
    pub retired: HashSet<Code>,
    pub answers: HashMap<(String, String), Remembered>,
    pub contacts: HashMap<Box<str>, (Contact, Option<Code>)>,
    /// Names of the operations in the order of their calls.
    pub calls: Vec<&'static str>,
    /// Reports this many of the next codes as taken.
    pub taken: usize,
    /// Reported instead of the true number.
    pub open: Option<u64>,
    /// Wrong attempts that other nodes have reported.
    pub wrong_elsewhere: u64,
    /// Decisions that are left of this second.
    pub decisions: u32,
}

/// A store in memory.
#[derive(Default)]
pub struct FakeStore {
    state: Mutex<State>,
    pub down: AtomicBool,
    /// Milliseconds since [`START`].
    pub time: AtomicU64,
}

impl FakeStore {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn now(&self) -> u64 {
        START + self.time.load(Ordering::SeqCst)
    }

    fn call(&self, name: &'static str) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.calls.push(name);
        if self.down.load(Ordering::SeqCst) { Err(StoreError::Unavailable("down".into())) } else { Ok(state) }
    }
}

#[async_trait]
impl DirectoryRecords for FakeStore {
    async fn put_listing(&self, new: &NewListing, max_open: u64) -> Result<Listed> {
        let mut state = self.call("list")?;
        let now = self.now();
        if state.taken > 0 {
            state.taken -= 1;
            return Ok(Listed::Taken);
        }
        let open = state.codes.values().filter(|(_, owner, end)| *owner == new.credential && *end > now).count();
        if open as u64 >= max_open {
            return Ok(Listed::TooMany);
        }
        if !state.retired.insert(new.code) {
            return Ok(Listed::Taken);
        }
        let until = UnixMillis((UnixMillis(now) + new.ttl).seconds() * 1000);
        state.codes.insert(new.code, (new.url.clone(), new.credential.clone(), until.0));
        Ok(Listed::Until(until))
    }

    async fn find_listing(&self, code: Code) -> Result<Option<String>> {
        let state = self.call("look_up")?;
        Ok(state.codes.get(&code).filter(|(_, _, end)| *end > self.now()).map(|(url, _, _)| url.clone()))
    }

    async fn remove_listing(&self, code: Code, credential: &str) -> Result<bool> {
        let mut state = self.call("unlist")?;
        let own = state.codes.get(&code).is_some_and(|(_, owner, _)| owner == credential);
        Ok(own && state.codes.remove(&code).is_some())
    }

    async fn remember_answer(&self, credential: &str, key: &str, answer: &Remembered) -> Result<Option<Remembered>> {
        let mut state = self.call("remember")?;
        let key = (credential.to_owned(), key.to_owned());
        if let Some(earlier) = state.answers.get(&key) {
            return Ok(Some(earlier.clone()));
        }
        state.answers.insert(key, answer.clone());
        Ok(None)
    }

    async fn remembered_answer(&self, credential: &str, key: &str) -> Result<Option<Remembered>> {
        let found = self.call("recall")?.answers.get(&(credential.to_owned(), key.to_owned())).cloned();
        // Lets requests that run at the same time pass this point together.
        tokio::task::yield_now().await;
        Ok(found)
    }

    async fn record_contact(&self, contact: &Contact, entered: Option<Code>, _: Option<SourceKey>) -> Result<Recorded> {
        let mut state = self.call("contact")?;
        let first = state.contacts.insert(contact.mac.clone(), (contact.clone(), entered)).is_none();
        Ok(Recorded { first, kept: true, evicted: 0 })
    }

    async fn stranger_contacts(&self) -> Result<u64> {
        Ok(self.call("stranger_contacts")?.contacts.len() as u64)
    }

    async fn open_listings(&self) -> Result<u64> {
        let state = self.call("open_listings")?;
        let now = self.now();
        Ok(state.open.unwrap_or_else(|| state.codes.values().filter(|(_, _, end)| *end > now).count() as u64))
    }
}

#[async_trait]
impl Attempts for FakeStore {
    async fn report_wrong(&self, _: &str, _: &str, wrong: u32) -> Result<u64> {
        Ok(self.call("report_wrong")?.wrong_elsewhere + u64::from(wrong))
    }

    async fn take_decisions(&self, _: &str, want: u32, per_second: u32) -> Result<u32> {
        let mut state = self.call("take_decisions")?;
        assert_eq!(per_second, 20);
        let taken = want.min(state.decisions);
        state.decisions -= taken;
        Ok(taken)
    }

    async fn record_misdirected(&self, _: &DomainName, _: &str, _: &DeviceKey) -> Result<()> {
        unreachable!("a directory knows no categories")
    }

    async fn misdirected(&self, _: &DomainName) -> Result<Vec<Misdirected>> {
        unreachable!("a directory knows no categories")
    }
}

/// A running directory.
pub struct Running {
    pub at: SocketAddr,
    pub store: Arc<FakeStore>,
    /// The monotonic clock of the endpoints, in milliseconds.
    pub clock: Arc<AtomicU64>,
    pub attempts: Arc<AttemptService>,
    /// The valid codes that phones have brought.
    pub found: Arc<Mutex<Vec<Code>>>,
}

/// Settings of a directory that accepts both credentials.
pub fn settings() -> DirectorySettings {
    DirectorySettings {
        credentials: vec![sha256(CREDENTIAL), sha256(OTHER_CREDENTIAL).to_uppercase()],
        ..DirectorySettings::default()
    }
}

pub fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(text.as_bytes()))
}

pub fn start() -> Running {
    start_with(settings())
}

pub fn start_with(settings: DirectorySettings) -> Running {
    let store = Arc::new(FakeStore::default());
    let service = Arc::new(DirectoryService::new(store.clone(), settings).unwrap());
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let hand = clock.clone();
    let found = Arc::new(Mutex::new(Vec::new()));
    let brought = found.clone();
    let now = move || Tick(hand.load(Ordering::SeqCst));
    let attempts = Arc::new(AttemptService::new(store.clone(), AttemptRules::default(), now.clone()));
    let web =
        DirectoryWeb::new(service, attempts.clone(), now).with_found(move |code| brought.lock().unwrap().push(code));
    let web = web::Data::new(web);
    let server = HttpServer::new(move || App::new().configure(routes(web.clone())))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let at = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    Running { at, store, clock, attempts, found }
}

/// An answer as received on the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Lines of the header, without `Date`.
    pub headers: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (n, value) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The member `error` of the body.
    pub fn error(&self) -> String {
        assert!(!self.json()["message"].as_str().unwrap().is_empty());
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

impl Running {
    /// Sends `head` (request line and headers, without the last empty line) and `body` from a loopback address.
    pub async fn send_from(&self, from: &str, head: &str, body: &str) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.at).await.unwrap();
        let request = format!("{head}\r\nHost: test\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: Vec<_> =
            lines.filter(|l| !l.to_ascii_lowercase().starts_with("date:")).map(str::to_owned).collect();
        headers.sort();
        Answer { status, headers, body: body.to_owned() }
    }

    pub async fn send(&self, head: &str, body: &str) -> Answer {
        self.send_from("127.0.0.1", head, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), "").await
    }

    /// `POST /api/v1/codes`; `extra` are further header lines, each ended by CR LF.
    pub async fn post(&self, credential: &str, extra: &str, body: &str) -> Answer {
        let head = format!(
            "POST /api/v1/codes HTTP/1.1\r\nAuthorization: Bearer {credential}\r\n{extra}Content-Length: {}",
            body.len()
        );
        self.send(&head, body).await
    }

    pub async fn delete(&self, credential: &str, code: &str) -> Answer {
        let head = format!("DELETE /api/v1/codes/{code} HTTP/1.1\r\nAuthorization: Bearer {credential}");
        self.send(&head, "").await
    }

    /// A new code for [`ADDRESS`].
    pub async fn code(&self) -> String {
        let answer = self.post(CREDENTIAL, "", &code_request(ADDRESS)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["code"].as_str().unwrap().to_owned()
    }

    pub fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
        self.store.time.fetch_add(millis, Ordering::SeqCst);
    }
}

/// A body that asks for a code.
pub fn code_request(url: &str) -> String {
    serde_json::json!({ "url": url }).to_string()
}
