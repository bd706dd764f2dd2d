//! Codes in lists, revocation, roll-outs, timelines.

use std::time::Duration;

use provbroker::core::model::device::{CodeState, Way};
use provbroker::core::model::ids::{CategoryId, Code, RolloutId};
use provbroker::core::model::timeline::{MAX_STEPS, Subject, TimelineEvent};
use provbroker::store::{CodeListing, CodeRecord, Entered, EntryRight, PutCode, RolloutRow, Store};

use crate::fixture::*;

/// The whole list in pages of `limit`.
async fn all_codes(store: &dyn Store, limit: usize) -> Vec<CodeListing> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = store.codes(&domain(), before, limit).await.unwrap();
        assert!(page.len() <= limit);
        before = page.last().map(|last| (last.issued, last.code.code));
        let over = page.len() < limit;
        all.extend(page);
        if over {
            return all;
        }
    }
}

fn numbers(listings: &[CodeListing]) -> Vec<Code> {
    let mut codes: Vec<_> = listings.iter().map(|listing| listing.code.code).collect();
    codes.sort();
    codes
}

pub async fn codes_are_listed_newest_first(f: impl Fixture) {
    let store = &**f.store();
    assert!(store.codes(&domain(), None, 10).await.unwrap().is_empty());
    // Many within the same millisecond, too.
    for number in 0..20 {
        put(store, code(number), &domain()).await;
    }
    f.advance(MINUTE).await;
    let late = store.now().await.unwrap();
    put(store, code(20), &domain()).await;
    put(store, code(99), &other_domain()).await;
    for limit in [1, 3, 7, 100] {
        let all = all_codes(store, limit).await;
        assert_eq!(numbers(&all), (0..21).map(code).collect::<Vec<_>>(), "each once, {limit} at a time");
        assert_eq!(all[0].code.code, code(20));
        assert!(all[0].issued >= late && all[1].issued < late);
        assert!(all.is_sorted_by_key(|listing| std::cmp::Reverse((listing.issued, listing.code.code))));
    }
    let listed = &all_codes(store, 100).await[0].code;
    assert_eq!(Some(listed), store.code_in(&domain(), code(20)).await.unwrap().as_ref());
}

pub async fn a_listed_code_ends_with_its_record(f: impl Fixture) {
    let store = &**f.store();
    let long = CodeRecord {
        rollout: true,
        valid_until: store.now().await.unwrap() + 7 * DAY,
        ..new_code(store, code(1), &domain()).await
    };
    store.put_code(&long, 10).await.unwrap();
    for number in 2..5 {
        put(store, code(number), &domain()).await;
    }
    enter(store, &device(4), &domain(), code(4)).await;
    f.advance(VALID).await;
    let left = all_codes(store, 2).await;
    assert_eq!(numbers(&left), [code(1), code(4)]);
    assert_eq!(
        left.iter().find(|l| l.code.code == code(4)).unwrap().code.state,
        CodeState::Used { by: device(4), port: None }
    );
    f.advance(7 * DAY).await;
    // Something is written, so what has ended may be dropped; what has not must stay.
    put(store, code(5), &domain()).await;
    assert_eq!(numbers(&all_codes(store, 2).await), [code(4), code(5)]);
    f.advance(23 * DAY).await;
    assert!(all_codes(store, 2).await.is_empty());
    // A code that ended may come again, and then it is listed once.
    put(store, code(1), &domain()).await;
    assert_eq!(numbers(&all_codes(store, 2).await), [code(1)]);
}

pub async fn a_revoked_code_is_as_if_it_had_never_been(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    let second = new_code(store, code(2), &domain()).await;
    assert_eq!(store.put_code(&second, 1).await.unwrap(), PutCode::TooMany);
    assert!(!store.revoke_code(&other_domain(), code(1)).await.unwrap());
    assert!(!store.revoke_code(&domain(), code(9)).await.unwrap());
    assert!(store.find_code(code(1)).await.unwrap().is_some());
    assert!(store.revoke_code(&domain(), code(1)).await.unwrap());
    assert!(store.find_code(code(1)).await.unwrap().is_none());
    assert!(store.code_in(&domain(), code(1)).await.unwrap().is_none());
    assert!(store.codes(&domain(), None, 10).await.unwrap().is_empty());
    let refused = store.enter(&entry(device(1), &domain(), EntryRight::Code(code(1)))).await.unwrap();
    assert!(matches!(refused, Entered::CodeNotOpen));
    assert!(!store.revoke_code(&domain(), code(1)).await.unwrap());
    // It has made room, and nothing of it is in the way of the same code elsewhere.
    assert_eq!(store.put_code(&second, 1).await.unwrap(), PutCode::Kept);
    put(store, code(1), &other_domain()).await;
}

