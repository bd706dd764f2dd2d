//! Devices of a domain: records, lists, changes, transfers. Entry is in `claims.rs`.

use std::collections::HashSet;
use std::time::Duration;

use provbroker::core::model::app_ip_path::AppIpPath;
use provbroker::core::model::device::Device;
use provbroker::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::work::{Progress, State, Work};
use provbroker::store::{Entered, Entry, EntryRight, PortClaim, Store};

use crate::fixture::*;

pub async fn a_password_is_confirmed_once(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let entered = enter(store, &device(1), &domain(), code(1)).await;
    store.confirm(&domain(), &device(1), &Secret::new("an older one")).await.unwrap();
    assert!(store.find_device(&device(1)).await.unwrap().unwrap().tentative);
    store.confirm(&domain(), &device(1), &entered.password).await.unwrap();
    store.confirm(&domain(), &device(1), &entered.password).await.unwrap();
    assert!(!store.find_device(&device(1)).await.unwrap().unwrap().tentative);
    // Of a device that is not there, nothing is made.
    store.confirm(&domain(), &device(2), &entered.password).await.unwrap();
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
}

pub async fn facts_are_refreshed(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let entered = enter(store, &device(1), &domain(), code(1)).await;
    store.refresh(&domain(), &device(1), &facts("IP222")).await.unwrap();
    let found = store.find_device(&device(1)).await.unwrap().unwrap();
    assert_eq!(found.facts, facts("IP222"));
    assert_eq!(provbroker::core::model::device::Device { facts: entered.facts.clone(), ..found }, entered);
    store.refresh(&domain(), &device(2), &facts("IP222")).await.unwrap();
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
}

pub async fn a_removed_device_is_free(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    put(store, code(2), &other_domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.attach(&domain(), &device(1), &at("n1", 1)).await.unwrap();
    assert!(!store.remove(&other_domain(), &device(1)).await.unwrap());
    assert!(store.find_device(&device(1)).await.unwrap().is_some());
    assert!(store.remove(&domain(), &device(1)).await.unwrap());
    assert!(!store.remove(&domain(), &device(1)).await.unwrap());
    assert!(store.find_device(&device(1)).await.unwrap().is_none());
    assert!(store.whereabouts(&domain(), &device(1)).await.unwrap().is_none());
    assert!(!store.deposit(&domain(), &device(1)).await.unwrap());
    f.advance(MINUTE).await;
    assert_eq!(store.deposit_overdue(&domain(), Duration::ZERO).await.unwrap(), 0);
    // Its code does not bring it back, but another domain may have it.
    let back = entry(device(1), &domain(), EntryRight::Code(code(1)));
    assert!(matches!(store.enter(&back).await.unwrap(), provbroker::store::Entered::CodeNotOpen));
    enter(store, &device(1), &other_domain(), code(2)).await;
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().domain, other_domain());
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_some(), "the answer of GetProvisionedDevice stays");
}

pub async fn assign(store: &dyn Store, number: u64, domain: &DomainName) -> Device {
    inside(store.enter(&entry(device(number), domain, EntryRight::Manual)).await.unwrap())
}

async fn listed(store: &dyn Store, domain: &DomainName) -> Vec<DeviceKey> {
    let page = store.devices(domain, DeviceId(0), 1000).await.unwrap();
    page.into_iter().map(|listing| listing.device.key).collect()
}

fn moved(number: u64, to: &DomainName) -> Entry {
    Entry {
        password: Secret::new("another password of 32 characters"),
        ..entry(device(number), to, EntryRight::Manual)
    }
}

