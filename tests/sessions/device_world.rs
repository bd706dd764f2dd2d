//! Devices, their connections, and the server's sessions.

use std::collections::VecDeque;

use bytes::Bytes;
use provbroker::core::model::device::Facts;
use provbroker::core::model::ids::{HardwareId, Secret};
use provbroker::core::model::time::{Tick, UnixMillis};
use provbroker::core::policy::entry::Stage;
use provbroker::core::policy::jobs::plan::{Occasion, plan};
use provbroker::core::policy::jobs::retry::RetryPolicy;
use provbroker::core::protocol::close::Close;
use provbroker::core::protocol::sysclient::admin::{Identify, OfferedCode};
use provbroker::core::protocol::sysclient::frame::{DeviceEvent, FromDevice, decode_from_device};
use provbroker::core::session::device::client::{self, DeviceClient, Memory};
use provbroker::core::session::device::event::{Action, Basis, Claimed, Event, Planned, RandomTexts, Settings};
use provbroker::core::session::device::query::Query;
use provbroker::core::session::device::session::Session;

use super::device_store::{HOME_CODES, Store, code};

/// What happens to the next message in flight.
#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    Arrive,
    Double,
    Drop,
    /// It is swapped with the following one.
    Later,
}

/// How store and domain react to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    Good,
    /// Nothing is done.
    Fails,
    /// It is done, but the answer is lost.
    AnswerLost,
}

/// One connection, seen from the server.
struct Conn {
    session: Session,
    device: usize,
    /// `None` for an attacker.
    query: Query,
    up: VecDeque<Bytes>,
    down: VecDeque<Vec<u8>>,
    open: bool,
    identify: Option<Box<Identify>>,
    /// The open challenge and its time; taken by the answer.
    challenge: Option<(Box<str>, Secret, Tick)>,
    /// A valid code, query or digest was received.
    let_in: bool,
    /// A notice was deposited since the device was let in.
    deposited: bool,
}

struct Device {
    client: DeviceClient,
    query: Query,
    /// Its connection.
    conn: Option<usize>,
}

pub struct World {
    pub store: Store,
    devices: Vec<Device>,
    conns: Vec<Conn>,
    now: Tick,
    store_outcomes: VecDeque<StoreOutcome>,
    draws: u64,
    /// All codes typed so far were valid.
    pub fair: bool,
}

impl World {
    pub fn new(devices: &[bool], store_outcomes: Vec<StoreOutcome>) -> Self {
        let device = |(number, auto): (usize, &bool)| Device {
            client: DeviceClient::new(id(number), facts(0), Memory::default()),
            query: Query::read(if *auto { "domain=home&token=t&category=c" } else { "" }),
            conn: None,
        };
        Self {
            store: Store::new(),
            devices: devices.iter().enumerate().map(device).collect(),
            conns: Vec::new(),
            now: Tick(0),
            store_outcomes: store_outcomes.into(),
            draws: 0,
            fair: true,
        }
    }

    fn open(&mut self, device: usize, query: Query) -> usize {
        self.conns.push(Conn {
            session: Session::new(self.now),
            device,
            query,
            up: VecDeque::new(),
            down: VecDeque::new(),
            open: true,
            identify: None,
            challenge: None,
            let_in: false,
            deposited: false,
        });
        self.conns.len() - 1
    }

    pub fn connect(&mut self, device: usize) {
        if self.devices[device].conn.is_none() {
            let conn = self.open(device, self.devices[device].query.clone());
            self.devices[device].conn = Some(conn);
            self.client(device, client::Event::Connected);
        }
    }

    fn client(&mut self, device: usize, event: client::Event) {
        let mut actions = Vec::new();
        self.devices[device].client.on(event, self.now, &mut actions);
        let Some(conn) = self.devices[device].conn else { return };
        for action in actions {
            match action {
                client::Action::Send(message) => self.conns[conn].up.push_back(message.into()),
                client::Action::Close(code) => panic!("the device rejects the server: {code}"),
                _ => {}
            }
        }
    }

