//! A simulated exchange as a state machine: connections, log-in in both directions, and delays of messages
//! (`docs/protocol/pbx.md` section 7).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use crate::core::model::time::Tick;
use crate::core::protocol::appws::login::{self, AppIdentity, Login};
use crate::core::protocol::appws::message::Request;
use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::entry::DeviceEntry;

pub use super::event::{Action, ConnId, Event, Identity, Observations};

use super::objects::{ExchangeObject, Objects, json_of, quoted};
use super::switches::{Edit, Switches};

/// How long connections are refused after a restart caused by an excessive request.
const RESTART: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Session {
    /// Mark of the started replication.
    pub(super) mark: Option<Box<str>>,
    pub(super) columns: Vec<Box<str>>,
    pub(super) last: Option<Box<str>>,
    pub(super) done: bool,
}

#[derive(Debug)]
pub(super) struct Conn {
    /// Opened by the simulator.
    dialled: bool,
    pub(super) inside: bool,
    challenge: Box<str>,
    queue: VecDeque<(Tick, String)>,
    pub(super) session: Session,
}

/// A simulated exchange: a pure state machine with its objects, switches and observations.
#[derive(Debug)]
pub struct ExchangeSim {
    /// Names and password.
    pub identity: Identity,
    /// Behaviour.
    pub switches: Switches,
    /// The objects.
    pub objects: Objects,
    /// Names of app objects, with their kind if marked as phone app.
    pub apps: Vec<(Box<str>, Option<Box<str>>)>,
    /// SIP name of a user that logs in instead of the app object and sends a forged `PbxInfo`.
    pub forged_sip: Option<Box<str>>,
    /// What was observed.
    pub observed: Observations,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) updates_open: VecDeque<Tick>,
    open: Vec<Tick>,
    pub(super) entered_at: BTreeMap<(Box<str>, Box<str>), Tick>,
    pub(super) before: Vec<DeviceEntry>,
    closed_until: Tick,
    challenges: u64,
    last_guid: u64,
}

impl ExchangeSim {
    /// An exchange without objects except the app `phone`.
    pub fn new(identity: Identity, switches: Switches) -> Self {
        Self {
            identity,
            switches,
            objects: Objects::default(),
            apps: vec![("phone".into(), None)],
            forged_sip: None,
            observed: Observations::default(),
            conns: BTreeMap::new(),
            updates_open: VecDeque::new(),
            open: Vec::new(),
            entered_at: BTreeMap::new(),
            before: Vec::new(),
            closed_until: Tick(0),
            challenges: 0,
            last_guid: 0,
        }
    }

    /// A new GUID.
    pub fn draw_guid(&mut self) -> Box<str> {
        self.last_guid += 1;
        format!("{:032x}", u128::from(self.last_guid) * 0x9e37_79b9_7f4a_7c15_u128).into()
    }

    /// Adds a user without devices and notifies replicating sessions. Returns the GUID.
    pub fn add_user(&mut self, name: &str, sip: &str, now: Tick) -> Box<str> {
        let guid = self.draw_guid();
        let members = vec![
            ("cn".into(), quoted(name).into()),
            ("dn".into(), quoted(name).into()),
            ("h323".into(), quoted(sip).into()),
            ("e164".into(), quoted(&self.last_guid.to_string()).into()),
            ("loc".into(), quoted(&self.identity.pbx).into()),
            ("config".into(), quoted("Staff").into()),
        ];
        self.objects.put(ExchangeObject { guid: guid.clone(), members });
        self.notify_sessions(&guid, "ReplicateAdd", None, now);
        guid
    }

    /// Sets the entries of a user, as an administrator at the exchange does.
    pub fn set_devices(&mut self, guid: &str, devices: &str, now: Tick) {
        if let Some(object) = self.objects.get_mut(guid) {
            object.members.retain(|(name, _)| &**name != "devices");
            object.members.push(("devices".into(), devices.into()));
            self.notify_sessions(guid, "ReplicateUpdate", None, now);
        }
    }

    /// Deletes a user.
    pub fn delete(&mut self, guid: &str, now: Tick) {
        if self.objects.remove(guid).is_some() {
            self.notify_sessions(guid, "ReplicateDel", None, now);
        }
    }

