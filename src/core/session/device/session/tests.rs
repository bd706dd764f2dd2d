//! The device session, row by row of the table. Actions are compared as short texts.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::core::model::device::{Device, Facts, Way};
use crate::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use crate::core::model::ids::{CategoryId, Code, ConfigId, DeviceId, DomainId, HardwareId, JobId, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::config::Kind;
use crate::core::policy::jobs::plan::{ItemOrder, Plan};
use crate::core::protocol::script::encode::line_of_path;
use crate::core::protocol::sysclient::auth;
use crate::core::protocol::sysclient::config::ConfigItem;
use crate::core::protocol::sysclient::frame::ServerEvent;
use crate::core::session::device::event::Planned;

mod entry;
mod faults;
mod member;
mod orders;
mod stopping;
mod timers;
mod work;

const ID: &str = "00903341a0b1";
const PASSWORD: &str = "Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT";
const CHALLENGE: &str = "0031886215";
const SEED: &str = "k3Vx0Rz9Tq1Lm5Wb";

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn code(number: u64) -> OfferedCode {
    OfferedCode::Code(Code::from_number(number).unwrap())
}

fn facts() -> Facts {
    Facts { product: "IP112".into(), version: "13r3 [1/2/3]".into(), platform: "PHONE".into(), ..Facts::default() }
}

fn device() -> Device {
    Device {
        id: DeviceId(1),
        key: HardwareId::parse(ID).unwrap().key(),
        domain: domain("home"),
        category: CategoryId(4),
        way: Way::Code,
        password: Secret::new(PASSWORD),
        tentative: false,
        admin_password: None,
        entry_code: None,
        pending: None,
        entered: UnixMillis(0),
        name: None,
        app_ip: None,
        work: crate::core::model::work::Work::default(),
        facts: facts(),
    }
}

/// A device that has just entered by code 7: its notice is pending.
fn entered_device() -> Device {
    Device { tentative: true, entry_code: Code::from_number(7), pending: Code::from_number(7), ..device() }
}

fn membership(device: Device) -> Membership {
    Membership { device: Box::new(device), hand_out: None }
}

fn handed(device: Device, password: &str) -> Membership {
    Membership { device: Box::new(device), hand_out: Some(Secret::new(password)) }
}

fn known(device: Device) -> Claimed {
    Claimed::Known { membership: membership(device), again_by_query: false, challenge_after: Duration::ZERO }
}

fn identify(facts: Facts, code: OfferedCode) -> Identify {
    Identify { id: HardwareId::parse(ID).unwrap(), facts, code, digest: None }
}

fn plain() -> Identify {
    identify(facts(), OfferedCode::None)
}

fn with_code(number: u64) -> Identify {
    identify(facts(), code(number))
}

fn answer_with(password: &str, mut identify: Identify) -> Identify {
    let Facts { product, version, .. } = &identify.facts;
    let digest = auth::device_digest(ID, product, version, CHALLENGE, &Secret::new(password));
    identify.digest = Some(digest.into());
    identify
}

/// A configuration with a password.
fn item(kind: ConfigType, changed: bool) -> ItemOrder {
    let members = vec![("turnPassword", MemberValue::Secret(Secret::new("Geheim-1")))];
    let config =
        DeviceConfig { id: ConfigId(1), domain: DomainId(2), desc: None, kind, categories: Vec::new(), members };
    ItemOrder { jobs: vec![(Kind::Ntp, JobId(1))], fingerprint: "f".into(), config, changed }
}

/// A session with a clock that the test sets.
struct Harness {
    session: Session,
    timing: Settings,
    now: Tick,
}

impl Harness {
    fn new() -> Self {
        Self { session: Session::new(Tick(0)), timing: Settings::default(), now: Tick(0) }
    }

    fn raw(&mut self, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.session.on(event, self.now, &self.timing, &mut actions);
        actions
    }

    fn on(&mut self, event: Event<'_>) -> Vec<String> {
        self.raw(event).iter().map(summary).collect()
    }

    fn bytes(&mut self, bytes: impl Into<Bytes>) -> Vec<String> {
        self.on(Event::Message(&bytes.into()))
    }

    fn receive(&mut self, identify: Identify) -> Vec<String> {
        self.bytes(FromDevice::Identify(Box::new(identify)).encode())
    }

    fn claimed(&mut self, claimed: Claimed) -> Vec<String> {
        self.on(Event::Claimed(claimed, RandomTexts { challenge: CHALLENGE.into(), seed: SEED.into() }))
    }

    fn planned(&mut self, plan: Plan) -> Vec<String> {
        let seeds = (1..=plan.items.len()).map(|n| format!("{n:016}").into()).collect();
        let planned = Planned::Work { device: Box::new(device()), plan: Box::new(plan), seeds, now: UnixMillis(0) };
        self.on(Event::Planned(planned))
    }

    /// Sets the time to `millis`, without a tick.
    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Tick(millis);
        self
    }

    fn tick(&mut self) -> Vec<String> {
        self.on(Event::Tick)
    }

    fn deadline(&self) -> u64 {
        self.session.deadline(&self.timing).0
    }

    fn unassigned() -> Self {
        let mut harness = Self::new();
        assert_eq!(harness.receive(plain()), ["claim Open"]);
        assert!(harness.claimed(Claimed::Unknown).is_empty());
        assert!(harness.session.is_unassigned());
        harness
    }

    fn challenged(device: Device) -> Self {
        let mut harness = Self::new();
        assert_eq!(harness.receive(plain()), ["claim Open"]);
        assert_eq!(harness.claimed(known(device)), ["challenge"]);
        harness
    }

    /// A member whose work is done.
    fn member() -> Self {
        Self::member_with(facts())
    }

    fn member_with(facts: Facts) -> Self {
        let mut harness = Self::challenged(Device { facts: facts.clone(), ..device() });
        let answer = answer_with(PASSWORD, identify(facts, OfferedCode::None));
        assert_eq!(harness.receive(answer), ["proved", "join home"]);
        assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
        harness.planned(Plan::default());
        harness
    }
}

