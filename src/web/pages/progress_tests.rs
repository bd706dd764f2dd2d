//! Progress of a phone request: stages, problems and expiry.

use super::*;
use crate::core::model::ids::{Code, DeviceKey, DomainName};
use crate::core::model::users_role::{PersonId, PhoneFacts, RequestId};
use crate::web::pages::Lang;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn request(progress: Progress, entry: EntryState) -> PhoneRequest {
    let entered = progress.stage() >= Stage::Entered;
    PhoneRequest {
        id: RequestId::new([7; 16]),
        domain: DomainName::parse("example.com").unwrap(),
        person: PersonId::parse("a41c").unwrap(),
        sip: "anna".into(),
        name: "Anna Berg".into(),
        category: "Desk phones".into(),
        app: "phone".into(),
        code: Code::parse("402817739164").unwrap(),
        asked: UnixMillis(0),
        valid_until: UnixMillis(NOW.0 + 600_000),
        rollout: None,
        progress,
        entry,
        phone: entered.then(|| PhoneFacts {
            key: DeviceKey::parse("00903341a0b1").unwrap(),
            name: None,
            product: "IP112".into(),
            version: "13r3".into(),
            port: None,
        }),
    }
}

fn page() -> Page {
    Page::new(Lang::En, None, String::new(), "/ui/", "/ui/")
}

fn seen(progress: Progress, entry: EntryState) -> View {
    view(&page(), &request(progress, entry), NOW)
}

#[test]
fn a_phone_goes_from_stage_to_stage() {
    use Mark::{Ahead, Done, Now};
    let marks =
        |progress| seen(progress, EntryState::None).stages.into_iter().map(|(_, mark)| mark).collect::<Vec<_>>();
    assert_eq!(marks(Progress::Waiting), [Now, Ahead, Ahead, Ahead, Ahead, Ahead]);
    assert_eq!(marks(Progress::Updating), [Done, Done, Done, Now, Ahead, Ahead]);
    assert_eq!(marks(Progress::Ready), [Done; 6]);
    assert_eq!(seen(Progress::Ready, EntryState::Waiting).class, "good");
    assert_eq!(seen(Progress::Waiting, EntryState::None).short, "Waiting for the phone");
}

#[test]
fn whatever_goes_wrong_is_said_with_what_to_do() {
    for trouble in Trouble::ALL {
        let view = seen(Progress::Failed(trouble), EntryState::None);
        let (title, what_to_do) = view.advice.unwrap();
        assert!(title.len() > 10 && what_to_do.ends_with('.') && title != "…", "{trouble:?}: {title}");
        assert_eq!((view.class, view.short), ("bad", title));
        assert!(view.stages.iter().any(|(_, mark)| *mark == Mark::Stuck), "{trouble:?}");
        // It is the same sentence where the phone is ready and only its entry has failed.
        assert_eq!(seen(Progress::Ready, EntryState::Failed(trouble)).advice, view.advice);
    }
    for progress in [Progress::Expired, Progress::Cancelled] {
        let view = seen(progress, EntryState::None);
        assert!(view.advice.is_some() && view.stages.is_empty() && !view.open, "{progress:?}");
    }
}

#[test]
fn a_code_is_over_when_its_time_is() {
    let mut late = request(Progress::Waiting, EntryState::None);
    late.valid_until = NOW;
    assert_eq!((now(&late, NOW), view(&page(), &late, NOW).open), (Progress::Expired, false));
    late.progress = Progress::Updating;
    assert_eq!(now(&late, NOW), Progress::Updating, "the phone has used it");
}
