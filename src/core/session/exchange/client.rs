//! The client of one exchange as a state machine that outlives its connections.
//!
//! It opens no connection and reads no clock. Locks across nodes are requested by [`Action::Acquire`]. Orders are not
//! stored here: the caller stores them and repeats them when told to.

mod mirror_pass;
mod order_steps;
mod queries;

use crate::core::model::ids::Secret;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::protocol::appws::login::{self, AppIdentity};
use crate::core::protocol::json::Object;

use super::apps::Apps;
use super::event::{Action, Event, OrderTag, Report};
use super::guid::Guid;
use super::listing::Listing;
use super::message::failure;
use super::mirror::{Mirror, State as Trust};
use super::registrations::Registrations;
use super::request::Request;
use super::request_queue::RequestQueue;
use super::settings::{ANSWER_TIME, KEEPALIVE_AFTER, MAX_UNANSWERED, Settings};
use crate::core::session::exchange::resync_backoff::ResyncBackoff;

mod orders;
mod through_table;

use crate::core::session::exchange::client::mirror_pass::Pass;
use orders::{ActiveOrderId, ActiveOrders};

/// Log-in for a connection that we open (`docs/protocol/pbx.md` 1.2).
#[derive(Debug, Clone)]
pub struct DialLogin {
    /// Name of the app object.
    pub app: Box<str>,
    /// Its password.
    pub password: Secret,
    /// Send `"info":{}`, which is then part of the digest.
    pub with_info: bool,
}

/// Whether an interface is granted to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    /// Not announced, and no request answered yet.
    Unknown,
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offline,
    Challenging(Tick),
    LoggingIn(Tick),
    Ready,
}

/// The originator of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Round(ActiveOrderId),
    Apps,
    Registrations(u64),
    Listing,
    Alive,
    Names,
}

/// The client of one exchange.
#[derive(Debug)]
pub struct ExchangeClient {
    settings: Settings,
    login: DialLogin,
    /// Expected PBX name; empty accepts any.
    pbx: Box<str>,
    state: State,
    admin: Grant,
    table: Grant,
    requests: RequestQueue<Owner>,
    /// Time of the last message, and keep-alive requests without an answer since.
    last_received: Tick,
    missing: u8,
    alive_asked: bool,
    unanswered: u8,
    mirror: Mirror,
    pass: Pass,
    backoff: ResyncBackoff,
    apps: Apps,
    apps_asked: bool,
    askers: Vec<OrderTag>,
    listing: Option<Listing>,
    list_at: Option<Tick>,
    /// This exchange has shown members in `GetObject` that others hide.
    shows_hidden: bool,
    active_orders: ActiveOrders,
    registrations: Registrations,
    draw: u64,
}

impl ExchangeClient {
    /// A client without a connection. `draw` is random and spreads periodic work of several clients.
    pub fn new(settings: Settings, login: DialLogin, pbx: &str, draw: u64) -> Self {
        Self {
            settings,
            login,
            pbx: pbx.into(),
            state: State::Offline,
            admin: Grant::Unknown,
            table: Grant::Unknown,
            requests: RequestQueue::new(),
            last_received: Tick(0),
            missing: 0,
            alive_asked: false,
            unanswered: 0,
            mirror: Mirror::default(),
            pass: Pass::None,
            backoff: ResyncBackoff::default(),
            apps: Apps::default(),
            apps_asked: false,
            askers: Vec::new(),
            listing: None,
            list_at: None,
            shows_hidden: false,
            active_orders: ActiveOrders::default(),
            registrations: Registrations::default(),
            draw,
        }
    }

    /// Whether orders can be carried out.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// The mirror of the users.
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Number of orders under way.
    pub fn under_way(&self) -> usize {
        self.active_orders.len()
    }

    /// When [`Event::Timer`] is due.
    pub fn next_wake(&self) -> Option<Tick> {
        let own = match self.state {
            State::Offline => return None,
            State::Challenging(since) | State::LoggingIn(since) => return Some(since + ANSWER_TIME),
            State::Ready => {
                (self.admin == Grant::Yes && !self.alive_asked).then(|| self.last_received + KEEPALIVE_AFTER)
            }
        };
        let requests = self.requests.wake(self.pass.in_flight(), &self.settings);
        let regs = self.registrations.wake(self.settings.registrations_per_second).filter(|_| self.may_ask_admin());
        [own, requests, regs, self.active_orders.wake(), self.pass.wake(), self.list_at].into_iter().flatten().min()
    }

