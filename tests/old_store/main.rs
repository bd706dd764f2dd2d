//! Stores of an earlier version open as before: `tests/fixtures/store-0.1.*` were written by the program of version 0.1 before its
//! sources were restructured. `tests/fixtures/README.md` says how.
//!
//! What the REST interface said of them then is in `store-0.1.*.rest.json`, word for word (`GOLDEN=write` writes it anew). What it
//! does not show is read from the store. All times in the fixtures are in the year 2090, so that no validity is over.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use provbroker::config::{BackendKind, Config, Role};
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName, HardwareId, RolloutId, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::users_role::RequestId;
use provbroker::core::session::device::client::Proof;
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport;
use provbroker::store::embedded::Embedded;
use provbroker::store::{self, Entered, Entry, EntryRight, MasterKeys, Options, SessionHash, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../pages/browser.rs"]
#[allow(dead_code)]
mod browser;
mod migration;
#[path = "../support/raw_store.rs"]
mod raw_store;
mod records;
#[path = "../support/mod.rs"]
mod support;

use crate::browser::Browser;
use crate::support::broker::{Broker, INSTANCE_PASSWORD, Keep, run};
use crate::support::operator::Operator;
use crate::support::peer::{Device, guarded, identify, until};
use crate::support::redis_server::RedisServer;

const MASTER: &str = "master key of the fixtures";
const DOMAIN: &str = "example.com";
const SECOND: &str = "second.example";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A fixture, by the end of its name.
#[derive(Clone, Copy)]
enum Fixture {
    File,
    Dump,
}

impl Fixture {
    const fn end(self) -> &'static str {
        match self {
            Self::File => "redb",
            Self::Dump => "rdb",
        }
    }

    fn path(self, more: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-0.1.{}{more}", self.end()))
    }

    /// What was noted when it was made.
    fn known(self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(".known.json")).unwrap()).unwrap()
    }

    /// A copy that may be changed. The folder has to live as long as the store.
    fn copy(self) -> (Keep, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        match self {
            Self::File => {
                let own = tempfile::tempdir().unwrap();
                std::fs::copy(self.path(""), own.path().join("store.redb")).unwrap();
                (Keep::Embedded(own), folder)
            }
            Self::Dump => {
                std::fs::copy(self.path(""), folder.path().join("dump.rdb")).unwrap();
                let dir = folder.path().to_str().unwrap().to_owned();
                let server = RedisServer::start(&["--dir", &dir, "--dbfilename", "dump.rdb"]);
                (Keep::Redis(server), folder)
            }
        }
    }
}

