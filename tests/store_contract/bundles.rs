//! Bundles: lent codes, devices and timelines that were carried in, and what is remembered.

use std::time::Duration;

use provbroker::core::model::bundle::{BundleState, Loan, SiteName};
use provbroker::core::model::device::{CodeState, Way};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::timeline::{MAX_STEPS, Step, Subject, TimelineEvent};
use provbroker::store::{Entered, EntryRight, PortClaim};

use crate::fixture::*;

fn berlin() -> SiteName {
    SiteName::parse("berlin").unwrap()
}

pub async fn a_lent_code_lets_nobody_in(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    assert!(store.lend_code(&domain(), code(1), &berlin()).await.unwrap());
    // Again is a repetition; another site gets nothing, and nor does one a code that is not there.
    assert!(store.lend_code(&domain(), code(1), &berlin()).await.unwrap());
    assert!(!store.lend_code(&domain(), code(1), &SiteName::parse("paris").unwrap()).await.unwrap());
    assert!(!store.lend_code(&domain(), code(2), &berlin()).await.unwrap());
    assert!(!store.lend_code(&other_domain(), code(1), &berlin()).await.unwrap());
    let lent = CodeState::Lent { site: berlin() };
    assert_eq!(store.code_in(&domain(), code(1)).await.unwrap().unwrap().state, lent);
    assert_eq!(store.codes(&domain(), None, 10).await.unwrap()[0].code.state, lent);
    let entered = store.enter(&entry(device(1), &domain(), EntryRight::Code(code(1)))).await.unwrap();
    assert!(matches!(entered, Entered::CodeNotOpen), "{entered:?}");
    inside(store.enter(&entry(device(2), &domain(), EntryRight::Manual)).await.unwrap());
    let port = store.claim_port(&domain(), &device(2), "TEL1", code(1)).await.unwrap();
    assert_eq!(port, PortClaim::CodeNotOpen);
    assert!(!store.revoke_code(&domain(), code(1)).await.unwrap());
    // It counts no longer as open, and is known for 30 days after its validity.
    put(store, code(3), &domain()).await;
    f.advance(VALID).await;
    put(store, code(4), &domain()).await;
    assert_eq!(store.code_in(&domain(), code(1)).await.unwrap().unwrap().state, lent);
    assert_eq!(store.codes(&domain(), None, 10).await.unwrap().len(), 2);
    f.advance(30 * DAY).await;
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
    // A used one is not lent.
    put(store, code(5), &domain()).await;
    enter(store, &device(1), &domain(), code(5)).await;
    assert!(!store.lend_code(&domain(), code(5), &berlin()).await.unwrap());
}

pub async fn a_loan_is_settled_by_its_site(f: impl Fixture) {
    let store = &**f.store();
    let settle = async |number, site: &str, by, port| {
        let site = SiteName::parse(site).unwrap();
        store.settle_loan(&domain(), code(number), &site, &device(by), port).await.unwrap()
    };
    put(store, code(1), &domain()).await;
    assert!(!settle(1, "berlin", 1, None).await, "not lent");
    store.lend_code(&domain(), code(1), &berlin()).await.unwrap();
    assert!(!settle(1, "paris", 1, None).await);
    assert!(settle(1, "berlin", 1, None).await);
    assert!(settle(1, "berlin", 1, None).await, "a repetition");
    assert!(!settle(1, "berlin", 2, None).await && !settle(1, "berlin", 1, Some("TEL1")).await);
    let used = CodeState::Used { by: device(1), port: None };
    assert_eq!(store.code_in(&domain(), code(1)).await.unwrap().unwrap().state, used);
    assert_eq!(store.depth(&domain()).await.unwrap(), 1, "the notice is in the mailbox, once");
    put(store, code(2), &domain()).await;
    store.lend_code(&domain(), code(2), &berlin()).await.unwrap();
    assert!(settle(2, "berlin", 1, Some("TEL1")).await);
    let port = CodeState::Used { by: device(1), port: Some("TEL1".into()) };
    assert_eq!(store.code_in(&domain(), code(2)).await.unwrap().unwrap().state, port);
    f.advance(nearly(30 * DAY)).await;
    assert!(store.code_in(&domain(), code(2)).await.unwrap().is_some());
}

pub async fn a_carried_device_keeps_way_and_time(f: impl Fixture) {
    let store = &**f.store();
    let entered = UnixMillis(store.now().await.unwrap().0 - 7_000_000);
    let carried = entry(device(1), &domain(), EntryRight::Carried { way: Way::Code, entered });
    let device_1 = inside(store.enter(&carried).await.unwrap());
    assert_eq!((device_1.way, device_1.entered, device_1.pending), (Way::Code, entered, None));
    store.confirm(&domain(), &device(1), &carried.password).await.unwrap();
    let found = store.find_device(&device(1)).await.unwrap().unwrap();
    assert_eq!((found.way, found.entered, found.tentative), (Way::Code, entered, false));
    let elsewhere = entry(device(1), &other_domain(), EntryRight::Carried { way: Way::Auto, entered });
    assert!(matches!(store.enter(&elsewhere).await.unwrap(), Entered::OwnedElsewhere));
}

pub async fn a_carried_timeline_replaces_what_was_there(f: impl Fixture) {
    let store = &**f.store();
    let subject = Subject::Device(device(1));
    store.append_step(&domain(), std::slice::from_ref(&subject), &TimelineEvent::Removed).await.unwrap();
    let step = |at| Step { at: UnixMillis(at), event: TimelineEvent::Port(at.to_string().into()) };
    let steps: Vec<Step> = (1..=MAX_STEPS as u64 + 5).map(step).collect();
    store.carry_timeline(&domain(), &subject, &steps).await.unwrap();
    assert_eq!(store.timeline(&domain(), &subject).await.unwrap(), steps[5..]);
    store.append_step(&domain(), std::slice::from_ref(&subject), &TimelineEvent::CleanedUp).await.unwrap();
    assert_eq!(store.timeline(&domain(), &subject).await.unwrap().len(), MAX_STEPS);
    store.carry_timeline(&domain(), &subject, &[]).await.unwrap();
    assert!(store.timeline(&domain(), &subject).await.unwrap().is_empty());
    store.carry_timeline(&domain(), &subject, &steps[..1]).await.unwrap();
    f.advance(30 * DAY + Duration::from_secs(1)).await;
    assert!(store.timeline(&domain(), &subject).await.unwrap().is_empty());
}

pub async fn what_is_remembered_changes_only_as_it_was_read(f: impl Fixture) {
    let store = &**f.store();
    assert_eq!(store.bundle_state(&domain()).await.unwrap(), BundleState::default());
    let mut first = BundleState::default();
    first.sites.insert(berlin(), Loan { bundles: 1, ..Loan::default() });
    assert!(store.keep_bundle_state(&domain(), &first).await.unwrap());
    assert!(store.keep_bundle_state(&domain(), &first).await.unwrap(), "a repetition");
    assert!(!store.keep_bundle_state(&domain(), &BundleState::default()).await.unwrap());
    let kept = store.bundle_state(&domain()).await.unwrap();
    assert_eq!(kept, BundleState { revision: 1, ..first });
    assert!(store.keep_bundle_state(&domain(), &kept).await.unwrap());
    assert_eq!(store.bundle_state(&other_domain()).await.unwrap(), BundleState::default());
    let mark = store.instance_mark();
    assert!(mark.len() == 64 && mark == store.instance_mark());
}
