//! Devices as operators see them: lists, changes, moves, offers, and devices of no domain.

use std::collections::HashSet;
use std::time::Duration;

use provbroker::core::model::device::Device;
use provbroker::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::work::{Progress, State, Work};
use provbroker::store::{Entered, Entry, EntryRight, Offer, PortClaim, Store};

use crate::fixture::*;

async fn assign(store: &dyn Store, number: u64, domain: &DomainName) -> Device {
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

pub async fn an_offer_ends(f: impl Fixture) {
    let store = &**f.store();
    let offer = |number| Offer { key: device(number), from: domain() };
    store.offer(&other_domain(), &offer(1), DAY).await.unwrap();
    f.advance(nearly(DAY)).await;
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    assert_eq!(store.offers(&other_domain()).await.unwrap(), [offer(1), offer(2)]);
    assert!(store.offers(&domain()).await.unwrap().is_empty());
    f.advance(2 * MINUTE).await;
    assert_eq!(store.offers(&other_domain()).await.unwrap(), [offer(2)]);
    assert!(!store.end_offer(&other_domain(), &device(1)).await.unwrap());
    assert!(!store.end_offer(&domain(), &device(2)).await.unwrap());
    assert!(store.end_offer(&other_domain(), &device(2)).await.unwrap());
    assert!(!store.end_offer(&other_domain(), &device(2)).await.unwrap());
    assert!(store.offers(&other_domain()).await.unwrap().is_empty());
}

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
