//! Many devices at the same moment: each gets its own answer, however few round trips they share.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use provbroker::core::model::ids::DomainName;
use provbroker::store::{self, EntryRight, Options, Store, StoreError};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::fixture::*;
use crate::redis_server::RedisServer;

/// More than two batches.
const MANY: u64 = 600;

/// Every third device is of the other domain.
fn domain_of(number: u64) -> DomainName {
    if number.is_multiple_of(3) { other_domain() } else { domain() }
}

async fn enter_all(store: &dyn Store, count: u64) {
    let enter = async |number| store.enter(&entry(device(number), &domain_of(number), EntryRight::Manual)).await;
    for entered in join_all((0..count).map(enter)).await {
        inside(entered.unwrap());
    }
}

pub async fn many_devices_are_found_at_once(f: impl Fixture) {
    let store = &**f.store();
    enter_all(store, MANY).await;
    let found = join_all((0..MANY + 10).map(async |number| store.find_device(&device(number)).await.unwrap())).await;
    for (number, found) in (0..).zip(found) {
        let expected = (number < MANY).then(|| (device(number), domain_of(number)));
        assert_eq!(found.map(|found| (found.key, found.domain)), expected);
    }
}

pub async fn many_members_come_and_go_at_once(f: impl Fixture) {
    let store = &**f.store();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.renew_lease(&node("n2"), MINUTE).await.unwrap();
    let attach = async |node: &str| {
        let attach = async |number| store.attach(&domain_of(number), &device(number), &at(node, number)).await.unwrap();
        join_all((0..MANY).map(attach)).await
    };
    let online = async || {
        let online = async |number| store.whereabouts(&domain_of(number), &device(number)).await.unwrap();
        join_all((0..MANY).map(online)).await
    };
    assert!(attach("n1").await.iter().all(Option::is_none));
    let all_at = |node: &str| -> Vec<_> { (0..MANY).map(|number| Some(at(node, number))).collect() };
    assert_eq!(attach("n2").await, all_at("n1"));
    assert_eq!(attach("n2").await, all_at("n1"), "a repetition gives the same answers");
    assert_eq!(online().await, all_at("n2"));
    // Half of them go; of the other half, a connection that has been replaced.
    let detach = async |number| {
        let of = if number < MANY / 2 { "n2" } else { "n1" };
        store.detach(&domain_of(number), &device(number), &at(of, number)).await.unwrap();
    };
    join_all((0..MANY).map(detach)).await;
    let left = (0..MANY).map(|number| (number >= MANY / 2).then(|| at("n2", number)));
    assert_eq!(online().await, left.collect::<Vec<_>>());
}

/// Each connection of a device replaces the one before it, as if they had come one after the other.
pub async fn a_device_may_come_several_times_at_once(f: impl Fixture) {
    let store = &**f.store();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    let attach = async |conn| {
        let one = store.attach(&domain(), &device(1), &at("n1", conn)).await.unwrap();
        let other = store.attach(&domain(), &device(2), &at("n1", 100 + conn)).await.unwrap();
        (one, other)
    };
    for (conn, (one, other)) in (1_u64..).zip(join_all((1..=8).map(attach)).await) {
        let before = |offset| (conn > 1).then(|| at("n1", offset + conn - 1));
        assert_eq!((one, other), (before(0), before(100)));
    }
    assert_eq!(attach(8).await, (Some(at("n1", 7)), Some(at("n1", 107))), "a repetition gives the same answer");
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 8)));
    let detach = async |conn| store.detach(&domain(), &device(1), &at("n1", conn)).await.unwrap();
    join_all((1..=7).map(detach)).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 8)));
    join_all([8, 8].map(detach)).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_read_fails_only_who_wants_it() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    enter_all(store, 12).await;
    let record = |number| format!("pb:{{{}}}:device:{}", domain_of(number), device(number));
    let _: () = line.hset(record(1), "facts", "{").await.unwrap();
    let _: () = line.hdel(record(2), "id").await.unwrap();
    let _: () = line.hset(record(3), "password", "not sealed").await.unwrap();
    let _: () = line.del(record(4)).await.unwrap();
    let _: () = line.set(record(4), "not a hash").await.unwrap();
    let _: () = line.set(format!("pb:owner:{}", device(5)), &b"no name \xff"[..]).await.unwrap();
    let found = join_all((0..12).map(async |number| store.find_device(&device(number)).await)).await;
    for (number, found) in (0..).zip(found) {
        match number {
            1 | 2 | 3 | 5 => assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{number}: {found:?}"),
            4 => assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}"),
            _ => assert_eq!(found.unwrap().unwrap().key, device(number)),
        }
    }
    // The members of the other domain are in another script.
    let _: () = line.set("pb:{other.example}:presence", "not a hash").await.unwrap();
    let attach = async |number| store.attach(&domain_of(number), &device(number), &at("n1", number)).await;
    for (number, attached) in (0..).zip(join_all((0..12).map(attach)).await) {
        assert_eq!(attached.is_ok(), domain_of(number) == domain(), "{number}: {attached:?}");
    }
}

