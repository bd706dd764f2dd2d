//! The app session: log-in, order of answers, limits, notices. Actions are compared as short texts.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::core::model::device::{Category, Requester};
use crate::core::model::device_view::DeviceView;
use crate::core::model::device_view::tests as views;
use crate::core::model::ids::{CategoryId, Code, DeviceKey, DomainId, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::appws::login::{AppIdentity, write_login};
use crate::core::session::app::event::{Answer, Ask, Delivery, Topics};
use crate::core::session::app::rights::{OWN_USERS, Rights};
use crate::core::session::app::settling::SettleTimes;

mod asks;
mod configs;
mod devices;
mod login;
mod notices;

const KEY: &str = "5d0c1a52-7be1-4c0e-9a57-0f9b4e8d3c21";

fn settings() -> Settings {
    let seconds = Duration::from_secs;
    Settings {
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
    }
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn code(number: u64) -> Code {
    Code::from_number(number).unwrap()
}

/// That of the vectors.
const SESSION_KEY: &str = "93bff60d78e1e7b6ca159d24b6dda9c413f569b0d039f86c6279a8ee65b307a0";

fn rights(admin: bool) -> Rights {
    let requester = Requester { app: "innovaphone-devices-api".into(), sip: "users".into() };
    Rights { admin, domain: domain("home"), requester, session_key: Secret::new(SESSION_KEY) }
}

fn view() -> DeviceView {
    DeviceView { key: DeviceKey::parse("00903341a0b1").unwrap(), category_name: None, ..views::view(31, 2, "PHONE") }
}

fn code_answer(number: u64) -> Answer {
    Answer::Code {
        name: domain("home"),
        code: code(number),
        valid_until: UnixMillis(1_767_225_600_999),
        url: "wss://a/sysclients".into(),
    }
}

fn categories_answer() -> Answer {
    let category = |id, name: &str, provisioning| Category { id: CategoryId(id), name: name.into(), provisioning };
    let categories = vec![category(4, "Desk phones", true), category(5, "old", false)];
    Answer::Categories { name: domain("home"), domain: DomainId(2), categories }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A session with a clock that the test sets.
struct Harness {
    session: Session,
    settings: Settings,
    now: Tick,
}

impl Harness {
    fn new() -> Self {
        Self { session: Session::new(Tick(0), [7; 32]), settings: settings(), now: Tick(0) }
    }

    fn logged_in() -> Self {
        let mut harness = Self::new();
        harness.log_in();
        harness
    }

    fn log_in(&mut self) {
        let challenge = self.challenge();
        assert_eq!(self.login_with(&challenge), [format!("verify {challenge}")]);
        let output = self.verified(true);
        assert_eq!(output[1..], ["enlist"]);
        assert_eq!(parsed(&output[0])["ok"], true);
    }

    fn challenge(&mut self) -> String {
        let output = self.say(&json!({"mt": "AppChallenge"}));
        parsed(&output[0])["challenge"].as_str().unwrap().into()
    }

    fn login_with(&mut self, challenge: &str) -> Vec<String> {
        let identity = AppIdentity { app: "innovaphone-devices-api", domain: "home", ..AppIdentity::default() };
        self.text(&write_login(&identity, None, challenge, &Secret::new("password")))
    }

    fn verified(&mut self, right: bool) -> Vec<String> {
        self.on(Event::Verified(right.then(|| Box::new(rights(false))), Secret::new(KEY)))
    }

    fn raw(&mut self, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.session.on(event, self.now, &self.settings, &mut actions);
        actions
    }

    fn on(&mut self, event: Event<'_>) -> Vec<String> {
        self.raw(event).iter().map(summary).collect()
    }

    fn text(&mut self, text: &str) -> Vec<String> {
        self.on(Event::Text(text))
    }

    fn say(&mut self, message: &Value) -> Vec<String> {
        self.text(&message.to_string())
    }

    /// Sends a message that is answered at once by exactly one message.
    fn answer_to(&mut self, message: &Value) -> Value {
        let output = self.say(message);
        let [answer] = &output[..] else { panic!("{output:?}") };
        parsed(answer)
    }

    fn answered(&mut self, number: u64, answer: Answer) -> Vec<String> {
        self.on(Event::Answered(number, answer))
    }

    fn deliver(&mut self, numbers: &[u64]) -> Vec<String> {
        let delivery = |&number| Delivery { code: code(number), port: None, device: view() };
        self.on(Event::Deliver(&domain("home"), numbers.iter().map(delivery).collect()))
    }

    fn pong(&mut self, token: u64) -> Vec<String> {
        self.on(Event::Pong(&token.to_be_bytes()))
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Tick(millis);
        self
    }

    fn tick(&mut self) -> Vec<String> {
        self.on(Event::Tick)
    }

    fn deadline(&self) -> Option<u64> {
        self.session.deadline(&self.settings).map(|tick| tick.0)
    }
}

fn summary(action: &Action) -> String {
    match action {
        Action::Send(text) => text.clone(),
        Action::KeepAlive => "keep alive".into(),
        Action::Ping(token) => format!("ping {}", u64::from_be_bytes(*token)),
        Action::Close(close) => format!("close {} {}", close.code(), close.text()),
        Action::Verify(_, challenge) => format!("verify {challenge}"),
        Action::LoginFailed => "login failed".into(),
        Action::Enlist(_) => "enlist".into(),
        Action::Ask(number, ask) => match ask {
            Ask::Categories { .. } => format!("ask {number} categories"),
            Ask::Code { category, .. } => format!("ask {number} code {category}"),
            Ask::Device { code, .. } => format!("ask {number} device {}", code.expose()),
            Ask::Named(key) => format!("ask {number} named {key}"),
            Ask::Ports(key) => format!("ask {number} ports {key}"),
            Ask::RemovePort { device, port } => format!("ask {number} remove {port} of {device}"),
            Ask::Fetch { device, target } => format!("ask {number} fetch {target} of {device}"),
            Ask::Domains => format!("ask {number} domains"),
            Ask::DeviceConfigs { domain } => format!("ask {number} configs {}", domain.map_or(0, |id| id.0)),
            Ask::DeviceConfig { id, .. } => format!("ask {number} config {}", id.0),
            Ask::Unassigned => format!("ask {number} unassigned"),
            Ask::Search(_) => format!("ask {number} search"),
            Ask::List(_) => format!("ask {number} list"),
            Ask::More(_) => format!("ask {number} more"),
            Ask::Look(keys, _) => format!("ask {number} look {}", keys.len()),
        },
        Action::Act(domain) => format!("act {domain}"),
        Action::Await(domain, code) => format!("await {domain} {}", code.expose()),
        Action::Settle(domain, codes) => {
            let codes: Vec<_> = codes.iter().map(Code::expose).collect();
            format!("settle {domain} {}", codes.join(","))
        }
        Action::Flush => "flush".into(),
        Action::Follow(Topics { devices, unassigned_devices, domains }) => {
            format!("follow {} {unassigned_devices} {domains}", devices.is_some())
        }
    }
}
