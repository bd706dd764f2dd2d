//! The rules without HTTP, called like Devices in the same process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provbroker::core::model::time::Tick;
use provbroker::directory::{
    AddressFault, Directory as _, DirectoryError, DirectoryService, DirectorySettings, IssueRequest, LocalDirectory,
    SettingsError,
};

use crate::support::{ADDRESS, FakeStore, START, sha256};

fn service() -> (Arc<FakeStore>, Arc<DirectoryService>) {
    let store = Arc::new(FakeStore::default());
    let service = DirectoryService::new(store.clone(), DirectorySettings::default()).unwrap();
    (store, Arc::new(service))
}

#[actix_web::test]
async fn devices_in_the_same_process_needs_no_credential() {
    let (store, service) = service();
    let directory = LocalDirectory::new(service, ADDRESS).unwrap();
    let issued = directory.issue(false, "k1").await.unwrap();
    assert_eq!(issued.valid_until.seconds(), START / 1000 + 600);
    assert_ne!(directory.issue(false, "k1").await, Ok(issued), "no answer gets lost inside a process");
    assert_eq!(directory.issue(true, "k2").await.unwrap().valid_until.seconds(), START / 1000 + 7 * 86_400);
    assert_eq!(store.state().codes[&issued.code].0, ADDRESS);
    directory.give_back(issued.code).await.unwrap();
    directory.give_back(issued.code).await.unwrap();
    assert_eq!(store.state().codes.len(), 2);
}

#[actix_web::test]
async fn a_taken_code_is_drawn_again_but_not_for_ever() {
    let (store, service) = service();
    let directory = LocalDirectory::new(service, ADDRESS).unwrap();
    store.state().taken = 5;
    assert!(directory.issue(false, "k1").await.is_ok());
    store.state().taken = usize::MAX;
    assert!(matches!(directory.issue(false, "k2").await, Err(DirectoryError::Unavailable(_))));
}

#[actix_web::test]
async fn requests_with_one_key_at_the_same_time_get_one_code() {
    let store = Arc::new(FakeStore::default());
    let settings = DirectorySettings { open: true, ..DirectorySettings::default() };
    let service = DirectoryService::new(store.clone(), settings).unwrap();
    let caller = service.authenticate(None).unwrap();
    let wish = IssueRequest { url: ADDRESS.into(), rollout: false };
    let issue = || service.issue(&caller, &wish, Some(("k", b"body")), Tick(0));
    let all = futures_util::future::join_all((0..8).map(|_| issue())).await;
    assert!(all.iter().all(|one| one.is_ok() && *one == all[0]), "{all:?}");
    assert_eq!(store.state().codes.len(), 1, "the others are given back");
    assert!(store.state().calls.iter().filter(|call| **call == "list").count() > 1, "they did run together");
}

#[actix_web::test]
async fn open_codes_are_counted_once_a_minute() {
    let store = Arc::new(FakeStore::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let service = DirectoryService::new(store.clone(), DirectorySettings::default())
        .unwrap()
        .with_gauge(move |open| log.lock().unwrap().push(open));
    store.state().open = Some(100_000);
    assert_eq!(service.count_open(Tick(5)).await, Ok(Some(100_000)));
    assert_eq!(service.count_open(Tick(60_004)).await, Ok(None));
    store.state().open = Some(7);
    assert_eq!(service.count_open(Tick(60_005)).await, Ok(Some(7)));
    assert_eq!(*seen.lock().unwrap(), [100_000, 7]);
}

/// Counts warnings of the directory.
struct Warnings(Arc<AtomicU64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("provbroker::directory")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[actix_web::test]
async fn the_operator_is_warned_from_100_000_open_codes_on() {
    let warnings = Arc::new(AtomicU64::new(0));
    let (store, service) = service();
    let _guard = tracing::subscriber::set_default(Warnings(warnings.clone()));
    store.state().open = Some(99_999);
    service.count_open(Tick(0)).await.unwrap();
    assert_eq!(warnings.load(Ordering::SeqCst), 0);
    store.state().open = Some(100_000);
    for second in 0..120 {
        service.count_open(Tick(60_000 + second * 1000)).await.unwrap();
    }
    assert_eq!(warnings.load(Ordering::SeqCst), 2, "once a minute");
}

#[test]
fn invalid_settings_are_refused() {
    let store = Arc::new(FakeStore::default());
    let with = |credentials: Vec<String>| {
        DirectoryService::new(store.clone(), DirectorySettings { credentials, ..DirectorySettings::default() })
    };
    assert!(with(vec![sha256("a")]).is_ok());
    for bad in ["", "letmein", &"g".repeat(64), &"a".repeat(63)] {
        let fault = with(vec![sha256("a"), bad.to_owned()]).err();
        assert_eq!(fault, Some(SettingsError::CredentialHash(2)), "{bad}");
    }
    let (_, service) = service();
    let fault = LocalDirectory::new(service, "http://h/sysclients").err();
    assert_eq!(fault, Some(SettingsError::Address(AddressFault::Scheme)));
    assert!(!format!("{:?}", SettingsError::CredentialHash(2)).contains("letmein"));
    assert_eq!(
        DirectoryError::RateLimited { retry_after: Duration::from_secs(60) }.to_string(),
        "the directory asks to wait 60 s"
    );
}
