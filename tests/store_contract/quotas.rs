//! What a domain may have at most.

use futures_util::future::join_all;
use provbroker::core::model::accounts::{Account, AccountName, Identity, Role};
use provbroker::core::model::device::CodeState;
use provbroker::core::model::ids::{CategoryId, Secret};
use provbroker::core::model::quota::{QuotaKind, Quotas};
use provbroker::store::{Entered, EntryRight, Limits, Offer, PutCategory, PutCode, Result, StoreError};

use crate::domains::new_domain;
use crate::fixture::*;

fn limits(quotas: Quotas) -> Limits {
    Limits { quotas, ..Limits::default() }
}

fn refused<T: std::fmt::Debug>(result: Result<T>) -> (QuotaKind, u64) {
    match result {
        Err(StoreError::OverQuota(over)) => (over.kind, over.most),
        other => panic!("{other:?}"),
    }
}

pub async fn no_more_devices_enter_than_there_may_be<F: Fixture>(_: F) {
    let f = F::limited(limits(Quotas { devices: 3, ..Quotas::default() })).await;
    let store = &**f.store();
    for number in 0..20 {
        put(store, code(number), &domain()).await;
    }
    // All at once: exactly three get in.
    let enter = async |number| store.enter(&entry(device(number), &domain(), EntryRight::Code(code(number)))).await;
    let all = join_all((0..20).map(enter)).await;
    assert_eq!(all.iter().filter(|entered| matches!(entered, Ok(Entered::In(_)))).count(), 3);
    let (out, over) = all.into_iter().enumerate().find(|(_, entered)| entered.is_err()).unwrap();
    assert_eq!(refused(over), (QuotaKind::Devices, 3));
    let (out, inside) =
        (out as u64, store.devices(&domain(), provbroker::core::model::ids::DeviceId(0), 10).await.unwrap());
    // The code is still open, and the device belongs to nobody.
    assert_eq!(store.find_code(code(out)).await.unwrap().unwrap().state, CodeState::Open);
    assert!(store.find_device(&device(out)).await.unwrap().is_none());
    // Those that are in enter again; another domain has room of its own.
    let again = entry(inside[0].device.key.clone(), &domain(), EntryRight::Manual);
    assert!(matches!(store.enter(&again).await.unwrap(), Entered::In(_)));
    let other = entry(device(out), &other_domain(), EntryRight::Manual);
    assert!(matches!(store.enter(&other).await.unwrap(), Entered::In(_)));
    // A device that is moved counts like one that enters.
    let moved = entry(device(out), &domain(), EntryRight::Manual);
    assert_eq!(refused(store.transfer(&other_domain(), &moved).await), (QuotaKind::Devices, 3));
    assert_eq!(store.find_device(&device(out)).await.unwrap().unwrap().domain, other_domain());
    store.remove(&domain(), &inside[0].device.key).await.unwrap();
    assert!(matches!(store.transfer(&other_domain(), &moved).await.unwrap(), Entered::In(_)));
}

pub async fn categories_and_jobs_are_counted<F: Fixture>(_: F) {
    let f = F::limited(limits(Quotas { categories: 3, jobs: 2, ..Quotas::default() })).await;
    let store = &**f.store();
    let made = store.create_domain(&new_domain("example.com")).await.unwrap().unwrap();
    for number in made.categories.len()..3 {
        let name = format!("More {number}");
        assert!(matches!(store.put_category(&domain(), None, &name, true).await.unwrap(), PutCategory::Kept(_)));
    }
    assert_eq!(refused(store.put_category(&domain(), None, "One more", true).await), (QuotaKind::Categories, 3));
    let id = made.categories[0].id;
    let renamed = store.put_category(&domain(), Some(id), "Renamed", true).await.unwrap();
    assert!(matches!(renamed, PutCategory::Kept(_)));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(store.add_job(&domain(), &crate::jobs::config_job(None, "x")).await.unwrap().unwrap().id);
    }
    assert_eq!(refused(store.add_job(&domain(), &crate::jobs::config_job(None, "x")).await), (QuotaKind::Jobs, 2));
    store.remove_job(&domain(), ids[0]).await.unwrap();
    store.add_job(&domain(), &crate::jobs::config_job(None, "x")).await.unwrap().unwrap();
}

