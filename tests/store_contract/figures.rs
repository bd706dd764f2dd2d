//! The figures of the whole store.

use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::store::{CodeRecord, NewDomain, Store, Totals};

use crate::fixture::*;

async fn figures(store: &dyn Store) -> Totals {
    store.figures().await.unwrap()
}

pub async fn figures_are_those_of_all_domains(f: impl Fixture) {
    let store = &**f.store();
    for domain in [domain(), other_domain()] {
        let none = Secret::default();
        let new = NewDomain {
            name: domain,
            password: none.clone(),
            admin_password: none.clone(),
            auto_token: none,
            categories: Vec::new(),
        };
        store.ensure_domain(&new).await.unwrap();
    }
    assert_eq!(figures(store).await, Totals::default());

    put(store, code(1), &domain()).await;
    put(store, code(2), &other_domain()).await;
    put(store, code(3), &other_domain()).await;
    let rollout = CodeRecord { rollout: true, ..new_code(store, code(4), &domain()).await };
    store.put_code(&rollout, 10).await.unwrap();
    enter(store, &device(1), &domain(), code(1)).await;
    enter(store, &device(2), &other_domain(), code(2)).await;
    let expected = Totals { devices: 2, most_devices: 1, short_codes: 1, rollout_codes: 1, ..Totals::default() };
    assert_eq!(figures(store).await, expected);

    // Codes end by themselves, and the age of a notice counts from the use of its code.
    f.advance(VALID).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    f.advance(MINUTE).await;
    store.deposit(&other_domain(), &device(2)).await.unwrap();
    let now = figures(store).await;
    assert_eq!((now.devices, now.short_codes, now.notices), (2, 0, 2));
    let age = now.oldest.unwrap();
    let passed = VALID + MINUTE;
    assert!(age >= passed && age < passed + Duration::from_secs(30), "{age:?}");

    store.settle(&domain(), &[code(1)]).await.unwrap();
    store.settle(&other_domain(), &[code(2)]).await.unwrap();
    store.remove(&domain(), &device(1)).await.unwrap();
    let now = figures(store).await;
    assert_eq!((now.devices, now.notices, now.oldest), (1, 0, None));
}

pub async fn members_count_while_their_node_lives(f: impl Fixture) {
    let store = &**f.store();
    let lease = Duration::from_secs(60);
    for (name, members) in [("n1", 5), ("n2", 7)] {
        store.renew_lease(&node(name), lease).await.unwrap();
        store.publish_member_count(&node(name), members).await.unwrap();
    }
    assert_eq!(figures(store).await.online, 12);
    store.publish_member_count(&node("n1"), 6).await.unwrap();
    assert_eq!(figures(store).await.online, 13);
    store.end_lease(&node("n1")).await.unwrap();
    assert_eq!(figures(store).await.online, 7);
    f.advance(lease).await;
    assert_eq!(figures(store).await.online, 0, "a node that is dead has no members");
    // It was not dead after all.
    store.renew_lease(&node("n2"), lease).await.unwrap();
    store.publish_member_count(&node("n2"), 3).await.unwrap();
    assert_eq!(figures(store).await.online, 3);
}
