//! Unassigned devices.

use std::collections::HashSet;

use provbroker::core::model::ids::{DeviceId, DeviceKey};
use provbroker::store::{Limits, RecordCaps, Recorded, Store};

use crate::devices::assign;
use crate::fixture::*;

pub async fn unassigned_devices_are_forgotten(f: impl Fixture) {
    let store = &**f.store();
    let found = async || store.unassigned_device(&device(1)).await.unwrap().map(|listing| listing.device);
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    let first = found().await.unwrap();
    f.advance(nearly(DAY)).await;
    store.record_unassigned(&device(1), &facts("IP222"), source(1), DAY).await.unwrap();
    f.advance(nearly(DAY)).await;
    let later = found().await.unwrap();
    assert_eq!((later.id, &later.facts), (first.id, &facts("IP222")));
    assert_eq!(store.unassigned_count().await.unwrap(), 1);
    f.advance(MINUTE).await;
    assert_eq!(found().await, None);
    assert_eq!(store.unassigned_count().await.unwrap(), 0);
    assert!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().is_empty());
    // Seen again later: a new one.
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    assert_ne!(found().await.unwrap().id, first.id);
    assert!(store.forget_unassigned(&device(1)).await.unwrap());
    assert!(!store.forget_unassigned(&device(1)).await.unwrap());
    assert_eq!((found().await, store.unassigned_count().await.unwrap()), (None, 0));
}

pub async fn an_unassigned_device_is_kept_while_it_is_online(f: impl Fixture) {
    let store = &**f.store();
    assert!(!store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap(), "there is no record");
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    for _ in 0..3 {
        f.advance(nearly(DAY)).await;
        store.renew_lease(&node("n1"), MINUTE).await.unwrap();
        assert!(store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap());
    }
    assert_eq!(store.unassigned_device(&device(1)).await.unwrap().unwrap().at, Some(at("n1", 1)));
    assert_eq!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().len(), 1);
}

pub async fn unassigned_devices_are_listed_by_number(f: impl Fixture) {
    let store = &**f.store();
    for number in 0..25 {
        store.record_unassigned(&device(number), &facts("IP112"), source(1), DAY).await.unwrap();
    }
    let (mut seen, mut after) = (HashSet::new(), DeviceId(0));
    loop {
        let page = store.unassigned_devices(after, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4 && page[0].device.id > after && page.is_sorted_by_key(|l| l.device.id));
        after = last.device.id;
        seen.extend(page.into_iter().map(|listing| listing.device.key));
    }
    assert_eq!(seen.len(), 25);
    let member = assign(store, 900, &domain()).await;
    assert!(store.unassigned_devices(DeviceId(0), 100).await.unwrap().iter().all(|l| l.device.id != member.id));
}

pub async fn a_device_that_enters_is_not_unassigned(f: impl Fixture) {
    let store = &**f.store();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap();
    assign(store, 1, &domain()).await;
    assert!(store.unassigned_device(&device(1)).await.unwrap().is_none());
    assert!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().is_empty());
    assert_eq!(store.unassigned_count().await.unwrap(), 0);
    // Once removed and seen again, it is not online before it says so.
    store.remove(&domain(), &device(1)).await.unwrap();
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    assert_eq!(store.unassigned_device(&device(1)).await.unwrap().unwrap().at, None);
}

pub async fn the_newest_connection_of_an_unassigned_device_counts(f: impl Fixture) {
    let store = &**f.store();
    for name in ["n1", "n2"] {
        store.renew_lease(&node(name), MINUTE).await.unwrap();
    }
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    let place = async || store.unassigned_device(&device(1)).await.unwrap().unwrap().at;
    assert_eq!(place().await, None);
    store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap();
    store.attach_unassigned(&device(1), &at("n2", 1), DAY).await.unwrap();
    store.detach_unassigned(&device(1), &at("n1", 1)).await.unwrap();
    assert_eq!(place().await, Some(at("n2", 1)));
    store.end_lease(&node("n2")).await.unwrap();
    assert_eq!(place().await, None);
    assert_eq!(store.unassigned_devices(DeviceId(0), 10).await.unwrap()[0].at, None);
    store.renew_lease(&node("n2"), MINUTE).await.unwrap();
    store.detach_unassigned(&device(1), &at("n2", 1)).await.unwrap();
    assert_eq!(place().await, None);
}

