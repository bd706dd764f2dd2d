//! No code is readable in a store, whatever happens to it.

use provbroker::core::model::device::CodeState;
use provbroker::core::model::ids::{CategoryId, Code};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::timeline::{Subject, TimelineEvent};
use provbroker::core::model::users_role::Progress;
use provbroker::store::{CodeRecord, Contact, PortClaim, PutCode, PutRequest, Remembered, RolloutRow, Signal};

use crate::fixture::*;
use crate::users_role::{phone, phone_request};

/// More than the codes that the test uses.
const CODES: u64 = 20;

async fn hidden(f: &impl Fixture, when: &str) {
    let all = f.everything().await;
    assert!(String::from_utf8_lossy(&all).contains("example.com"), "it is this store");
    for number in 0..CODES {
        assert!(!shows(&all, code(number)), "code {number} is readable {when}");
    }
}

pub async fn a_code_is_readable_nowhere(f: impl Fixture) {
    let store = &**f.store();
    let subject = |number| Subject::Code(code(number));
    for number in 0..10 {
        put(store, code(number), &domain()).await;
        store.append_step(&domain(), &[subject(number)], &TimelineEvent::Issued).await.unwrap();
    }
    hidden(&f, "after it was issued").await;

    // Entered with, also once more by the device that has not proved itself, and a second code before the notice.
    enter(store, &device(1), &domain(), code(1)).await;
    let again = enter(store, &device(1), &domain(), code(1)).await;
    assert_eq!((again.entry_code, again.pending), (Some(code(1)), Some(code(1))));
    let found = store.find_device(&device(1)).await.unwrap().unwrap();
    assert_eq!((found.entry_code, found.pending), (Some(code(1)), Some(code(1))));
    hidden(&f, "with the device").await;
    enter(store, &device(1), &domain(), code(2)).await;
    assert_eq!(store.claim_port(&domain(), &device(1), "TEL1", code(3)).await.unwrap(), PortClaim::Recorded);
    enter(store, &device(4), &domain(), code(4)).await;
    assert!(store.deposit(&domain(), &device(4)).await.unwrap());
    store.hold_code(&domain(), code(4), &node("n1")).await.unwrap();
    hidden(&f, "in the mailbox").await;

    // The notices tell the codes, and are skipped, released and settled by them.
    let skipped = store.take(&domain(), &node("n1"), MINUTE, 10, &[code(1), code(3)]).await.unwrap();
    assert_eq!(skipped.iter().map(|notice| notice.code).collect::<Vec<_>>(), [code(4)]);
    store.release(&domain(), &node("n1"), &[code(4)]).await.unwrap();
    let taken = store.take(&domain(), &node("n1"), MINUTE, 10, &[]).await.unwrap();
    let mut codes: Vec<Code> = taken.iter().map(|notice| notice.code).collect();
    codes.sort();
    assert_eq!(codes, [code(1), code(3), code(4)]);
    hidden(&f, "while it is delivered").await;
    store.settle(&domain(), &[code(1)]).await.unwrap();
    assert_eq!(store.depth(&domain()).await.unwrap(), 2);
    store.publish(&Signal::Mail { domain: domain(), code: Some(code(4)) }).await.unwrap();

    assert!(store.revoke_code(&domain(), code(5)).await.unwrap());
    assert!(store.find_code(code(5)).await.unwrap().is_none());

    // A roll-out.
    let rollout = store.begin_rollout(&domain(), "All", CategoryId(3), 2).await.unwrap();
    let until = store.now().await.unwrap() + DAY;
    let row = |number| RolloutRow { sip: "ann".into(), name: None, code: code(number), valid_until: until };
    let long = CodeRecord { rollout: true, valid_until: until, ..new_code(store, code(11), &domain()).await };
    assert_eq!(store.put_code(&long, 10).await.unwrap(), PutCode::Kept);
    assert!(store.add_rollout_rows(&domain(), rollout.id, 0, &[row(6)]).await.unwrap());
    assert!(store.add_rollout_rows(&domain(), rollout.id, 0, &[row(6), row(11)]).await.unwrap());
    let rows = store.rollout_rows(&domain(), rollout.id, 0, 10).await.unwrap().unwrap();
    assert_eq!(rows, [(row(6), Some(CodeState::Open)), (row(11), Some(CodeState::Open))]);
    assert_eq!(store.rollout_rows(&domain(), rollout.id, 1, 10).await.unwrap().unwrap(), rows[1..]);
    hidden(&f, "in a roll-out").await;

    // The Users role.
    let mut requests = Vec::new();
    for number in 7..10 {
        let request = phone_request(store, number, "anna", None).await;
        assert_eq!(store.put_request(&request, 3).await.unwrap(), PutRequest::Kept);
        requests.push(request);
    }
    let one_more = phone_request(store, 12, "anna", None).await;
    assert_eq!(store.put_request(&one_more, 3).await.unwrap(), PutRequest::TooMany);
    let waiting = store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap();
    let mut codes: Vec<Code> = waiting.iter().map(|(_, code)| *code).collect();
    codes.sort();
    assert_eq!(codes, [code(7), code(8), code(9)]);
    store.place_order(&domain(), code(7), &phone(7), Progress::Ready).await.unwrap();
    let orders = store.take_orders(&domain(), MINUTE, 10).await.unwrap();
    assert_eq!(orders.iter().map(|order| order.code).collect::<Vec<_>>(), [code(7)]);
    assert!(store.advance_request(&requests[1], Progress::Waiting, Progress::Cancelled).await.unwrap());
    assert_eq!(store.request_with_code(&domain(), code(9)).await.unwrap(), Some(requests[2].clone()));
    assert_eq!(store.put_request(&one_more, 3).await.unwrap(), PutRequest::Kept, "two have made room");
    assert!(store.forget_request(&one_more).await.unwrap());
    assert_eq!(store.request_with_code(&domain(), code(12)).await.unwrap(), None);
    hidden(&f, "in a phone request").await;

    // The directory.
    store.put_listing(&listing(code(13)), 10).await.unwrap();
    let contact = Contact { mac: "009033a1b2c3".into(), ..Contact::default() };
    store.record_contact(&contact, Some(code(13)), source(1)).await.unwrap();
    let answer = Remembered { body: "b".into(), code: code(13), valid_until: until };
    store.remember_answer("c1", "k1", &answer).await.unwrap();
    hidden(&f, "at the directory").await;

    // Whoever may see the codes sees them.
    let steps = store.timeline(&domain(), &subject(1)).await.unwrap();
    assert_eq!(steps.into_iter().map(|step| step.event).collect::<Vec<_>>(), [TimelineEvent::Issued]);
    let mut listed: Vec<Code> = Vec::new();
    let mut before = None;
    loop {
        let page = store.codes(&domain(), before, 3).await.unwrap();
        listed.extend(page.iter().map(|listing| listing.code.code));
        before = page.last().map(|last| (last.issued, last.code.code));
        if page.len() < 3 {
            break;
        }
    }
    listed.sort();
    let open_or_used = [0, 1, 2, 3, 4, 6, 7, 8, 9, 11].map(code);
    assert_eq!(listed, open_or_used);
    f.advance(29 * DAY).await;
    let used = store.code_in(&domain(), code(1)).await.unwrap().unwrap();
    assert_eq!((used.code, used.state), (code(1), CodeState::Used { by: device(1), port: None }));
    hidden(&f, "after weeks").await;
}
