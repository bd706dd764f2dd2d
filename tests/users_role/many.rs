//! Ten thousand notices at once, while the receiver dies and recovers twice: each takes effect exactly once.
//!
//! The phones are only records: measurement starts with the notices in the mailbox of Devices.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use provbroker::clock::Stopwatch;
use provbroker::config::{BackendKind, Config};
use provbroker::core::model::device::{Facts, Requester};
use provbroker::core::model::ids::{Code, DeviceKey, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::users_role::{EntryState, Person, PhoneRequest, Progress, RequestId};
use provbroker::store::{CodeRecord, Entered, Entry, EntryRight, PutCode, Store};

use super::receiver::{Receiver, SECRET};
use super::world::*;
use crate::support::broker::{Broker, Keep, run};

pub const NOTICES: u64 = 10_000;

/// Concurrent steps while the data is set up.
const AT_ONCE: usize = 256;

/// A phone request of this person, with a code of its own.
pub fn asked(number: u64, who: Person, now: UnixMillis) -> PhoneRequest {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    PhoneRequest {
        id: RequestId::new(id),
        domain: domain(),
        person: who.guid,
        sip: who.sip,
        name: who.name,
        category: "Desk phones".into(),
        app: "phone".into(),
        code: Code::from_number(402_800_000_000 + number).unwrap(),
        asked: now,
        valid_until: now + Duration::from_secs(3600),
        rollout: None,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    }
}

/// Stores such a request, and the notice that a phone has taken its code.
pub async fn one(store: &dyn Store, number: u64, who: Person) {
    let now = store.now().await.unwrap();
    let request = asked(number, who, now);
    let code = request.code;
    store.put_requests(&domain(), &[request]).await.unwrap();
    let category = store.domain(&domain()).await.unwrap().unwrap().categories[0].id;
    let new = CodeRecord {
        code,
        domain: domain(),
        category,
        sip: None,
        requester: Requester { app: "provbroker-users".into(), sip: "provbroker-users".into() },
        holder: None,
        rollout: true,
        administrative: false,
        valid_until: now + Duration::from_secs(3600),
    };
    assert_eq!(store.put_code(&new, u64::MAX).await.unwrap(), PutCode::Kept);
    let entry = Entry {
        key: key(number),
        domain: domain(),
        category,
        right: EntryRight::Code(code),
        password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
        admin_password: None,
        name: None,
        facts: Facts { product: "IP112".into(), version: "13r3".into(), platform: "PHONE".into(), ..Facts::default() },
    };
    assert!(matches!(store.enter(&entry).await.unwrap(), Entered::In(_)));
    assert!(store.deposit(&domain(), &entry.key).await.unwrap());
}

pub fn key(number: u64) -> DeviceKey {
    DeviceKey::parse(&format!("0090336{number:05x}")).unwrap()
}

/// Creates the notices without Users, then starts one and runs `meanwhile`.
pub fn with_notices(
    who: impl Fn(u64) -> Person,
    change: impl FnOnce(&mut Config),
    keep: &Keep,
    meanwhile: impl AsyncFnOnce(&Broker),
) -> (Duration, Duration) {
    let files = Files::new();
    let without =
        Broker::on(keep, |config| config.server.roles.retain(|role| *role != provbroker::config::Role::Users));
    let store = without.store().clone();
    run(async {
        stream::iter(0..NOTICES)
            .for_each_concurrent(AT_ONCE, async |number| one(&*store, number, who(number)).await)
            .await;
        assert_eq!(store.depth(&domain()).await.unwrap(), NOTICES);
    });
    drop(store);
    without.stop();
    let began = Stopwatch::start();
    let broker = Broker::on(keep, |config| {
        with_users(config, &files);
        change(config);
    });
    let store = broker.store().clone();
    let users_role = broker.people().clone();
    let handled = run(async {
        let watch = async {
            let mut settled = Duration::ZERO;
            loop {
                let counts = store.order_counts(&domain()).await.unwrap();
                let left = store.codes_without_phone(&domain(), UnixMillis(0), 1).await.unwrap();
                if left.is_empty() && settled.is_zero() {
                    settled = began.elapsed();
                }
                if left.is_empty() && counts.waiting == 0 {
                    assert_eq!(counts.failed, 0);
                    return settled;
                }
                assert!(began.elapsed() < Duration::from_secs(500), "{counts:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let (settled, ()) = tokio::join!(watch, meanwhile(&broker));
        // Every notice is settled at Devices as well.
        until("the mailbox is empty", async || (store.depth(&domain()).await.unwrap() == 0).then_some(())).await;
        settled
    });
    let took = began.elapsed();
    run(async {
        for number in [0, NOTICES / 2, NOTICES - 1] {
            let who = who(number).guid;
            let requests = users_role.requests_of(&domain(), &who).await.unwrap();
            assert_eq!((requests.len(), requests[0].entry), (1, EntryState::Done));
        }
    });
    drop(store);
    (handled, took)
}

/// A user of the list.
fn listed(number: u64) -> Person {
    person(&format!("user{number}"))
}

fn expected() -> Vec<(String, String)> {
    let mut all: Vec<_> = (0..NOTICES).map(|number| (format!("user{number}"), key(number).to_string())).collect();
    all.sort_unstable();
    all
}

#[test]
#[ignore = "measured: has the machine for itself"]
fn ten_thousand_notices_reach_a_receiver_that_dies_twice() {
    let mut receiver = Receiver::start();
    let url = receiver.url();
    let through = &mut receiver;
    let (handled, took) = with_notices(
        listed,
        move |config| {
            config.users.backend = BackendKind::Webhook;
            config.users.webhook.users.clone_from(&config.users.file.users);
            config.users.webhook.url = url;
            config.users.webhook.secret = Secret::new(SECRET);
        },
        &Keep::embedded(),
        async move |_| {
            for at in [NOTICES / 4, NOTICES / 2] {
                while through.requests() < at {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                through.die().await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                through.come_back();
            }
        },
    );
    let mut effects = receiver.effects();
    effects.sort_unstable();
    assert_eq!(effects, expected());
    let repeated = receiver.requests() - NOTICES;
    eprintln!("{NOTICES} notices stored after {handled:?}, all entered after {took:?}; {repeated} requests repeated");
}

#[test]
#[ignore = "measured: has the machine for itself"]
fn ten_thousand_notices_reach_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let phones = folder.path().join("phones.csv");
    let file = phones.clone();
    let (handled, took) =
        with_notices(listed, move |config| config.users.file.phones = file, &Keep::redis(), async |_| {});
    let text = std::fs::read(&phones).unwrap();
    let mut lines = csv::Reader::from_reader(&*text);
    let records = lines.records().map(Result::unwrap);
    let mut effects: Vec<_> = records.map(|record| (record[1].to_owned(), record[4].to_owned())).collect();
    effects.sort_unstable();
    assert_eq!(effects, expected());
    eprintln!("{NOTICES} notices stored after {handled:?}, all in the file after {took:?}");
}
