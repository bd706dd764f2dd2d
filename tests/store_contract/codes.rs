//! Codes: kept, found, limited, ended.

use std::time::Duration;

use provbroker::core::model::device::CodeState;
use provbroker::store::{CodeRecord, PutCode};

use crate::fixture::*;

pub async fn a_code_is_kept_and_found(f: impl Fixture) {
    let store = &**f.store();
    let new = put(store, code(1), &domain()).await;
    let found = store.find_code(code(1)).await.unwrap().unwrap();
    assert_eq!(Some(found.clone()), store.code_in(&domain(), code(1)).await.unwrap());
    assert_eq!((found.code, found.domain, found.category), (code(1), domain(), new.category));
    assert_eq!((found.sip, found.requester, found.holder), (new.sip, new.requester, new.holder));
    assert_eq!((found.rollout, found.valid_until, found.state), (false, new.valid_until, CodeState::Open));
    assert!(store.find_code(code(2)).await.unwrap().is_none());
    assert!(store.code_in(&other_domain(), code(1)).await.unwrap().is_none());
}

pub async fn a_code_is_kept_once(f: impl Fixture) {
    let store = &**f.store();
    let new = put(store, code(1), &domain()).await;
    // The very same again is a repetition after a time-out.
    assert_eq!(store.put_code(&new, 1).await.unwrap(), PutCode::Kept);
    let another = CodeRecord { sip: Some("bob".into()), ..new.clone() };
    assert_eq!(store.put_code(&another, u64::MAX).await.unwrap(), PutCode::Exists);
    let elsewhere = CodeRecord { domain: other_domain(), ..new.clone() };
    assert_eq!(store.put_code(&elsewhere, u64::MAX).await.unwrap(), PutCode::Exists);
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().sip, new.sip);
    enter(store, &device(1), &domain(), code(1)).await;
    assert_eq!(store.put_code(&new, u64::MAX).await.unwrap(), PutCode::Exists);
}

pub async fn open_codes_are_limited_by_kind(f: impl Fixture) {
    let store = &**f.store();
    for number in 0..3 {
        let new = new_code(store, code(number), &domain()).await;
        assert_eq!(store.put_code(&new, 3).await.unwrap(), PutCode::Kept);
    }
    let one_more = new_code(store, code(3), &domain()).await;
    assert_eq!(store.put_code(&one_more, 3).await.unwrap(), PutCode::TooMany);
    assert!(store.find_code(code(3)).await.unwrap().is_none());
    // The other kind and the other domain count for themselves.
    let rollout = CodeRecord { rollout: true, ..new_code(store, code(4), &domain()).await };
    assert_eq!(store.put_code(&rollout, 1).await.unwrap(), PutCode::Kept);
    let elsewhere = new_code(store, code(5), &other_domain()).await;
    assert_eq!(store.put_code(&elsewhere, 1).await.unwrap(), PutCode::Kept);
    // A code that was refused is not spoilt for anybody else.
    let refused_before = new_code(store, code(3), &other_domain()).await;
    assert_eq!(store.put_code(&refused_before, 2).await.unwrap(), PutCode::Kept);
    // One that is used makes room, and so does one whose time is over.
    enter(store, &device(1), &domain(), code(0)).await;
    let next = new_code(store, code(6), &domain()).await;
    assert_eq!(store.put_code(&next, 3).await.unwrap(), PutCode::Kept);
    let full = new_code(store, code(7), &domain()).await;
    assert_eq!(store.put_code(&full, 3).await.unwrap(), PutCode::TooMany);
    f.advance(VALID).await;
    let later = new_code(store, code(8), &domain()).await;
    assert_eq!(store.put_code(&later, 1).await.unwrap(), PutCode::Kept);
}

pub async fn an_open_code_ends_with_its_validity(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    f.advance(nearly(VALID)).await;
    assert!(store.find_code(code(1)).await.unwrap().is_some());
    f.advance(MINUTE).await;
    assert!(store.find_code(code(1)).await.unwrap().is_none());
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
    // The same code may come again: whether it is drawn again is the directory's matter.
    put(store, code(1), &other_domain()).await;
}

pub async fn a_used_code_is_known_for_thirty_days(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    let used = CodeState::Used { by: device(1), port: None };
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().state, used);
    f.advance(VALID).await;
    assert!(store.find_code(code(1)).await.unwrap().is_none());
    assert_eq!(store.code_in(&domain(), code(1)).await.unwrap().unwrap().state, used);
    f.advance(29 * DAY).await;
    assert_eq!(store.code_in(&domain(), code(1)).await.unwrap().unwrap().state, used);
    f.advance(DAY).await;
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
}

pub async fn the_holder_of_a_code_can_change(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    store.hold_code(&domain(), code(1), &node("n2")).await.unwrap();
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().holder, Some(node("n2")));
    enter(store, &device(1), &domain(), code(1)).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    store.hold_code(&domain(), code(1), &node("n3")).await.unwrap();
    store.renew_lease(&node("n3"), MINUTE).await.unwrap();
    let lease = Duration::from_secs(30);
    assert!(store.take(&domain(), &node("n2"), lease, 10, &[]).await.unwrap().is_empty());
    let taken = store.take(&domain(), &node("n3"), lease, 10, &[]).await.unwrap();
    assert_eq!(taken[0].holder, Some(node("n3")));
    // Of a code that is not there, nothing is made.
    store.hold_code(&domain(), code(9), &node("n3")).await.unwrap();
    assert!(store.code_in(&domain(), code(9)).await.unwrap().is_none());
}