/// Makes of each body two tests.
macro_rules! on_each {
    ($($test:ident),+) => {
        mod file { $(#[test] fn $test() { super::$test(super::Fixture::File); })+ }
        mod dump { $(#[test] fn $test() { super::$test(super::Fixture::Dump); })+ }
    };
}

on_each!(the_rest_interface_says_what_it_said, known_devices_register, people_sign_in, records_are_read, records_go_on);

fn domain() -> DomainName {
    DomainName::parse(DOMAIN).unwrap()
}

fn second() -> DomainName {
    DomainName::parse(SECOND).unwrap()
}

fn key_of(known: &Value, device: &str) -> DeviceKey {
    DeviceKey::parse(known["devices"][device]["key"].as_str().unwrap()).unwrap()
}

fn code_of(known: &Value, code: &str) -> Code {
    Code::parse(known["codes"][code].as_str().unwrap()).unwrap()
}

fn request_of(known: &Value, request: &str) -> RequestId {
    RequestId::parse(known["requests"][request].as_str().unwrap()).unwrap()
}

fn master() -> MasterKeys {
    MasterKeys::of(Secret::new(MASTER))
}

/// A broker in all roles that brings nothing of its own into the store.
fn broker(keep: &Keep, folder: &Path) -> Broker {
    std::fs::write(folder.join("people.csv"), "sip,name,guid,domain\nanna,Anna Berg,guid-of-anna,example.com\n")
        .unwrap();
    Broker::on(keep, |config: &mut Config| {
        config.security.master_key = Secret::new(MASTER);
        config.domains = Vec::new();
        config.server.roles = [Role::Directory, Role::Devices, Role::Users].into();
        config.users.backend = BackendKind::File;
        config.users.file.users = folder.join("people.csv");
        config.users.file.phones = folder.join("phones.csv");
    })
}

async fn open(keep: &Keep) -> Arc<dyn Store> {
    let options = Options { deadline: Duration::from_secs(20), ..Options::default() };
    store::connect(&keep.url(), &master(), &options).await.unwrap()
}

/// Every GET of the interface that shows something, for every thing that there is.
async fn said(operator: &Operator) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut domains = Vec::new();
    for top in ["/api/v1/domains", "/api/v1/unassigned"] {
        let answer = operator.read(top).await;
        let names =
            answer["domains"].as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap().to_owned());
        domains.extend(names);
        all.insert(top.to_owned(), answer);
    }
    for domain in domains {
        let at = format!("/api/v1/domains/{domain}");
        all.insert(at.clone(), operator.read(&at).await);
        for (list, things, id, more) in [
            ("access", "", "", &[][..]),
            ("categories", "categories", "id", &[""]),
            ("devices", "devices", "hwId", &["", "/timeline"]),
            ("offers", "", "", &[]),
            ("codes", "codes", "code", &["", "/timeline"]),
            ("rollouts", "rollouts", "id", &["", "/rows"]),
            ("jobs", "jobs", "id", &[""]),
            ("outcomes", "", "", &[]),
        ] {
            let target = format!("{at}/{list}");
            let answer = operator.read(&target).await;
            for thing in answer[things].as_array().into_iter().flatten() {
                let id = thing[id].as_str().map_or_else(|| thing[id].to_string(), ToOwned::to_owned);
                for part in more {
                    let target = format!("{target}/{id}{part}");
                    all.insert(target.clone(), operator.read(&target).await);
                }
            }
            all.insert(target, answer);
        }
        for text in ["builds", "devices.csv", "codes.csv"] {
            let target = format!("{at}/{text}");
            let answer = operator.get(&target).await;
            let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| answer.body.clone().into());
            all.insert(target, json!([answer.status, body]));
        }
    }
    all
}

/// Codes of the same second are listed by their names, which are other ones in each store.
fn in_order(mut answer: Value) -> Value {
    if let Some(codes) = answer.get_mut("codes").and_then(Value::as_array_mut) {
        codes.sort_by_key(ToString::to_string);
    }
    if let Some(csv) = answer.get_mut(1).filter(|body| body.is_string()) {
        let mut lines: Vec<_> = csv.as_str().unwrap().lines().map(ToOwned::to_owned).collect();
        lines.sort();
        *csv = lines.into();
    }
    answer
}

fn the_rest_interface_says_what_it_said(fixture: Fixture) {
    let (keep, folder) = fixture.copy();
    let broker = broker(&keep, folder.path());
    let now = run(async { said(&Operator::log_in(broker.addr, None, INSTANCE_PASSWORD).await).await });
    let path = fixture.path(".rest.json");
    if std::env::var_os("GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let then: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(then.len() > 60, "{}", then.len());
    assert_eq!(now.keys().collect::<Vec<_>>(), then.keys().collect::<Vec<_>>());
    for (target, answer) in &now {
        assert_eq!(in_order(answer.clone()), in_order(then[target].clone()), "{target}");
    }
}

fn known_devices_register(fixture: Fixture) {
    let (known, (keep, folder)) = (fixture.known(), fixture.copy());
    let broker = broker(&keep, folder.path());
    run(async {
        let operator = Operator::log_in(broker.addr, None, INSTANCE_PASSWORD).await;
        let online = async |domain: &str, key: &str| {
            operator.read(&format!("/api/v1/domains/{domain}/devices/{key}")).await["online"] == true
        };
        for name in ["anna", "otto", "automatic"] {
            let device = &known["devices"][name];
            let (key, password) = (device["key"].as_str().unwrap(), device["password"].as_str().unwrap());
            let mut device = Device::come_back(broker.addr, key, password).await;
            let admin_password = device.expect_admin_password(password).await;
            assert_eq!(admin_password == "administrative-of-example", name != "automatic", "{name}: {admin_password}");
            until("it is a member", async || online(DOMAIN, key).await).await;
            assert!(device.is_quiet().await, "{name}");
            assert!(device.lines.is_empty(), "it has everything already: {:?}", device.lines);
        }
        // One that has entered and not shown its password since.
        let gateway = &known["devices"]["gateway"];
        let mut device = Device::connect(broker.addr, "").await;
        let identify = json!({
            "id": gateway["key"], "product": "IP29-8", "version": "13r3", "other": true,
            "platform": {"type": "GW", "fxs": true},
        });
        device.identify(&identify).await;
        let challenge = device.expect_challenge().await;
        device.answer(&identify, &challenge, gateway["password"].as_str().unwrap()).await;
        device.expect_configuration().await;
        assert!(online(SECOND, gateway["key"].as_str().unwrap()).await);

        // The phone of the load tool with what it has kept. Its broker is at another address now.
        let state = folder.path().join("phone.json");
        let there = format!("127.0.0.1:{}", known["port"]);
        let kept = known["phone"].to_string();
        assert!(kept.contains(&there));
        std::fs::write(&state, kept.replace(&there, &broker.addr.to_string())).unwrap();
        let id = known["devices"]["phone"]["key"].as_str().unwrap();
        let options = PhoneOptions { state_file: Some(state), ..PhoneOptions::new(HardwareId::parse(id).unwrap()) };
        let (phone, mut events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
        let mut answered = false;
        loop {
            match guarded("an event of the phone", events.recv()).await.unwrap() {
                PhoneEvent::ChallengeAnswered => answered = true,
                PhoneEvent::Member(proof) => {
                    assert!(answered && !matches!(proof, Proof::Password), "with its password: {proof:?}");
                    break;
                }
                PhoneEvent::PasswordReceived(_) | PhoneEvent::ChallengeUnanswered | PhoneEvent::Closed(..) => {
                    panic!("it is not known")
                }
                _ => {}
            }
        }
        until("it is a member", async || online(DOMAIN, id).await).await;
        phone.stop().await;

        // Somebody else's password.
        let other = known["devices"]["otto"]["password"].as_str().unwrap();
        let key = known["devices"]["updated"]["key"].as_str().unwrap();
        let mut device = Device::connect(broker.addr, "").await;
        device.identify(&identify_updated(key)).await;
        let challenge = device.expect_challenge().await;
        device.answer(&identify_updated(key), &challenge, other).await;
        assert!(!device.is_quiet().await);
    });
}

fn identify_updated(key: &str) -> Value {
    let mut identify = identify(key);
    identify["fwBuild"] = "136044".into();
    identify
}

fn people_sign_in(fixture: Fixture) {
    let (known, (keep, folder)) = (fixture.known(), fixture.copy());
    let broker = broker(&keep, folder.path());
    run(async {
        // The session that was not ended.
        let mut anna = Browser::new(broker.addr);
        anna.cookies.insert("provbroker_session".into(), known["session"].as_str().unwrap().into());
        let page = anna.page("/ui/account").await;
        assert!(page.contains("anna of the fixtures") && page.contains("Browser of the fixtures"), "{page}");
        // A password that an operator has changed, and one that nobody has.
        let answer = Browser::new(broker.addr).sign_in("otto", "password of the accounts").await;
        assert_eq!(answer.status, 422, "{}", answer.head);
        Browser::signed_in(broker.addr, "otto", "password of the accounts 2").await;
        let mut operator = Browser::signed_in(broker.addr, "operator", "password of the accounts").await;
        let audit = operator.page("/ui/operator/audit").await;
        for word in ["anna", "New building", "Reception"] {
            assert!(audit.contains(word), "{word}: {audit}");
        }
    });
}

fn records_are_read(fixture: Fixture) {
    let (known, (keep, _folder)) = (fixture.known(), fixture.copy());
    run(async { records::read(&*open(&keep).await, &known).await });
}

/// What is written now fits to what was there.
fn records_go_on(fixture: Fixture) {
    let (known, (keep, _folder)) = (fixture.known(), fixture.copy());
    run(async {
        let store = &*open(&keep).await;
        let last = store.devices(&domain(), DeviceId(0), 100).await.unwrap().last().unwrap().device.id;
        let entry = |key: &str, code| Entry {
            key: DeviceKey::parse(key).unwrap(),
            domain: domain(),
            category: CategoryId(1),
            right: EntryRight::Code(code_of(&known, code)),
            password: Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT"),
            admin_password: None,
            name: None,
            facts: Facts::default(),
        };
        for (number, code) in ["open", "rollout open", "waiting"].into_iter().enumerate() {
            let key = format!("009033a0010{number}");
            let Entered::In(device) = store.enter(&entry(&key, code)).await.unwrap() else { panic!("{code}") };
            assert!(device.id > last, "numbers go on");
        }
        for code in ["revoked", "anna", "mailed", "cancelled"] {
            let entered = store.enter(&entry("009033a00200", code)).await.unwrap();
            assert!(matches!(entered, Entered::CodeNotOpen), "{code}: {entered:?}");
        }
        let before = store.jobs(&domain()).await.unwrap().last().unwrap().id;
        let order = store.jobs(&domain()).await.unwrap().remove(0).order;
        let job = store.add_job(&domain(), &order).await.unwrap().unwrap();
        assert!(job.id.0 > before.0 + 1, "the number of the deleted job is not given again");
        let rollout = store.begin_rollout(&domain(), "b", CategoryId(1), 1).await.unwrap();
        assert_eq!(rollout.id, RolloutId(2));
    });
}

/// Forty days after the fixture was made.
#[test]
fn validities_end() {
    let (known, (keep, _folder)) = (Fixture::File.known(), Fixture::File.copy());
    let Keep::Embedded(dir) = &keep else { unreachable!("the fixture in a file") };
    run(async {
        let made = open(&keep).await.find_device(&key_of(&known, "anna")).await.unwrap().unwrap().entered;
        let clock = Arc::new(move || UnixMillis((made + 40 * DAY).0));
        let options = Options { clock, ..Options::default() };
        let store = Embedded::open(&dir.path().join("store.redb"), &master(), &options).unwrap();
        let store: &dyn Store = &store;
        for code in ["open", "rollout open"] {
            assert!(store.find_code(code_of(&known, code)).await.unwrap().is_none(), "{code}");
        }
        assert!(store.code_in(&domain(), code_of(&known, "anna")).await.unwrap().is_none());
        assert!(store.rollouts(&domain()).await.unwrap().is_empty());
        assert!(store.users_role_rollouts(&domain()).await.unwrap().is_empty());
        assert_eq!(store.depth(&second()).await.unwrap(), 0);
        assert!(store.offers(&second()).await.unwrap().is_empty());
        assert_eq!(store.unassigned_count().await.unwrap(), 0);
        let hash = SessionHash::of(&store.sealer(), known["session"].as_str().unwrap());
        assert!(store.use_session(&hash, None).await.unwrap().is_none());
        let kept = ["anna", "otto", "eva"].map(|name| request_of(&known, name));
        for request in &kept {
            assert!(store.phone_request(&domain(), request).await.unwrap().is_some());
        }
        assert!(store.phone_request(&domain(), &request_of(&known, "waiting")).await.unwrap().is_none());
        assert!(!store.audit_entries(None, None, 100).await.unwrap().is_empty(), "kept for 180 days");
        let devices = store.device_count(&domain()).await.unwrap() + store.device_count(&second()).await.unwrap();
        assert_eq!(devices, known["devices"].as_object().unwrap().len() as u64 - 1);
        let order = store.take_orders(&domain(), Duration::from_secs(60), 10).await.unwrap();
        assert_eq!(order.iter().map(|order| &order.id).collect::<Vec<_>>(), [&request_of(&known, "otto")]);
        assert_eq!(order[0].attempts, 1);
    });
}