    /// Handles an event; appends the resulting actions to `actions`.
    pub fn on(&mut self, event: Event<'_>, now: Tick, actions: &mut Vec<Action>) {
        match event {
            Event::Dialled => {
                self.close_down(now, actions);
                self.state = State::Challenging(now);
                actions.push(Action::Send(r#"{"mt":"AppChallenge"}"#.into()));
            }
            Event::Attached(info) => {
                self.close_down(now, actions);
                self.attach(info, now, actions);
            }
            Event::Text(text) => {
                if let Ok(message) = Object::parse(text.as_bytes()) {
                    self.message(&message, now, actions);
                } else {
                    let malformed = Action::Report(Report::Malformed("a message that is not a JSON object"));
                    actions.extend([malformed, Action::Close(1007)]);
                }
            }
            Event::Closed => self.close_down(now, actions),
            Event::Enter(tag, order) => self.take_order(tag, order, now, actions),
            Event::Apps(tag) => self.phone_apps(tag, now, actions),
            Event::Held(lock) => self.held(lock, now, actions),
            Event::Lost(lock) => self.lost(&lock, now, actions),
            Event::Timer => self.timer(now, actions),
        }
        self.pump(now, actions);
    }

    fn attach(&mut self, info: &PbxInfo, now: Tick, actions: &mut Vec<Action>) {
        let has = |name: &str| if info.apis.iter().any(|api| &**api == name) { Grant::Yes } else { Grant::No };
        (self.admin, self.table) = (has("PbxAdminApi"), has("PbxTableUsers"));
        self.begin(now, actions);
    }

    /// The log-in has succeeded.
    fn begin(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.state = State::Ready;
        self.last_received = now;
        (self.missing, self.unanswered, self.alive_asked) = (0, 0, false);
        actions.push(Action::Ready);
        self.granted(now, actions);
    }

    /// Starts what depends on the granted interfaces.
    fn granted(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if self.admin == Grant::No {
            actions.push(Action::Report(Report::NotGranted("PbxAdminApi")));
        }
        if self.admin != Grant::Unknown && self.table != Grant::No && matches!(self.pass, Pass::None) {
            self.pass = Pass::Due(self.backoff.free_for_a_new_connection().max(now));
        }
        if self.table == Grant::No {
            actions.push(Action::Report(Report::NotGranted("PbxTableUsers")));
            self.list_at = (self.admin == Grant::Yes).then_some(now);
        }
        self.retry_waiting(now, actions);
    }

    fn close_down(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.state = State::Offline;
        (self.admin, self.table) = (Grant::Unknown, Grant::Unknown);
        self.requests.end();
        self.pass = Pass::None;
        if self.mirror.state() == Trust::Complete {
            self.mirror.trust(Trust::Stale);
        }
        self.apps.forget();
        self.apps_asked = false;
        (self.listing, self.list_at) = (None, None);
        self.answer_askers(actions);
        self.registrations.interrupted(now);
        self.all_interrupted(actions);
    }

    fn message(&mut self, message: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        self.last_received = now;
        let mt = message.str("mt").unwrap_or_default();
        match (self.state, message.str("api")) {
            (State::Challenging(_), None) if mt == "AppChallengeResult" => self.log_in(message, now, actions),
            (State::LoggingIn(_), None) if mt == "AppLoginResult" => {
                if message.bool("ok") == Some(true) {
                    self.requests.ask(Request::Names, Owner::Names, false);
                    self.begin(now, actions);
                } else {
                    actions.extend([Action::Refused, Action::Close(1000)]);
                }
            }
            (State::Ready, Some("PbxTableUsers")) => self.table_message(mt, message, now, actions),
            (State::Ready, _) if mt == "MonitorConfigInfo" => self.names(message, actions),
            (State::Ready, Some("PbxAdminApi") | None) => {
                if let Some(owner) = self.requests.answered(message.str("src"), mt) {
                    self.unanswered = 0;
                    self.answered(owner, Some(message), now, actions);
                }
            }
            _ => {}
        }
    }

    fn log_in(&mut self, message: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        let Some(challenge) = message.str("challenge").filter(|text| !text.is_empty()) else {
            let malformed = Action::Report(Report::Malformed("a challenge that is empty"));
            actions.extend([malformed, Action::Close(1002)]);
            return;
        };
        let info = self.login.with_info.then_some("{}");
        let identity = AppIdentity { app: &self.login.app, info, ..AppIdentity::default() };
        let text = login::write_login(&identity, None, challenge, &self.login.password);
        self.state = State::LoggingIn(now);
        actions.push(Action::Send(text));
    }

    fn names(&self, message: &Object<'_>, actions: &mut Vec<Action>) {
        let name = message.str("pbx").unwrap_or_default();
        if !self.pbx.is_empty() && !name.is_empty() && *name != *self.pbx {
            actions.extend([Action::Report(Report::OtherPbx(name.into())), Action::Close(1000)]);
        }
    }

    const fn may_ask_admin(&self) -> bool {
        matches!(self.state, State::Ready) && matches!(self.admin, Grant::Yes)
    }

    /// Handles the answer to a request; `None`: timed out.
    fn answered(&mut self, owner: Owner, answer: Option<&Object<'_>>, now: Tick, actions: &mut Vec<Action>) {
        match owner {
            Owner::Round(active) => self.round_answered(active, answer, now, actions),
            Owner::Apps => {
                self.apps_asked = false;
                if let Some(answer) = answer.filter(|answer| failure(answer).is_none()) {
                    self.apps.take(answer, now);
                }
                self.answer_askers(actions);
                self.retry_waiting(now, actions);
            }
            Owner::Registrations(number) => {
                let answer = answer.filter(|answer| failure(answer).is_none());
                if let Some((user, hw)) = self.registrations.answered(number, answer, now) {
                    actions.push(Action::Registered { user, hw });
                }
            }
            Owner::Listing => self.listed(answer, now, actions),
            Owner::Alive => {
                self.alive_asked = false;
                self.missing = if answer.is_some() { 0 } else { self.missing + 1 };
                if self.missing >= 2 {
                    actions.push(Action::Close(1001));
                }
            }
            Owner::Names => {
                let works = answer.is_some_and(|answer| failure(answer).is_none());
                if self.admin == Grant::Unknown {
                    self.admin = if works { Grant::Yes } else { Grant::No };
                    self.granted(now, actions);
                }
            }
        }
    }

    fn timer(&mut self, now: Tick, actions: &mut Vec<Action>) {
        match self.state {
            State::Offline => return,
            State::Challenging(since) | State::LoggingIn(since) => {
                if now.since(since) >= ANSWER_TIME {
                    let malformed = Action::Report(Report::Malformed("no answer to the log-in"));
                    actions.extend([malformed, Action::Close(1000)]);
                }
                return;
            }
            State::Ready => {}
        }
        while let Some(owner) = self.requests.overdue(now) {
            // A missing interface does not answer; that does not mean that the connection is dead.
            if !(owner == Owner::Names && self.admin == Grant::Unknown) {
                self.unanswered += 1;
            }
            self.answered(owner, None, now, actions);
        }
        self.pass_timer(now, actions);
        if self.unanswered >= MAX_UNANSWERED {
            self.unanswered = 0;
            actions.push(Action::Close(1001));
            return;
        }
        self.orders_timer(now, actions);
        if self.may_ask_admin() && !self.alive_asked && now.since(self.last_received) >= KEEPALIVE_AFTER {
            self.alive_asked = true;
            self.requests.ask(Request::Alive, Owner::Alive, true);
        }
        if self.list_at.is_some_and(|at| at <= now) && self.may_ask_admin() && self.listing.is_none() {
            let (listing, first) = Listing::begin();
            (self.listing, self.list_at) = (Some(listing), None);
            self.requests.ask(Request::Search(first), Owner::Listing, false);
        }
    }

    /// Sends queued requests as far as the limits allow.
    fn pump(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if !self.is_ready() {
            return;
        }
        while self.may_ask_admin()
            && let Some((number, user)) = self.registrations.next(now, self.settings.registrations_per_second)
        {
            self.requests.ask(Request::Registrations(user), Owner::Registrations(number), false);
        }
        self.pump_pass(now, actions);
        while let Some(next) = self.requests.next(now, self.pass.in_flight(), &self.settings) {
            match next {
                Ok(text) => actions.push(Action::Send(text)),
                Err((owner, why)) => self.unsendable(owner, why, now, actions),
            }
        }
    }

    /// The next pseudo-random number.
    fn draw(&mut self) -> u64 {
        // SplitMix64: well distributed; nothing here is a secret.
        self.draw = self.draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.draw ^ (self.draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Handles a deleted user.
    fn deleted(&mut self, guid: Guid, actions: &mut Vec<Action>) {
        self.registrations.forget(&guid);
        actions.push(Action::Deleted(guid));
    }
}
