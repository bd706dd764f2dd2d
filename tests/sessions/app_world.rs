//! Users, its app connections, and the server's sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use provbroker::core::model::device::{Category, Facts, Requester};
use provbroker::core::model::device_view::DeviceView;
use provbroker::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainId, DomainName, Secret};
use provbroker::core::model::time::{Tick, UnixMillis};
use provbroker::core::protocol::appws::message::ApiError;
use provbroker::core::protocol::close::Close;
use provbroker::core::session::app::client::{self, CallTag, Login, UsersClient};
use provbroker::core::session::app::event::{Action, Answer, Ask, Delivery, Event, Settings};
use provbroker::core::session::app::rights::Rights;
use provbroker::core::session::app::session::Session;
use provbroker::core::session::app::settling::SettleTimes;
use serde_json::Value;

enum Up {
    Text(String),
    Pong([u8; 8]),
}

enum Down {
    Text(String),
    Ping([u8; 8]),
}

/// A notice in flight, and when its pong or a later message was read.
struct Written {
    token: [u8; 8],
    codes: Vec<Code>,
    answered: Option<Tick>,
}

/// One connection, seen from the server.
struct Conn {
    session: Session,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    open: bool,
    acting: bool,
    /// `src` marks of requests without a result, in order.
    asked: VecDeque<String>,
    written: Vec<Written>,
}

pub struct World {
    client: UsersClient,
    conns: Vec<Conn>,
    /// The client's connection.
    conn: Option<usize>,
    now: Tick,
    settings: Settings,
    /// Unanswered questions of the sessions.
    questions: Vec<(usize, u64, Ask)>,
    issued: u64,
    /// Codes whose result has been sent.
    released: BTreeSet<Code>,
    used: BTreeSet<Code>,
    /// Used codes whose notice is not settled.
    mailbox: BTreeSet<Code>,
    /// Codes that the client has received, each with its number of notices.
    issued_codes: BTreeMap<Code, u32>,
    last_tag: u64,
    pub answers_pings: bool,
}

fn home() -> DomainName {
    DomainName::parse("home").unwrap()
}

impl World {
    pub fn new() -> Self {
        let login = Login {
            app: "innovaphone-devices-api".into(),
            domain: "home".into(),
            sip: "users".into(),
            guid: "".into(),
            dn: "".into(),
            password: Secret::new("password"),
        };
        let seconds = Duration::from_secs;
        let settings = Settings {
            domain: "example.com".into(),
            instance: "devices".into(),
            release: "13r3".into(),
            passthrough: "https://ap.example.org/example.com/devices/passthrough/".into(),
            build_mark: "13bc22".into(),
            login_timeout: seconds(60),
            requests_per_second: 50,
            fetches: 8,
            codes_per_second: 500,
            announces_search: false,
            ping_every: Duration::ZERO,
            patience: SettleTimes { answer_within: seconds(30), stay_open: seconds(5) },
            longest_before: 131_072,
            longest_after: 1_048_576,
        };
        Self {
            client: UsersClient::new(login),
            conns: Vec::new(),
            conn: None,
            now: Tick(0),
            settings,
            questions: Vec::new(),
            issued: 0,
            released: BTreeSet::new(),
            used: BTreeSet::new(),
            mailbox: BTreeSet::new(),
            issued_codes: BTreeMap::new(),
            last_tag: 0,
            answers_pings: true,
        }
    }

    pub fn connect(&mut self) {
        if self.conn.is_none() {
            let mut entropy = [0; 32];
            entropy[..8].copy_from_slice(&self.conns.len().to_be_bytes());
            self.conns.push(Conn {
                session: Session::new(self.now, entropy),
                up: VecDeque::new(),
                down: VecDeque::new(),
                open: true,
                acting: false,
                asked: VecDeque::new(),
                written: Vec::new(),
            });
            self.conn = Some(self.conns.len() - 1);
            self.client(client::Event::Connected);
        }
    }

