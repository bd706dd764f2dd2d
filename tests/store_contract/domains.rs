//! Domains and their categories.

use provbroker::core::model::device::{Category, Device, Domain};
use provbroker::core::model::ids::{CategoryId, DomainName, Secret};
use provbroker::store::{Deleted, DomainChange, EntryRight, NewDomain, PutCategory, Store};

use crate::fixture::*;
use crate::jobs::{builds, config_job};

pub fn new_domain(name: &str) -> NewDomain {
    NewDomain {
        name: DomainName::parse(name).unwrap(),
        password: Secret::new("app-password"),
        admin_password: Secret::new("admin-password"),
        auto_token: Secret::default(),
        categories: vec![("Phones".into(), true)],
    }
}

fn domain_with(name: &str, categories: &[(&str, bool)]) -> NewDomain {
    NewDomain {
        name: provbroker::core::model::ids::DomainName::parse(name).unwrap(),
        password: Secret::new("app-password"),
        admin_password: Secret::default(),
        auto_token: Secret::new("token"),
        categories: categories.iter().map(|(name, provisioning)| ((*name).into(), *provisioning)).collect(),
    }
}

pub async fn created(store: &dyn Store) -> Domain {
    store.create_domain(&new_domain("example.com")).await.unwrap().unwrap()
}

pub async fn read(store: &dyn Store) -> Domain {
    let read = store.domain(&domain()).await.unwrap().unwrap();
    assert!(store.domains().await.unwrap().contains(&read));
    read
}

pub fn kept(put: PutCategory) -> Category {
    match put {
        PutCategory::Kept(category) => category,
        refused => panic!("not kept: {refused:?}"),
    }
}

pub async fn domains_are_made_once(f: impl Fixture) {
    let store = &**f.store();
    let first = domain_with("example.com", &[("Phones", true), ("Labs: a/b", false)]);
    let other = domain_with("other.example", &[("Phones", true)]);
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
        ..domain_with("example.com", &[("Phones", false), ("Gateways", true)])
    };
    let grown = store.ensure_domain(&more).await.unwrap();
    assert_eq!((grown.id, &grown.password), (one.id, &one.password));
    assert!(grown.category("Phones").unwrap().provisioning);
    assert_eq!(grown.categories.len(), 3);
    assert!(grown.categories.is_sorted_by_key(|category| category.id.0));
    assert_eq!(store.domains().await.unwrap(), [grown, another]);
}

pub async fn a_domain_is_made_changed_and_deleted(f: impl Fixture) {
    let store = &**f.store();
    let made = created(store).await;
    assert_eq!(read(store).await, made);
    assert_eq!(made.admin_password, Secret::new("admin-password"));
    assert!(store.create_domain(&new_domain("example.com")).await.unwrap().is_none());
    let change = DomainChange { password: Some(Secret::new("new")), ..DomainChange::default() };
    assert!(store.change_domain(&domain(), &change).await.unwrap());
    let off = DomainChange { admin_password: Some(Secret::default()), ..DomainChange::default() };
    assert!(store.change_domain(&domain(), &off).await.unwrap());
    let changed = read(store).await;
    assert_eq!((changed.password.expose(), changed.admin_password.is_empty()), ("new", true));
    assert_eq!((changed.id, &changed.auto_token, &changed.categories), (made.id, &made.auto_token, &made.categories));
    // Nothing to change is no change; of what is not there, nothing is made.
    assert!(store.change_domain(&domain(), &DomainChange::default()).await.unwrap());
    assert_eq!(read(store).await.revision, changed.revision);
    for change in [&change, &DomainChange::default()] {
        assert!(!store.change_domain(&other_domain(), change).await.unwrap());
    }
    assert_eq!(store.delete_domain(&other_domain()).await.unwrap(), Deleted::Unknown);
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Gone);
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Unknown);
    assert!(store.domains().await.unwrap().is_empty() && store.domain(&domain()).await.unwrap().is_none());
    // One of the same name is another one.
    assert_ne!(created(store).await.id, made.id);
}