    /// The open connections.
    pub fn connections(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    /// Whether connections are refused at the moment.
    pub fn is_restarting(&self, now: Tick) -> bool {
        now < self.closed_until
    }

    /// When [`Event::Timer`] is due.
    pub fn next_wake(&self) -> Option<Tick> {
        self.conns.values().filter_map(|conn| conn.queue.front()).map(|(at, _)| *at).min()
    }

    /// Handles an event.
    pub fn on(&mut self, event: Event<'_>, now: Tick, actions: &mut Vec<Action>) {
        match event {
            Event::Accepted(id) | Event::Dialled(id) if self.is_restarting(now) => actions.push(Action::Cut(id)),
            Event::Accepted(id) => self.open(id, false),
            Event::Dialled(id) => {
                self.open(id, true);
                self.schedule(id, r#"{"mt":"AppChallenge"}"#.into(), Duration::ZERO, now);
            }
            Event::Text(id, text) => self.text(id, text, now, actions),
            Event::Closed(id) => {
                self.conns.remove(&id);
            }
            Event::Timer => {}
        }
        while self.updates_open.front().is_some_and(|until| *until <= now) {
            self.updates_open.pop_front();
        }
        for (id, conn) in &mut self.conns {
            while conn.queue.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, text)) = conn.queue.pop_front() else { break };
                actions.push(Action::Send(*id, text));
            }
        }
    }

    fn open(&mut self, id: ConnId, dialled: bool) {
        let conn =
            Conn { dialled, inside: false, challenge: "".into(), queue: VecDeque::new(), session: Session::default() };
        self.conns.insert(id, conn);
    }

    /// Schedules a message; those of one connection keep their order.
    pub(super) fn schedule(&mut self, id: ConnId, mut text: String, delay: Duration, now: Tick) {
        if self.switches.extra_members && text.ends_with('}') {
            text.truncate(text.len() - 1);
            text.push_str(r#","x-unknown":{"a":[1,null]}}"#);
        }
        let at = now + self.switches.delay.max(delay);
        if let Some(conn) = self.conns.get_mut(&id) {
            let at = conn.queue.back().map_or(at, |(last, _)| at.max(*last));
            conn.queue.push_back((at, text));
        }
    }

    pub(super) fn cut(&mut self, id: ConnId, actions: &mut Vec<Action>) {
        self.conns.remove(&id);
        actions.push(Action::Cut(id));
    }

    pub(super) fn restart(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.closed_until = now + RESTART;
        for id in self.connections() {
            self.cut(id, actions);
        }
    }

    fn text(&mut self, id: ConnId, text: &str, now: Tick, actions: &mut Vec<Action>) {
        let Ok(request) = Request::parse(text) else { return self.cut(id, actions) };
        let Some(conn) = self.conns.get(&id) else { return };
        let (dialled, inside) = (conn.dialled, conn.inside);
        self.observed.messages.push((now, request.mt.clone()));
        match (&*request.mt, dialled, inside) {
            ("AppChallenge", false, _) => {
                self.challenges += 1;
                let challenge: Box<str> = format!("{:016}", 4_400_918_273_645_566 + self.challenges).into();
                let answer = format!(r#"{{"mt":"AppChallengeResult","challenge":"{challenge}"}}"#);
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.challenge = challenge;
                }
                self.schedule(id, answer, Duration::ZERO, now);
            }
            ("AppLogin", false, false) => self.check(id, &request, now),
            ("AppChallengeResult", true, false) => {
                let challenge = request.body.str("challenge").unwrap_or_default();
                let login = self.log_in(challenge);
                self.schedule(id, login, Duration::ZERO, now);
            }
            ("AppLoginResult", true, false) => self.introduce(id, &request.body, now, actions),
            (_, _, true) if request.api.is_some() => self.call(id, &request, text, now, actions),
            _ => {}
        }
    }

    fn check(&mut self, id: ConnId, request: &Request, now: Tick) {
        let login = Login::read(request);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let challenge = std::mem::take(&mut conn.challenge);
        conn.inside = !challenge.is_empty()
            && login.matches(&challenge, &self.identity.password)
            && login.app_name() == &*self.identity.object;
        let (ok, app) = (conn.inside, quoted(&login.app));
        if ok {
            self.observed.logged_in += 1;
        } else {
            self.observed.refused += 1;
        }
        let domain = quoted(&self.identity.domain);
        let answer = format!(r#"{{"mt":"AppLoginResult","app":{app},"domain":{domain},"ok":{ok}}}"#);
        self.schedule(id, answer, Duration::ZERO, now);
    }

    fn log_in(&self, challenge: &str) -> String {
        let Identity { domain, pbx, object, password } = &self.identity;
        let info = json_of([
            ("appobj", &*quoted(object)),
            ("appdn", "\"Users\""),
            ("appurl", "\"https://ap.example.org/users\""),
            ("pbx", &quoted(pbx)),
            ("cn", &quoted(object)),
            ("unlicensed", "false"),
            ("apps", "[]"),
        ]);
        let sip = self.forged_sip.as_deref().unwrap_or(object);
        let identity = AppIdentity { app: object, domain, sip, guid: "", dn: sip, info: Some(&info) };
        login::write_login(&identity, None, challenge, password)
    }

    fn introduce(&mut self, id: ConnId, result: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        if result.bool("ok") != Some(true) {
            self.observed.refused += 1;
            return self.cut(id, actions);
        }
        self.observed.logged_in += 1;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.inside = true;
        }
        let Identity { domain, pbx, object, .. } = &self.identity;
        let apis: Vec<String> = self.switches.apis.iter().map(|api| quoted(api)).collect();
        let info = format!(
            r#"{{"mt":"PbxInfo","domain":{},"pbx":{},"pbxDns":"pbx.example.com","apis":[{}],"version":"13r1"}}"#,
            quoted(domain),
            quoted(pbx),
            apis.join(",")
        );
        let ask = format!(r#"{{"mt":"AppInfo","app":{},"src":"1"}}"#, quoted(object));
        let messages = if self.switches.app_info_first { [ask, info] } else { [info, ask] };
        for text in messages {
            self.schedule(id, text, Duration::ZERO, now);
        }
    }

    fn call(&mut self, id: ConnId, request: &Request, text: &str, now: Tick, actions: &mut Vec<Action>) {
        if self.switches.mute {
            return;
        }
        let api = request.api.as_deref().unwrap_or_default();
        if !self.switches.apis.contains(api) {
            if self.switches.not_granted_is_error {
                self.answer(id, request, r#""error":"not granted""#, Duration::ZERO, now);
            }
            return;
        }
        let is_update = &*request.mt == "UpdateObject";
        let delay = if is_update { self.switches.update_delay } else { Duration::ZERO };
        self.open.retain(|until| *until > now);
        self.open.push(now + delay.max(self.switches.delay));
        self.observed.most_open = self.observed.most_open.max(self.open.len());
        match api {
            "PbxAdminApi" => self.admin(id, request, text, now, actions),
            "PbxTableUsers" => self.table(id, request, now, actions),
            _ => {}
        }
        let nth = self.observed.count(&request.mt);
        let editors = self.switches.editors.clone();
        for editor in editors.into_iter().filter(|editor| *editor.mt == *request.mt && editor.nth == nth) {
            if let Some(Value::String(guid)) = request.body.get("guid") {
                self.edit(guid, &editor.edit, now);
            }
        }
    }

    /// Answers a request with the members in `rest`, which may be empty.
    pub(super) fn answer(&mut self, id: ConnId, request: &Request, rest: &str, delay: Duration, now: Tick) {
        let mut text = format!(r#"{{"mt":"{}Result""#, request.mt);
        for (name, value) in [("api", &request.api), ("src", &request.src)] {
            if let Some(value) = value {
                // Writing to a `String` cannot fail.
                let _ = write!(text, r#","{name}":{}"#, quoted(value));
            }
        }
        if !rest.is_empty() {
            text.push(',');
            text.push_str(rest);
        }
        self.schedule(id, text + "}", delay, now);
    }

    fn edit(&mut self, guid: &str, edit: &Edit, now: Tick) {
        let Some(object) = self.objects.get(guid) else { return };
        let entries = object.devices();
        let of = |entries: &[DeviceEntry], added: &str| {
            let remaining = entries.iter().map(DeviceEntry::json).filter(|json| *json != added);
            let all: Vec<&str> = remaining.chain([added]).collect();
            format!("[{}]", all.join(","))
        };
        match edit {
            Edit::Add(entry) => self.set_devices(guid, &of(&entries, entry), now),
            Edit::Overwrite(entry) => {
                let devices = of(&self.before, entry);
                self.set_devices(guid, &devices, now);
            }
            Edit::Remove(hw) => {
                let remaining: Vec<&str> =
                    entries.iter().filter(|entry| !entry.is(hw)).map(DeviceEntry::json).collect();
                self.set_devices(guid, &format!("[{}]", remaining.join(",")), now);
            }
            Edit::Delete => self.delete(guid, now),
        }
    }
}
