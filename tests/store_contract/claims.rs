//! Claims: whole or not at all, exactly one winner.

use std::sync::Arc;

use futures_util::future::join_all;
use provbroker::core::model::device::{CodeState, Way};
use provbroker::core::model::ids::{CategoryId, Secret};
use provbroker::store::{CodeRecord, Entered, Entry, EntryRight, PortClaim, PutCode};

use crate::fixture::*;

pub async fn a_device_enters_whole(f: impl Fixture) {
    let store = &**f.store();
    let before = store.now().await.unwrap();
    put(store, code(1), &domain()).await;
    let entered = enter(store, &device(1), &domain(), code(1)).await;
    let found = store.find_device(&device(1)).await.unwrap().unwrap();
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
    assert_eq!(entered, found);
    let wanted = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert_eq!((found.key, found.domain, found.category), (device(1), domain(), wanted.category));
    assert_eq!((found.way, found.password, found.admin_password), (Way::Code, wanted.password, None));
    assert_eq!((found.entry_code, found.pending, found.tentative), (Some(code(1)), Some(code(1)), true));
    assert_eq!(found.facts, wanted.facts);
    assert!(found.entered >= before);
    // Another device gets another number.
    put(store, code(2), &domain()).await;
    assert_ne!(enter(store, &device(2), &domain(), code(2)).await.id, found.id);
}

/// 10 000 races, in groups so that the stores can work on many at once.
pub async fn of_two_devices_exactly_one_enters(f: impl Fixture) {
    const RACES: u64 = 10_000;
    const GROUP: u64 = 250;
    let mut winners = 0;
    for group in 0..RACES / GROUP {
        let numbers = group * GROUP..(group + 1) * GROUP;
        let store = &**f.store();
        join_all(numbers.clone().map(async |number| put(store, code(number), &domain()).await)).await;
        let races = numbers.map(|number| {
            let run = |key| {
                let store = Arc::clone(f.store());
                tokio::spawn(async move {
                    store.enter(&entry(key, &domain(), EntryRight::Code(code(number)))).await.unwrap()
                })
            };
            let (one, two) = (run(device(2 * number)), run(device(2 * number + 1)));
            async move { (number, one.await.unwrap(), two.await.unwrap()) }
        });
        for (number, one, two) in join_all(races).await {
            match (one, two) {
                (Entered::In(_), Entered::CodeNotOpen) | (Entered::CodeNotOpen, Entered::In(_)) => winners += 1,
                outcome => panic!("race {number}: {outcome:?}"),
            }
        }
    }
    assert_eq!(winners, RACES);
}

/// One device brings a code of each of two domains at once: it enters one of them, and the code of the other stays open.
pub async fn of_two_domains_exactly_one_gets_the_device(f: impl Fixture) {
    let store = &**f.store();
    for number in 0..200 {
        let codes = [code(2 * number), code(2 * number + 1)];
        let domains = [domain(), other_domain()];
        put(store, codes[0], &domains[0]).await;
        put(store, codes[1], &domains[1]).await;
        let claims = [0, 1].map(|side| entry(device(number), &domains[side], EntryRight::Code(codes[side])));
        let lost = match tokio::join!(store.enter(&claims[0]), store.enter(&claims[1])) {
            (Ok(Entered::In(_)), Ok(Entered::OwnedElsewhere)) => 1,
            (Ok(Entered::OwnedElsewhere), Ok(Entered::In(_))) => 0,
            outcome => panic!("race {number}: {outcome:?}"),
        };
        assert_eq!(store.find_code(codes[lost]).await.unwrap().unwrap().state, CodeState::Open);
        assert_eq!(store.find_device(&device(number)).await.unwrap().unwrap().domain, domains[1 - lost]);
    }
}

