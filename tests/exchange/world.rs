//! One client, one simulated PBX, the connection between them, the locks, and somebody who orders until it is done.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::core::model::time::Tick;
use provbroker::core::session::exchange::client::{DialLogin, Exchange};
use provbroker::core::session::exchange::dial_backoff::DialBackoff;
use provbroker::core::session::exchange::entry::DeviceEntry;
use provbroker::core::session::exchange::event::{
    Action, Change, Event, ExchangeOrder, Lock, OrderTag, Outcome, Report,
};
use provbroker::core::session::exchange::guid::Guid;
use provbroker::core::session::exchange::inbound::{InboundAction, InboundSession, InboundSettings};
use provbroker::core::session::exchange::settings::Settings;
use provbroker::sim::exchange::machine::{self, ConnId, Identity, PbxSim};
use provbroker::sim::exchange::switches::Switches;

pub const M: &str = "00903341a0b1";

/// Who opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The PBX (`docs/protocol/pbx.md` 1.1).
    TheyCall,
    /// We (`docs/protocol/pbx.md` 1.2).
    WeCall,
}

enum Work {
    Accepted,
    ToUs(String),
    ToSim(String),
    Held(Lock),
    Gone,
}

/// An order, and what has become of it.
pub struct Placed {
    pub order: ExchangeOrder,
    due: Option<Tick>,
    ticket: Option<OrderTag>,
    pub outcomes: Vec<Outcome>,
}

pub struct World {
    pub sim: PbxSim,
    pub us: Exchange,
    pub settings: Settings,
    pub password: &'static str,
    pub with_info: bool,
    pub way: Way,
    pub now: Tick,
    /// Pause of a PBX before it connects again.
    pub again: Duration,
    door: Option<InboundSession>,
    conn: Option<ConnId>,
    last_conn: ConnId,
    dial_at: Option<Tick>,
    back_off: DialBackoff,
    work: VecDeque<Work>,
    pub placed: Vec<Placed>,
    tickets: u64,
    locks: BTreeSet<Lock>,
    pub reports: Vec<Report>,
    pub deleted: Vec<Guid>,
    pub registered: Vec<(Guid, Box<str>)>,
    /// All texts of ours, in order.
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

fn client(settings: &Settings, password: &str, with_info: bool) -> Exchange {
    let login = DialLogin { app: "users-sim".into(), password: Secret::new(password), with_info };
    Exchange::new(settings.clone(), login, "hq", 7)
}

impl World {
    pub fn new(way: Way, switches: Switches) -> Self {
        Self::with(way, switches, Settings::default())
    }

    pub fn with(way: Way, switches: Switches, settings: Settings) -> Self {
        Self {
            sim: PbxSim::new(identity(), switches),
            us: client(&settings, "Simulator1", false),
            settings,
            password: "Simulator1",
            with_info: false,
            way,
            now: Tick(1_000),
            again: Duration::from_secs(1),
            door: None,
            conn: None,
            last_conn: 0,
            dial_at: Some(Tick(1_000)),
            back_off: DialBackoff::default(),
            work: VecDeque::new(),
            placed: Vec::new(),
            tickets: 0,
            locks: BTreeSet::new(),
            reports: Vec::new(),
            deleted: Vec::new(),
            registered: Vec::new(),
            sent: Vec::new(),
            forged: 0,
        }
    }

    /// A new process on our side: everything that is not stored is gone.
    pub fn restart_us(&mut self) {
        self.drop_connection();
        self.us = client(&self.settings, self.password, self.with_info);
        self.locks.clear();
        for placed in self.placed.iter_mut().filter(|placed| !is_over(placed)) {
            (placed.ticket, placed.due) = (None, Some(self.now));
        }
    }

    /// The connection is gone, for both ends.
    pub fn drop_connection(&mut self) {
        if let Some(conn) = self.conn {
            self.sim.on(machine::Event::Closed(conn), self.now, &mut Vec::new());
            self.work.push_back(Work::Gone);
            self.settle();
        }
    }

    pub fn user(&mut self, n: usize) -> Guid {
        let guid = self.sim.add_user(&format!("User {n:05}"), &format!("user{n}"), self.now);
        self.settle();
        Guid::parse(&guid).unwrap()
    }

    /// Orders that a phone is entered.
    pub fn order(&mut self, user: &Guid, hw: &str) -> usize {
        let change = Change::Put { app: "phone".into(), product: "IP112".into() };
        let number = self.placed.len() as u64;
        let order = ExchangeOrder { user: user.clone(), hw: hw.into(), change, number };
        self.placed.push(Placed { order, due: Some(self.now), ticket: None, outcomes: Vec::new() });
        self.placed.len() - 1
    }

    /// The last thing that became of an order.
    pub fn outcome(&self, placed: usize) -> Option<&Outcome> {
        self.placed[placed].outcomes.last()
    }

    pub fn devices(&self, user: &Guid) -> Vec<DeviceEntry> {
        self.sim.objects.get(user.as_str()).unwrap().devices()
    }

    pub fn hardware(&self, user: &Guid) -> Vec<String> {
        self.devices(user).iter().map(|entry| entry.hw().to_owned()).collect()
    }

    /// Whether the mirror is what the PBX has.
    pub fn mirror_is_right(&self) -> bool {
        let users: Vec<_> = self.sim.objects.all().filter(|object| object.is_user()).collect();
        users.len() == self.us.mirror().len()
            && users.iter().all(|object| {
                let row = self.us.mirror().row(&Guid::parse(&object.guid).unwrap());
                row.is_some_and(|row| row.name == object.text("cn") && row.devices == object.devices())
            })
    }

