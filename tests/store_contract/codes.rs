//! Codes: kept, found, limited, listed, revoked, ended.

use std::time::Duration;

use provbroker::core::model::device::CodeState;
use provbroker::core::model::ids::Code;
use provbroker::store::{CodeListing, CodeRecord, Entered, EntryRight, PutCode, Store};

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

/// The whole list in pages of `limit`.
async fn all_codes(store: &dyn Store, limit: usize) -> Vec<CodeListing> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = store.codes(&domain(), before, limit).await.unwrap();
        assert!(page.len() <= limit);
        before = page.last().map(|last| (last.issued, last.code.code));
        let over = page.len() < limit;
        all.extend(page);
        if over {
            return all;
        }
    }
}

fn numbers(listings: &[CodeListing]) -> Vec<Code> {
    let mut codes: Vec<_> = listings.iter().map(|listing| listing.code.code).collect();
    codes.sort();
    codes
}

pub async fn codes_are_listed_newest_first(f: impl Fixture) {
    let store = &**f.store();
    assert!(store.codes(&domain(), None, 10).await.unwrap().is_empty());
    // Many within the same millisecond, too.
    for number in 0..20 {
        put(store, code(number), &domain()).await;
    }
    f.advance(MINUTE).await;
    let late = store.now().await.unwrap();
    put(store, code(20), &domain()).await;
    put(store, code(99), &other_domain()).await;
    for limit in [1, 3, 7, 100] {
        let all = all_codes(store, limit).await;
        assert_eq!(numbers(&all), (0..21).map(code).collect::<Vec<_>>(), "each once, {limit} at a time");
        assert_eq!(all[0].code.code, code(20));
        assert!(all[0].issued >= late && all[1].issued < late);
        assert!(all.is_sorted_by_key(|listing| std::cmp::Reverse(listing.issued)));
    }
    let listed = &all_codes(store, 100).await[0].code;
    assert_eq!(Some(listed), store.code_in(&domain(), code(20)).await.unwrap().as_ref());
}

pub async fn a_listed_code_ends_with_its_record(f: impl Fixture) {
    let store = &**f.store();
    let long = CodeRecord {
        rollout: true,
        valid_until: store.now().await.unwrap() + 7 * DAY,
        ..new_code(store, code(1), &domain()).await
    };
    store.put_code(&long, 10).await.unwrap();
    for number in 2..5 {
        put(store, code(number), &domain()).await;
    }
    enter(store, &device(4), &domain(), code(4)).await;
    f.advance(VALID).await;
    let left = all_codes(store, 2).await;
    assert_eq!(numbers(&left), [code(1), code(4)]);
    assert_eq!(
        left.iter().find(|l| l.code.code == code(4)).unwrap().code.state,
        CodeState::Used { by: device(4), port: None }
    );
    f.advance(7 * DAY).await;
    // Something is written, so what has ended may be dropped; what has not must stay.
    put(store, code(5), &domain()).await;
    assert_eq!(numbers(&all_codes(store, 2).await), [code(4), code(5)]);
    f.advance(23 * DAY).await;
    assert!(all_codes(store, 2).await.is_empty());
    // A code that ended may come again, and then it is listed once.
    put(store, code(1), &domain()).await;
    assert_eq!(numbers(&all_codes(store, 2).await), [code(1)]);
}

pub async fn a_revoked_code_is_as_if_it_had_never_been(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let second = new_code(store, code(2), &domain()).await;
    assert_eq!(store.put_code(&second, 1).await.unwrap(), PutCode::TooMany);
    assert!(!store.revoke_code(&other_domain(), code(1)).await.unwrap());
    assert!(!store.revoke_code(&domain(), code(9)).await.unwrap());
    assert!(store.find_code(code(1)).await.unwrap().is_some());
    assert!(store.revoke_code(&domain(), code(1)).await.unwrap());
    assert!(store.find_code(code(1)).await.unwrap().is_none());
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
    assert!(store.codes(&domain(), None, 10).await.unwrap().is_empty());
    let refused = store.enter(&entry(device(1), &domain(), EntryRight::Code(code(1)))).await.unwrap();
    assert!(matches!(refused, Entered::CodeNotOpen));
    assert!(!store.revoke_code(&domain(), code(1)).await.unwrap());
    // It has made room, and nothing of it is in the way of the same code elsewhere.
    assert_eq!(store.put_code(&second, 1).await.unwrap(), PutCode::Kept);
    put(store, code(1), &other_domain()).await;
}

pub async fn a_used_code_cannot_be_revoked(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    assert!(!store.revoke_code(&domain(), code(1)).await.unwrap());
    // The device may still come back with it.
    enter(store, &device(1), &domain(), code(1)).await;
    assert!(store.deposit(&domain(), &device(1)).await.unwrap());
}

/// A code that nobody waits for goes to whoever looks first.
pub async fn a_code_without_a_holder_is_for_anybody(f: impl Fixture) {
    let store = &**f.store();
    let new = CodeRecord { holder: None, ..new_code(store, code(1), &domain()).await };
    assert_eq!(store.put_code(&new, 10).await.unwrap(), PutCode::Kept);
    assert_eq!(store.put_code(&new, 10).await.unwrap(), PutCode::Kept);
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().holder, None);
    enter(store, &device(1), &domain(), code(1)).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    let taken = store.take(&domain(), &node("n5"), MINUTE, 10, &[]).await.unwrap();
    assert_eq!((taken.len(), &taken[0].holder), (1, &None));
}
