//! The two backends under one roof, with a clock that can be moved, and short ways to make what tests need.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use provbroker::core::model::device::{Device, Facts, Requester};
use provbroker::core::model::ids::{CategoryId, Code, ConnId, DeviceKey, DomainName, NodeId, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::policy::limits::SourceKey;
use provbroker::store::embedded::Embedded;
use provbroker::store::{
    self, CodeRecord, Entered, Entry, EntryRight, Limits, MasterKeys, NewListing, OpenError, Options, PutCode, Store,
    Whereabouts,
};

pub use crate::raw_store::{dump, shows};
use crate::redis_server::RedisServer;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long codes of these tests are valid.
pub const VALID: Duration = Duration::from_secs(600);

/// A minute before its end.
pub fn nearly(whole: Duration) -> Duration {
    whole.saturating_sub(MINUTE)
}

/// A store under test.
pub trait Fixture: Sized {
    async fn start() -> Self {
        Self::limited(Limits::default()).await
    }
    /// A store that keeps at most this.
    async fn limited(limits: Limits) -> Self;
    fn store(&self) -> &Arc<dyn Store>;
    /// Lets time pass for the store.
    async fn advance(&self, by: Duration);
    /// Everything that is kept, names and values, as bytes.
    async fn everything(&self) -> Vec<u8>;
    /// Ends what keeps the data without any farewell, and opens it again.
    async fn restart(&mut self);
    /// Opens the same data with another master key, while nobody else has it open.
    async fn open_with(self, master: &str) -> Result<Arc<dyn Store>, OpenError>;
}

pub fn master(key: &str) -> MasterKeys {
    MasterKeys::of(Secret::new(key))
}

pub const MASTER: &str = "master key of the contract tests";

/// The embedded store.
pub struct OnFile {
    store: Option<Arc<dyn Store>>,
    clock: Arc<AtomicU64>,
    dir: tempfile::TempDir,
    runs: u32,
    limits: Limits,
}

impl OnFile {
    fn path(&self) -> PathBuf {
        self.dir.path().join(format!("data/run-{}.redb", self.runs))
    }

    fn open(&self, key: &str) -> Result<Arc<dyn Store>, OpenError> {
        let clock = self.clock.clone();
        let now = Arc::new(move || UnixMillis(clock.load(Ordering::Relaxed)));
        let options = Options { cache: 1 << 20, clock: now, limits: self.limits, ..Options::default() };
        Ok(Arc::new(Embedded::open(&self.path(), &master(key), &options)?))
    }
}

impl Fixture for OnFile {
    async fn limited(limits: Limits) -> Self {
        let clock = Arc::new(AtomicU64::new(1_767_225_600_123));
        let mut fixture = Self { store: None, clock, dir: tempfile::tempdir().unwrap(), runs: 0, limits };
        fixture.store = Some(fixture.open(MASTER).unwrap());
        fixture
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    async fn advance(&self, by: Duration) {
        self.clock.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn everything(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    async fn restart(&mut self) {
        // A copy of the open file is what a killed process leaves behind.
        let before = self.path();
        self.runs += 1;
        std::fs::copy(before, self.path()).unwrap();
        self.store = None;
        self.store = Some(self.open(MASTER).unwrap());
    }

    async fn open_with(mut self, master: &str) -> Result<Arc<dyn Store>, OpenError> {
        self.store = None;
        self.open(master)
    }
}

/// Redis: a server of its own for each test.
pub struct OnRedis {
    pub server: RedisServer,
    store: Arc<dyn Store>,
}

/// Moves every TTL and every time in an index (`devices` and `sources` are by number): for the store it is then that much later.
const ADVANCE: &str = r"
local by = tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', 'pb:*')) do
  if redis.call('TYPE', key).ok == 'zset' and not key:match(':devices$') and not key:match(':sources$') then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, member) end
  end
  local rest = redis.call('PTTL', key)
  if rest >= 0 and rest <= by then redis.call('DEL', key) elseif rest >= 0 then redis.call('PEXPIRE', key, rest - by) end
end";

/// Nothing in these tests is about the deadline unless it says so, and the machine may be busy.
pub fn patient() -> Options {
    Options { deadline: Duration::from_secs(20), ..Options::default() }
}

impl OnRedis {
    pub async fn with(server: RedisServer) -> Self {
        Self::with_limits(server, Limits::default()).await
    }

    pub async fn with_limits(server: RedisServer, limits: Limits) -> Self {
        let options = Options { limits, ..patient() };
        let store = store::connect(&server.url(), &master(MASTER), &options).await.unwrap();
        Self { server, store }
    }
}

impl Fixture for OnRedis {
    async fn limited(limits: Limits) -> Self {
        Self::with_limits(RedisServer::start(&[]), limits).await
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    async fn advance(&self, by: Duration) {
        let mut line = self.server.connection().await;
        let by = u64::try_from(by.as_millis()).unwrap();
        redis::Script::new(ADVANCE).arg(by).invoke_async::<()>(&mut line).await.unwrap();
    }

    async fn everything(&self) -> Vec<u8> {
        dump(&mut self.server.connection().await).await
    }

    async fn restart(&mut self) {
        self.server.kill();
        self.server.start_again();
    }

    async fn open_with(self, key: &str) -> Result<Arc<dyn Store>, OpenError> {
        store::connect(&self.server.socket_url(), &master(key), &patient()).await
    }
}

pub fn domain() -> DomainName {
    DomainName::parse("example.com").unwrap()
}

pub fn other_domain() -> DomainName {
    DomainName::parse("other.example").unwrap()
}

pub fn code(number: u64) -> Code {
    Code::from_number(402_817_000_000 + number).unwrap()
}

pub fn device(number: u64) -> DeviceKey {
    DeviceKey::parse(&format!("0090334{number:05x}")).unwrap()
}

pub fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

pub fn at(name: &str, conn: u64) -> Whereabouts {
    Whereabouts { node: node(name), conn: ConnId(conn) }
}

pub fn facts(product: &str) -> Facts {
    Facts { product: product.into(), version: "13r3".into(), platform: "PHONE".into(), ..Facts::default() }
}

pub fn requester() -> Requester {
    Requester { app: "users".into(), sip: "users".into() }
}

pub async fn new_code(store: &dyn Store, code: Code, domain: &DomainName) -> CodeRecord {
    CodeRecord {
        code,
        domain: domain.clone(),
        category: CategoryId(3),
        sip: Some("ann".into()),
        requester: requester(),
        holder: Some(node("n1")),
        rollout: false,
        administrative: false,
        valid_until: store.now().await.unwrap() + VALID,
    }
}

/// Keeps a new code.
pub async fn put(store: &dyn Store, code: Code, domain: &DomainName) -> CodeRecord {
    let new = new_code(store, code, domain).await;
    assert_eq!(store.put_code(&new, u64::MAX).await.unwrap(), PutCode::Kept);
    new
}

pub fn entry(key: DeviceKey, domain: &DomainName, right: EntryRight) -> Entry {
    Entry {
        key,
        domain: domain.clone(),
        category: CategoryId(3),
        right,
        password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
        admin_password: None,
        name: None,
        facts: facts("IP112"),
    }
}

/// Enters with a code; panics unless the device is in.
pub async fn enter(store: &dyn Store, key: &DeviceKey, domain: &DomainName, code: Code) -> Device {
    inside(store.enter(&entry(key.clone(), domain, EntryRight::Code(code))).await.unwrap())
}

pub fn inside(entered: Entered) -> Device {
    match entered {
        Entered::In(device) => *device,
        refused => panic!("not in: {refused:?}"),
    }
}

/// Enters a device with a new code and puts its notice into the mailbox.
pub async fn notice(store: &dyn Store, number: u64) -> Code {
    put(store, code(number), &domain()).await;
    enter(store, &device(number), &domain(), code(number)).await;
    assert!(store.deposit(&domain(), &device(number)).await.unwrap());
    code(number)
}

pub fn listing(code: Code) -> NewListing {
    NewListing {
        code,
        url: "wss://ap.example.org/example.com/devices/sysclients".into(),
        credential: "c1".into(),
        ttl: VALID,
    }
}

/// The source of a stranger.
#[expect(clippy::unnecessary_wraps, reason = "as the store is asked")]
pub fn source(number: u8) -> Option<SourceKey> {
    Some(std::net::IpAddr::from([192, 0, 2, number]).into())
}
