//! Domains, device records, presence, signals.

use std::time::Duration;

use provbroker::core::model::ids::{CategoryId, Secret};
use provbroker::store::{EntryRight, NewDomain, Signal};

use crate::fixture::*;

fn new_domain(name: &str, categories: &[(&str, bool)]) -> NewDomain {
    NewDomain {
        name: provbroker::core::model::ids::DomainName::parse(name).unwrap(),
        password: Secret::new("app-password"),
        admin_password: Secret::default(),
        auto_token: Secret::new("token"),
        categories: categories.iter().map(|(name, provisioning)| ((*name).into(), *provisioning)).collect(),
    }
}

pub async fn domains_are_made_once(f: impl Fixture) {
    let store = &**f.store();
    let first = new_domain("example.com", &[("Phones", true), ("Labs: a/b", false)]);
    let other = new_domain("other.example", &[("Phones", true)]);
    // Several nodes at once.
    let (one, two) = tokio::join!(store.ensure_domain(&first), store.ensure_domain(&first));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    assert_eq!((one.password.expose(), one.admin_password.is_empty()), ("app-password", true));
    assert_eq!(one.auto_token, Secret::new("token"));
    assert!(one.category("Phones").unwrap().provisioning && !one.category("Labs: a/b").unwrap().provisioning);
    let another = store.ensure_domain(&other).await.unwrap();
    assert_ne!(another.id, one.id);
    let ids = |domain: &provbroker::core::model::device::Domain| -> Vec<CategoryId> {
        domain.categories.iter().map(|category| category.id).collect()
    };
    assert!(ids(&one).iter().all(|id| !ids(&another).contains(id)), "a number of one domain means nothing in another");
    // What is there stays; what is missing is added.
    let more = NewDomain {
        password: Secret::new("changed"),
        ..new_domain("example.com", &[("Phones", false), ("Gateways", true)])
    };
    let grown = store.ensure_domain(&more).await.unwrap();
    assert_eq!((grown.id, &grown.password), (one.id, &one.password));
    assert!(grown.category("Phones").unwrap().provisioning);
    assert_eq!(grown.categories.len(), 3);
    assert!(grown.categories.is_sorted_by_key(|category| category.id.0));
    assert_eq!(store.domains().await.unwrap(), [grown, another]);
}

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

pub async fn presence_follows_the_newest_connection(f: impl Fixture) {
    let store = &**f.store();
    let (here, there) = (at("n1", 1), at("n2", 1));
    for name in ["n1", "n2"] {
        store.renew_lease(&node(name), MINUTE).await.unwrap();
    }
    let attach = async |at| store.attach(&domain(), &device(1), at).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    assert_eq!(attach(&here).await, None);
    assert_eq!(attach(&here).await, None, "a repetition replaces nothing");
    assert_eq!(attach(&there).await, Some(here.clone()));
    assert_eq!(attach(&there).await, Some(here.clone()), "a repetition gives the same answer");
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(there.clone()));
    // The end of the replaced connection changes nothing; nor does the other domain.
    store.detach(&domain(), &device(1), &here).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(there.clone()));
    assert_eq!(store.whereabouts(&other_domain(), &device(1)).await.unwrap(), None);
    store.detach(&domain(), &device(1), &there).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    assert_eq!(attach(&here).await, None);
}

pub async fn a_device_is_offline_when_its_node_is_dead(f: impl Fixture) {
    let store = &**f.store();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.attach(&domain(), &device(1), &at("n1", 7)).await.unwrap();
    f.advance(MINUTE / 2).await;
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    f.advance(MINUTE / 2).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 7)));
    f.advance(MINUTE).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 7)));
    store.end_lease(&node("n1")).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
}

pub async fn signals_reach_every_subscriber(f: impl Fixture) {
    let store = &**f.store();
    let (mut one, mut two) = (store.subscribe(), store.subscribe());
    let mail = Signal::Mail { domain: domain(), code: Some(code(1)) };
    let evict = Signal::Evict { domain: domain(), key: device(1), node: node("n1"), conn: at("n1", 4).conn };
    store.publish(&mail).await.unwrap();
    store.publish(&evict).await.unwrap();
    for receiver in [&mut one, &mut two] {
        assert_eq!(receiver.recv().await.unwrap(), mail);
        assert_eq!(receiver.recv().await.unwrap(), evict);
    }
}
