//! A list of a hundred thousand devices, page by page.
//!
//! The devices are only records. Asserts that every one is listed once, and that no page takes longer than a person
//! notices; prints the times.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use provbroker::clock::Stopwatch;
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{CategoryId, DeviceKey, DomainName, Secret};
use provbroker::store::{Entered, Entry, EntryRight, Store};

use crate::browser::Browser;
use crate::operators::desk;
use crate::support::broker::{DOMAIN, Keep, with_broker};
use crate::{PASSWORD, accounts};

const DEVICES: usize = 100_000;

/// Rows of a page.
const ROWS: usize = 100;

/// Entries that are made at the same time.
const AT_ONCE: usize = 1024;

/// Longest response time that a person does not notice.
const FLUID: Duration = Duration::from_millis(500);

async fn one(store: &dyn Store, domain: &DomainName, category: CategoryId, number: usize) {
    let entry = Entry {
        key: DeviceKey::parse(&format!("0090337{number:05x}")).unwrap(),
        domain: domain.clone(),
        category,
        right: EntryRight::Manual,
        password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
        admin_password: None,
        name: None,
        facts: Facts { product: "IP112".into(), version: "13r3".into(), platform: "PHONE".into(), ..Facts::default() },
    };
    assert!(matches!(store.enter(&entry).await.unwrap(), Entered::In(_)));
}

fn measured(keep: &Keep) {
    let patient = |config: &mut provbroker::config::Config| {
        accounts(config);
        config.store.deadline = Duration::from_secs(10);
    };
    with_broker(keep, patient, async |broker| {
        let (store, domain) = (broker.store(), DomainName::parse(DOMAIN).unwrap());
        let category = store.domain(&domain).await.unwrap().unwrap().categories[0].id;
        let began = Stopwatch::start();
        stream::iter(0..DEVICES)
            .for_each_concurrent(AT_ONCE, async |number| one(&**store, &domain, category, number).await)
            .await;
        eprintln!("{DEVICES} devices made in {:?}", began.elapsed());

        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let began = Stopwatch::start();
        browser.page(&desk(DOMAIN)).await;
        let overview = began.elapsed();
        let began = Stopwatch::start();
        browser.page(&format!("{}/devices?product=no+such", desk(DOMAIN))).await;
        let filtered = began.elapsed();

        let (mut seen, mut times, mut next) = (BTreeSet::new(), Vec::new(), Some(format!("{}/devices", desk(DOMAIN))));
        let mut bytes = 0;
        while let Some(target) = next {
            let began = Stopwatch::start();
            let body = browser.page(&target).await;
            times.push(began.elapsed());
            bytes = bytes.max(body.len());
            for row in body.split("<td><a class=\"code\" href=\"").skip(1) {
                let key = row.split_once('>').unwrap().1.split('<').next().unwrap();
                assert!(seen.insert(key.to_owned()), "{key} twice");
            }
            next = body
                .split_once("rel=\"next\" href=\"")
                .map(|(_, rest)| rest.split('"').next().unwrap().replace("&#38;", "&"));
        }
        assert_eq!(seen.len(), DEVICES);
        assert!(times.len() >= DEVICES / ROWS, "{} pages", times.len());
        let (first, middle) = (times[0], times[times.len() / 2]);
        times.sort_unstable();
        let slowest = *times.last().unwrap();
        eprintln!(
            "{} pages: first {first:?}, in the middle {middle:?}, slowest of a hundred {:?}, slowest {slowest:?}; {bytes} bytes; \
             a filter that finds nothing {filtered:?}, overview {overview:?}",
            times.len(),
            times[times.len() * 99 / 100],
        );
        assert!(first < FLUID && middle < FLUID && times[times.len() * 99 / 100] < FLUID);
    });
}

#[test]
#[ignore = "measured: has the machine for itself"]
fn a_hundred_thousand_devices_are_fluid_embedded() {
    measured(&Keep::embedded());
}

#[test]
#[ignore = "measured: has the machine for itself"]
fn a_hundred_thousand_devices_are_fluid_redis() {
    measured(&Keep::redis());
}