    /// The next thing that happens by itself, if it is due by `until`.
    pub fn step(&mut self, until: Tick) -> bool {
        self.settle();
        let orders = self.placed.iter().filter_map(|placed| placed.due);
        let wakes = [
            self.us.next_wake(),
            self.sim.next_wake(),
            self.dial_at,
            self.door.as_ref().and_then(InboundSession::deadline),
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
        for n in 0..self.placed.len() {
            if self.placed[n].due.is_some_and(|due| due <= self.now) {
                self.tickets += 1;
                let ticket = OrderTag(self.tickets);
                (self.placed[n].due, self.placed[n].ticket) = (None, Some(ticket));
                let order = self.placed[n].order.clone();
                self.us(Event::Enter(ticket, order));
            }
        }
        self.settle();
        true
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Runs until something is so. It has a time of the simulated clock.
    pub fn run_until(&mut self, time: Duration, mut is_so: impl FnMut(&Self) -> bool) {
        let until = self.now + time;
        while !is_so(self) {
            assert!(self.step(until), "not within {time:?}");
        }
    }

    /// Until every order is at its end.
    pub fn run_orders(&mut self, time: Duration) {
        self.run_until(time, |world| world.placed.iter().all(is_over));
    }

    fn connect(&mut self) {
        self.dial_at = None;
        if self.sim.is_restarting(self.now) {
            self.ended();
            return;
        }
        self.last_conn += 1;
        self.conn = Some(self.last_conn);
        if self.way == Way::TheyCall {
            self.door = Some(InboundSession::new(self.now, [3; 32]));
            self.sim(machine::Event::Dialled(self.last_conn));
        } else {
            self.work.push_back(Work::Accepted);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Accepted => {
                    self.sim(machine::Event::Accepted(self.last_conn));
                    self.us(Event::Dialled);
                }
                Work::ToUs(text) if self.conn.is_some() => match self.way {
                    Way::WeCall => self.us(Event::Text(&text)),
                    Way::TheyCall => self.door(&text),
                },
                Work::ToSim(text) => {
                    if let Some(conn) = self.conn {
                        self.sim(machine::Event::Text(conn, &text));
                    }
                }
                Work::Held(lock) => {
                    if self.locks.contains(&lock) {
                        self.us(Event::Held(lock));
                    }
                }
                Work::Gone => {
                    if self.conn.take().is_some() {
                        self.door = None;
                        self.us(Event::Closed);
                        self.ended();
                    }
                }
                Work::ToUs(_) => {}
            }
        }
    }

    fn ended(&mut self) {
        let pause = if self.way == Way::WeCall { self.back_off.pause(0) } else { self.again };
        self.dial_at = Some(self.now + pause);
    }

    fn sim(&mut self, event: machine::Event<'_>) {
        let mut actions = Vec::new();
        self.sim.on(event, self.now, &mut actions);
        for action in actions {
            match action {
                machine::Action::Send(conn, text) if Some(conn) == self.conn => self.work.push_back(Work::ToUs(text)),
                machine::Action::Send(..) => {}
                machine::Action::Cut(_) => self.work.push_back(Work::Gone),
            }
        }
    }

    fn door(&mut self, text: &str) {
        let settings = InboundSettings {
            domain: "provbroker.example".into(),
            instance: "users".into(),
            build: "13bc22".into(),
            passwords: vec![("example.com".into(), Secret::new(self.password))],
            check_names: true,
        };
        let mut actions = Vec::new();
        let Some(door) = &mut self.door else { return };
        door.on_text(text, self.now, &settings, &mut actions);
        for action in actions {
            match action {
                InboundAction::Send(text) => self.work.push_back(Work::ToSim(text)),
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
                    self.work.push_back(Work::ToSim(text));
                }
                Action::Close(_) => {
                    if let Some(conn) = self.conn {
                        self.sim.on(machine::Event::Closed(conn), self.now, &mut Vec::new());
                    }
                    self.work.push_back(Work::Gone);
                }
                Action::Ready => self.back_off.logged_in(),
                Action::Refused => self.back_off.refused(),
                Action::Acquire(lock) => {
                    assert!(self.locks.insert(lock.clone()), "asked for twice: {lock:?}");
                    self.work.push_back(Work::Held(lock));
                }
                Action::Release(lock) => {
                    assert!(self.locks.remove(&lock), "given back twice: {lock:?}");
                }
                Action::Done(ticket, outcome) => self.done(ticket, outcome),
                Action::PhoneApps(..) => {}
                Action::Deleted(guid) => self.deleted.push(guid),
                Action::Registered { user, hw } => self.registered.push((user, hw)),
                Action::Report(report) => self.reports.push(report),
            }
        }
    }

    fn done(&mut self, ticket: OrderTag, outcome: Outcome) {
        let now = self.now;
        let placed = self.placed.iter_mut().find(|placed| placed.ticket == Some(ticket)).unwrap();
        placed.ticket = None;
        if let Outcome::Later(_, wait) = &outcome {
            placed.due = Some(now + *wait);
        }
        placed.outcomes.push(outcome);
    }
}

fn is_over(placed: &Placed) -> bool {
    placed.outcomes.last().is_some_and(|outcome| !matches!(outcome, Outcome::Later(..)))
}
