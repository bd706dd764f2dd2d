//! The store on Redis 7 or later. The key schema is at the head of `keys.rs`.
//!
//! Each operation is one script, or a few steps. Each step may be repeated, and after each of them another node could
//! continue. The time is always that of the server. Validity is a TTL, so nothing sweeps. The keys are laid out for a
//! cluster, but there is no routing in one: the connection is to one server.

mod accounts;
mod attempts;
mod audit_log;
mod batch;
mod bundles;
mod bus;
mod code_names;
mod codes;
mod connection;
mod devices;
mod directory;
mod domains;
mod entry;
mod figures;
mod jobs;
mod keyring;
mod keys;
mod locks;
mod mailbox;
mod misdirected;
mod offers;
mod owner;
mod presence;
mod records;
mod rollouts;
mod schema;
mod timelines;
mod tls_ticket_keys;
mod transfer;
mod unassigned;
mod users_role;
mod web_sessions;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redis::{Client, ConnectionAddr, IntoConnectionInfo as _, Script, cmd};
use async_trait::async_trait;

use self::connection::RedisClient;
use self::presence::Step;
use super::fanout::Fanout;
use super::keyring::MasterKeys;
use super::schema::{Stage, VERSION, VERSIONED};
use super::seal::Sealer;
use super::{Limits, MigrationOptions, Result, Store, StoreError};
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::UnixMillis;
use crate::store::options::{OpenError, Options, reason};
use crate::store::redis::batch::Batcher;

/// A script of `lua/`, with the functions of `common.lua` in front; with `strangers` also those of `strangers.lua`. A
/// script that is `allowed_when_full` writes on a full server, too: it must not let the store grow.
macro_rules! script {
    ($name:literal) => { $crate::store::redis::script!(@ "", $name) };
    ($name:literal, strangers) => { $crate::store::redis::script!(@ "", "strangers", $name) };
    ($name:literal, allowed_when_full) => { $crate::store::redis::script!(@ "#!lua flags=allow-oom\n", $name) };
    (@ $first:literal, $($file:literal),+) => {
        std::sync::LazyLock::new(|| {
            ::redis::Script::new(concat!(
                $first,
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/redis/lua/common.lua")),
                $(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/redis/lua/", $file, ".lua"))),+
            ))
        })
    };
}
use script;

/// A script, created when it is first used.
type LazyScript = std::sync::LazyLock<Script>;

/// Full batches in flight on a lane: while Redis processes one, the next one is written.
const BATCHES: usize = 2;

/// TTL of the key of [`Store::ping`].
const PING_STAYS: Duration = Duration::from_secs(10);

/// What [`Store::ping`] writes.
const PROBE: [u8; 16 * 1024] = [b'0'; 16 * 1024];

/// After a refused write the store counts as full for this long: a key that ends makes room for one more write, and not
/// for those of the broker. Longer than the time between two writes of a node without any traffic.
const FULL_FOR: Duration = Duration::from_secs(10);

/// All of the store on one Redis.
pub struct Redis {
    client: Arc<RedisClient>,
    finding: Batcher<DeviceKey, Option<records::Found>>,
    attaching: Batcher<Step, Vec<u8>>,
    detaching: Batcher<Step, ()>,
    sealer: Sealer,
    ring: keyring::Ring,
    schema: schema::Current,
    options: MigrationOptions,
    fanout: Arc<Fanout>,
    device_ids: Mutex<std::ops::Range<u64>>,
    limits: Limits,
    _bus: bus::Listener,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis(…)")
    }
}

