//! Timelines of devices and codes.

use std::time::Duration;

use provbroker::core::model::device::Way;
use provbroker::core::model::timeline::{MAX_STEPS, Subject, TimelineEvent};

use crate::fixture::*;

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
