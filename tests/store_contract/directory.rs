//! Listings of the directory, and what it keeps of phones.

use std::time::Duration;

use provbroker::core::model::time::UnixMillis;
use provbroker::store::{Contact, Limits, Listed, NewListing, PHONES_PER_CODE, RecordCaps, Remembered};

use crate::fixture::*;

pub async fn a_listing_leads_to_its_address_until_its_end(f: impl Fixture) {
    let store = &**f.store();
    let before = store.now().await.unwrap();
    let Listed::Until(ends) = store.put_listing(&listing(code(1)), 10).await.unwrap() else { panic!("not listed") };
    let after = store.now().await.unwrap();
    assert_eq!(ends.0 % 1000, 0, "whole seconds");
    assert!(ends.0 > before.0 + 599_000 && ends <= after + VALID);
    assert_eq!(store.find_listing(code(1)).await.unwrap(), Some(listing(code(1)).url));
    assert_eq!(store.find_listing(code(2)).await.unwrap(), None);
    f.advance(nearly(VALID)).await;
    assert!(store.find_listing(code(1)).await.unwrap().is_some());
    assert_eq!(store.open_listings().await.unwrap(), 1);
    f.advance(MINUTE).await;
    assert!(store.find_listing(code(1)).await.unwrap().is_none());
    assert_eq!(store.open_listings().await.unwrap(), 0);
}

pub async fn a_listed_code_is_not_used_again_for_thirty_days(f: impl Fixture) {
    let store = &**f.store();
    assert!(matches!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Until(_)));
    assert_eq!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Taken);
    assert!(store.remove_listing(code(1), "c1").await.unwrap());
    assert_eq!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Taken);
    f.advance(VALID).await;
    assert_eq!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Taken);
    f.advance(nearly(30 * DAY)).await;
    assert_eq!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Taken);
    f.advance(MINUTE).await;
    assert!(matches!(store.put_listing(&listing(code(1)), 10).await.unwrap(), Listed::Until(_)));
}

pub async fn only_its_credential_ends_a_listing(f: impl Fixture) {
    let store = &**f.store();
    store.put_listing(&listing(code(1)), 10).await.unwrap();
    assert!(!store.remove_listing(code(1), "c2").await.unwrap());
    assert!(store.find_listing(code(1)).await.unwrap().is_some());
    assert!(store.remove_listing(code(1), "c1").await.unwrap());
    assert!(store.find_listing(code(1)).await.unwrap().is_none());
    assert!(!store.remove_listing(code(1), "c1").await.unwrap());
    assert_eq!(store.open_listings().await.unwrap(), 0);
}

pub async fn open_listings_are_limited_by_credential(f: impl Fixture) {
    let store = &**f.store();
    for number in 0..3 {
        assert!(matches!(store.put_listing(&listing(code(number)), 3).await.unwrap(), Listed::Until(_)));
    }
    assert_eq!(store.put_listing(&listing(code(3)), 3).await.unwrap(), Listed::TooMany);
    assert!(store.find_listing(code(3)).await.unwrap().is_none());
    let others = NewListing { credential: "c2".into(), ..listing(code(3)) };
    assert!(matches!(store.put_listing(&others, 3).await.unwrap(), Listed::Until(_)));
    assert_eq!(store.open_listings().await.unwrap(), 4);
    store.remove_listing(code(0), "c1").await.unwrap();
    assert!(matches!(store.put_listing(&listing(code(4)), 3).await.unwrap(), Listed::Until(_)));
    f.advance(VALID).await;
    assert!(matches!(store.put_listing(&listing(code(5)), 1).await.unwrap(), Listed::Until(_)));
    assert_eq!(store.open_listings().await.unwrap(), 1);
}

