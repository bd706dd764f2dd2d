//! What one person may ask of Devices, which all persons of a domain share.

use futures_util::future::join_all;
use provbroker::config::Config;
use provbroker::core::ids::DomainName;

use crate::PASSWORD;
use crate::browser::Browser;
use crate::people::with_changed_users;
use crate::support::broker::{Broker, DOMAIN, Keep};

const ADD: &str = "/ui/phones/add";

/// A person presses the button in forty windows at once.
async fn ten_codes_are_open(broker: &Broker) {
    let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
    let token = anna.token(ADD).await;
    let press = async || anna.clone().post(ADD, &[("token", &token)]).await;
    let answers = join_all((0..40).map(|_| press())).await;
    let (kept, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 303);
    assert_eq!((kept.len(), refused.len()), (10, 30));
    for answer in refused {
        assert!(answer.status == 409 && answer.body.contains("10 codes"), "{}: {}", answer.status, answer.body);
    }
    // Nor has Devices more of them: those that were one too many are taken back.
    let codes = broker.store().codes(&DomainName::parse(DOMAIN).unwrap(), None, 100).await.unwrap();
    assert_eq!(codes.len(), 10);
}

fn fast(config: &mut Config) {
    config.apps.requests_per_second = 1_000;
}

#[test]
fn of_many_codes_at_once_ten_are_open_embedded() {
    with_changed_users(&Keep::embedded(), fast, ten_codes_are_open);
}

#[test]
fn of_many_codes_at_once_ten_are_open_redis() {
    with_changed_users(&Keep::redis(), fast, ten_codes_are_open);
}
