//! Unassigned devices.

use std::collections::HashSet;

use provbroker::core::model::ids::DeviceId;

use crate::devices::assign;
use crate::fixture::*;

pub async fn unassigned_devices_are_forgotten(f: impl Fixture) {
    let store = &**f.store();
    let found = async || store.unassigned_device(&device(1)).await.unwrap().map(|listing| listing.device);
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
    let first = found().await.unwrap();
    f.advance(nearly(DAY)).await;
    store.record_unassigned(&device(1), &facts("IP222"), DAY).await.unwrap();
    f.advance(nearly(DAY)).await;
    let later = found().await.unwrap();
    assert_eq!((later.id, &later.facts), (first.id, &facts("IP222")));
    assert_eq!(store.unassigned_count().await.unwrap(), 1);
    f.advance(MINUTE).await;
    assert_eq!(found().await, None);
    assert_eq!(store.unassigned_count().await.unwrap(), 0);
    assert!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().is_empty());
    // Seen again later: a new one.
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
    assert_ne!(found().await.unwrap().id, first.id);
    assert!(store.forget_unassigned(&device(1)).await.unwrap());
    assert!(!store.forget_unassigned(&device(1)).await.unwrap());
    assert_eq!((found().await, store.unassigned_count().await.unwrap()), (None, 0));
}

pub async fn an_unassigned_device_is_kept_while_it_is_online(f: impl Fixture) {
    let store = &**f.store();
    assert!(!store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap(), "there is no record");
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
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
        store.record_unassigned(&device(number), &facts("IP112"), DAY).await.unwrap();
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
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
    store.attach_unassigned(&device(1), &at("n1", 1), DAY).await.unwrap();
    assign(store, 1, &domain()).await;
    assert!(store.unassigned_device(&device(1)).await.unwrap().is_none());
    assert!(store.unassigned_devices(DeviceId(0), 10).await.unwrap().is_empty());
    assert_eq!(store.unassigned_count().await.unwrap(), 0);
    // Once removed and seen again, it is not online before it says so.
    store.remove(&domain(), &device(1)).await.unwrap();
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
    assert_eq!(store.unassigned_device(&device(1)).await.unwrap().unwrap().at, None);
}

pub async fn the_newest_connection_of_an_unassigned_device_counts(f: impl Fixture) {
    let store = &**f.store();
    for name in ["n1", "n2"] {
        store.renew_lease(&node(name), MINUTE).await.unwrap();
    }
    store.record_unassigned(&device(1), &facts("IP112"), DAY).await.unwrap();
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
