//! The fixture of the contract tests.

use std::sync::Arc;

use provbroker::core::model::ids::{Code, DeviceKey, DomainName};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::users_role::{EntryOrder, Person, PhoneFacts, RequestId};
use provbroker::users_role::backend::Backend;

/// A backend under test. It knows three users of [`domain`] and one of [`other_domain`]: those of [`USERS`].
pub trait Fixture: Sized {
    async fn start() -> Self;
    fn backend(&self) -> Arc<dyn Backend>;
    /// Entered phones, sorted: pairs of SIP name and device key.
    async fn entered(&self) -> Vec<(String, String)>;
    /// Makes the system behind the backend unavailable, or available again.
    async fn away(&mut self, away: bool);
}

/// SIP name, display name, groups and domain.
pub const USERS: [(&str, &str, &str, &str); 4] = [
    ("anna", "Anna Berg", "Sales", "example.com"),
    ("otto", "Otto Lindner", "Lab|Sales", "example.com"),
    ("eva", "Eva Ørsted", "Lab", "example.com"),
    ("anna", "Another Anna", "", "other.example"),
];

pub fn csv() -> String {
    let all_settings = USERS.iter().map(|(sip, name, groups, domain)| format!("{sip},{name},{groups},{domain}"));
    format!("sip,name,groups,domain\n{}\n", all_settings.collect::<Vec<_>>().join("\n"))
}

pub fn domain() -> DomainName {
    DomainName::parse("example.com").unwrap()
}

pub fn other_domain() -> DomainName {
    DomainName::parse("other.example").unwrap()
}

pub async fn user(backend: &dyn Backend, sip: &str) -> Person {
    backend.user_by_sip(&domain(), sip).await.unwrap().unwrap()
}

/// An entry order with this number, phone and user.
pub async fn order(backend: &dyn Backend, number: u64, sip: &str, phone: u64) -> EntryOrder {
    let person = user(backend, sip).await;
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    EntryOrder {
        id: RequestId::new(id),
        domain: domain(),
        person: person.guid,
        sip: person.sip,
        name: person.name,
        category: "Desk phones".into(),
        app: "phone".into(),
        code: Code::from_number(402_817_000_000 + number).unwrap(),
        phone: PhoneFacts { key: key(phone), name: None, product: "IP112".into(), version: "13r3".into(), port: None },
        made: UnixMillis(1_767_225_600_000 + number),
        attempts: 0,
    }
}

pub fn key(phone: u64) -> DeviceKey {
    DeviceKey::parse(&format!("0090334{phone:05x}")).unwrap()
}

/// The expected entries: pairs of SIP name and number of the phone.
pub fn pairs(expected: &[(&str, u64)]) -> Vec<(String, String)> {
    let mut all: Vec<_> = expected.iter().map(|(sip, phone)| ((*sip).to_owned(), key(*phone).to_string())).collect();
    all.sort_unstable();
    all
}
