//! Reading of domains and jobs, and the changes that the cache reports.

use serde_json::json;

use super::*;
use crate::core::model::ids::Secret;
use crate::core::policy::jobs::config::{Configuration, Kind};
use crate::core::policy::jobs::{JobSpec, Task};
use crate::store::{Deleted, DomainChange, NewDomain};

fn name() -> DomainName {
    DomainName::parse("example.com").unwrap()
}

fn new() -> NewDomain {
    NewDomain {
        name: name(),
        password: Secret::new("p"),
        admin_password: Secret::new("a"),
        auto_token: Secret::default(),
        categories: Vec::new(),
    }
}

fn order() -> JobSpec {
    let values = [("servers".to_owned(), json!("ntp.example.org"))].into_iter().collect();
    JobSpec { category: None, desc: None, task: Task::Config(Configuration { kind: Kind::Ntp, values }) }
}

#[tokio::test]
async fn jobs_are_read_again_only_when_the_domain_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("store.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let tenants = Tenants::new(Arc::clone(&store));
    store.create_domain(&new()).await.unwrap().unwrap();
    tenants.refresh().await.unwrap();
    let job = store.add_job(&name(), &order()).await.unwrap().unwrap();
    assert!(tenants.jobs(&name()).is_empty() && tenants.take_changes().is_empty());

    tenants.refresh().await.unwrap();
    let read = tenants.jobs(&name());
    assert_eq!(*read, std::slice::from_ref(&job));
    assert_eq!(
        tenants.take_changes(),
        HashMap::from([(name(), TenantChanges { jobs: true, ..TenantChanges::default() })])
    );
    tenants.refresh().await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert!(Arc::ptr_eq(&read, &tenants.jobs(&name())), "not read again");
    assert!(tenants.take_changes().is_empty());

    // News that nobody has taken yet are not lost by the next reading.
    let change = DomainChange { admin_password: Some(Secret::new("b")), ..DomainChange::default() };
    store.change_domain(&name(), &change).await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    store.remove_job(&name(), job.id).await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert!(tenants.jobs(&name()).is_empty());
    assert_eq!(
        tenants.take_changes(),
        HashMap::from([(name(), TenantChanges { jobs: true, admin_password: true, gone: false })])
    );
}

#[tokio::test]
async fn a_domain_that_was_made_again_has_nothing_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("store.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let tenants = Tenants::new(Arc::clone(&store));
    store.create_domain(&new()).await.unwrap().unwrap();
    store.add_job(&name(), &order()).await.unwrap().unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert_eq!(tenants.jobs(&name()).len(), 1);
    assert_eq!(store.delete_domain(&name()).await.unwrap(), Deleted::Gone);
    store.create_domain(&new()).await.unwrap().unwrap();
    // As many changes as before.
    let change = DomainChange { password: Some(Secret::new("q")), ..DomainChange::default() };
    store.change_domain(&name(), &change).await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert!(tenants.jobs(&name()).is_empty());
    store.delete_domain(&name()).await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert!(tenants.all().is_empty());
}

#[tokio::test]
async fn a_right_ends_with_the_password_the_domain_and_the_access() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("store.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let tenants = Tenants::new(Arc::clone(&store));
    let other = NewDomain { name: DomainName::parse("other.example").unwrap(), ..new() };
    let made = store.create_domain(&new()).await.unwrap().unwrap();
    let id = store.create_domain(&other).await.unwrap().unwrap().id;
    tenants.refresh().await.unwrap();
    let mut changes = tenants.rights_changed();
    let grant = Grant::by_password(&made);
    assert!(tenants.holds(Some(&grant)) && tenants.holds(None));
    assert!(tenants.reaches(Some(&grant), &name(), made.id) && tenants.reaches(None, &other.name, id));
    assert!(!tenants.reaches(Some(&grant), &other.name, id));

    let given = DomainChange { access_gained: vec![other.name.clone()], ..DomainChange::default() };
    store.change_domain(&name(), &given).await.unwrap();
    tenants.refresh().await.unwrap();
    assert!(tenants.reaches(Some(&grant), &other.name, id) && !tenants.reaches(Some(&grant), &other.name, made.id));
    assert!(!changes.has_changed().unwrap(), "nothing has ended");
    let withdrawn = DomainChange { access_lost: vec![other.name.clone()], ..DomainChange::default() };
    store.change_domain(&name(), &withdrawn).await.unwrap();
    tenants.refresh_one(&name()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert!(!tenants.reaches(Some(&grant), &other.name, id) && tenants.holds(Some(&grant)));

    changes.mark_unchanged();
    let password = DomainChange { password: Some(Secret::new("q")), ..DomainChange::default() };
    store.change_domain(&name(), &password).await.unwrap();
    tenants.refresh().await.unwrap();
    assert!(changes.has_changed().unwrap() && !tenants.holds(Some(&grant)));
    assert!(!tenants.reaches(Some(&grant), &name(), made.id));

    changes.mark_unchanged();
    store.delete_domain(&other.name).await.unwrap();
    tenants.refresh().await.unwrap();
    assert!(changes.has_changed().unwrap() && !tenants.reaches(None, &other.name, id));
    assert!(tenants.take_changes().get(&other.name).unwrap().gone);
}

/// A wrong password of a known domain causes the same reading as a name that is not known, so neither can be told from
/// the other.
#[tokio::test]
async fn a_wrong_secret_and_an_unknown_name_are_read_again_alike() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("store.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let check = async |tenants: &Tenants, name: &str, password: &str| {
        let name = DomainName::parse(name).unwrap();
        let asked = std::cell::RefCell::new(Vec::new());
        let right = tenants.check_secret(Some(&name), |domain| {
            asked.borrow_mut().push(domain.is_some());
            domain.filter(|domain| domain.password.expose() == password).map(|domain| domain.id)
        });
        let right = right.await.unwrap().is_some();
        (right, asked.into_inner())
    };
    let tenants = Tenants::new(Arc::clone(&store));
    store.create_domain(&new()).await.unwrap().unwrap();
    assert_eq!(check(&tenants, "example.com", "p").await, (true, vec![false, true]), "made elsewhere a moment ago");
    assert_eq!(check(&tenants, "example.com", "p").await, (true, vec![true]));

    let cached = async || {
        let tenants = Tenants::new(Arc::clone(&store));
        tenants.refresh().await.unwrap();
        tenants
    };
    let (wrong, unknown) = (cached().await, cached().await);
    assert_eq!(check(&wrong, "example.com", "x").await, (false, vec![true, true]));
    assert_eq!(check(&unknown, "example.net", "x").await, (false, vec![false, false]));
    // Both are due again a second later only.
    assert_eq!(check(&wrong, "example.com", "x").await, (false, vec![true]));
    assert_eq!(check(&unknown, "example.net", "x").await, (false, vec![false]));
    assert_eq!(check(&wrong, "example.net", "x").await, (false, vec![false]));

    let changed = cached().await;
    let change = DomainChange { password: Some(Secret::new("q")), ..DomainChange::default() };
    store.change_domain(&name(), &change).await.unwrap();
    assert_eq!(check(&changed, "example.com", "q").await, (true, vec![true, true]));
}
