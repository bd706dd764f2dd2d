//! A model of the store: devices and codes of two domains.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use provbroker::core::model::device::{Category, CodeState, Device, Domain, IssuedCode, Requester, Way};
use provbroker::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainId, DomainName, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::policy::admin_password::to_send;
use provbroker::core::policy::entry::{AutoOffer, CodeOffer, Situation, Stage, Step, decide, entered_unproved};
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::session::device::event::{Claimed, Membership};
use provbroker::core::session::device::query::Query;

pub fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

pub fn code(number: u64) -> Code {
    Code::from_number(number).unwrap()
}

/// Codes below this number belong to the domain `home`, the others below twice as many to `other`; there are no more.
pub const HOME_CODES: u64 = 40;

pub struct Store {
    pub devices: HashMap<DeviceKey, Device>,
    codes: HashMap<Code, IssuedCode>,
    home: Domain,
    passwords: u64,
    /// Codes whose notice has been deposited.
    pub mailbox: HashSet<Code>,
    /// Used codes with the device that has entered.
    pub entries: HashMap<Code, DeviceKey>,
}

impl Store {
    /// The domain of this name; both have the same settings.
    pub fn domain(&self, name: &DomainName) -> Domain {
        Domain { name: name.clone(), ..self.home.clone() }
    }

    pub fn new() -> Self {
        let issued = |number| IssuedCode {
            code: code(number),
            domain: domain(if number < HOME_CODES { "home" } else { "other" }),
            category: CategoryId(4),
            sip: None,
            requester: Requester { app: "a".into(), sip: "s".into() },
            holder: None,
            rollout: false,
            administrative: false,
            valid_until: UnixMillis(u64::MAX),
            state: CodeState::Open,
        };
        let home = Domain {
            id: DomainId(2),
            name: domain("home"),
            password: Secret::new("p"),
            admin_password: Secret::new("root"),
            auto_token: Secret::new("t"),
            access_to: Vec::new(),
            revision: 0,
            categories: vec![Category { id: CategoryId(4), name: "c".into(), provisioning: true }],
        };
        Self {
            devices: HashMap::new(),
            codes: (0..2 * HOME_CODES).map(|number| (code(number), issued(number))).collect(),
            home,
            passwords: 0,
            mailbox: HashSet::new(),
            entries: HashMap::new(),
        }
    }

    pub fn claim(&mut self, identify: &Identify, stage: Stage, query: &Query, other_member: bool) -> Claimed {
        let key = identify.id.key();
        let auto = query.check(Some(&self.home));
        let device = self.devices.get(&key);
        let offer = match identify.code {
            OfferedCode::None => CodeOffer::None,
            OfferedCode::Malformed => CodeOffer::Bad,
            OfferedCode::Code(code) => self.codes.get(&code).map_or(CodeOffer::Bad, CodeOffer::Found),
        };
        let situation = Situation { key: &key, device, code: offer, auto: auto.clone(), other_member, stage };
        let verdict = decide(&situation);
        match (verdict.step, identify.code) {
            (Step::EnterByCode, OfferedCode::Code(code)) => return self.enter(identify, Some(code)),
            (Step::EnterByQuery { .. }, _) => return self.enter(identify, None),
            _ => {}
        }
        let Some(device) = self.devices.get_mut(&key) else {
            return Claimed::Unknown;
        };
        if stage == Stage::Member {
            device.facts = identify.facts.clone();
        }
        let again_by_query = entered_unproved(device)
            && !other_member
            && matches!(auto, AutoOffer::Good { domain, .. } if domain == device.domain);
        let membership = self.membership(&key);
        Claimed::Known { membership, again_by_query, challenge_after: Duration::ZERO }
    }

    fn membership(&self, key: &DeviceKey) -> Membership {
        let device = self.devices[key].clone();
        let hand_out = to_send(&device, Some(&self.home));
        Membership { device: Box::new(device), hand_out }
    }

    fn enter(&mut self, identify: &Identify, by: Option<Code>) -> Claimed {
        let key = identify.id.key();
        let mut domain = self.home.name.clone();
        if let Some(by) = by {
            let issued = self.codes.get_mut(&by).unwrap();
            assert!(!matches!(&issued.state, CodeState::Used { by, .. } if *by != key), "one code, one device");
            issued.state = CodeState::Used { by: key.clone(), port: None };
            domain = issued.domain.clone();
            self.entries.insert(by, key.clone());
        }
        assert!(self.devices.get(&key).is_none_or(|known| known.domain == domain), "no code moves a known device");
        let owed = self.devices.get(&key).and_then(|d| d.pending).filter(|owed| Some(*owed) != by);
        self.mailbox.extend(owed);
        self.passwords += 1;
        let device = Device {
            id: DeviceId(1),
            key: key.clone(),
            domain,
            category: CategoryId(4),
            way: if by.is_some() { Way::Code } else { Way::Auto },
            password: Secret::new(format!("{:032}", self.passwords)),
            tentative: true,
            admin_password: by.is_none().then(|| Secret::new("random")),
            entry_code: by,
            pending: by,
            entered: UnixMillis(0),
            name: None,
            app_ip: None,
            work: provbroker::core::model::work::Work::default(),
            facts: identify.facts.clone(),
        };
        self.devices.insert(key.clone(), device);
        Claimed::Entered(self.membership(&key))
    }

    pub fn deposit(&mut self, key: &DeviceKey) {
        self.mailbox.extend(self.devices.get_mut(key).and_then(|d| d.pending.take()));
    }

    pub fn confirm(&mut self, key: &DeviceKey, password: &Secret) {
        if let Some(device) = self.devices.get_mut(key).filter(|d| d.password == *password) {
            device.tentative = false;
        }
    }
}