pub async fn a_name_comes_with_a_code_unless_there_is_one_by_hand(f: impl Fixture) {
    let store = &**f.store();
    let (key, domain) = (device(1), domain());
    let name = async || store.find_device(&key).await.unwrap().unwrap().name;
    let by_code = async |number: u64, administrative: bool, name: Option<&str>| {
        let new = CodeRecord { administrative, ..new_code(store, code(number), &domain).await };
        assert_eq!(store.put_code(&new, u64::MAX).await.unwrap(), PutCode::Kept);
        let kept = store.code_in(&domain, code(number)).await.unwrap().unwrap();
        assert_eq!(kept.administrative, administrative);
        let plain = entry(key.clone(), &domain, EntryRight::Code(code(number)));
        let admin_password = (!administrative).then(|| Secret::new("random"));
        let entry = Entry { name: name.map(Into::into), admin_password, ..plain };
        let entered = inside(store.enter(&entry).await.unwrap());
        assert_eq!(entered.is_administrative(), administrative);
        entered.name
    };
    assert_eq!(by_code(1, true, Some("ann")).await.as_deref(), Some("ann"));
    assert_eq!(name().await.as_deref(), Some("ann"));
    assert_eq!(by_code(2, false, None).await.as_deref(), Some("ann"), "the code has no name");
    assert_eq!(by_code(3, true, Some("bob")).await.as_deref(), Some("bob"));
    assert!(store.find_device(&key).await.unwrap().unwrap().is_administrative(), "the flag is that of the last code");
    assert!(store.rename(&domain, &key, Some("Lobby")).await.unwrap());
    assert_eq!(by_code(4, false, Some("cid")).await.as_deref(), Some("Lobby"));
    assert!(!store.find_device(&key).await.unwrap().unwrap().is_administrative());
    assert!(store.rename(&domain, &key, None).await.unwrap());
    assert_eq!(name().await, None);
    assert_eq!(by_code(5, true, Some("cid")).await.as_deref(), Some("cid"));
    assert_eq!(name().await.as_deref(), Some("cid"));
}

pub async fn the_same_device_may_come_back_until_it_has_answered(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let first = enter(store, &device(1), &domain(), code(1)).await;
    let again = Entry {
        password: Secret::new("second-password-of-this-device-0"),
        ..entry(device(1), &domain(), EntryRight::Code(code(1)))
    };
    let second = inside(store.enter(&again).await.unwrap());
    assert_eq!((second.id, second.tentative), (first.id, true));
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().password, again.password);
    // Never a second device.
    let thief = entry(device(2), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&thief).await.unwrap(), Entered::CodeNotOpen));
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
    store.confirm(&domain(), &device(1), &again.password).await.unwrap();
    assert!(matches!(store.enter(&again).await.unwrap(), Entered::CodeNotOpen));
}

pub async fn the_same_device_may_come_back_within_the_validity_only(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    f.advance(nearly(VALID)).await;
    enter(store, &device(1), &domain(), code(1)).await;
    f.advance(MINUTE).await;
    let late = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&late).await.unwrap(), Entered::CodeNotOpen));
    assert!(store.find_device(&device(1)).await.unwrap().unwrap().tentative);
}

pub async fn a_device_of_another_domain_is_refused_and_the_code_stays_open(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    put(store, code(2), &other_domain()).await;
    let member = enter(store, &device(1), &domain(), code(1)).await;
    let elsewhere = entry(device(1), &other_domain(), EntryRight::Code(code(2)));
    assert!(matches!(store.enter(&elsewhere).await.unwrap(), Entered::OwnedElsewhere));
    assert_eq!(store.find_code(code(2)).await.unwrap().unwrap().state, CodeState::Open);
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), member);
    enter(store, &device(2), &other_domain(), code(2)).await;
}

pub async fn an_expired_code_lets_nobody_in(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    f.advance(VALID).await;
    let late = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&late).await.unwrap(), Entered::CodeNotOpen));
    assert!(store.find_device(&device(1)).await.unwrap().is_none());
    // Having been refused is no tie to the domain.
    put(store, code(2), &other_domain()).await;
    enter(store, &device(1), &other_domain(), code(2)).await;
}

pub async fn a_code_lets_nobody_into_another_domain(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let wrong = entry(device(1), &other_domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&wrong).await.unwrap(), Entered::CodeNotOpen));
    enter(store, &device(1), &domain(), code(1)).await;
}

