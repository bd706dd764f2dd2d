//! Processes with the Users role that are killed: at a random moment beside another node, and at the exact moments
//! between a notice and its answer. Whatever happens, each phone is entered once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use provbroker::config::{BackendKind, Config};
use provbroker::core::model::ids::Secret;
use provbroker::core::model::users_role::EntryState;
use provbroker::store::{self, Store};
use provbroker::users_role::LinkStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::many::{key, one};
use super::process::{Keep, PASSWORD, Process};
use super::receiver::{Receiver, SECRET};
use super::world::*;
use crate::support::broker::{Broker, CATEGORY, config, run};
use crate::support::raw::get;

/// As in the configuration of the processes.
const INSTANCE: &str = "password-of-the-instance";

/// Number of notices shared by two nodes.
const NOTICES: u64 = 400;

type Settings<'a> = Vec<(&'a str, &'a str)>;

/// Settings of a process with all roles and this receiver.
fn with_users_role<'a>(url: &'a str, users: &'a str) -> Settings<'a> {
    vec![
        ("server.roles", "directory,devices,users"),
        ("users.backend", "webhook"),
        ("users.webhook.url", url),
        ("users.webhook.secret", SECRET),
        ("users.webhook.users", users),
        ("users.webhook.timeout", "1s"),
        ("users.order_timeout", "1s"),
        ("apps.notice_hold", "200ms"),
        ("users.orders_at_once", "4"),
    ]
}

/// The store of the processes, with their domain in it.
async fn behind(keep: &Keep) -> Arc<dyn Store> {
    drop(keep.start(&[]));
    keep.end_leases().await;
    let keys = store::MasterKeys::of(Secret::new(INSTANCE));
    let options = store::Options { deadline: Duration::from_secs(2), ..store::Options::default() };
    store::connect(&keep.server().url(), &keys, &options).await.unwrap()
}

async fn figure(ops: SocketAddr, name: &str) -> u64 {
    let body = get(ops, "/metrics").await.body;
    let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

async fn all_done(store: &dyn Store) {
    until("every order is carried out and every notice settled", async || {
        let counts = store.order_counts(&domain()).await.unwrap();
        assert_eq!(counts.failed, 0);
        (counts.waiting == 0 && store.depth(&domain()).await.unwrap() == 0).then_some(())
    })
    .await;
}

/// A node like those processes, inside this one.
fn beside(keep: &Keep, url: &str, users: &Files) -> Broker {
    let change = |config: &mut Config| {
        with_users(config, users);
        config.users.backend = BackendKind::Webhook;
        config.users.webhook.users = users.users();
        config.users.webhook.url = url.into();
        config.users.webhook.secret = Secret::new(SECRET);
        config.users.orders_at_once = 4;
        config.instance.password = Secret::new(INSTANCE);
        config.domains.truncate(1);
        config.domains[0].password = Secret::new(PASSWORD);
    };
    let mut config = config(&keep.server().url());
    change(&mut config);
    Broker::start(config)
}

#[test]
#[ignore = "measured: waits until what a killed process had taken up is free again"]
fn a_node_dies_and_the_other_goes_on() {
    let (keep, files, receiver) = (Keep::redis(), Files::new(), Receiver::start());
    let (url, users) = (receiver.url(), files.users().display().to_string());
    run(async {
        let store = behind(&keep).await;
        stream::iter(0..NOTICES)
            .for_each_concurrent(64, async |number| one(&*store, number, person(&format!("user{number}"))).await)
            .await;
        let (dies, stays) = (keep.start(&with_users_role(&url, &users)), beside(&keep, &url, &files));
        let users_role = Arc::clone(stays.people());
        let done = "provbroker_people_orders_total{outcome=\"done\"}";
        until("both have begun", async || {
            (figure(dies.ops, done).await > 0 && receiver.requests() > NOTICES / 4).then_some(())
        })
        .await;
        let (share, before) = (figure(dies.ops, done).await, receiver.requests());
        dies.kill();
        assert!(before < NOTICES, "{before}: there was nothing left to do");

        // Codes and notices continue while the leases of the dead node last.
        until("Devices is there", async || {
            (users_role.status(&domain()).await.unwrap().devices == LinkStatus::Up).then_some(())
        })
        .await;
        let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
        let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
        let (phone_key, phone, _events) = phone_at(1, stays.addr);
        type_code(&phone, request.code).await;
        follow(&users_role, &request.id, is_entered).await;
        all_done(&*store).await;
        let mut expected: Vec<_> =
            (0..NOTICES).map(|number| (format!("user{number}"), key(number).to_string())).collect();
        expected.push(("anna".into(), phone_key.to_string()));
        expected.sort_unstable();
        let mut effects = receiver.effects();
        effects.sort_unstable();
        assert_eq!(effects, expected, "each exactly once");
        let repeated = receiver.requests() - NOTICES - 1;
        eprintln!(
            "{NOTICES} notices on two nodes, killed one after {before} of which it had done {share}; {repeated} repeated"
        );
    });
}

/// A proxy between a process and its Redis. At the first command with this text it stops all traffic, before or after
/// that command.
struct RedisProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    command: Vec<u8>,
    /// The command itself is still passed on; its answer is not.
    through: bool,
    stopped: AtomicBool,
    reached: Notify,
}