pub async fn codes_are_counted_for_a_day<F: Fixture>(_: F) {
    let f = F::limited(limits(Quotas { codes_per_day: 3, ..Quotas::default() })).await;
    let store = &**f.store();
    for number in 0..3 {
        put(store, code(number), &domain()).await;
        // A code that is revoked has been issued all the same.
        assert!(store.revoke_code(&domain(), code(number)).await.unwrap());
    }
    let new = new_code(store, code(4), &domain()).await;
    assert_eq!(refused(store.put_code(&new, 100).await), (QuotaKind::CodesPerDay, 3));
    assert!(store.find_code(code(4)).await.unwrap().is_none());
    put(store, code(5), &other_domain()).await;
    f.advance(DAY + MINUTE).await;
    let new = new_code(store, code(4), &domain()).await;
    assert_eq!(store.put_code(&new, 100).await.unwrap(), PutCode::Kept);
}

pub async fn roll_outs_and_their_users_are_counted<F: Fixture>(_: F) {
    let f = F::limited(limits(Quotas { rollouts: 2, rollout_rows: 100, ..Quotas::default() })).await;
    let store = &**f.store();
    let begin = async |users| store.begin_rollout(&domain(), "All", CategoryId(3), users).await;
    let first = begin(60).await.unwrap();
    assert_eq!(refused(begin(41).await), (QuotaKind::RolloutRows, 100));
    begin(40).await.unwrap();
    assert_eq!(refused(begin(0).await), (QuotaKind::Rollouts, 2));
    store.remove_rollout(&domain(), first.id).await.unwrap();
    begin(60).await.unwrap();
    let people = async |users| store.begin_users_role_rollout(&domain(), "All", "Phones", "phone", users).await;
    let first = people(100).await.unwrap();
    assert_eq!(refused(people(1).await), (QuotaKind::RolloutRows, 100));
    store.remove_users_role_rollout(&domain(), first.id).await.unwrap();
    people(1).await.unwrap();
    people(1).await.unwrap();
    assert_eq!(refused(people(1).await), (QuotaKind::Rollouts, 2));
}

pub async fn accounts_and_offers_are_counted<F: Fixture>(_: F) {
    let f = F::limited(limits(Quotas { accounts: 2, offers: 2, ..Quotas::default() })).await;
    let store = &**f.store();
    let account = |name: &str, of| Account {
        identity: Identity {
            account: AccountName::parse(name).unwrap(),
            shown: name.into(),
            role: Role::Person,
            domain: Some(of),
            domain_id: None,
            sip: name.into(),
        },
        hash: Secret::new("hash"),
    };
    for name in ["ann", "bob"] {
        store.put_account(&account(name, domain()), false).await.unwrap();
    }
    assert_eq!(refused(store.put_account(&account("cid", domain()), false).await), (QuotaKind::Accounts, 2));
    store.put_account(&account("bob", domain()), true).await.unwrap();
    store.put_account(&account("dan", other_domain()), false).await.unwrap();

    let offer = |number| Offer { key: device(number), from: domain() };
    store.offer(&other_domain(), &offer(1), DAY).await.unwrap();
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    assert_eq!(refused(store.offer(&other_domain(), &offer(3), DAY).await), (QuotaKind::Offers, 2));
    assert!(store.end_offer(&other_domain(), &device(1)).await.unwrap());
    store.offer(&other_domain(), &offer(3), DAY).await.unwrap();
    f.advance(DAY + MINUTE).await;
    store.offer(&other_domain(), &offer(4), DAY).await.unwrap();
}
