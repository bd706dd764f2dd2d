//! One client, one simulated exchange, the connection between them, the locks, and a caller that repeats orders until
//! they are done.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::core::model::time::Tick;
use provbroker::core::session::exchange::client::{DialLogin, ExchangeClient};
use provbroker::core::session::exchange::dial_backoff::DialBackoff;
use provbroker::core::session::exchange::entry::DeviceEntry;
use provbroker::core::session::exchange::event::{
    Action, Change, Event, ExchangeOrder, Lock, OrderTag, Outcome, Report,
};
use provbroker::core::session::exchange::guid::Guid;
use provbroker::core::session::exchange::inbound::{InboundAction, InboundSession, InboundSettings, right_password};
use provbroker::core::session::exchange::settings::Settings;
use provbroker::sim::exchange::machine::{self, ConnId, ExchangeSim, Identity};
use provbroker::sim::exchange::switches::Switches;

pub const M: &str = "00903341a0b1";

/// Who opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The exchange (`docs/protocol/pbx.md` 1.1).
    Inbound,
    /// We do (`docs/protocol/pbx.md` 1.2).
    Outbound,
}

enum Delivery {
    Accepted,
    ToUs(String),
    ToSim(String),
    Held(Lock),
    Gone,
}

/// An order and its outcomes.
pub struct TrackedOrder {
    pub order: ExchangeOrder,
    due: Option<Tick>,
    tag: Option<OrderTag>,
    pub outcomes: Vec<Outcome>,
}

pub struct World {
    pub sim: ExchangeSim,
    pub us: ExchangeClient,
    pub settings: Settings,
    pub password: &'static str,
    pub with_info: bool,
    pub direction: Direction,
    pub now: Tick,
    /// Pause of the exchange before it reconnects.
    pub again: Duration,
    inbound: Option<InboundSession>,
    conn: Option<ConnId>,
    last_conn: ConnId,
    dial_at: Option<Tick>,
    backoff: DialBackoff,
    deliveries: VecDeque<Delivery>,
    pub tracked: Vec<TrackedOrder>,
    last_tag: u64,
    locks: BTreeSet<Lock>,
    pub reports: Vec<Report>,
    pub deleted: Vec<Guid>,
    pub registered: Vec<(Guid, Box<str>)>,
    /// All messages that we have sent, in order.
    pub sent: Vec<String>,
    pub forged: usize,
}

pub fn identity() -> Identity {
    Identity {
        domain: "example.com".into(),
        pbx: "hq".into(),
        object: "users-sim".into(),
        password: Secret::new("Simulator1"),
    }
}

fn client(settings: &Settings, password: &str, with_info: bool) -> ExchangeClient {
    let login = DialLogin { app: "users-sim".into(), password: Secret::new(password), with_info };
    ExchangeClient::new(settings.clone(), login, "hq", 7)
}

impl World {
    pub fn new(direction: Direction, switches: Switches) -> Self {
        Self::with(direction, switches, Settings::default())
    }

    pub fn with(direction: Direction, switches: Switches, settings: Settings) -> Self {
        Self {
            sim: ExchangeSim::new(identity(), switches),
            us: client(&settings, "Simulator1", false),
            settings,
            password: "Simulator1",
            with_info: false,
            direction,
            now: Tick(1_000),
            again: Duration::from_secs(1),
            inbound: None,
            conn: None,
            last_conn: 0,
            dial_at: Some(Tick(1_000)),
            backoff: DialBackoff::default(),
            deliveries: VecDeque::new(),
            tracked: Vec::new(),
            last_tag: 0,
            locks: BTreeSet::new(),
            reports: Vec::new(),
            deleted: Vec::new(),
            registered: Vec::new(),
            sent: Vec::new(),
            forged: 0,
        }
    }

    /// A restart of our side: only stored state is left.
    pub fn restart_us(&mut self) {
        self.drop_connection();
        self.us = client(&self.settings, self.password, self.with_info);
        self.locks.clear();
        for tracked in self.tracked.iter_mut().filter(|tracked| !is_over(tracked)) {
            (tracked.tag, tracked.due) = (None, Some(self.now));
        }
    }

