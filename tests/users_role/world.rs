//! A broker with all roles, a user list and a file for phones.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use provbroker::config::{BackendKind, Config, Role};
use provbroker::core::model::ids::{Code, DeviceKey, DomainName, HardwareId};
use provbroker::core::model::users_role::{EntryState, Person, PersonId, PhoneRequest, RequestId};
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport;
use provbroker::users_role::{LinkStatus, RequestChange, UsersRole};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use crate::support::broker::{Broker, DOMAIN, INSTANCE, Keep, OTHER};

/// The users of the tests.
pub const USERS: &str = "sip,name,groups,number,domain\n\
    anna,Anna Berg,Sales,201,example.com\n\
    otto,\"=HYPERLINK(\"\"x\"\")\",Sales|Lab,202,example.com\n\
    eva,Eva,Lab,203,other.example\n";

pub fn domain() -> DomainName {
    DomainName::parse(DOMAIN).unwrap()
}

pub fn other_domain() -> DomainName {
    DomainName::parse(OTHER).unwrap()
}

/// The user list and the file of phones.
pub struct Files {
    folder: TempDir,
}

impl Files {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("people.csv"), USERS).unwrap();
        Self { folder }
    }

    pub fn users(&self) -> PathBuf {
        self.folder.path().join("people.csv")
    }

    pub fn phones(&self) -> PathBuf {
        self.folder.path().join("out/phones.csv")
    }

    /// The written lines: user, phone, request.
    pub fn entered(&self) -> Vec<(String, String, String)> {
        let Ok(text) = std::fs::read(self.phones()) else { return Vec::new() };
        let mut lines = csv::Reader::from_reader(&*text);
        let cell = |record: &csv::StringRecord, at: usize| record.get(at).unwrap().to_owned();
        lines.records().map(|record| record.unwrap()).map(|r| (cell(&r, 2), cell(&r, 4), cell(&r, 10))).collect()
    }
}

/// Configures all roles and these files.
pub fn with_users(config: &mut Config, files: &Files) {
    config.server.roles = [Role::Directory, Role::Devices, Role::Users].into();
    config.users.backend = BackendKind::File;
    config.users.file.users = files.users();
    config.users.file.phones = files.phones();
    config.users.order_again = Duration::from_millis(100);
    config.apps.notice_hold = Duration::from_millis(200);
}

/// A broker whose Users role has logged in.
pub async fn started(keep: &Keep, files: &Files) -> (Broker, Arc<UsersRole>) {
    let broker = Broker::on(keep, |config| with_users(config, files));
    let users_role = Arc::clone(broker.people());
    for domain in [domain(), other_domain()] {
        until("the Users role has logged in", async || {
            (users_role.status(&domain).await.unwrap().devices == LinkStatus::Up).then_some(())
        })
        .await;
    }
    (broker, users_role)
}

/// Waits until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Follows a request through its change notifications until it is as wanted. Returns its states on the way.
pub async fn follow(
    users_role: &UsersRole,
    id: &RequestId,
    wanted: impl Fn(&PhoneRequest) -> bool,
) -> Vec<PhoneRequest> {
    let mut feed = users_role.watch(&domain()).unwrap();
    let _looking = users_role.follow_progress(&domain(), id).unwrap();
    let mut seen: Vec<PhoneRequest> = Vec::new();
    let wait = async {
        loop {
            let now = users_role.request(&domain(), id).await.unwrap().unwrap();
            if seen.last() != Some(&now) {
                seen.push(now.clone());
            }
            if wanted(&now) {
                return;
            }
            loop {
                match feed.recv().await {
                    Ok(RequestChange::Changed(changed)) if changed.request != *id => {}
                    _ => break,
                }
            }
        }
    };
    let got_there = tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok();
    assert!(got_there, "it did not get there: {seen:?}");
    seen
}

pub fn is_entered(request: &PhoneRequest) -> bool {
    request.entry == EntryState::Done
}

/// A new phone that uses the directory of this broker.
pub fn phone(number: u64, broker: SocketAddr) -> (DeviceKey, Phone, Receiver<PhoneEvent>) {
    let id = HardwareId::parse(&format!("0090335{number:05x}")).unwrap();
    let options = PhoneOptions {
        init_url: Some(format!("http://{broker}/init")),
        reconnect: Duration::from_millis(100),
        restart: Duration::from_millis(5),
        ..PhoneOptions::new(id.clone())
    };
    let (phone, events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
    (id.key(), phone, events)
}

/// A phone that knows the broker's address already: the directory would still return an earlier one at another port.
pub fn phone_at(number: u64, broker: SocketAddr) -> (DeviceKey, Phone, Receiver<PhoneEvent>) {
    let id = HardwareId::parse(&format!("0090335{number:05x}")).unwrap();
    let options = PhoneOptions {
        sysadmin: Some(format!("ws://{broker}{INSTANCE}/sysclients")),
        reconnect: Duration::from_millis(100),
        restart: Duration::from_millis(5),
        ..PhoneOptions::new(id.clone())
    };
    let (phone, events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
    (id.key(), phone, events)
}

pub async fn type_code(phone: &Phone, code: Code) {
    phone.type_code(code).await;
}

pub fn person(name: &str) -> Person {
    Person {
        guid: PersonId::parse(name).unwrap(),
        sip: name.into(),
        name: format!("User {name}").into(),
        groups: Vec::new(),
        number: None,
    }
}