fn caps(most: u64, per_source: u64) -> Limits {
    Limits { unassigned: RecordCaps { most, per_source }, ..Limits::default() }
}

async fn keys(store: &dyn Store) -> Vec<DeviceKey> {
    let all = store.unassigned_devices(DeviceId(0), 1000).await.unwrap();
    all.into_iter().map(|listing| listing.device.key).collect()
}

/// The last of many sources does not displace those that have fewer records, whatever it sends.
pub async fn one_source_displaces_only_its_own_records<F: Fixture>(_: F) {
    let f = F::limited(caps(20, 8)).await;
    let store = &**f.store();
    for number in 0..5 {
        store.record_unassigned(&device(number), &facts("IP112"), source(1), DAY).await.unwrap();
    }
    let mut evicted = 0;
    for number in 100..300 {
        let recorded = store.record_unassigned(&device(number), &facts("IP112"), source(2), DAY).await.unwrap();
        assert!(recorded.first && recorded.kept);
        evicted += recorded.evicted;
    }
    let expected: Vec<_> = (0..5).chain(292..300).map(device).collect();
    assert_eq!((keys(store).await, evicted), (expected.clone(), 192));
    assert_eq!(store.unassigned_count().await.unwrap(), 13);
    // A record stays with the source that it came from first.
    store.record_unassigned(&device(0), &facts("IP222"), source(2), DAY).await.unwrap();
    assert_eq!(keys(store).await, expected);
}

/// Over all, the source with the most records gives way first, with its oldest.
pub async fn the_largest_source_gives_way_first<F: Fixture>(_: F) {
    let f = F::limited(caps(10, 8)).await;
    let store = &**f.store();
    let record = async |number: u64, from: u8| {
        store.record_unassigned(&device(number), &facts("IP112"), source(from), DAY).await.unwrap()
    };
    for number in 0..8 {
        record(number, 1).await;
    }
    record(20, 2).await;
    record(21, 3).await;
    // Full: each newcomer takes a place of the first source, until that has no more than others.
    assert_eq!(record(22, 2).await.evicted, 1);
    assert_eq!(keys(store).await, [1, 2, 3, 4, 5, 6, 7, 20, 21, 22].map(device));
    for number in 30..40 {
        record(number, 4).await;
    }
    let left = keys(store).await;
    assert_eq!(left.len(), 10);
    assert!([20, 21, 22].map(device).iter().all(|key| left.contains(key)), "{left:?}");
    let own = (30..40).map(device).filter(|key| left.contains(key)).count();
    assert!((3..=4).contains(&own), "{own}");
    // One each: the oldest of all goes.
    let f = F::limited(caps(3, 8)).await;
    let store = &**f.store();
    for number in 1..6 {
        store
            .record_unassigned(&device(number), &facts("IP112"), source(u8::try_from(number).unwrap()), DAY)
            .await
            .unwrap();
    }
    assert_eq!(keys(store).await, [3, 4, 5].map(device));
}

pub async fn what_has_ended_or_entered_takes_no_place<F: Fixture>(_: F) {
    let f = F::limited(caps(4, 4)).await;
    let store = &**f.store();
    for number in 0..4 {
        store.record_unassigned(&device(number), &facts("IP112"), source(1), DAY).await.unwrap();
    }
    assign(store, 0, &domain()).await;
    let recorded = store.record_unassigned(&device(10), &facts("IP112"), source(1), DAY).await.unwrap();
    assert_eq!(recorded.evicted, 0);
    f.advance(DAY + MINUTE).await;
    for number in 20..24 {
        let recorded = store.record_unassigned(&device(number), &facts("IP112"), source(1), DAY).await.unwrap();
        assert_eq!(recorded.evicted, 0);
    }
    assert_eq!(keys(store).await, [20, 21, 22, 23].map(device));
}

/// An unchanged record is not written each time; a changed one is.
pub async fn an_unchanged_record_is_not_written_again<F: Fixture>(f: F) {
    let store = &**f.store();
    store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    let seen = async || store.unassigned_device(&device(1)).await.unwrap().unwrap().device;
    let before = seen().await;
    let again = store.record_unassigned(&device(1), &facts("IP112"), source(1), DAY).await.unwrap();
    assert_eq!(again, Recorded { first: false, kept: true, evicted: 0 });
    assert_eq!(seen().await, before);
    store.record_unassigned(&device(1), &facts("IP222"), source(1), DAY).await.unwrap();
    assert_eq!(&*seen().await.facts.product, "IP222");
}