    /// Ends the connection for both sides.
    pub fn drop_connection(&mut self) {
        if let Some(conn) = self.conn {
            self.sim.on(machine::Event::Closed(conn), self.now, &mut Vec::new());
            self.deliveries.push_back(Delivery::Gone);
            self.settle();
        }
    }

    pub fn user(&mut self, n: usize) -> Guid {
        let guid = self.sim.add_user(&format!("User {n:05}"), &format!("user{n}"), self.now);
        self.settle();
        Guid::parse(&guid).unwrap()
    }

    /// Orders a phone to be entered.
    pub fn order(&mut self, user: &Guid, hw: &str) -> usize {
        let change = Change::Put { app: "phone".into(), product: "IP112".into() };
        let number = self.tracked.len() as u64;
        let order = ExchangeOrder { user: user.clone(), hw: hw.into(), change, number };
        self.tracked.push(TrackedOrder { order, due: Some(self.now), tag: None, outcomes: Vec::new() });
        self.tracked.len() - 1
    }

    /// The last outcome of an order.
    pub fn outcome(&self, tracked: usize) -> Option<&Outcome> {
        self.tracked[tracked].outcomes.last()
    }

    pub fn devices(&self, user: &Guid) -> Vec<DeviceEntry> {
        self.sim.objects.get(user.as_str()).unwrap().devices()
    }

    pub fn hardware(&self, user: &Guid) -> Vec<String> {
        self.devices(user).iter().map(|entry| entry.hw().to_owned()).collect()
    }

    /// Whether the mirror equals the exchange.
    pub fn mirror_is_right(&self) -> bool {
        let users: Vec<_> = self.sim.objects.all().filter(|object| object.is_user()).collect();
        users.len() == self.us.mirror().len()
            && users.iter().all(|object| {
                let row = self.us.mirror().row(&Guid::parse(&object.guid).unwrap());
                row.is_some_and(|row| row.name == object.text("cn") && row.devices == object.devices())
            })
    }

