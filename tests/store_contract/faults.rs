//! Redis that is full, demoted, silent or cut off: fail closed, nothing half done, quick return.

use std::time::Duration;

use futures_util::future::join_all;
use provbroker::core::model::device::CodeState;
use provbroker::store::{self, Entered, EntryRight, Options, Signal, StoreError};
use redis::aio::MultiplexedConnection;

use crate::fixture::*;
use crate::redis_server::RedisServer;

async fn set(line: &mut MultiplexedConnection, name: &str, value: impl ToString) {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value.to_string()).query_async::<()>(line).await.unwrap();
}

async fn used_memory(line: &mut MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(line).await.unwrap();
    info.lines().find_map(|l| l.strip_prefix("used_memory:")).unwrap().parse().unwrap()
}

fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) => why,
        other => panic!("{other}"),
    }
}

/// Memory runs out in the middle of many claims: each of them has happened whole or not at all.
#[tokio::test]
async fn a_full_store_makes_no_half_claims() {
    const CLAIMS: u64 = 2000;
    let f = OnRedis::with(RedisServer::start(&["--maxmemory-policy", "noeviction"])).await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    for number in 0..CLAIMS {
        put(store, code(number), &domain()).await;
    }
    // Scripts are in the cache before memory gets short.
    enter(store, &device(0), &domain(), code(0)).await;
    let limit = used_memory(&mut line).await + 1_000_000;
    set(&mut line, "maxmemory", limit).await;

    let claim = async |number| {
        let entry = entry(device(number), &domain(), EntryRight::Code(code(number)));
        (number, store.enter(&entry).await)
    };
    let (mut refused, mut inside) = (Vec::new(), 0);
    for first in (1..CLAIMS).step_by(100) {
        for (number, outcome) in join_all((first..CLAIMS.min(first + 100)).map(claim)).await {
            match outcome {
                Ok(Entered::In(_)) => {
                    inside += 1;
                    assert!(store.find_device(&device(number)).await.unwrap().is_some());
                }
                Ok(other) => panic!("{other:?}"),
                Err(e) => {
                    assert_eq!(reason(e), "store is full");
                    refused.push(number);
                }
            }
        }
    }
    assert!(inside > 50 && refused.len() > 50, "{inside} in, {} refused", refused.len());
    let mut half = 0;
    for &number in &refused {
        let open = store.find_code(code(number)).await.unwrap().unwrap().state == CodeState::Open;
        half += u32::from(!open || store.find_device(&device(number)).await.unwrap().is_some());
    }
    assert_eq!(half, 0);
    // What only makes room works on a full store, too.
    let password = entry(device(0), &domain(), EntryRight::Manual).password;
    store.confirm(&domain(), &device(0), &password).await.unwrap();
    assert!(!store.find_device(&device(0)).await.unwrap().unwrap().tentative);
    assert_eq!(reason(store.ping().await.unwrap_err()), "store is full");
    assert_eq!(reason(store.deposit(&domain(), &device(0)).await.unwrap_err()), "store is full");

    set(&mut line, "maxmemory", 0).await;
    for &number in &refused {
        enter(store, &device(number), &domain(), code(number)).await;
    }
    assert!(store.deposit(&domain(), &device(0)).await.unwrap());
}

#[tokio::test]
async fn a_demoted_store_is_noticed_and_used_again_after_its_promotion() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    put(store, code(1), &domain()).await;
    let mut replica_of = async |host: &str, port: &str| {
        redis::cmd("REPLICAOF").arg(host).arg(port).query_async::<()>(&mut line).await.unwrap();
    };
    replica_of("127.0.0.1", "1").await;
    let claim = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert_eq!(reason(store.enter(&claim).await.unwrap_err()), "store is read only");
    assert_eq!(reason(store.ping().await.unwrap_err()), "store is read only");
    replica_of("NO", "ONE").await;
    store.ping().await.unwrap();
    enter(store, &device(1), &domain(), code(1)).await;
}

/// Answers come within the deadline, and the first call after the return already works.
#[tokio::test]
async fn a_silent_store_fails_closed_within_the_deadline() {
    let server = RedisServer::start(&[]);
    let options = Options { deadline: Duration::from_millis(300), ..Options::default() };
    let store = store::connect(&server.url(), &master(MASTER), &options).await.unwrap();
    put(&*store, code(1), &domain()).await;
    server.pause();
    let claim = entry(device(1), &domain(), EntryRight::Code(code(1)));
    for _ in 0..8 {
        let answered = tokio::time::timeout(Duration::from_secs(2), store.enter(&claim)).await.expect("the deadline");
        assert_eq!(reason(answered.unwrap_err()), "no answer in time");
    }
    server.resume();
    // What was on its way is answered first; a claim that reached the server before it fell silent may have been made.
    let back = async {
        loop {
            if let Ok(entered) = store.enter(&claim).await {
                break inside(entered);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), back).await.expect("back within two seconds");
    assert!(store.find_device(&device(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn subscribers_are_told_of_a_gap() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    let mut signals = store.subscribe();
    let killed: u64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut line).await.unwrap();
    assert_eq!(killed, 1);
    let patience = Duration::from_secs(10);
    assert_eq!(tokio::time::timeout(patience, signals.recv()).await.unwrap(), Some(Signal::Gap));
    let mail = Signal::Mail { domain: domain(), code: Some(code(1)) };
    store.publish(&mail).await.unwrap();
    assert_eq!(tokio::time::timeout(patience, signals.recv()).await.unwrap(), Some(mail));
}

/// A killed server loses its connections and the scripts that it had in its cache.
#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let mut f = OnRedis::with(RedisServer::durable()).await;
    put(&**f.store(), code(1), &domain()).await;
    f.server.kill();
    let claim = entry(device(1), &domain(), EntryRight::Code(code(1)));
    let why = reason(f.store().enter(&claim).await.unwrap_err());
    assert!(why.contains("connection"), "{why}");
    f.server.start_again();
    enter(&**f.store(), &device(1), &domain(), code(1)).await;
}
