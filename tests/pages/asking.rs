//! What one person may ask of Devices, which all persons of a domain share.

use futures_util::future::join_all;
use provbroker::config::Config;
use provbroker::core::model::ids::DomainName;

use crate::PASSWORD;
use crate::browser::Browser;
use crate::persons::with_changed_users;
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

#[test]
fn one_person_leaves_the_connection_to_others() {
    let few = |config: &mut Config| config.pages.questions_per_person = 3;
    with_changed_users(&Keep::embedded(), few, async |broker| {
        let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let token = anna.token("/ui/account").await;
        let mut answer = anna.post(ADD, &[("token", &token)]).await;
        // Two are good for three questions. That more of them pass takes a machine that stands still for ten seconds each time.
        for _ in 0..5 {
            if answer.status == 429 {
                break;
            }
            assert_eq!(answer.status, 303, "{}", answer.body);
            answer = anna.post(ADD, &[("token", &token)]).await;
        }
        assert!(answer.status == 429 && answer.body.contains("Too many at this moment"), "{}", answer.body);
        assert!(answer.field("retry-after").is_some_and(|wait| (1..=10).contains(&wait.parse().unwrap())));
        assert!(anna.page("/ui/phones").await.contains("Waiting for the phone"), "what is in the store is shown");
        let mut ben = Browser::signed_in(broker.addr, "ben", PASSWORD).await;
        assert!(ben.page(ADD).await.contains("Get a code"));
    });
}