pub async fn entering_again_keeps_the_number(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    put(store, code(2), &domain()).await;
    let first = enter(store, &device(1), &domain(), code(1)).await;
    store.confirm(&domain(), &device(1), &first.password).await.unwrap();
    let again = Entry {
        category: CategoryId(8),
        password: Secret::new("another-password-of-this-device0"),
        ..entry(device(1), &domain(), EntryRight::Code(code(2)))
    };
    let second = inside(store.enter(&again).await.unwrap());
    assert_eq!((second.id, second.category, second.tentative), (first.id, CategoryId(8), true));
    assert_eq!(second.entry_code, Some(code(2)));
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), second);
    // The code of the earlier entry is of no use any more, although the device is tentative again.
    let old = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&old).await.unwrap(), Entered::CodeNotOpen));
}

pub async fn an_automatic_entry_keeps_its_own_administrative_password(f: impl Fixture) {
    let store = &**f.store();
    let auto = Entry {
        admin_password: Some(Secret::new("AdminPasswordOfThisOne24")),
        ..entry(device(1), &domain(), EntryRight::Auto)
    };
    let entered = inside(store.enter(&auto).await.unwrap());
    let found = store.find_device(&device(1)).await.unwrap().unwrap();
    assert_eq!(entered, found);
    assert_eq!((found.way, found.admin_password), (Way::Auto, auto.admin_password));
    assert_eq!((found.entry_code, found.pending), (None, None));
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
    // By hand or by code it gets the password of the domain instead.
    let manual = inside(store.enter(&entry(device(1), &domain(), EntryRight::Manual)).await.unwrap());
    assert_eq!((manual.way, manual.admin_password, manual.id), (Way::Manual, None, found.id));
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().admin_password, None);
}

/// The notice of the first code was still pending when the device entered again.
pub async fn a_second_code_does_not_lose_the_notice_of_the_first(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    put(store, code(2), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    enter(store, &device(1), &domain(), code(2)).await;
    assert!(store.deposit(&domain(), &device(1)).await.unwrap());
    let taken = store.take(&domain(), &node("n1"), MINUTE, 10, &[]).await.unwrap();
    let mut codes: Vec<_> = taken.iter().map(|notice| notice.code).collect();
    codes.sort();
    assert_eq!(codes, [code(1), code(2)]);
    // The same by an entry without a code.
    put(store, code(3), &domain()).await;
    enter(store, &device(2), &domain(), code(3)).await;
    inside(store.enter(&entry(device(2), &domain(), EntryRight::Manual)).await.unwrap());
    assert!(!store.deposit(&domain(), &device(2)).await.unwrap());
    assert_eq!(store.depth(&domain()).await.unwrap(), 3);
}

pub async fn a_port_takes_a_code(f: impl Fixture) {
    let store = &**f.store();
    for number in 1..4 {
        put(store, code(number), &domain()).await;
    }
    put(store, code(4), &other_domain()).await;
    let claim = async |number, port| store.claim_port(&domain(), &device(1), port, code(number)).await.unwrap();
    assert_eq!(claim(2, "TEL1").await, PortClaim::CodeNotOpen, "not a member yet");
    enter(store, &device(1), &domain(), code(1)).await;
    assert_eq!(claim(2, "TEL1").await, PortClaim::Recorded);
    let state = store.code_in(&domain(), code(2)).await.unwrap().unwrap().state;
    assert_eq!(state, CodeState::Used { by: device(1), port: Some("TEL1".into()) });
    assert_eq!(claim(2, "TEL1").await, PortClaim::Recorded, "a repetition after a time-out");
    assert_eq!(claim(2, "TEL2").await, PortClaim::CodeNotOpen, "used for another port");
    assert_eq!(claim(1, "TEL2").await, PortClaim::CodeNotOpen, "used by the device itself");
    assert_eq!(claim(4, "TEL2").await, PortClaim::WrongDomain);
    assert_eq!(store.find_code(code(4)).await.unwrap().unwrap().state, CodeState::Open);
    assert_eq!(claim(9, "TEL2").await, PortClaim::CodeNotOpen);
    // A code for a port does not let the device in again.
    let again = entry(device(1), &domain(), EntryRight::Code(code(2)));
    assert!(matches!(store.enter(&again).await.unwrap(), Entered::CodeNotOpen));
    let taken = store.take(&domain(), &node("n1"), MINUTE, 10, &[]).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].code, taken[0].port.as_deref()), (code(2), Some("TEL1")));
    f.advance(VALID).await;
    assert_eq!(claim(3, "TEL3").await, PortClaim::CodeNotOpen, "expired");
}