pub async fn a_used_code_cannot_be_revoked(f: impl Fixture) {
    let store = &**f.store();
    put(store, code(1), &domain()).await;
    enter(store, &device(1), &domain(), code(1)).await;
    assert!(!store.revoke_code(&domain(), code(1)).await.unwrap());
    // The device may still come back with it.
    enter(store, &device(1), &domain(), code(1)).await;
    assert!(store.deposit(&domain(), &device(1)).await.unwrap());
}

/// A code that nobody waits for goes to whoever looks first.
pub async fn a_code_without_a_holder_is_for_anybody(f: impl Fixture) {
    let store = &**f.store();
    let new = CodeRecord { holder: None, ..new_code(store, code(1), &domain()).await };
    assert_eq!(store.put_code(&new, 10).await.unwrap(), PutCode::Kept);
    assert_eq!(store.put_code(&new, 10).await.unwrap(), PutCode::Kept);
    assert_eq!(store.find_code(code(1)).await.unwrap().unwrap().holder, None);
    enter(store, &device(1), &domain(), code(1)).await;
    store.deposit(&domain(), &device(1)).await.unwrap();
    let taken = store.take(&domain(), &node("n5"), MINUTE, 10, &[]).await.unwrap();
    assert_eq!((taken.len(), &taken[0].holder), (1, &None));
}

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

pub async fn a_timeline_keeps_its_newest_steps(f: impl Fixture) {
    let store = &**f.store();
    let (phone, number) = (Subject::Device(device(1)), Subject::Code(code(1)));
    assert!(store.timeline(&domain(), &phone).await.unwrap().is_empty());
    store.append_step(&domain(), std::slice::from_ref(&number), &TimelineEvent::Issued).await.unwrap();
    store.append_step(&domain(), &[phone.clone(), number.clone()], &TimelineEvent::Entered(Way::Code)).await.unwrap();
    let steps = store.timeline(&domain(), &number).await.unwrap();
    let events: Vec<_> = steps.iter().map(|step| &step.event).collect();
    assert_eq!(events, [&TimelineEvent::Issued, &TimelineEvent::Entered(Way::Code)]);
    let now = store.now().await.unwrap();
    assert!(steps[0].at <= steps[1].at && steps[1].at <= now && steps[0].at + MINUTE > now);
    assert_eq!(store.timeline(&domain(), &phone).await.unwrap().len(), 1);
    assert!(store.timeline(&other_domain(), &phone).await.unwrap().is_empty());

    // The same again is one step.
    let failed = |reason: usize| TimelineEvent::UpdateFailed(format!("reason {reason}").into());
    for _ in 0..3 {
        store.append_step(&domain(), std::slice::from_ref(&phone), &failed(0)).await.unwrap();
    }
    assert_eq!(store.timeline(&domain(), &phone).await.unwrap().len(), 2);
    for reason in 1..=MAX_STEPS {
        store.append_step(&domain(), std::slice::from_ref(&phone), &failed(reason)).await.unwrap();
    }
    let steps = store.timeline(&domain(), &phone).await.unwrap();
    assert_eq!(
        (steps.len(), &steps[0].event, &steps[MAX_STEPS - 1].event),
        (MAX_STEPS, &failed(1), &failed(MAX_STEPS))
    );

    f.advance(29 * DAY).await;
    store.append_step(&domain(), std::slice::from_ref(&number), &TimelineEvent::NoticeReady).await.unwrap();
    f.advance(DAY + Duration::from_secs(1)).await;
    assert!(store.timeline(&domain(), &phone).await.unwrap().is_empty());
    assert_eq!(store.timeline(&domain(), &number).await.unwrap().len(), 3);
}
