//! Roll-outs of an operator.

use provbroker::core::model::device::CodeState;
use provbroker::core::model::ids::{CategoryId, RolloutId};
use provbroker::store::{CodeRecord, RolloutRow, Store};

use crate::fixture::*;

async fn row(store: &dyn Store, number: u64) -> RolloutRow {
    let new = CodeRecord { rollout: true, ..new_code(store, code(number), &domain()).await };
    store.put_code(&new, u64::MAX).await.unwrap();
    let name = number.is_multiple_of(2).then(|| format!("Name {number}").into());
    RolloutRow { sip: format!("user{number}").into(), name, code: code(number), valid_until: new.valid_until }
}

pub async fn a_rollout_tells_what_becomes_of_its_codes(f: impl Fixture) {
    let store = &**f.store();
    let rollout = store.begin_rollout(&domain(), "Floor 3", CategoryId(3), 4).await.unwrap();
    assert_eq!((&*rollout.name, rollout.category, rollout.users, rollout.rows), ("Floor 3", CategoryId(3), 4, 0));
    let mut rows = Vec::new();
    for number in 0..4 {
        rows.push(row(store, number).await);
    }
    assert!(store.add_rollout_rows(&domain(), rollout.id, 0, &rows[..2]).await.unwrap());
    // A repetition adds nothing twice, and its new rows all the same; a gap stays open.
    assert!(store.add_rollout_rows(&domain(), rollout.id, 0, &rows[..3]).await.unwrap());
    assert!(store.add_rollout_rows(&domain(), rollout.id, 3, &rows[3..]).await.unwrap());
    assert!(store.add_rollout_rows(&domain(), rollout.id, 9, &rows[3..]).await.unwrap());
    enter(store, &device(1), &domain(), code(1)).await;
    store.revoke_code(&domain(), code(2)).await.unwrap();
    let used = CodeState::Used { by: device(1), port: None };
    let states = [Some(CodeState::Open), Some(used.clone()), None, Some(CodeState::Open)];
    let expected: Vec<_> = rows.clone().into_iter().zip(states).collect();
    assert_eq!(store.rollout_rows(&domain(), rollout.id, 0, 10).await.unwrap().unwrap(), expected);
    assert_eq!(store.rollout_rows(&domain(), rollout.id, 1, 2).await.unwrap().unwrap(), expected[1..3]);
    assert_eq!(store.rollout_rows(&domain(), rollout.id, 4, 2).await.unwrap().unwrap(), []);
    f.advance(VALID).await;
    let later = store.rollout_rows(&domain(), rollout.id, 0, 2).await.unwrap().unwrap();
    assert_eq!([&later[0].1, &later[1].1], [&None, &Some(used)]);

    let second = store.begin_rollout(&domain(), "Floor 4", CategoryId(3), 1).await.unwrap();
    let all = store.rollouts(&domain()).await.unwrap();
    let heads: Vec<_> = all.iter().map(|r| (r.id, &*r.name, r.users, r.rows)).collect();
    assert_eq!(heads, [(second.id, "Floor 4", 1, 0), (rollout.id, "Floor 3", 4, 4)]);
    assert!(store.rollouts(&other_domain()).await.unwrap().is_empty());
    assert!(store.rollout_rows(&other_domain(), rollout.id, 0, 1).await.unwrap().is_none());
    assert!(!store.remove_rollout(&other_domain(), rollout.id).await.unwrap());

    assert!(store.remove_rollout(&domain(), rollout.id).await.unwrap());
    assert!(!store.remove_rollout(&domain(), rollout.id).await.unwrap());
    assert!(store.rollout_rows(&domain(), rollout.id, 0, 1).await.unwrap().is_none());
    assert!(!store.add_rollout_rows(&domain(), rollout.id, 4, &rows).await.unwrap());
    assert_eq!(store.rollouts(&domain()).await.unwrap().len(), 1);
    f.advance(29 * DAY).await;
    assert_eq!(store.rollouts(&domain()).await.unwrap().len(), 1);
    f.advance(DAY).await;
    assert!(store.rollouts(&domain()).await.unwrap().is_empty());
    assert!(store.rollout_rows(&domain(), second.id, 0, 1).await.unwrap().is_none());
    assert_ne!(store.begin_rollout(&domain(), "Floor 5", CategoryId(3), 1).await.unwrap().id, second.id);
}

pub async fn a_large_rollout_is_read_in_pages(f: impl Fixture) {
    let store = &**f.store();
    let rollout = store.begin_rollout(&domain(), "All", CategoryId(3), 2345).await.unwrap();
    let valid_until = store.now().await.unwrap() + 7 * DAY;
    let row =
        |number: u64| RolloutRow { sip: format!("u{number}").into(), name: None, code: code(number), valid_until };
    let rows: Vec<_> = (0..2345).map(row).collect();
    let mut from = 0;
    for part in rows.chunks(777) {
        store.add_rollout_rows(&domain(), rollout.id, from, part).await.unwrap();
        from += part.len() as u64;
    }
    let mut read = Vec::new();
    for from in (0..3000).step_by(600) {
        let page = store.rollout_rows(&domain(), rollout.id, from, 600).await.unwrap().unwrap();
        read.extend(page.into_iter().map(|(row, _)| row));
    }
    assert_eq!(read, rows);
    assert!(store.rollout_rows(&domain(), RolloutId(77), 0, 1).await.unwrap().is_none());
    assert!(store.remove_rollout(&domain(), rollout.id).await.unwrap());
}