/// All calls since the last `CONFIG RESETSTAT`, those inside scripts included.
async fn calls(line: &mut MultiplexedConnection) -> Vec<(String, u64)> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(line).await.unwrap();
    let of = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().unwrap()))
    };
    let other = HashSet::from(["config|resetstat", "info"]);
    info.lines().filter_map(of).filter(|(name, _)| !other.contains(&**name)).collect()
}

/// What a registration asks of Redis (`docs/performance.md`: two commands at most). It is one for the record of each
/// device, and what the devices share: a batch of owners is one command, a batch of members of one domain three. With
/// 500 devices that move together that is a dozen; 100 leave room for batches that come out smaller.
#[tokio::test]
async fn devices_that_register_together_cost_few_commands() {
    const DEVICES: u64 = 500;
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    for number in 0..DEVICES {
        inside(store.enter(&entry(device(number), &domain(), EntryRight::Manual)).await.unwrap());
    }
    // The script is in the cache before it counts.
    store.attach(&domain(), &device(DEVICES), &at("n1", DEVICES)).await.unwrap();
    redis::cmd("CONFIG").arg("RESETSTAT").query_async::<()>(&mut line).await.unwrap();
    let register = async |number| {
        let found = store.find_device(&device(number)).await.unwrap().unwrap();
        assert_eq!(store.attach(&found.domain, &device(number), &at("n1", number)).await.unwrap(), None);
    };
    join_all((0..DEVICES).map(register)).await;
    let calls = calls(&mut line).await;
    let all: u64 = calls.iter().map(|(_, calls)| calls).sum();
    println!("{DEVICES} devices: {all} commands, {calls:?}");
    assert!((DEVICES..=DEVICES + 100).contains(&all), "{calls:?}");
}

/// A batch without an answer ends with the deadline; what comes after it is not behind it for ever.
#[tokio::test]
async fn a_silent_store_does_not_hold_up_what_comes_later() {
    let server = RedisServer::start(&[]);
    let options = Options { deadline: Duration::from_millis(300), ..Options::default() };
    let store = store::connect(&server.url(), &master(MASTER), &options).await.unwrap();
    let patient = store::connect(&server.url(), &master(MASTER), &patient()).await.unwrap();
    for number in 0..50 {
        inside(patient.enter(&entry(device(number), &domain(), EntryRight::Manual)).await.unwrap());
    }
    let register = async |number| -> store::Result<()> {
        assert!(store.find_device(&device(number)).await?.is_some());
        store.attach(&domain(), &device(number), &at("n1", number)).await?;
        store.detach(&domain(), &device(number), &at("n1", number)).await
    };
    let all = async || -> store::Result<()> { join_all((0..50).map(register)).await.into_iter().collect() };
    server.pause();
    for _ in 0..3 {
        let silent = join_all((0..50).map(async |number| {
            let (of, key, here) = (domain(), device(number), at("n1", number));
            tokio::join!(store.find_device(&key), store.attach(&of, &key, &here), store.detach(&of, &key, &here),)
        }));
        let silent = tokio::time::timeout(Duration::from_secs(2), silent).await.expect("the deadline");
        for (device, attached, detached) in silent {
            let errors = [device.unwrap_err(), attached.unwrap_err(), detached.unwrap_err()];
            assert!(errors.iter().all(|e| e.to_string().ends_with("no answer in time")), "{errors:?}");
        }
    }
    server.resume();
    let back = async { while all().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it is not held up");
}