impl Redis {
    /// Connects, opens the key ring, and listens for signals. `url`: `redis://`, `rediss://`, `redis+unix://` or
    /// `unix://`.
    pub async fn connect(url: &str, master: &MasterKeys, options: &Options) -> std::result::Result<Self, OpenError> {
        let address = |why: &::redis::RedisError| OpenError::Address { why: why.category().into() };
        let info = url.into_connection_info().map_err(|e| address(&e))?;
        let place = place(info.addr());
        let server = Client::open(info).map_err(|e| address(&e))?;
        let client = Arc::new(RedisClient::new(&server, options.deadline, options.lanes).map_err(|e| address(&e))?);
        let unreachable = |e| OpenError::Unreachable { place: place.clone(), why: reason(e) };

        // At the start there is time to connect; the deadline of commands would be too short for a distant server.
        let opening = open_schema(&client, master, &place);
        let opened = match tokio::time::timeout(connection::CONNECT * 4, opening).await {
            Ok(answer) => answer.map_err(unreachable)??,
            Err(_) => return Err(OpenError::Unreachable { place, why: "no answer in time".into() }),
        };
        let (stage, ring) = opened;
        let sealer = Sealer::new(ring.keyring().keys(), stage);

        let fanout = Arc::<Fanout>::default();
        let bus = bus::Listener::start(server, sealer.clone(), fanout.clone()).await.map_err(unreachable)?;
        let lanes = options.lanes;
        Ok(Self {
            finding: Batcher::new(&client, lanes, BATCHES, records::find_all),
            attaching: Batcher::new(&client, lanes, BATCHES, presence::attach_all),
            detaching: Batcher::new(&client, lanes, BATCHES, presence::detach_all),
            client,
            sealer,
            ring,
            schema: schema::Current::new(),
            options: options.migration.clone(),
            fanout,
            device_ids: Mutex::new(0..0),
            limits: options.limits,
            _bus: bus,
        })
    }
}

/// Reads the version, and opens the key ring. A new store gets the newest version.
async fn open_schema(
    client: &RedisClient,
    master: &MasterKeys,
    place: &str,
) -> Result<std::result::Result<(Stage, keyring::Ring), OpenError>> {
    let claim = cmd("SET").arg(keys::KEY_CHECK).arg(VERSIONED).arg("NX").arg("GET").take();
    let check: Option<String> = client.ask(&claim).await?;
    let check = check.filter(|check| check != VERSIONED);
    if check.is_none() {
        // A store that is migrated for the first time has a version already. Whoever makes a new one may have ended
        // between these steps.
        let make = cmd("HSETNX").arg(keys::SCHEMA).arg("version").arg(VERSION).take();
        let () = client.ask(&make).await?;
    }
    let record = schema::Record::of(client.ask(&schema::Record::read()).await?);
    if record.stage.version > VERSION {
        return Ok(Err(OpenError::Newer { place: place.into(), theirs: record.stage.version, ours: VERSION }));
    }
    let check = check.or(Some(record.check).filter(|check| !check.is_empty()));
    let ring = keyring::open(client, master.clone(), check.as_deref(), place).await?;
    Ok(ring.map(|ring| (record.stage, ring)))
}

/// Where a server is, without its password.
fn place(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
        ConnectionAddr::Unix(path) => path.display().to_string(),
        _ => "an unknown kind of address".into(),
    }
}

/// Milliseconds for Redis; none of the durations here is near the end of the range.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Store for Redis {
    async fn ping(&self) -> Result<()> {
        // Not smaller than a record: a server that is nearly full still takes a small write.
        let write = cmd("SET").arg(keys::PING).arg(&PROBE[..]).arg("PX").arg(millis(PING_STAYS)).take();
        self.client.timed(self.client.ask::<()>(&write)).await?;
        if self.client.was_full_within(FULL_FOR) {
            return Err(StoreError::Unavailable("store was full a moment ago".into()));
        }
        Ok(())
    }

    async fn now(&self) -> Result<UnixMillis> {
        self.client.timed(self.server_time()).await
    }
}

impl Redis {
    async fn server_time(&self) -> Result<UnixMillis> {
        let (seconds, micros): (u64, u64) = self.client.ask(&cmd("TIME")).await?;
        Ok(UnixMillis(seconds * 1000 + micros / 1000))
    }
}