    fn client(&mut self, event: client::Event<'_>) {
        let mut actions = Vec::new();
        self.client.on(event, self.now, &mut actions);
        for action in actions {
            match action {
                client::Action::Send(text) => {
                    if let Some(conn) = self.conn {
                        self.conns[conn].up.push_back(Up::Text(text));
                    }
                }
                client::Action::Close(1000) => self.cut(0, true),
                client::Action::Notice(notice) => {
                    let times = self.issued_codes.entry(notice.code).or_default();
                    assert_eq!(notice.again, *times > 0);
                    *times += 1;
                    assert!(self.used.contains(&notice.code), "a notice of a code that nobody has used");
                }
                client::Action::Answer(_, Ok(client::Answer::Code { code, .. })) => {
                    self.issued_codes.entry(code).or_default();
                }
                client::Action::Invalid(what) => assert_eq!(what, "no answer to the log-in"),
                client::Action::Answer(..) | client::Action::Ready { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The client loses its connection; the server reads `read` messages in flight and may not learn of the end.
    pub fn cut(&mut self, read: usize, server_knows: bool) {
        let Some(conn) = self.conn else { return };
        for _ in 0..read {
            self.up();
        }
        self.conn = None;
        self.conns[conn].up.clear();
        self.client(client::Event::Closed);
        if server_knows {
            self.feed(conn, Event::End(Close::ByPeer));
        }
    }

    pub fn up(&mut self) {
        let Some(conn) = self.conn else { return };
        match self.conns[conn].up.pop_front() {
            None => {}
            Some(Up::Pong(token)) => {
                self.answered(conn, |written| written.token <= token);
                self.feed(conn, Event::Pong(&token));
            }
            Some(Up::Text(text)) => {
                self.answered(conn, |_| true);
                let message: Value = serde_json::from_str(&text).unwrap();
                self.conns[conn].asked.extend(message["src"].as_str().map(String::from));
                self.feed(conn, Event::Text(&text));
            }
        }
    }

    fn answered(&mut self, conn: usize, which: impl Fn(&Written) -> bool) {
        for written in self.conns[conn].written.iter_mut().filter(|w| which(w)) {
            written.answered.get_or_insert(self.now);
        }
    }

    pub fn down(&mut self) {
        let Some(conn) = self.conn else { return };
        match self.conns[conn].down.pop_front() {
            Some(Down::Text(text)) => self.client(client::Event::Text(&text)),
            Some(Down::Ping(token)) if self.answers_pings => self.conns[conn].up.push_back(Up::Pong(token)),
            Some(Down::Ping(_)) => {}
            None if self.conns[conn].open => {}
            None => {
                self.conn = None;
                self.client(client::Event::Closed);
            }
        }
    }

    pub fn ask(&mut self, ask: client::Ask) {
        self.last_tag += 1;
        self.client(client::Event::Ask(CallTag(self.last_tag), ask));
    }

    /// The service answers one of the questions.
    pub fn answer(&mut self, which: usize, well: bool) {
        if self.questions.is_empty() {
            return;
        }
        let (conn, number, ask) = self.questions.swap_remove(which % self.questions.len());
        let answer = match ask {
            Ask::Named(_)
            | Ask::Ports(_)
            | Ask::RemovePort { .. }
            | Ask::Fetch { .. }
            | Ask::Domains
            | Ask::DeviceConfigs { .. }
            | Ask::DeviceConfig { .. }
            | Ask::Unassigned
            | Ask::List(_)
            | Ask::More(_)
            | Ask::Look(..)
            | Ask::Search(_) => panic!("nobody has asked for {ask:?}"),
            _ if !well => Answer::Failed(ApiError::Internal),
            Ask::Categories { .. } => {
                let category = Category { id: CategoryId(4), name: "c".into(), provisioning: true };
                Answer::Categories { name: home(), domain: DomainId(2), categories: vec![category] }
            }
            Ask::Code { .. } => {
                self.issued += 1;
                let code = Code::from_number(self.issued).unwrap();
                Answer::Code { name: home(), code, valid_until: UnixMillis(u64::MAX), url: "wss://a/sysclients".into() }
            }
            Ask::Device { code, .. } => {
                let device = self.used.contains(&code).then(|| Box::new(view()));
                Answer::Device { name: home(), code, device }
            }
        };
        self.feed(conn, Event::Answered(number, answer));
    }

    /// A device uses one of the codes that the client has received.
    pub fn use_code(&mut self, which: usize) {
        let open: Vec<Code> = self.released.difference(&self.used).copied().collect();
        if let Some(code) = open.get(which % open.len().max(1)) {
            self.used.insert(*code);
            self.mailbox.insert(*code);
            self.deliver();
        }
    }

    /// Hands notices that are not in flight to a connection that acts as Users.
    fn deliver(&mut self) {
        let Some(conn) = self.conns.iter().rposition(|c| c.open && c.acting) else { return };
        let on_the_way = self.conns.iter().filter(|c| c.open).flat_map(|c| &c.written).flat_map(|w| &w.codes);
        let on_the_way: BTreeSet<Code> = on_the_way.copied().collect();
        let due: Vec<Code> = self.mailbox.difference(&on_the_way).copied().collect();
        if !due.is_empty() {
            let deliveries = due.iter().map(|&code| Delivery { code, port: None, device: view() }).collect();
            self.conns[conn].written.push(Written { token: [0; 8], codes: due, answered: None });
            self.feed(conn, Event::Deliver(&home(), deliveries));
        }
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        if self.client.next_wake().is_some_and(|wake| wake <= self.now) {
            self.client(client::Event::Timer);
        }
        for conn in 0..self.conns.len() {
            self.feed(conn, Event::Tick);
        }
        self.deliver();
    }

    fn feed(&mut self, conn: usize, event: Event<'_>) {
        let mut actions = Vec::new();
        self.conns[conn].session.on(event, self.now, &self.settings, &mut actions);
        for action in actions {
            assert!(self.conns[conn].open, "nothing follows a close");
            self.perform(conn, action);
        }
    }

    fn perform(&mut self, conn: usize, action: Action) {
        match action {
            Action::Send(text) => {
                self.sent(conn, &text);
                self.conns[conn].down.push_back(Down::Text(text));
            }
            Action::KeepAlive => panic!("pings are off"),
            Action::Ping(token) => {
                self.conns[conn].written.last_mut().unwrap().token = token;
                self.conns[conn].down.push_back(Down::Ping(token));
            }
            Action::Close(_) => {
                self.conns[conn].open = false;
                self.deliver();
            }
            Action::Verify(login, challenge) => {
                assert!(login.matches(&challenge, &Secret::new("password")));
                let requester = Requester { app: "innovaphone-devices-api".into(), sip: "users".into() };
                let rights = Rights { admin: false, domain: home(), requester, session_key: Secret::default() };
                self.feed(conn, Event::Verified(Some(Box::new(rights)), Secret::new("key")));
            }
            Action::Enlist(_) => {
                // The names match the requester of all codes.
                self.conns[conn].acting = true;
                self.deliver();
            }
            Action::Ask(number, ask) => self.questions.push((conn, number, ask)),
            Action::LoginFailed => panic!("the password was right"),
            Action::Act(_) | Action::Await(..) | Action::Follow(_) => {}
            Action::Flush => self.feed(conn, Event::Flushed),
            Action::Settle(_, codes) => {
                let written = self.conns[conn].written.iter().find(|w| w.codes == codes).unwrap();
                // Only answered notices are settled.
                let answered = written.answered.unwrap();
                assert!(self.now.since(answered) >= self.settings.patience.stay_open);
                self.conns[conn].written.retain(|w| w.codes != codes);
                for code in codes {
                    self.mailbox.remove(&code);
                }
            }
        }
    }

    fn sent(&mut self, conn: usize, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        if message["mt"] == "DeviceProvisioned" {
            return;
        }
        if let Some(src) = message["src"].as_str() {
            assert_eq!(
                self.conns[conn].asked.pop_front().as_deref(),
                Some(src),
                "answers in the order of the requests"
            );
        }
        if message["mt"] == "GetProvisioningCodeResult" {
            self.released.extend(message["code"].as_str().map(|code| Code::parse(code).unwrap()));
        }
    }

    /// The client reconnects, and from now on everything is delivered and answered.
    pub fn quiet(&mut self) {
        self.answers_pings = true;
        for conn in 0..self.conns.len() {
            self.feed(conn, Event::End(Close::ByPeer));
        }
        self.cut(0, true);
        self.connect();
        for _ in 0..40 {
            for _ in 0..200 {
                self.up();
                self.answer(0, true);
                self.down();
            }
            self.pass(1_000);
        }
    }

    /// Checks what must hold when nothing is in flight.
    pub fn check(&self) {
        assert!(self.client.is_ready());
        assert!(self.mailbox.is_empty(), "a notice is not settled");
        let mut open: BTreeSet<Code> = self.client.open_codes().collect();
        for (code, times) in &self.issued_codes {
            if self.used.contains(code) {
                assert!(*times >= 1, "a code was asked for and used, and its notice never came");
            } else {
                assert!(open.remove(code), "an open code is forgotten");
            }
        }
        assert!(open.is_empty(), "codes that are used are taken for open");
    }
}

fn view() -> DeviceView {
    DeviceView {
        id: DeviceId(31),
        key: DeviceKey::parse("00903341a0b1").unwrap(),
        name: None,
        app_ip: None,
        domain: Some(DomainId(2)),
        category: Some(CategoryId(4)),
        category_name: None,
        online: true,
        facts: Facts::default(),
    }
}