pub async fn an_answer_is_remembered_for_ten_minutes(f: impl Fixture) {
    let store = &**f.store();
    let answer = Remembered { body: "b1".into(), code: code(1), valid_until: UnixMillis::from_seconds(1_767_225_600) };
    let another = Remembered { code: code(2), ..answer.clone() };
    assert_eq!(store.remembered_answer("c1", "k1").await.unwrap(), None);
    assert_eq!(store.remember_answer("c1", "k1", &answer).await.unwrap(), None);
    assert_eq!(store.remember_answer("c1", "k1", &another).await.unwrap(), Some(answer.clone()));
    assert_eq!(store.remembered_answer("c1", "k1").await.unwrap(), Some(answer));
    // Keys belong to their credential.
    assert_eq!(store.remembered_answer("c", "1k1").await.unwrap(), None);
    assert_eq!(store.remember_answer("c2", "k1", &another).await.unwrap(), None);
    f.advance(10 * MINUTE).await;
    assert_eq!(store.remembered_answer("c1", "k1").await.unwrap(), None);
    assert_eq!(store.remember_answer("c1", "k1", &another).await.unwrap(), None);
}

pub async fn the_first_contact_is_told_from_later_ones(f: impl Fixture) {
    let store = &**f.store();
    let contact = Contact { mac: "009033a1b2c3".into(), model: Some("IP112".into()), ..Contact::default() };
    store.put_listing(&listing(code(1)), 10).await.unwrap();
    assert!(store.record_contact(&contact, None, source(1)).await.unwrap().first);
    assert!(!store.record_contact(&contact, Some(code(1)), source(1)).await.unwrap().first);
    assert!(!store.record_contact(&contact, Some(code(2)), source(1)).await.unwrap().first);
    let another = Contact { mac: "009033a1b2c4".into(), ..contact.clone() };
    assert!(store.record_contact(&another, Some(code(1)), source(1)).await.unwrap().first);
    f.advance(20 * DAY).await;
    assert!(!store.record_contact(&contact, None, source(1)).await.unwrap().first);
    f.advance(20 * DAY).await;
    assert!(
        !store.record_contact(&contact, None, source(1)).await.unwrap().first,
        "thirty days after the last contact"
    );
    f.advance(30 * DAY + Duration::from_secs(1)).await;
    assert!(store.record_contact(&contact, None, source(1)).await.unwrap().first);
}

fn phone(number: u32) -> Contact {
    Contact { mac: format!("009033{number:06x}").into(), model: Some("IP112".into()), ..Contact::default() }
}

pub async fn contacts_of_strangers_are_capped_and_others_stay<F: Fixture>(_: F) {
    let contacts = RecordCaps { most: 20, per_source: 8 };
    let f = F::limited(Limits { contacts, ..Limits::default() }).await;
    let store = &**f.store();
    store.put_listing(&listing(code(1)), 10).await.unwrap();
    // A phone that has entered a valid code, one that does so at its second contact, and the neighbours of others.
    store.record_contact(&phone(1), Some(code(1)), source(2)).await.unwrap();
    store.record_contact(&phone(2), None, source(2)).await.unwrap();
    store.record_contact(&phone(2), Some(code(1)), source(2)).await.unwrap();
    for number in 10..15 {
        assert!(store.record_contact(&phone(number), None, source(1)).await.unwrap().first);
    }
    assert_eq!(store.stranger_contacts().await.unwrap(), 5);
    for number in 100..200 {
        let recorded = store.record_contact(&phone(number), None, source(2)).await.unwrap();
        assert!(recorded.first && recorded.kept);
    }
    assert_eq!(store.stranger_contacts().await.unwrap(), 13);
    for number in [1, 2].into_iter().chain(10..15).chain(192..200) {
        assert!(!store.record_contact(&phone(number), None, source(3)).await.unwrap().first, "{number}");
    }
    assert!(store.record_contact(&phone(191), None, source(3)).await.unwrap().first, "it gave way");
    f.advance(30 * DAY + MINUTE).await;
    store.record_contact(&phone(300), None, source(3)).await.unwrap();
    assert_eq!(store.stranger_contacts().await.unwrap(), 1);
}

/// Otherwise one valid code would be as good as no cap.
pub async fn a_code_protects_a_few_phones_only<F: Fixture>(f: F) {
    let store = &**f.store();
    store.put_listing(&listing(code(1)), 10).await.unwrap();
    for number in 0..20 {
        store.record_contact(&phone(number), Some(code(1)), source(1)).await.unwrap();
    }
    assert_eq!(store.stranger_contacts().await.unwrap(), 20 - PHONES_PER_CODE);
}
