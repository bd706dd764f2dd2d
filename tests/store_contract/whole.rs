//! The store as a whole: its clock, its key, what it keeps across a restart, and how it is opened.

use std::sync::Arc;
use std::time::Duration;

use provbroker::store::embedded::Embedded;
use provbroker::store::{self, OpenError};

use crate::fixture::*;
use crate::redis_server::RedisServer;

pub async fn the_store_answers_and_tells_the_time(f: impl Fixture) {
    let store = &**f.store();
    store.ping().await.unwrap();
    let now = store.now().await.unwrap();
    assert!(now.seconds() > 1_700_000_000 && now.seconds() < 10_000_000_000);
    assert!(store.now().await.unwrap() >= now);
}

pub async fn another_master_key_is_refused(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let refused = f.open_with("another master key").await.err().expect("it must not open");
    assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
    assert!(refused.to_string().contains("another master key; set the key"), "{refused}");
}

/// What was acknowledged is there after a kill: open and used codes, members, notices.
async fn survives(mut f: impl Fixture) {
    let store = Arc::clone(f.store());
    for number in 0..50 {
        put(&*store, code(number), &domain()).await;
    }
    let mut members = Vec::new();
    for number in 0..20 {
        members.push(enter(&*store, &device(number), &domain(), code(number)).await);
    }
    for number in 0..10 {
        assert!(store.deposit(&domain(), &device(number)).await.unwrap());
        members[usize::try_from(number).unwrap()].pending = None;
    }
    drop(store);
    f.restart().await;
    let store = &**f.store();
    for (number, member) in (0..).zip(members) {
        assert_eq!(store.find_device(&device(number)).await.unwrap().unwrap(), member);
    }
    assert_eq!(store.depth(&domain()).await.unwrap(), 10);
    for number in 20..50 {
        enter(store, &device(number), &domain(), code(number)).await;
    }
    f.advance(MINUTE).await;
    assert_eq!(store.deposit_overdue(&domain(), Duration::ZERO).await.unwrap(), 40);
}

#[tokio::test]
async fn a_file_keeps_what_was_acknowledged() {
    survives(OnFile::start().await).await;
}

#[tokio::test]
async fn redis_keeps_what_was_acknowledged() {
    survives(OnRedis::with(RedisServer::durable()).await).await;
}

#[tokio::test]
async fn a_file_in_use_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", dir.path().join("new/folder/store.redb").display());
    let _held = store::connect(&url, &master(MASTER), &patient()).await.unwrap();
    let refused = store::connect(&url, &master(MASTER), &patient()).await.err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert_eq!(refused.to_string().lines().count(), 1);
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_where_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Embedded::open(dir.path(), &master(MASTER), &patient()).err().unwrap();
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
    for url in ["embedded:", "mysql://root:hunter2@db", "hunter2", "redis://:hunter2@[::1"] {
        let refused = store::connect(url, &master(MASTER), &patient()).await.err().unwrap();
        assert!(matches!(refused, OpenError::Address { .. }), "{refused}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    // Nobody listens there: the port was ours until now.
    let mut gone = RedisServer::start(&[]);
    gone.kill();
    let url = format!("redis://:hunter2@127.0.0.1:{}", gone.port());
    let refused = store::connect(&url, &master(MASTER), &patient()).await.err().unwrap();
    let place = format!("127.0.0.1:{}", gone.port());
    assert!(refused.to_string().contains(&place) && !refused.to_string().contains("hunter2"), "{refused}");
}