    /// Performs the next timed event, if it is due by `until`.
    pub fn step(&mut self, until: Tick) -> bool {
        self.settle();
        let orders = self.tracked.iter().filter_map(|tracked| tracked.due);
        let wakes = [
            self.us.next_wake(),
            self.sim.next_wake(),
            self.dial_at,
            self.inbound.as_ref().and_then(InboundSession::deadline),
        ];
        let Some(next) = wakes.into_iter().flatten().chain(orders).min().filter(|next| *next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        if self.dial_at.is_some_and(|at| at <= self.now) {
            self.connect();
        }
        if self.sim.next_wake().is_some_and(|wake| wake <= self.now) {
            self.sim(machine::Event::Timer);
        }
        if self.us.next_wake().is_some_and(|wake| wake <= self.now) {
            self.us(Event::Timer);
        }
        for n in 0..self.tracked.len() {
            if self.tracked[n].due.is_some_and(|due| due <= self.now) {
                self.last_tag += 1;
                let tag = OrderTag(self.last_tag);
                (self.tracked[n].due, self.tracked[n].tag) = (None, Some(tag));
                let order = self.tracked[n].order.clone();
                self.us(Event::Enter(tag, order));
            }
        }
        self.settle();
        true
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Runs until the condition holds; fails after this simulated time.
    pub fn run_until(&mut self, time: Duration, mut is_so: impl FnMut(&Self) -> bool) {
        let until = self.now + time;
        while !is_so(self) {
            assert!(self.step(until), "not within {time:?}");
        }
    }

    /// Runs until every order has finished.
    pub fn run_orders(&mut self, time: Duration) {
        self.run_until(time, |world| world.tracked.iter().all(is_over));
    }

    fn connect(&mut self) {
        self.dial_at = None;
        if self.sim.is_restarting(self.now) {
            self.ended();
            return;
        }
        self.last_conn += 1;
        self.conn = Some(self.last_conn);
        if self.direction == Direction::Inbound {
            self.inbound = Some(InboundSession::new(self.now, [3; 32]));
            self.sim(machine::Event::Dialled(self.last_conn));
        } else {
            self.deliveries.push_back(Delivery::Accepted);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(deliveries) = self.deliveries.pop_front() {
            match deliveries {
                Delivery::Accepted => {
                    self.sim(machine::Event::Accepted(self.last_conn));
                    self.us(Event::Dialled);
                }
                Delivery::ToUs(text) if self.conn.is_some() => match self.direction {
                    Direction::Outbound => self.us(Event::Text(&text)),
                    Direction::Inbound => self.inbound(&text),
                },
                Delivery::ToSim(text) => {
                    if let Some(conn) = self.conn {
                        self.sim(machine::Event::Text(conn, &text));
                    }
                }
                Delivery::Held(lock) => {
                    if self.locks.contains(&lock) {
                        self.us(Event::Held(lock));
                    }
                }
                Delivery::Gone => {
                    if self.conn.take().is_some() {
                        self.inbound = None;
                        self.us(Event::Closed);
                        self.ended();
                    }
                }
                Delivery::ToUs(_) => {}
            }
        }
    }

    fn ended(&mut self) {
        let pause = if self.direction == Direction::Outbound { self.backoff.pause(0) } else { self.again };
        self.dial_at = Some(self.now + pause);
    }

    fn sim(&mut self, event: machine::Event<'_>) {
        let mut actions = Vec::new();
        self.sim.on(event, self.now, &mut actions);
        for action in actions {
            match action {
                machine::Action::Send(conn, text) if Some(conn) == self.conn => {
                    self.deliveries.push_back(Delivery::ToUs(text));
                }
                machine::Action::Send(..) => {}
                machine::Action::Cut(_) => self.deliveries.push_back(Delivery::Gone),
            }
        }
    }

    fn inbound(&mut self, text: &str) {
        let settings = InboundSettings {
            domain: "provbroker.example".into(),
            instance: "users".into(),
            build: "13bc22".into(),
            passwords: vec![("example.com".into(), Secret::new(self.password))],
            check_names: true,
        };
        let mut actions = Vec::new();
        let Some(inbound) = &mut self.inbound else { return };
        inbound.on_text(text, self.now, &settings, &mut actions);
        if let [InboundAction::Verify(login, challenge)] = &actions[..] {
            let right = right_password(login, challenge, &settings);
            actions.clear();
            inbound.verified(right, self.now, &settings, &mut actions);
        }
        for action in actions {
            match action {
                InboundAction::Verify(..) => unreachable!("it comes alone"),
                InboundAction::Send(text) => self.deliveries.push_back(Delivery::ToSim(text)),
                InboundAction::Close(_) => self.drop_connection(),
                InboundAction::Attached(info) => self.us(Event::Attached(&info)),
                InboundAction::Forward => self.us(Event::Text(text)),
                InboundAction::Forged => self.forged += 1,
                InboundAction::LoginFailed | InboundAction::LoggedIn => {}
            }
        }
    }

    fn us(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.us.on(event, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Send(text) => {
                    self.sent.push(text.clone());
                    self.deliveries.push_back(Delivery::ToSim(text));
                }
                Action::Close(_) => {
                    if let Some(conn) = self.conn {
                        self.sim.on(machine::Event::Closed(conn), self.now, &mut Vec::new());
                    }
                    self.deliveries.push_back(Delivery::Gone);
                }
                Action::Ready => self.backoff.logged_in(),
                Action::Refused => self.backoff.refused(),
                Action::Acquire(lock) => {
                    assert!(self.locks.insert(lock.clone()), "asked for twice: {lock:?}");
                    self.deliveries.push_back(Delivery::Held(lock));
                }
                Action::Release(lock) => {
                    assert!(self.locks.remove(&lock), "given back twice: {lock:?}");
                }
                Action::Done(tag, outcome) => self.done(tag, outcome),
                Action::PhoneApps(..) => {}
                Action::Deleted(guid) => self.deleted.push(guid),
                Action::Registered { user, hw } => self.registered.push((user, hw)),
                Action::Report(report) => self.reports.push(report),
            }
        }
    }

    fn done(&mut self, tag: OrderTag, outcome: Outcome) {
        let now = self.now;
        let tracked = self.tracked.iter_mut().find(|tracked| tracked.tag == Some(tag)).unwrap();
        tracked.tag = None;
        if let Outcome::Later(_, wait) = &outcome {
            tracked.due = Some(now + *wait);
        }
        tracked.outcomes.push(outcome);
    }
}

fn is_over(tracked: &TrackedOrder) -> bool {
    tracked.outcomes.last().is_some_and(|outcome| !matches!(outcome, Outcome::Later(..)))
}