/// The command in a request of the session itself.
fn line(request: &[u8]) -> String {
    let path = String::from_utf8_lossy(request).split(' ').nth(1).unwrap().to_owned();
    line_of_path(&path).unwrap_or(path)
}

fn summary(action: &Action) -> String {
    match action {
        Action::Send(bytes) => match frame::decode_from_server(&bytes.clone().into()).unwrap() {
            FromServer::Password(password) => {
                assert_eq!(password, Secret::new(PASSWORD));
                "password".into()
            }
            FromServer::Challenge(challenge) => {
                assert_eq!(&*challenge, CHALLENGE);
                "challenge".into()
            }
            FromServer::AdminPassword { seed, pwd } => {
                assert_eq!(&*seed, SEED);
                let plain = auth::open_admin_password(&seed, &Secret::new(PASSWORD), &pwd).unwrap();
                format!("admin {}", plain.expose())
            }
            FromServer::ProvisionResult { error } => format!("result {}", error.as_deref().unwrap_or("ok")),
            FromServer::Configuration { item, last } => {
                let password = |item: &ConfigItem| item.open("turnPassword", &Secret::new(PASSWORD));
                assert!(item.as_ref().is_none_or(|item| password(item) == Some(Secret::new("Geheim-1"))));
                let seed = |item: &ConfigItem| item.get("turnSeed").unwrap().trim_matches(['"', '0']).to_owned();
                let item =
                    item.map_or_else(|| "nothing".into(), |item| format!("{} seed {}", item.kind(), seed(&item)));
                format!("item {item}{}", if last { " last" } else { "" })
            }
            FromServer::Tunnel { event, .. } => match event {
                ServerEvent::Send(bytes) => format!("line {}", line(&bytes)),
                ServerEvent::Receive(_) => "receive".into(),
                ServerEvent::Shutdown => "shutdown".into(),
            },
            FromServer::Ignored(ignored) => panic!("{ignored:?}"),
        },
        Action::Close(close) => format!("close {} {}", close.code(), close.text()),
        Action::Claim(identify, stage) => {
            assert_eq!(identify.id.key().as_str(), ID);
            format!("claim {stage:?}")
        }
        Action::Join(domain) => format!("join {domain}"),
        Action::Tunnel(id, output) => format!("tunnel {} {output:?}", id.0),
        Action::ClaimPort { port, code } => {
            format!("port {port} {}", code.map_or("-".into(), |c| c.expose().to_string()))
        }
        Action::Ping => "ping".into(),
        Action::Plan(_) => "plan".into(),
        Action::Keep(_) => "keep".into(),
        Action::Note(event) => format!("note {event:?}"),
        Action::Deposit(_) => "deposit".into(),
        Action::Proved => "proved".into(),
        Action::Confirm(password) => {
            assert_eq!(*password, Secret::new(PASSWORD));
            "confirm".into()
        }
        Action::Refresh(facts) => format!("refresh {}", facts.version),
        Action::WrongDigest => "wrong digest".into(),
        Action::DropPort => "drop port".into(),
        Action::Dropped => "dropped".into(),
    }
}