pub async fn access_is_given_and_ends_with_the_domain_that_gave_it(f: impl Fixture) {
    let store = &**f.store();
    created(store).await;
    store.create_domain(&new_domain("other.example")).await.unwrap().unwrap();
    let third = DomainName::parse("third.example").unwrap();
    let gained = DomainChange { access_gained: vec![third.clone(), other_domain()], ..DomainChange::default() };
    assert!(store.change_domain(&domain(), &gained).await.unwrap());
    assert!(store.change_domain(&domain(), &gained).await.unwrap());
    assert_eq!(read(store).await.access_to, [other_domain(), third.clone()]);
    let lost = DomainChange { access_lost: vec![third], ..DomainChange::default() };
    assert!(store.change_domain(&domain(), &lost).await.unwrap());
    let before = read(store).await;
    assert_eq!(before.access_to, [other_domain()]);
    // Otherwise whoever makes a domain of this name again would be seen by those whom the one before had trusted.
    assert_eq!(store.delete_domain(&other_domain()).await.unwrap(), Deleted::Gone);
    let after = read(store).await;
    assert!(after.access_to.is_empty());
    assert_ne!(after.revision, before.revision);
}

pub async fn a_deleted_domain_leaves_nothing_behind(f: impl Fixture) {
    let store = &**f.store();
    let made = created(store).await;
    let other = store.create_domain(&new_domain("other.example")).await.unwrap().unwrap();
    store.add_job(&domain(), &config_job(Some(made.categories[0].id), "ntp.example.org")).await.unwrap().unwrap();
    let elsewhere = store.add_job(&other.name, &config_job(None, "ntp.example.org")).await.unwrap().unwrap();
    store.set_builds(&domain(), &builds("136012")).await.unwrap();
    put(store, code(1), &domain()).await;
    put(store, code(2), &other.name).await;
    // Open codes do not keep a domain; whoever has one cannot enter any more.
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::Gone);
    assert!(store.find_code(code(1)).await.unwrap().is_none());
    let late = store.enter(&entry(device(1), &domain(), EntryRight::Code(code(1)))).await.unwrap();
    assert!(matches!(late, provbroker::store::Entered::CodeNotOpen));
    created(store).await;
    assert!(store.jobs(&domain()).await.unwrap().is_empty());
    assert!(store.builds(&domain()).await.unwrap().is_none());
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
    // The neighbour has lost nothing.
    assert_eq!(store.jobs(&other.name).await.unwrap(), [elsewhere]);
    enter(store, &device(2), &other.name, code(2)).await;
}

/// `index` does what an entry has to do so that the device is counted.
pub async fn what_devices_belong_to_stays(f: &impl Fixture, mut index: impl AsyncFnMut(&Device)) {
    let store = &**f.store();
    let phones = created(store).await.categories[0].id;
    let gateways = kept(store.put_category(&domain(), None, "Gateways", true).await.unwrap()).id;
    let free = kept(store.put_category(&domain(), None, "Free", true).await.unwrap()).id;
    let manual = provbroker::store::Entry { category: phones, ..entry(device(1), &domain(), EntryRight::Manual) };
    index(&inside(store.enter(&manual).await.unwrap())).await;
    let new = provbroker::store::CodeRecord { category: gateways, ..new_code(store, code(1), &domain()).await };
    store.put_code(&new, 10).await.unwrap();
    let before = read(store).await;
    assert_eq!(store.delete_domain(&domain()).await.unwrap(), Deleted::InUse);
    assert_eq!(store.delete_category(&domain(), phones).await.unwrap(), Deleted::InUse);
    assert_eq!(store.delete_category(&domain(), gateways).await.unwrap(), Deleted::InUse);
    assert_eq!(read(store).await, before);
    assert!(store.find_code(code(1)).await.unwrap().is_some());
    assert_eq!(store.delete_category(&domain(), free).await.unwrap(), Deleted::Gone);
    // A code whose time is over keeps nothing.
    f.advance(VALID).await;
    assert_eq!(store.delete_category(&domain(), gateways).await.unwrap(), Deleted::Gone);
}

