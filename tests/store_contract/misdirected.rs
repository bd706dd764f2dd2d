//! Devices that name a category in vain.

use provbroker::store::{MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected};

use crate::fixture::*;

pub async fn misdirected_devices_are_counted_for_a_day(f: impl Fixture) {
    let store = f.store();
    assert!(store.misdirected(&domain()).await.unwrap().is_empty());
    for number in 1..4 {
        store.record_misdirected(&domain(), "Phones old", &device(number)).await.unwrap();
        store.record_misdirected(&domain(), "Phones old", &device(1)).await.unwrap();
    }
    store.record_misdirected(&domain(), "", &device(1)).await.unwrap();
    let found = |category: &str, devices| Misdirected { category: category.into(), devices };
    assert_eq!(store.misdirected(&domain()).await.unwrap(), [found("Phones old", 3), found("", 1)]);
    assert!(store.misdirected(&other_domain()).await.unwrap().is_empty());
    f.advance(MISDIRECTED_KEPT / 2).await;
    store.record_misdirected(&domain(), &"ü".repeat(100), &device(9)).await.unwrap();
    f.advance(MISDIRECTED_KEPT / 2).await;
    store.record_misdirected(&domain(), &"ü".repeat(100), &device(9)).await.unwrap();
    assert_eq!(store.misdirected(&domain()).await.unwrap(), [found(&"ü".repeat(32), 1)]);
    for number in 0..MAX_MISDIRECTED + 5 {
        store.record_misdirected(&domain(), "x", &device(number)).await.unwrap();
    }
    let all: u64 = store.misdirected(&domain()).await.unwrap().iter().map(|found| found.devices).sum();
    assert_eq!(all, MAX_MISDIRECTED);
}