pub async fn pages_give_every_device_once(f: impl Fixture) {
    const DEVICES: u64 = 130;
    let store = &**f.store();
    for number in 0..DEVICES {
        assign(store, number, &domain()).await;
    }
    assign(store, 900, &other_domain()).await;
    assert_eq!(store.device_count(&domain()).await.unwrap(), DEVICES);
    for limit in [1, 7, 130, 1000] {
        let (mut seen, mut after) = (Vec::new(), DeviceId(0));
        loop {
            let page = store.devices(&domain(), after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            assert!(page[0].device.id > after && page.is_sorted_by_key(|listing| listing.device.id));
            after = last.device.id;
            seen.extend(page.into_iter().map(|listing| listing.device));
        }
        assert_eq!(seen.len() as u64, DEVICES, "{limit} at a time");
        let keys: HashSet<_> = seen.iter().map(|device| device.key.clone()).collect();
        assert_eq!(keys.len() as u64, DEVICES);
    }
    let of_list = store.devices(&domain(), DeviceId(0), 1).await.unwrap().remove(0).device;
    assert_eq!(store.find_device(&of_list.key).await.unwrap().unwrap(), of_list);
}

pub async fn a_list_shows_who_is_online(f: impl Fixture) {
    let store = &**f.store();
    for number in 1..=3 {
        assign(store, number, &domain()).await;
    }
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.attach(&domain(), &device(1), &at("n1", 4)).await.unwrap();
    store.attach(&domain(), &device(2), &at("dead", 4)).await.unwrap();
    let page = store.devices(&domain(), DeviceId(0), 10).await.unwrap();
    let online: Vec<_> = page.iter().filter(|l| l.at.is_some()).map(|l| (l.device.key.clone(), l.at.clone())).collect();
    assert_eq!(online, [(device(1), Some(at("n1", 4)))]);
}

pub async fn a_removed_device_leaves_the_list(f: impl Fixture) {
    let store = &**f.store();
    for number in 1..=2 {
        assign(store, number, &domain()).await;
    }
    assert!(store.remove(&domain(), &device(1)).await.unwrap());
    assert_eq!(listed(store, &domain()).await, [device(2)]);
    assert_eq!(store.device_count(&domain()).await.unwrap(), 1);
}

pub async fn a_name_and_a_category_are_given(f: impl Fixture) {
    let store = &**f.store();
    assign(store, 1, &domain()).await;
    assert!(store.rename(&domain(), &device(1), Some("Lobby: \u{fc}ben")).await.unwrap());
    assert!(store.recategorise(&domain(), &device(1), CategoryId(77)).await.unwrap());
    let there = store.find_device(&device(1)).await.unwrap().unwrap();
    assert_eq!((there.name.as_deref(), there.category), (Some("Lobby: \u{fc}ben"), CategoryId(77)));
    assert!(store.rename(&domain(), &device(1), None).await.unwrap());
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().name, None);
    // Of a device that is not there, nothing is made.
    for key in [device(1), device(2)] {
        assert!(!store.rename(&other_domain(), &key, Some("x")).await.unwrap());
        assert!(!store.recategorise(&other_domain(), &key, CategoryId(1)).await.unwrap());
    }
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
    assert_eq!(store.device_count(&other_domain()).await.unwrap(), 0);
}

pub async fn the_path_of_an_app_ip_is_set_kept_and_removed(f: impl Fixture) {
    let store = &**f.store();
    let first = assign(store, 1, &domain()).await;
    assert_eq!(first.app_ip, None);
    let path = AppIpPath::parse("apps/ip").unwrap();
    assert!(store.set_app_ip(&domain(), &device(1), Some(&path)).await.unwrap());
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().app_ip, Some(path.clone()));
    assert_eq!(store.devices(&domain(), DeviceId(0), 10).await.unwrap()[0].device.app_ip, Some(path.clone()));
    // It stays when the device enters again, and goes when it moves to another domain.
    let again = assign(store, 1, &domain()).await;
    assert_eq!((again.id, &again.app_ip), (first.id, &Some(path.clone())));
    let after = inside(store.transfer(&domain(), &moved(1, &other_domain())).await.unwrap());
    assert_eq!(after.app_ip, None);
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), after);
    assert!(store.set_app_ip(&other_domain(), &device(1), Some(&path)).await.unwrap());
    assert!(store.set_app_ip(&other_domain(), &device(1), None).await.unwrap());
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap().app_ip, None);
    // Of a device that is not there, nothing is made.
    for key in [device(1), device(2)] {
        assert!(!store.set_app_ip(&domain(), &key, Some(&path)).await.unwrap());
    }
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
}

fn work(entry: UnixMillis) -> Work {
    let done = Progress { job: None, attempts: 1, at: entry, state: State::Done };
    Work { entry, update: None, configs: Vec::new(), clean_up: Some(done) }
}

pub async fn an_entry_again_keeps_name_and_work(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let first = assign(store, 1, &domain()).await;
    store.rename(&domain(), &device(1), Some("Lobby")).await.unwrap();
    store.keep_work(&domain(), &device(1), &work(first.entered)).await.unwrap();
    f.advance(MINUTE).await;
    let again = enter(store, &device(1), &domain(), code(1)).await;
    assert_eq!((again.id, again.name.as_deref(), &again.work), (first.id, Some("Lobby"), &work(first.entered)));
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), again);
}

