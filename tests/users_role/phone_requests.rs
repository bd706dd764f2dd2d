//! Phone requests: from the code to the entry at the backend, cancelling, and repeated notices.

use std::time::Duration;

use provbroker::config::Role;
use provbroker::core::model::users_role::{EntryState, Progress, Stage, UserQuery};
use provbroker::users_role::UsersRoleError;

use super::world::*;
use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD, run};

/// The same test on both stores.
macro_rules! on_each_store {
    ($($test:ident),+) => {
        mod embedded {
            $(#[test] fn $test() { super::run(super::$test(&super::Keep::embedded())) })+
        }
        mod redis {
            $(#[test] fn $test() { super::run(super::$test(&super::Keep::redis())) })+
        }
    };
}

on_each_store!(
    a_person_adds_a_phone_and_sees_it_ready,
    a_request_can_be_cancelled,
    a_phone_that_came_while_users_was_away_is_entered,
    a_notice_handled_twice_changes_nothing
);

async fn a_person_adds_a_phone_and_sees_it_ready(keep: &Keep) {
    let files = Files::new();
    let (broker, users_role) = started(keep, &files).await;
    let query = UserQuery { limit: 10, ..UserQuery::default() };
    let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
    assert_eq!(users_role.users(&domain(), &query).await.unwrap().users.len(), 2);
    assert_eq!(users_role.user(&domain(), "eva").await.unwrap(), None, "she is of another domain");
    let categories = users_role.categories(&domain()).await.unwrap();
    assert_eq!(categories.iter().map(|category| &*category.name).collect::<Vec<_>>(), [CATEGORY]);

    let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
    assert_eq!((request.progress, request.entry), (Progress::Waiting, EntryState::None));
    let (key, phone, _events) = phone(1, broker.addr);
    type_code(&phone, request.code).await;
    let seen = follow(&users_role, &request.id, is_entered).await;
    let stages: Vec<Stage> = seen.iter().map(|request| request.progress.stage()).collect();
    assert!(stages.is_sorted(), "{stages:?}");
    let last = seen.last().unwrap();
    assert_eq!((last.progress, &last.phone.as_ref().unwrap().key), (Progress::Ready, &key));
    assert_eq!(files.entered(), [("anna".into(), key.to_string(), request.id.to_string())]);
    let phones = users_role.phones_of(&domain(), &anna.guid, true).await.unwrap();
    assert_eq!(phones.len(), 1);
    assert_eq!((phones[0].online, &*phones[0].facts.product, phones[0].entry), (Some(true), "IP112", EntryState::Done));
    assert!(users_role.requests_of(&other_domain(), &anna.guid).await.unwrap().is_empty());
    let counts = users_role.order_counts(&domain()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (0, 0));

    // Spreadsheet formulas are defused.
    let otto = users_role.user(&domain(), "otto").await.unwrap().unwrap();
    let request = users_role.add_phone(&domain(), &otto, CATEGORY, "phone").await.unwrap();
    let (_, second, _events) = super::world::phone(2, broker.addr);
    type_code(&second, request.code).await;
    follow(&users_role, &request.id, is_entered).await;
    assert!(std::fs::read_to_string(files.phones()).unwrap().contains(",\"'=HYPERLINK("));
    for wrong in [("No such", "phone"), (CATEGORY, "no such")] {
        let refused = users_role.add_phone(&domain(), &anna, wrong.0, wrong.1).await;
        assert!(matches!(refused, Err(UsersRoleError::NoChoice(_))), "{refused:?}");
    }
}

async fn a_request_can_be_cancelled(keep: &Keep) {
    let files = Files::new();
    let (broker, users_role) = started(keep, &files).await;
    let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
    let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
    // The phone gets the address of Devices but does not connect.
    let http = provbroker::sim::transport::http_client().unwrap();
    let init = format!("http://{}/init?mac=009033500099&PROVISIONING-CODE={}", broker.addr, request.code.expose());
    provbroker::sim::transport::get(&http, &init, 4096).await.unwrap();
    follow(&users_role, &request.id, |request| request.progress == Progress::Found).await;
    assert!(users_role.cancel(&domain(), &request.id).await.unwrap());
    assert!(!users_role.cancel(&domain(), &request.id).await.unwrap());
    assert!(matches!(users_role.cancel(&other_domain(), &request.id).await, Err(UsersRoleError::NotFound(_))));
    let now = users_role.request(&domain(), &request.id).await.unwrap().unwrap();
    assert_eq!(now.progress, Progress::Cancelled);
    let code = broker.store().code_in(&domain(), request.code).await.unwrap();
    assert!(code.is_none(), "Devices does not know it any more");

    // The phone has used the code before the request is cancelled.
    let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
    let (_, phone, _events) = phone(1, broker.addr);
    type_code(&phone, request.code).await;
    until("the code is used", async || {
        let code = broker.store().code_in(&domain(), request.code).await.unwrap()?;
        matches!(code.state, provbroker::core::model::device::CodeState::Used { .. }).then_some(())
    })
    .await;
    assert!(!users_role.cancel(&domain(), &request.id).await.unwrap());
    follow(&users_role, &request.id, is_entered).await;
}

async fn a_phone_that_came_while_users_was_away_is_entered(keep: &Keep) {
    let files = Files::new();
    let (broker, users_role) = started(keep, &files).await;
    let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
    let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
    drop(users_role);
    broker.stop();
    // Devices runs without Users; no connection takes the notice.
    let without = Broker::on(keep, |config| config.server.roles = [Role::Directory, Role::Devices].into());
    let (key, phone, _events) = phone_at(1, without.addr);
    type_code(&phone, request.code).await;
    until("the notice waits", async || (without.store().depth(&domain()).await.unwrap() == 1).then_some(())).await;
    phone.stop().await;
    without.stop();
    let (_broker, users_role) = started(keep, &files).await;
    until("the phone is entered", async || {
        let now = users_role.request(&domain(), &request.id).await.unwrap().unwrap();
        is_entered(&now).then_some(())
    })
    .await;
    assert_eq!(files.entered(), [("anna".into(), key.to_string(), request.id.to_string())]);
}

async fn a_notice_handled_twice_changes_nothing(keep: &Keep) {
    let files = Files::new();
    let (broker, users_role) = started(keep, &files).await;
    let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
    let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
    let (key, phone, _events) = phone(1, broker.addr);
    type_code(&phone, request.code).await;
    follow(&users_role, &request.id, |now| is_entered(now) && now.progress == Progress::Ready).await;
    let before = users_role.request(&domain(), &request.id).await.unwrap();
    let bytes = std::fs::read(files.phones()).unwrap();
    // The same notice again, as Devices repeats one that was not settled.
    let phone = before.as_ref().unwrap().phone.clone().unwrap();
    for progress in [Progress::Ready, Progress::Entered] {
        broker.store().place_order(&domain(), request.code, &phone, progress).await.unwrap();
    }
    assert!(broker.store().take_orders(&domain(), Duration::from_secs(1), 9).await.unwrap().is_empty());
    assert_eq!(users_role.request(&domain(), &request.id).await.unwrap(), before);
    assert_eq!(std::fs::read(files.phones()).unwrap(), bytes);
    // Another Users service in this domain gets the same notice over the wire.
    let mut app = App::login(broker.addr, "other-users", DOMAIN, "other", PASSWORD).await;
    let known = app.request(serde_json::json!({"mt": "GetProvisionedDevice", "code": request.code})).await;
    assert_eq!(known["device"]["hwId"], key.as_str());
}