impl RedisProxy {
    /// Runs on a thread of its own, because starting a process blocks the caller.
    fn start(to: u16, command: &str, through: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let stopped = AtomicBool::new(false);
        let shared = Arc::new(Shared { command: command.into(), through, stopped, reached: Notify::new() });
        let its = Arc::clone(&shared);
        std::thread::spawn(move || run(accept(listener, to, its)));
        Self { addr, shared }
    }

    /// Returns when the traffic has stopped.
    async fn stopped(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.shared.reached.notified())
            .await
            .expect("the command is sent");
    }
}

async fn accept(listener: std::net::TcpListener, to: u16, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((process, _)) = listener.accept().await {
        let redis = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let ((from_process, to_process), (from_redis, to_redis)) = (process.into_split(), redis.into_split());
        tokio::spawn(carry(from_process, to_redis, Arc::clone(&shared), true));
        tokio::spawn(carry(from_redis, to_process, Arc::clone(&shared), false));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>, commands: bool) {
    let (mut buffer, mut tail) = (vec![0; 65_536], Vec::new());
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let mut last = false;
        if commands {
            tail.extend_from_slice(&buffer[..read]);
            last = tail.windows(shared.command.len()).any(|window| window == shared.command);
            tail.drain(..tail.len().saturating_sub(shared.command.len() - 1));
        }
        let first = last && !shared.stopped.swap(true, Ordering::SeqCst);
        if shared.stopped.load(Ordering::SeqCst) && !(first && shared.through) {
            if first {
                shared.reached.notify_one();
            }
            // Neither an answer nor the end of the connection.
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if first {
            shared.reached.notify_one();
        }
    }
}

/// Loads a script into Redis and returns its hash, so that it is called by it from the start.
async fn script(keep: &Keep, text: &str) -> String {
    let mut redis = keep.server().connection().await;
    let text = [include_str!("../../src/store/redis/lua/common.lua"), text].concat();
    redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut redis).await.unwrap()
}

const PLACE: &str = include_str!("../../src/store/redis/lua/place_order.lua");
const SETTLE: &str = include_str!("../../src/store/redis/lua/settle_order.lua");

/// Kills the process at this command, inspects what it has left, restarts it, and checks that the phone is entered
/// once.
async fn killed_at(command: &str, through: bool, left: impl AsyncFnOnce(&dyn Store, &Keep, &Receiver)) -> Receiver {
    let (keep, files, receiver) = (Keep::redis(), Files::new(), Receiver::start());
    let (url, users) = (receiver.url(), files.users().display().to_string());
    let store = behind(&keep).await;
    one(&*store, 7, person("anna")).await;
    let proxy = RedisProxy::start(keep.server().port(), &script(&keep, command).await, through);
    let settings = with_users_role(&url, &users);
    let dies: Process = keep.start_by(&format!("redis://{}", proxy.addr), &settings);
    proxy.stopped().await;
    if through {
        until("it is written", async || (entry(&*store).await != EntryState::None).then_some(())).await;
    }
    dies.kill();
    left(&*store, &keep, &receiver).await;

    keep.end_leases().await;
    let _again = keep.start(&settings);
    until("the phone is entered", async || (entry(&*store).await == EntryState::Done).then_some(())).await;
    all_done(&*store).await;
    assert_eq!(receiver.effects(), [("anna".to_owned(), key(7).to_string())]);
    receiver
}

/// State of the entry in the only request.
async fn entry(store: &dyn Store) -> EntryState {
    let requests = store.requests_of(&domain(), &person("anna").guid).await.unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].entry
}

async fn waiting(store: &dyn Store) -> (u64, u64) {
    (store.order_counts(&domain()).await.unwrap().waiting, store.depth(&domain()).await.unwrap())
}

#[test]
fn killed_between_notice_and_write() {
    run(async {
        let receiver = killed_at(PLACE, false, async |store, _, receiver| {
            assert_eq!((entry(store).await, waiting(store).await), (EntryState::None, (0, 1)));
            assert_eq!(receiver.requests(), 0);
        })
        .await;
        assert_eq!(receiver.requests(), 1);
    });
}

#[test]
fn killed_between_write_and_answer() {
    run(async {
        let receiver = killed_at(PLACE, true, async |store, _, receiver| {
            assert_eq!((entry(store).await, waiting(store).await), (EntryState::Waiting, (1, 1)));
            assert_eq!(receiver.requests(), 0);
        })
        .await;
        assert_eq!(receiver.requests(), 1);
    });
}

#[test]
fn killed_between_entry_and_outcome() {
    run(async {
        let receiver = killed_at(SETTLE, false, async |store, keep, receiver| {
            assert_eq!((entry(store).await, waiting(store).await.0, receiver.requests()), (EntryState::Waiting, 1, 1));
            // What the end of the lease does: the order is free again.
            let request = &store.requests_of(&domain(), &person("anna").guid).await.unwrap()[0];
            let mut redis = keep.server().connection().await;
            let mut due = redis::cmd("ZADD");
            due.arg("pb:{example.com}:people:orders").arg(&["XX", "CH", "0"]).arg(request.id.as_str());
            assert_eq!(due.query_async::<u64>(&mut redis).await.unwrap(), 1);
        })
        .await;
        assert_eq!(receiver.requests(), 2, "the second changes nothing");
    });
}