    /// The device loses its connection; the server reads `read` messages in flight and may not learn of the end.
    pub fn cut(&mut self, device: usize, read: usize, server_knows: bool) {
        let Some(conn) = self.devices[device].conn else { return };
        for _ in 0..read {
            self.up(device, Delivery::Arrive);
        }
        self.devices[device].conn = None;
        self.conns[conn].up.clear();
        self.client(device, client::Event::Closed);
        if server_knows {
            self.feed(conn, Event::End(Close::ByPeer));
        }
    }

    pub fn up(&mut self, device: usize, delivery: Delivery) {
        let Some(conn) = self.devices[device].conn else { return };
        let Some(message) = self.conns[conn].up.pop_front() else { return };
        match delivery {
            Delivery::Arrive => self.message(conn, &message),
            Delivery::Double => {
                self.message(conn, &message);
                self.message(conn, &message);
            }
            Delivery::Drop => {}
            Delivery::Later => {
                let up = &mut self.conns[conn].up;
                up.insert(up.len().min(1), message);
            }
        }
    }

    pub fn down(&mut self, device: usize, delivery: Delivery) {
        let Some(conn) = self.devices[device].conn else { return };
        let Some(message) = self.conns[conn].down.pop_front() else {
            // Everything sent before the close has been read.
            if !self.conns[conn].open {
                self.devices[device].conn = None;
                self.client(device, client::Event::Closed);
            }
            return;
        };
        let times = match delivery {
            Delivery::Arrive | Delivery::Later => 1,
            Delivery::Double => 2,
            Delivery::Drop => 0,
        };
        for _ in 0..times {
            self.client(device, client::Event::Message(message.clone().into()));
        }
    }

    /// A person types a code, but not while a password for another reason may be in flight: a device that receives
    /// two passwords in a row and loses the second has no code left to return with.
    pub fn type_code(&mut self, device: usize, number: u64) {
        let Device { client, query, conn } = &self.devices[device];
        let idle = conn.is_none_or(|conn| self.conns[conn].up.is_empty() && self.conns[conn].down.is_empty());
        let settled = *query == Query::None || client.is_member();
        if client.memory().code.is_none() && idle && settled {
            let fresh = !self.store.entries.contains_key(&code(number));
            self.fair &= number < HOME_CODES && fresh && number % 2 == device as u64;
            self.client(device, client::Event::CodeTyped(code(number)));
        }
    }

    pub fn new_version(&mut self, device: usize, version: u8) {
        self.client(device, client::Event::FactsChanged(Box::new(facts(version))));
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        for conn in 0..self.conns.len() {
            self.feed(conn, Event::Tick);
        }
    }

    pub fn domain_lost(&mut self, device: usize) {
        for conn in 0..self.conns.len() {
            if self.conns[conn].device == device {
                self.feed(conn, Event::DomainLost);
            }
        }
    }

    /// An attacker who knows the identifier, a digest of the device and an invalid code.
    pub fn attack(&mut self, device: usize) {
        let conn = self.open(device, Query::None);
        let sniffed =
            self.conns.iter().filter(|c| c.device == device).filter_map(|c| c.identify.as_ref()?.digest.clone());
        let digests: Vec<_> = sniffed.chain([Box::from("00")]).collect();
        let mut identify = Identify { id: id(device), facts: facts(0), code: OfferedCode::None, digest: None };
        self.message(conn, &FromDevice::Identify(Box::new(identify.clone())).encode().into());
        self.message(conn, &FromDevice::Tunnel { session: 1, event: DeviceEvent::Shutdown }.encode().into());
        identify.digest = digests.into_iter().next();
        self.message(conn, &FromDevice::Identify(Box::new(identify)).encode().into());
        assert!(self.conns[conn].session.domain().is_none(), "an attacker is a member");
        self.feed(conn, Event::End(Close::ByPeer));
    }

