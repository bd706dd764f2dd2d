//! Sessions in browsers.

use std::time::Duration;

use provbroker::store::{MAX_SESSIONS, SessionHash, Store};
use redis::AsyncCommands as _;

use crate::accounts::{account, identity, name};

use crate::fixture::*;

const IDLE: Duration = Duration::from_secs(1800);

const WHOLE: Duration = Duration::from_secs(12 * 3600);

fn hash(number: u32) -> SessionHash {
    SessionHash::from_text(&format!("session {number}"))
}

async fn begin(store: &dyn Store, number: u32, of: &str) {
    let session = store.begin_session(&hash(number), &identity(of), "Browser 1", IDLE, WHOLE).await.unwrap();
    assert_eq!((session.identity, &*session.browser), (identity(of), "Browser 1"));
    assert_eq!(session.ends, session.began + WHOLE);
}

async fn lives(store: &dyn Store, number: u32) -> bool {
    store.use_session(&hash(number), Some(IDLE)).await.unwrap().is_some()
}

pub async fn a_session_ends_when_it_is_idle(f: impl Fixture) {
    let store = &**f.store();
    begin(store, 1, "anna").await;
    assert!(lives(store, 1).await && !lives(store, 2).await);
    f.advance(nearly(IDLE)).await;
    assert!(lives(store, 1).await, "used in time");
    f.advance(nearly(IDLE)).await;
    assert!(lives(store, 1).await, "and again");
    f.advance(nearly(IDLE)).await;
    assert!(store.use_session(&hash(1), None).await.unwrap().is_some(), "only looked at");
    f.advance(MINUTE).await;
    assert!(!lives(store, 1).await);
    assert!(store.sessions_of(&name("anna")).await.unwrap().is_empty());
}

pub async fn a_session_ends_at_last(f: impl Fixture) {
    let store = &**f.store();
    begin(store, 1, "anna").await;
    let step = nearly(IDLE);
    for _ in 0..WHOLE.as_secs() / step.as_secs() {
        f.advance(step).await;
        assert!(lives(store, 1).await);
    }
    f.advance(step).await;
    assert!(!lives(store, 1).await, "however much it was used");
}

pub async fn sessions_are_ended_one_by_one_and_all_at_once(f: impl Fixture) {
    let store = &**f.store();
    for (number, of) in [(1, "anna"), (2, "anna"), (3, "anna"), (4, "ben")] {
        begin(store, number, of).await;
        f.advance(MINUTE).await;
    }
    let of_anna = store.sessions_of(&name("anna")).await.unwrap();
    let mut hashes: Vec<_> = of_anna.into_iter().map(|(hash, _)| hash).collect();
    hashes.sort();
    let mut expected = vec![hash(1), hash(2), hash(3)];
    expected.sort();
    assert_eq!(hashes, expected);
    assert!(!store.end_session(&name("ben"), &hash(1)).await.unwrap(), "it is not his");
    assert!(lives(store, 1).await);
    assert!(store.end_session(&name("anna"), &hash(1)).await.unwrap());
    assert!(!store.end_session(&name("anna"), &hash(1)).await.unwrap());
    assert!(!lives(store, 1).await && lives(store, 2).await);
    assert_eq!(store.end_sessions_of(&name("anna")).await.unwrap(), 2);
    assert!(!lives(store, 2).await && !lives(store, 3).await && lives(store, 4).await);
    assert_eq!(store.end_sessions_of(&name("anna")).await.unwrap(), 0);
}

pub async fn an_account_has_only_so_many_sessions(f: impl Fixture) {
    let store = &**f.store();
    let all = u32::try_from(MAX_SESSIONS).unwrap() + 2;
    for number in 0..all {
        begin(store, number, "anna").await;
        f.advance(Duration::from_millis(5)).await;
    }
    assert_eq!(store.sessions_of(&name("anna")).await.unwrap().len(), MAX_SESSIONS);
    assert!(!lives(store, 0).await && !lives(store, 1).await && lives(store, 2).await && lives(store, all - 1).await);
}

#[tokio::test]
async fn redis_keeps_no_session_and_no_hash_in_the_open() {
    let f = OnRedis::start().await;
    let (store, mut line) = (&**f.store(), f.server.connection().await);
    store.put_account(&account("anna", "$argon2id$hush"), false).await.unwrap();
    begin(store, 1, "anna").await;
    let rows: Vec<String> = line.hvals("pb:accounts").await.unwrap();
    assert!(rows[0].contains("anna") && !rows[0].contains("hush") && !rows[0].contains("argon"));
    let key = format!("pb:web:{{web}}:session:{}", hash(1).as_str());
    let ttl: i64 = line.pttl(&key).await.unwrap();
    assert!(ttl > 1_770_000 && ttl <= 1_800_000, "{ttl}");
    let ttl: i64 = line.pttl("pb:web:{web}:of:anna").await.unwrap();
    assert!(ttl > 43_100_000 && ttl <= 43_200_000, "{ttl}");
}