pub async fn work_belongs_to_an_entry(f: impl Fixture) {
    let store = &**f.store();
    let first = assign(store, 1, &domain()).await;
    let earlier = UnixMillis(first.entered.0 - 1);
    let kept = async || store.find_device(&device(1)).await.unwrap().unwrap().work;
    store.keep_work(&domain(), &device(1), &work(earlier)).await.unwrap();
    store.keep_work(&other_domain(), &device(1), &work(first.entered)).await.unwrap();
    assert_eq!(kept().await, Work::default());
    store.keep_work(&domain(), &device(1), &work(first.entered)).await.unwrap();
    assert_eq!(kept().await, work(first.entered));
    store.keep_work(&domain(), &device(2), &work(first.entered)).await.unwrap();
    assert!(store.find_device(&device(2)).await.unwrap().is_none());
}

pub async fn ports_are_listed_and_forgotten(f: impl Fixture) {
    let store = &**f.store();
    assert_eq!(store.ports(&domain(), &device(1)).await.unwrap(), None);
    assign(store, 1, &domain()).await;
    assert_eq!(store.ports(&domain(), &device(1)).await.unwrap(), Some(Vec::new()));
    for (number, port) in [(1, "TEL3"), (2, "TEL1")] {
        put(store, code(number), &domain()).await;
        assert_eq!(store.claim_port(&domain(), &device(1), port, code(number)).await.unwrap(), PortClaim::Recorded);
    }
    assert_eq!(store.ports(&domain(), &device(1)).await.unwrap(), Some(vec!["TEL1".into(), "TEL3".into()]));
    assert_eq!(store.ports(&other_domain(), &device(1)).await.unwrap(), None);
    assert!(!store.remove_port(&other_domain(), &device(1), "TEL1").await.unwrap());
    assert!(store.remove_port(&domain(), &device(1), "TEL1").await.unwrap());
    assert!(!store.remove_port(&domain(), &device(1), "TEL1").await.unwrap());
    assert_eq!(store.ports(&domain(), &device(1)).await.unwrap(), Some(vec!["TEL3".into()]));
}

pub async fn a_device_moves_whole(f: impl Fixture) {
    let store = &**f.store();
    let before = assign(store, 1, &domain()).await;
    store.rename(&domain(), &device(1), Some("Lobby")).await.unwrap();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.attach(&domain(), &device(1), &at("n1", 4)).await.unwrap();
    let after = inside(store.transfer(&domain(), &moved(1, &other_domain())).await.unwrap());
    assert_eq!((after.id, &after.domain, after.name.as_deref()), (before.id, &other_domain(), None));
    assert_ne!(after.password, before.password);
    assert!(after.tentative);
    assert_eq!(store.find_device(&device(1)).await.unwrap().unwrap(), after);
    assert!(listed(store, &domain()).await.is_empty());
    assert_eq!(listed(store, &other_domain()).await, [device(1)]);
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    assert!(!store.remove(&domain(), &device(1)).await.unwrap());
    // And back.
    let back = inside(store.transfer(&other_domain(), &moved(1, &domain())).await.unwrap());
    assert_eq!((back.id, back.domain), (before.id, domain()));
    assert!(listed(store, &other_domain()).await.is_empty());
}

pub async fn a_move_of_a_device_that_is_elsewhere_changes_nothing(f: impl Fixture) {
    let store = &**f.store();
    let there = assign(store, 1, &domain()).await;
    let third = DomainName::parse("third.example").unwrap();
    for number in [1, 2] {
        let outcome = store.transfer(&third, &moved(number, &other_domain())).await.unwrap();
        assert!(matches!(outcome, Entered::OwnedElsewhere));
    }
    assert_eq!(store.find_device(&device(1)).await.unwrap(), Some(there));
    assert_eq!(store.find_device(&device(2)).await.unwrap(), None);
    assert_eq!(store.device_count(&other_domain()).await.unwrap(), 0);
}

pub async fn a_move_does_not_lose_the_notice(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    inside(store.transfer(&domain(), &moved(1, &other_domain())).await.unwrap());
    assert_eq!((store.depth(&domain()).await.unwrap(), store.depth(&other_domain()).await.unwrap()), (1, 0));
    f.advance(MINUTE).await;
    for of in [domain(), other_domain()] {
        assert_eq!(store.deposit_overdue(&of, Duration::ZERO).await.unwrap(), 0);
    }
}

pub async fn a_move_may_be_repeated(f: impl Fixture) {
    let store = &**f.store();
    assign(store, 1, &domain()).await;
    let entry = moved(1, &other_domain());
    let first = inside(store.transfer(&domain(), &entry).await.unwrap());
    assert_eq!(inside(store.transfer(&domain(), &entry).await.unwrap()), first);
    let another = Entry { password: Secret::new("a third password of 32 characters"), ..entry };
    assert!(matches!(store.transfer(&domain(), &another).await.unwrap(), Entered::OwnedElsewhere));
}
