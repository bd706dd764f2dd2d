//! Locks with expiry.

use std::sync::Arc;

use crate::fixture::*;

pub async fn a_lock_has_one_holder_until_it_is_given_back(f: impl Fixture) {
    let store = &**f.store();
    assert!(store.lock("slot", "a", MINUTE).await.unwrap());
    assert!(!store.lock("slot", "b", MINUTE).await.unwrap());
    assert!(store.lock("other", "b", MINUTE).await.unwrap(), "another lock");
    store.unlock("slot", "b").await.unwrap();
    assert!(!store.lock("slot", "b", MINUTE).await.unwrap(), "only its holder gives it back");
    store.unlock("slot", "a").await.unwrap();
    store.unlock("slot", "a").await.unwrap();
    assert!(store.lock("slot", "b", MINUTE).await.unwrap());
}

pub async fn a_lock_ends_unless_it_is_renewed(f: impl Fixture) {
    let store = &**f.store();
    assert!(store.lock("slot", "a", 2 * MINUTE).await.unwrap());
    f.advance(MINUTE).await;
    assert!(store.lock("slot", "a", 2 * MINUTE).await.unwrap(), "renewed");
    f.advance(MINUTE + MINUTE / 2).await;
    assert!(!store.lock("slot", "b", MINUTE).await.unwrap());
    f.advance(MINUTE).await;
    assert!(store.lock("slot", "b", MINUTE).await.unwrap());
    assert!(!store.lock("slot", "a", MINUTE).await.unwrap(), "who has lost it finds out");
}

pub async fn of_many_exactly_one_holds_a_lock(f: impl Fixture) {
    let tries = (0..20).map(|number| {
        let store = Arc::clone(f.store());
        tokio::spawn(async move { store.lock("slot", &number.to_string(), MINUTE).await.unwrap() })
    });
    let mut held = 0;
    for taken in tries.collect::<Vec<_>>() {
        held += usize::from(taken.await.unwrap());
    }
    assert_eq!(held, 1);
}
