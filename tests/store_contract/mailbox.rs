//! The mailbox: deposited, taken, given back, settled.

use std::time::Duration;

use provbroker::core::model::device::Notice;
use provbroker::core::model::ids::{Code, NodeId};
use provbroker::store::Store;

use crate::fixture::*;

const LEASE: Duration = Duration::from_secs(30);

async fn take(store: &dyn Store, by: &NodeId) -> Vec<Code> {
    store.take(&domain(), by, LEASE, 100, &[]).await.unwrap().iter().map(|notice| notice.code).collect()
}

pub async fn a_notice_is_deposited_once(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    assert_eq!(store.depth(&domain()).await.unwrap(), 0);
    assert!(store.deposit(&domain(), &device(1)).await.unwrap());
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
    assert!(!store.deposit(&domain(), &device(2)).await.unwrap());
    assert_eq!(store.depth(&domain()).await.unwrap(), 1);
    assert_eq!(store.depth(&other_domain()).await.unwrap(), 0);
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().pending, None);
    let taken = store.take(&domain(), &node("n1"), LEASE, 10, &[]).await.unwrap();
    let expected =
        Notice { code: code(1), device: device(1), port: None, requester: requester(), holder: Some(node("n1")) };
    assert_eq!(taken, [expected]);
    store.settle(&domain(), &[code(1)]).await.unwrap();
    store.settle(&domain(), &[code(1)]).await.unwrap();
    assert_eq!(store.depth(&domain()).await.unwrap(), 0);
    assert!(take(store, &node("n1")).await.is_empty());
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
}

pub async fn overdue_notices_are_deposited(f: impl Fixture) {
    let store = &**f.store();
    let age = 15 * MINUTE;
    for number in 0..300 {
        put(store, code(number), &domain()).await;
        enter(store, &device(number), &domain(), code(number)).await;
    }
    f.advance(nearly(age)).await;
    assert_eq!(store.deposit_overdue(&domain(), age).await.unwrap(), 0);
    put(store, code(999), &domain()).await;
    enter(store, &device(999), &domain(), code(999)).await;
    assert!(store.deposit(&domain(), &device(0)).await.unwrap());
    f.advance(MINUTE).await;
    assert_eq!(store.deposit_overdue(&domain(), age).await.unwrap(), 299);
    assert_eq!(store.deposit_overdue(&domain(), age).await.unwrap(), 0);
    assert_eq!(store.depth(&domain()).await.unwrap(), 300);
    f.advance(age).await;
    assert_eq!(store.deposit_overdue(&domain(), age).await.unwrap(), 1);
}

pub async fn a_taken_notice_is_not_taken_by_another_node(f: impl Fixture) {
    let store = &**f.store();
    let code = notice(store, 1).await;
    let (one, two) = (node("n1"), node("n2"));
    // Addressed to n1, which is dead: anybody may have it.
    store.renew_lease(&two, DAY).await.unwrap();
    assert_eq!(take(store, &two).await, [code]);
    store.renew_lease(&one, DAY).await.unwrap();
    assert!(take(store, &one).await.is_empty());
    assert!(take(store, &node("n3")).await.is_empty());
    // Who has taken it and dies loses it at once.
    store.end_lease(&two).await.unwrap();
    assert_eq!(take(store, &one).await, [code]);
    store.renew_lease(&two, DAY).await.unwrap();
    assert!(take(store, &two).await.is_empty());
    // The one who has it may ask for it again: it may have lost the answer.
    assert_eq!(take(store, &one).await, [code]);
    assert_eq!(store.depth(&domain()).await.unwrap(), 1);
}

pub async fn of_two_nodes_exactly_one_takes(f: impl Fixture) {
    let store = &**f.store();
    let (one, two) = (node("n2"), node("n3"));
    for node in [&one, &two] {
        store.renew_lease(node, DAY).await.unwrap();
    }
    for number in 0..100 {
        notice(store, number).await;
    }
    let (mut all, other) = tokio::join!(take(store, &one), take(store, &two));
    all.extend(other);
    all.sort();
    assert_eq!(all, (0..100).map(code).collect::<Vec<_>>());
}

pub async fn a_released_notice_may_be_taken_by_anybody(f: impl Fixture) {
    let store = &**f.store();
    let code = notice(store, 1).await;
    let (one, two) = (node("n1"), node("n2"));
    store.renew_lease(&one, DAY).await.unwrap();
    store.renew_lease(&two, DAY).await.unwrap();
    assert_eq!(take(store, &one).await, [code]);
    store.release(&domain(), &two, &[code]).await.unwrap();
    assert!(take(store, &two).await.is_empty(), "only its taker gives it back");
    store.release(&domain(), &one, &[code]).await.unwrap();
    let taken = store.take(&domain(), &two, LEASE, 10, &[]).await.unwrap();
    assert_eq!((taken[0].code, &taken[0].holder), (code, &None));
    store.release(&domain(), &two, &[]).await.unwrap();
    assert!(take(store, &one).await.is_empty());
}

pub async fn a_notice_for_a_live_node_is_left_to_it(f: impl Fixture) {
    let store = &**f.store();
    let code = notice(store, 1).await;
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    assert!(take(store, &node("n2")).await.is_empty());
    f.advance(MINUTE).await;
    assert_eq!(take(store, &node("n2")).await, [code]);
}

pub async fn a_lease_ends(f: impl Fixture) {
    let store = &**f.store();
    let code = notice(store, 1).await;
    for name in ["n2", "n3"] {
        store.renew_lease(&node(name), DAY).await.unwrap();
    }
    assert_eq!(take(store, &node("n2")).await, [code]);
    f.advance(LEASE / 2).await;
    assert!(take(store, &node("n3")).await.is_empty());
    f.advance(LEASE / 2).await;
    assert_eq!(take(store, &node("n3")).await, [code]);
}

pub async fn taking_is_limited_and_skips(f: impl Fixture) {
    let store = &**f.store();
    let node = node("n1");
    for number in 0..300 {
        notice(store, number).await;
        f.advance(Duration::from_millis(10)).await;
    }
    let first = store.take(&domain(), &node, LEASE, 7, &[]).await.unwrap();
    let codes: Vec<_> = first.iter().map(|notice| notice.code).collect();
    assert_eq!(codes, (0..7).map(code).collect::<Vec<_>>(), "the oldest first");
    let rest = store.take(&domain(), &node, LEASE, 1000, &codes).await.unwrap();
    assert_eq!(rest.len(), 293);
    assert!(rest.iter().all(|notice| !codes.contains(&notice.code)));
    assert!(store.take(&domain(), &node, LEASE, 0, &[]).await.unwrap().is_empty());
    store.settle(&domain(), &codes).await.unwrap();
    assert_eq!(store.depth(&domain()).await.unwrap(), 293);
}

pub async fn a_notice_ends_after_thirty_days(f: impl Fixture) {
    let store = &**f.store();
    let code = notice(store, 1).await;
    f.advance(nearly(30 * DAY)).await;
    assert_eq!(store.depth(&domain()).await.unwrap(), 1);
    assert_eq!(take(store, &node("n1")).await, [code]);
    f.advance(MINUTE).await;
    assert_eq!(store.depth(&domain()).await.unwrap(), 0);
    assert!(take(store, &node("n1")).await.is_empty());
    assert!(store.code_in(&domain(), code).await.unwrap().is_none());
}
