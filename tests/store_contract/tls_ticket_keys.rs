//! Keys of TLS session tickets.

use std::sync::Arc;
use std::time::Duration;

use provbroker::store::TicketKey;
use redis::AsyncCommands as _;

use crate::fixture::*;
use crate::redis_server::RedisServer;

/// As short as a lifetime can be: new keys every five minutes, kept for fifteen.
const ROTATE: Duration = Duration::from_secs(300);
const KEEP: Duration = Duration::from_secs(900);

fn fresh(number: u8) -> TicketKey {
    TicketKey { name: [number; 16], secret: [number ^ 0xff; 32], age: Duration::ZERO }
}

fn names(keys: &[TicketKey]) -> Vec<u8> {
    assert!(keys.iter().all(|key| key.secret == [key.name[0] ^ 0xff; 32]), "whole, and of one piece");
    assert!(keys.is_sorted_by(|newer, older| newer.age <= older.age), "newest first");
    keys.iter().map(|key| key.name[0]).collect()
}

pub async fn keys_of_tickets_are_shared_and_rotated(f: impl Fixture) {
    let store = &**f.store();
    let offer = async |number| store.ticket_keys(&fresh(number), ROTATE, KEEP).await.unwrap();
    assert_eq!(names(&offer(1).await), [1], "there was none");
    assert_eq!(names(&offer(2).await), [1], "another node finds it");
    f.advance(nearly(ROTATE)).await;
    let keys = offer(3).await;
    assert_eq!(names(&keys), [1]);
    assert!(keys[0].age >= nearly(ROTATE) && keys[0].age < ROTATE, "{:?}", keys[0].age);
    f.advance(MINUTE).await;
    assert_eq!(names(&offer(4).await), [4, 1]);
    f.advance(ROTATE).await;
    assert_eq!(names(&offer(5).await), [5, 4, 1]);
    f.advance(ROTATE).await;
    assert_eq!(names(&offer(6).await), [6, 5, 4], "the first has been kept for its time");
    f.advance(KEEP).await;
    assert_eq!(names(&offer(7).await), [7]);
}

pub async fn of_many_new_keys_exactly_one_is_kept(f: impl Fixture) {
    let offers = (0..20).map(|number| {
        let store = Arc::clone(f.store());
        tokio::spawn(async move { store.ticket_keys(&fresh(number), ROTATE, KEEP).await.unwrap() })
    });
    let mut seen = Vec::new();
    for offer in offers.collect::<Vec<_>>() {
        seen.extend(names(&offer.await.unwrap()));
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|name| *name == seen[0]), "{seen:?}");
}

async fn survive(mut f: impl Fixture) {
    assert_eq!(names(&f.store().ticket_keys(&fresh(1), ROTATE, KEEP).await.unwrap()), [1]);
    f.restart().await;
    assert_eq!(names(&f.store().ticket_keys(&fresh(2), ROTATE, KEEP).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_file_keeps_them() {
    survive(OnFile::start().await).await;
}

#[tokio::test]
async fn redis_keeps_them_sealed_and_no_longer_than_needed() {
    let f = OnRedis::with(RedisServer::durable()).await;
    f.store().ticket_keys(&fresh(1), ROTATE, KEEP).await.unwrap();
    let mut line = f.server.connection().await;
    let ttl: i64 = line.pttl("pb:tickets").await.unwrap();
    assert!(ttl > 870_000 && ttl <= 900_000, "{ttl}");
    let kept: Vec<Vec<u8>> = line.zrange("pb:tickets", 0, -1).await.unwrap();
    let secret = |part: &[u8]| part == [1 ^ 0xff; 8] || part == b"fefefefe";
    assert!(kept.len() == 1 && !kept[0].windows(8).any(secret));
    survive(f).await;
}