    fn message(&mut self, conn: usize, message: &Bytes) {
        if let Ok(FromDevice::Identify(identify)) = decode_from_device(message) {
            self.conns[conn].identify = Some(identify);
        }
        self.feed(conn, Event::Message(message));
    }

    fn feed(&mut self, conn: usize, event: Event<'_>) {
        let mut actions = Vec::new();
        self.conns[conn].session.on(event, self.now, &Settings::default(), &mut actions);
        let mut questions = 0;
        let mut answer = None;
        for action in actions {
            assert!(self.conns[conn].open, "nothing follows a close");
            let next = self.perform(conn, action);
            questions += u8::from(next.is_some());
            answer = next.or(answer);
        }
        assert!(questions <= 1, "one question at a time");
        if let Some(answer) = answer {
            self.feed(conn, answer);
        }
    }

    fn store_outcomes(&mut self) -> StoreOutcome {
        self.store_outcomes.pop_front().unwrap_or(StoreOutcome::Good)
    }

    fn others(&self, conn: usize) -> Vec<usize> {
        let same = |c: &usize| self.conns[*c].device == self.conns[conn].device;
        let member = |c: &usize| self.conns[*c].open && self.conns[*c].session.domain().is_some();
        (0..self.conns.len()).filter(|c| *c != conn).filter(same).filter(member).collect()
    }