pub async fn of_two_categories_of_one_name_exactly_one_is_made(f: impl Fixture) {
    let store = &**f.store();
    created(store).await;
    for round in 0..20 {
        let name = format!("Round {round}: a/b");
        let (name, to) = (&name, &domain());
        let (one, two) =
            tokio::join!(store.put_category(to, None, name, true), store.put_category(to, None, name, true));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one == PutCategory::NameTaken, two == PutCategory::NameTaken, "{one:?} {two:?}");
    }
    assert_eq!(read(store).await.categories.len(), 21);
}

pub async fn categories_are_changed_and_deleted(f: impl Fixture) {
    let store = &**f.store();
    let phones = created(store).await.categories[0].clone();
    let made = kept(store.put_category(&domain(), None, "Gateways", false).await.unwrap());
    assert_eq!((&*made.name, made.provisioning), ("Gateways", false));
    assert_eq!(store.put_category(&domain(), Some(made.id), "Phones", true).await.unwrap(), PutCategory::NameTaken);
    let changed = kept(store.put_category(&domain(), Some(made.id), "Analogue", true).await.unwrap());
    assert_eq!(changed, Category { id: made.id, name: "Analogue".into(), provisioning: true });
    let marked = kept(store.put_category(&domain(), Some(made.id), "Analogue", false).await.unwrap());
    assert_eq!(read(store).await.categories, [phones.clone(), marked]);
    // The name that it had is free.
    let again = kept(store.put_category(&domain(), None, "Gateways", false).await.unwrap());
    assert!(again.id > made.id);
    assert_eq!(store.put_category(&domain(), Some(CategoryId(99)), "x", true).await.unwrap(), PutCategory::Unknown);
    assert_eq!(store.put_category(&other_domain(), None, "x", true).await.unwrap(), PutCategory::Unknown);
    let job = store.add_job(&domain(), &config_job(Some(phones.id), "x")).await.unwrap().unwrap();
    assert_eq!(store.delete_category(&domain(), phones.id).await.unwrap(), Deleted::InUse);
    assert!(store.remove_job(&domain(), job.id).await.unwrap());
    assert_eq!(store.delete_category(&domain(), phones.id).await.unwrap(), Deleted::Gone);
    assert_eq!(store.delete_category(&domain(), phones.id).await.unwrap(), Deleted::Unknown);
    assert!(store.add_job(&domain(), &config_job(Some(phones.id), "x")).await.unwrap().is_none());
    assert_eq!(store.delete_category(&other_domain(), made.id).await.unwrap(), Deleted::Unknown);
}

pub async fn the_revision_changes_with_every_change(f: impl Fixture) {
    let store = &**f.store();
    let mut seen = vec![created(store).await.revision];
    let mut changed = async |what: &str| {
        let revision = read(store).await.revision;
        assert!(!seen.contains(&revision), "{what}");
        seen.push(revision);
    };
    let category = kept(store.put_category(&domain(), None, "Gateways", true).await.unwrap());
    changed("a new category").await;
    store.put_category(&domain(), Some(category.id), "Analogue", true).await.unwrap();
    changed("a changed category").await;
    store.delete_category(&domain(), category.id).await.unwrap();
    changed("a deleted category").await;
    let job = store.add_job(&domain(), &config_job(None, "x")).await.unwrap().unwrap();
    changed("a new job").await;
    store.remove_job(&domain(), job.id).await.unwrap();
    changed("a deleted job").await;
    let change = DomainChange { auto_token: Some(Secret::new("t")), ..DomainChange::default() };
    store.change_domain(&domain(), &change).await.unwrap();
    changed("a setting").await;
    let more = NewDomain { categories: vec![("More".into(), true)], ..new_domain("example.com") };
    assert_eq!(store.ensure_domain(&more).await.unwrap(), read(store).await);
    changed("a category from the configuration").await;
    let before = read(store).await.revision;
    store.set_builds(&domain(), &builds("1")).await.unwrap();
    store.ensure_domain(&more).await.unwrap();
    assert_eq!(read(store).await.revision, before);
}
