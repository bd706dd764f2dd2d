//! Wrong attempts and decisions over all nodes, and devices that name a category in vain.

use provbroker::store::{COUNTED_OVER, MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected};

use crate::fixture::*;

pub async fn wrong_attempts_of_all_nodes_count_for_a_minute(mut f: impl Fixture) {
    let store = f.store().clone();
    assert_eq!(store.report_wrong("device_code", "a", 0).await.unwrap(), 0);
    assert_eq!(store.report_wrong("device_code", "a", 600).await.unwrap(), 600);
    assert_eq!(store.report_wrong("device_code", "b", 7).await.unwrap(), 607, "of another node");
    assert_eq!(store.report_wrong("token", "c", 1).await.unwrap(), 1, "of another kind");
    drop(store);
    f.restart().await;
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(f.store().report_wrong("device_code", "d", 3).await.unwrap(), 610, "a restart forgets nothing");
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(f.store().report_wrong("device_code", "e", 0).await.unwrap(), 3);
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(f.store().report_wrong("device_code", "e", 0).await.unwrap(), 0);
}

pub async fn a_report_counts_once(f: impl Fixture) {
    for _ in 0..3 {
        assert_eq!(f.store().report_wrong("device_code", "a", 5).await.unwrap(), 5, "repeated after a time-out");
    }
}

pub async fn all_nodes_together_get_so_many_decisions_a_second(f: impl Fixture) {
    let store = f.store();
    // The second may end while the test runs, but not twice.
    let mut got = 0;
    for _ in 0..20 {
        got += store.take_decisions("device_code", 3, 10).await.unwrap();
    }
    assert!((10..=20).contains(&got), "{got}");
    f.advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(store.take_decisions("device_code", 100, 10).await.unwrap(), 10);
    assert_eq!(store.take_decisions("token", 4, 10).await.unwrap(), 4);
}

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