    fn perform(&mut self, conn: usize, action: Action) -> Option<Event<'static>> {
        let key = self.conns[conn].session.key().cloned();
        match action {
            Action::Send(message) => self.conns[conn].down.push_back(message),
            Action::Close(_) => self.conns[conn].open = false,
            Action::Ping
            | Action::Dropped
            | Action::WrongDigest
            | Action::DropPort
            | Action::Tunnel(..)
            | Action::Note(_) => {}
            Action::Claim(identify, stage) => {
                let store_outcomes = self.store_outcomes();
                if store_outcomes == StoreOutcome::Fails {
                    return Some(self.claimed(Claimed::Unavailable));
                }
                let other_member = !self.others(conn).is_empty();
                let query = self.conns[conn].query.clone();
                let claimed = self.store.claim(&identify, stage, &query, other_member);
                if store_outcomes == StoreOutcome::AnswerLost {
                    return Some(self.claimed(Claimed::Unavailable));
                }
                let event = self.claimed(claimed);
                let end = &mut self.conns[conn];
                if let Event::Claimed(Claimed::Entered(_), _) = &event {
                    (end.let_in, end.deposited) = (true, false);
                }
                if let (Event::Claimed(Claimed::Known { membership, .. }, draw), Stage::Open) = (&event, stage) {
                    let password = membership.device.password.clone();
                    end.challenge = Some((draw.challenge.clone(), password, self.now));
                }
                return Some(event);
            }
            Action::Proved => {
                let end = &mut self.conns[conn];
                let (challenge, password, since) = end.challenge.take().unwrap();
                assert!(self.now.since(since).as_secs() < 30);
                assert!(end.identify.as_ref().unwrap().answers(&challenge, &password));
                (end.let_in, end.deposited) = (true, false);
            }
            Action::Join(name) => {
                assert!(self.conns[conn].let_in, "a member without a right code, query or digest");
                assert_eq!(name, self.store.devices[&key.unwrap()].domain);
                let joined = self.store_outcomes() == StoreOutcome::Good;
                if joined {
                    for other in self.others(conn) {
                        self.feed(other, Event::End(Close::Replaced));
                    }
                }
                return Some(Event::Joined(joined));
            }
            Action::Plan(basis) => {
                let (device, occasion) = match basis {
                    Basis::Registered(device) => (Some(*device), Occasion::Registered),
                    Basis::Record(device) => (Some(*device), Occasion::Meanwhile),
                    Basis::Store(_) => (self.store.devices.get(&key.unwrap()).cloned(), Occasion::Meanwhile),
                };
                let now = UnixMillis(self.now.0);
                return Some(Event::Planned(device.map_or(Planned::Gone, |device| {
                    let seeds = Vec::new();
                    let plan =
                        plan(&device, &self.store.domain(&device.domain), &[], occasion, now, &RetryPolicy::default());
                    Planned::Work { device: Box::new(device), plan: Box::new(plan), seeds, now }
                })));
            }
            Action::Keep(work) => {
                if let Some(device) = self.store.devices.get_mut(&key.unwrap()) {
                    device.work = *work;
                }
            }
            Action::Deposit(_) => {
                assert!(!self.conns[conn].deposited, "a notice is owed once");
                let store_outcomes = self.store_outcomes();
                if store_outcomes != StoreOutcome::Fails {
                    self.store.deposit(&key.unwrap());
                }
                self.conns[conn].deposited = store_outcomes == StoreOutcome::Good;
                return Some(Event::Deposited(store_outcomes == StoreOutcome::Good));
            }
            Action::ClaimPort { .. } => return Some(Event::PortClaimed(None)),
            Action::Confirm(password) => self.store.confirm(&key.unwrap(), &password),
            Action::Refresh(facts) => {
                if let Some(device) = self.store.devices.get_mut(&key.unwrap()) {
                    device.facts = *facts;
                }
            }
        }
        None
    }

    fn claimed(&mut self, claimed: Claimed) -> Event<'static> {
        self.draws += 1;
        let draw =
            RandomTexts { challenge: format!("{:010}", self.draws).into(), seed: format!("{:016}", self.draws).into() };
        Event::Claimed(claimed, draw)
    }

    /// All connections end, every device reconnects, and from now on everything is delivered.
    pub fn quiet(&mut self) {
        self.store_outcomes.clear();
        for conn in 0..self.conns.len() {
            self.feed(conn, Event::End(Close::ByPeer));
        }
        for device in 0..self.devices.len() {
            self.cut(device, 0, true);
            self.connect(device);
        }
        // Long enough for a failed challenge and the retry of a deposit, too short for a silent connection to be
        // closed.
        for _ in 0..8 {
            for device in 0..self.devices.len() {
                for _ in 0..40 {
                    self.up(device, Delivery::Arrive);
                    self.down(device, Delivery::Arrive);
                }
            }
            self.pass(5_000);
        }
    }

    /// Checks what must hold when nothing is in flight.
    pub fn check(&self) {
        for (number, device) in self.devices.iter().enumerate() {
            let conn = device.conn.map(|conn| &self.conns[conn]);
            let Some(record) = self.store.devices.get(&id(number).key()) else {
                assert!(!device.client.is_member() && conn.is_none_or(|c| c.session.domain().is_none()));
                continue;
            };
            let member = conn.is_some_and(|c| c.session.domain() == Some(&record.domain));
            let agree = device.client.memory().password.as_ref() == Some(&record.password);
            if self.fair {
                assert!(agree, "device and record have different passwords: {record:?}");
                assert!(member, "the device is no member");
                assert_eq!(*device.client.facts(), record.facts);
            }
            assert!(agree || !member, "a member with a wrong password");
            assert!(!member || record.pending.is_none(), "a member whose notice is still owed");
        }
        for (code, key) in &self.store.entries {
            let owed = self.store.devices.get(key).and_then(|d| d.pending) == Some(*code);
            assert_ne!(
                owed,
                self.store.mailbox.contains(code),
                "a notice is owed or deposited, not both and not neither"
            );
        }
    }
}

fn id(device: usize) -> HardwareId {
    HardwareId::parse(&format!("00903341a0b{device}")).unwrap()
}

fn facts(version: u8) -> Facts {
    let version = format!("13r{version}").into();
    Facts { product: "IP112".into(), version, platform: "PHONE".into(), ..Facts::default() }
}
