//! The contract tests, each run against every backend.

use std::collections::BTreeSet;

use provbroker::core::model::users_role::{PersonId, UserQuery};
use provbroker::users_role::backend::{BackendError, Entered};

use crate::world::*;

pub async fn users_are_listed_once_by_name(f: impl Fixture) {
    let backend = f.backend();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let query = UserQuery { after, limit: 2, ..UserQuery::default() };
        let page = backend.users(&domain(), &query).await.unwrap();
        assert!(page.users.len() <= 2 && page.total.is_none_or(|total| total == 3));
        names.extend(page.users.into_iter().map(|person| person.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["Anna Berg", "Eva Ørsted", "Otto Lindner"].map(Box::<str>::from));
}

pub async fn users_are_found_by_part_and_group(f: impl Fixture) {
    let backend = f.backend();
    let find = async |search: &str, group: Option<&str>| {
        let query =
            UserQuery { search: search.into(), group: group.map(Into::into), limit: 10, ..UserQuery::default() };
        let page = backend.users(&domain(), &query).await.unwrap();
        assert_eq!(page.groups, ["Lab", "Sales"].map(Box::<str>::from));
        page.users.into_iter().map(|person| person.sip.into_string()).collect::<Vec<_>>()
    };
    assert_eq!(find("", Some("Lab")).await, ["eva", "otto"]);
    assert_eq!(find("ø", None).await, ["eva"]);
    assert_eq!(find("OTT", Some("Sales")).await, ["otto"]);
    assert!(find("anna", Some("Lab")).await.is_empty());
}

pub async fn a_user_is_found_in_its_own_domain_only(f: impl Fixture) {
    let backend = f.backend();
    let anna = backend.user_by_sip(&domain(), "anna").await.unwrap().unwrap();
    assert_eq!(&*anna.name, "Anna Berg");
    assert_eq!(backend.user(&domain(), &anna.guid).await.unwrap(), Some(anna));
    let other = backend.user_by_sip(&other_domain(), "anna").await.unwrap();
    assert_eq!(other.map(|person| person.name), Some("Another Anna".into()));
    assert_eq!(backend.user_by_sip(&other_domain(), "eva").await.unwrap(), None);
    assert_eq!(backend.user(&domain(), &PersonId::parse("nobody").unwrap()).await.unwrap(), None);
    assert!(backend.status(&domain()).up);
}

pub async fn phone_apps_have_names(f: impl Fixture) {
    let apps = f.backend().phone_apps(&domain()).await.unwrap();
    let names: BTreeSet<_> = apps.iter().map(|app| &app.name).collect();
    assert!(!names.is_empty() && names.len() == apps.len() && apps.iter().all(|app| !app.title.is_empty()));
}

pub async fn an_entry_is_made_once(f: impl Fixture) {
    let backend = f.backend();
    let order = order(&*backend, 1, "anna", 1).await;
    assert_eq!(backend.enter(&order).await, Ok(Entered::New));
    backend.enter(&order).await.unwrap();
    assert_eq!(f.entered().await, pairs(&[("anna", 1)]));
}

pub async fn an_entry_is_made_once_by_many_at_once(f: impl Fixture) {
    let backend = f.backend();
    let order = order(&*backend, 1, "anna", 1).await;
    let entered = futures_util::future::join_all((0..8).map(|_| backend.enter(&order))).await;
    assert!(entered.iter().all(Result::is_ok), "{entered:?}");
    assert_eq!(f.entered().await, pairs(&[("anna", 1)]));
}

pub async fn every_order_has_its_effect(f: impl Fixture) {
    let backend = f.backend();
    let users = ["anna", "otto", "eva"];
    let mut orders = Vec::new();
    for number in 0..30 {
        orders.push(order(&*backend, number, users[usize::try_from(number % 3).unwrap()], number).await);
    }
    let entered = futures_util::future::join_all(orders.iter().map(|order| backend.enter(order))).await;
    assert!(entered.iter().all(|entered| *entered == Ok(Entered::New)), "{entered:?}");
    let expected: Vec<_> = (0..30).map(|number| (users[usize::try_from(number % 3).unwrap()], number)).collect();
    assert_eq!(f.entered().await, pairs(&expected));
}

pub async fn a_phone_goes_to_whoever_had_it_last(f: impl Fixture) {
    let backend = f.backend();
    backend.enter(&order(&*backend, 1, "anna", 1).await).await.unwrap();
    backend.enter(&order(&*backend, 2, "anna", 2).await).await.unwrap();
    assert_eq!(backend.enter(&order(&*backend, 3, "otto", 1).await).await, Ok(Entered::New));
    assert_eq!(f.entered().await, pairs(&[("otto", 1), ("anna", 2)]));
}

pub async fn a_backend_that_is_away_says_later(mut f: impl Fixture) {
    let backend = f.backend();
    let order = order(&*backend, 1, "anna", 1).await;
    f.away(true).await;
    let away = backend.enter(&order).await;
    assert!(matches!(away, Err(BackendError::Later { .. })), "{away:?}");
    f.away(false).await;
    assert_eq!(backend.enter(&order).await, Ok(Entered::New));
    assert_eq!(f.entered().await, pairs(&[("anna", 1)]));
    assert!(backend.status(&domain()).up);
}
