//! Roll-outs.

use provbroker::core::model::users_role::{Person, Progress};
use provbroker::users_role::UsersRoleError;

use super::world::*;
use crate::support::broker::{CATEGORY, Keep, run};

const USERS: usize = 60;

#[test]
fn a_rollout_is_made_and_followed_embedded() {
    run(a_rollout_is_made_and_followed(&Keep::embedded()));
}

#[test]
fn a_rollout_is_made_and_followed_redis() {
    run(a_rollout_is_made_and_followed(&Keep::redis()));
}

async fn a_rollout_is_made_and_followed(keep: &Keep) {
    let files = Files::new();
    let (broker, users_role) = started(keep, &files).await;
    let users: Vec<Person> = (0..USERS).map(|number| person(&format!("user{number}"))).collect();
    let rollout = users_role.begin_rollout(&domain(), "New building", CATEGORY, "phone", &users).await.unwrap();
    let id = rollout.id;
    assert_eq!((rollout.users, rollout.rows), (60, 60));
    until("every user has a code", async || {
        (users_role.rollout(&domain(), id).await.unwrap().made == 60).then_some(())
    })
    .await;
    let rows = users_role.rows(&domain(), id, 0, 100).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.person.as_str()).collect::<Vec<_>>(),
        users.iter().map(|u| u.guid.as_str()).collect::<Vec<_>>()
    );
    let mut codes: Vec<_> = rows.iter().map(|row| row.request.as_ref().unwrap().code).collect();
    let first = rows[0].request.clone().unwrap();
    let days = (first.valid_until.0 - first.asked.0) / (24 * 3600 * 1000);
    assert!((6..=7).contains(&days), "{days} days");
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), USERS);

    // A new code ends the old one.
    let again = users_role.reissue(&domain(), id, 1).await.unwrap();
    assert_ne!(again.code, rows[1].request.as_ref().unwrap().code);
    let row = users_role.rows(&domain(), id, 1, 1).await.unwrap().remove(0);
    assert_eq!(row.request.as_ref().unwrap().code, again.code);
    let old = rows[1].request.as_ref().unwrap();
    assert_eq!(users_role.request(&domain(), &old.id).await.unwrap().unwrap().progress, Progress::Cancelled);
    assert!(
        users_role.cancel_row(&domain(), id, 2).await.unwrap()
            && !users_role.cancel_row(&domain(), id, 2).await.unwrap()
    );
    assert!(matches!(users_role.rows(&other_domain(), id, 0, 9).await, Err(UsersRoleError::NotFound(_))));

    // Two phones enter; no page polls their progress.
    for (number, code) in [(1, again.code), (2, rows[5].request.as_ref().unwrap().code)] {
        let (_, phone, _events) = phone(number, broker.addr);
        type_code(&phone, code).await;
        until("one more is registered", async || {
            (users_role.rollout(&domain(), id).await.unwrap().registered == number).then_some(())
        })
        .await;
    }
    let refused = users_role.reissue(&domain(), id, 5).await;
    assert!(matches!(refused, Err(UsersRoleError::Conflict(_))), "{refused:?}");
    until("both are entered", async || (files.entered().len() == 2).then_some(())).await;
    assert!(users_role.remove_rollout(&domain(), id).await.unwrap());
    assert!(users_role.rollouts(&domain()).await.unwrap().is_empty());
}

/// The program stops when the users are stored and none has a code yet.
#[test]
fn a_rollout_goes_on_after_a_restart() {
    let (keep, files) = (Keep::embedded(), Files::new());
    run(async {
        let (broker, users_role) = started(&keep, &files).await;
        let users: Vec<Person> = (0..USERS).map(|number| person(&format!("user{number}"))).collect();
        let store = broker.store();
        let rollout = store.begin_users_role_rollout(&domain(), "b", CATEGORY, "phone", USERS as u64).await.unwrap();
        store.add_users_role_rollout_rows(&domain(), rollout.id, 0, &users).await.unwrap();
        drop(users_role);
        broker.stop();
        let (_broker, users_role) = started(&keep, &files).await;
        until("every user has a code", async || {
            (users_role.rollout(&domain(), rollout.id).await.unwrap().made == USERS as u64).then_some(())
        })
        .await;
    });
}
