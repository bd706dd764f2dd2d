//! A session with a subscription, the actual devices, and a client that only inserts, replaces and removes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::device::{Facts, Requester};
use provbroker::core::model::device_view::{DeviceView, DomainView};
use provbroker::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainId, DomainName, Secret};
use provbroker::core::model::time::Tick;
use provbroker::core::protocol::appws::login::{AppIdentity, write_login};
use provbroker::core::protocol::appws::message::ApiError;
use provbroker::core::protocol::appws::select::Selection;
use provbroker::core::protocol::json::Object;
use provbroker::core::session::app::device_pager::{DevicePager, LaneRead, LaneResult};
use provbroker::core::session::app::event::{Action, Answer, Ask, DataChange, Event, Settings, Topics};
use provbroker::core::session::app::rights::Rights;
use provbroker::core::session::app::session::Session;
use provbroker::core::session::app::settling::SettleTimes;
use serde_json::{Value, json};

pub struct World {
    session: Session,
    settings: Settings,
    now: Tick,
    /// By number.
    devices: BTreeMap<u64, DeviceView>,
    reach: BTreeSet<u64>,
    /// Signals in flight to the session.
    signals: VecDeque<DataChange>,
    topics: Topics,
    asked: Vec<(u64, Ask)>,
    read: Vec<(u64, Answer)>,
    flushing: usize,
    client: BTreeMap<String, Value>,
    requests: u64,
    /// The last requested list, and whether it is complete.
    listed: Option<(String, bool)>,
    filter: Selection,
    /// Expected `src` of notices.
    subscribed: Option<String>,
    switched: VecDeque<String>,
    /// `src` of the requests that subscribe.
    subscribes: BTreeSet<String>,
}

fn name(domain: u64) -> DomainName {
    DomainName::parse(&format!("d{domain}")).unwrap()
}

fn device(id: u64, domain: u64) -> DeviceView {
    DeviceView {
        id: DeviceId(id),
        key: DeviceKey::parse(&format!("device-{id}")).unwrap(),
        name: None,
        app_ip: None,
        domain: Some(DomainId(domain)),
        category: Some(CategoryId(4)),
        category_name: Some(category_name(4).into()),
        online: false,
        facts: Facts { platform: "PHONE".into(), ..Facts::default() },
    }
}

fn category_name(id: u64) -> String {
    format!("category {id}")
}

fn in_category(view: DeviceView, id: u64) -> DeviceView {
    DeviceView { category: Some(CategoryId(id)), category_name: Some(category_name(id).into()), ..view }
}

impl World {
    /// A session of an app that has logged in, and some devices.
    pub fn new(devices: u64) -> Self {
        let seconds = Duration::from_secs;
        let settings = Settings {
            domain: "d1".into(),
            instance: "devices".into(),
            release: "13r3".into(),
            passthrough: "https://h/d1/devices/passthrough/".into(),
            build_mark: "13bc22".into(),
            login_timeout: seconds(60),
            requests_per_second: u32::MAX,
            fetches: 8,
            codes_per_second: 500,
            announces_search: false,
            ping_every: Duration::ZERO,
            patience: SettleTimes { answer_within: seconds(30), stay_open: seconds(5) },
            longest_before: 131_072,
            longest_after: 1_048_576,
        };
        let mut world = Self {
            session: Session::new(Tick(0), [3; 32]),
            settings,
            now: Tick(0),
            devices: (1..=devices).map(|id| (id, device(id, id % 3 + 1))).collect(),
            reach: BTreeSet::from([1, 2, 3]),
            signals: VecDeque::new(),
            topics: Topics::default(),
            asked: Vec::new(),
            read: Vec::new(),
            flushing: 0,
            client: BTreeMap::new(),
            requests: 0,
            listed: None,
            filter: Selection::default(),
            subscribed: None,
            switched: VecDeque::new(),
            subscribes: BTreeSet::new(),
        };
        world.feed(Event::Text(r#"{"mt":"AppChallenge"}"#));
        let identity = AppIdentity { app: "x", domain: "d1", ..AppIdentity::default() };
        world.feed(Event::Text(&write_login(&identity, None, "1", &Secret::new("p"))));
        let requester = Requester { app: "x".into(), sip: "".into() };
        let rights = Rights { admin: false, domain: name(1), requester, session_key: Secret::default() };
        world.feed(Event::Verified(Some(Box::new(rights)), Secret::new("key")));
        world
    }

    fn feed(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.session.on(event, self.now, &self.settings, &mut actions);
        for action in actions {
            match action {
                Action::Send(text) => self.receive(&text),
                Action::Ask(number, ask) => self.asked.push((number, ask)),
                Action::Flush => self.flushing += 1,
                Action::Follow(topics) => self.topics = topics,
                Action::Verify(..) | Action::Enlist(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn receive(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        let src = message["src"].as_str().map(String::from);
        let device = &message["device"];
        let key = || device["hwId"].as_str().unwrap().to_owned();
        match message["mt"].as_str().unwrap() {
            "GetDevicesResult" => {
                let src = src.unwrap();
                if self.listed.as_ref().is_none_or(|(of, _)| *of != src) {
                    self.client.clear();
                    // From here on no notice of an earlier subscription may arrive.
                    self.subscribed = None;
                }
                if message["error"].is_string() {
                    // An incomplete list is discarded.
                    self.client.clear();
                }
                for device in message["devices"].as_array().unwrap() {
                    self.client.insert(device["hwId"].as_str().unwrap().into(), device.clone());
                }
                let last = message["last"] == true;
                if last && message["error"].is_null() && self.subscribes.contains(&src) {
                    self.subscribed = Some(src.clone());
                }
                self.listed = Some((src, last));
            }
            "SetDeviceFilerResult" => {
                assert_eq!(self.switched.pop_front(), src);
            }
            "DeviceAdded" => {
                assert_eq!(src, self.subscribed, "a notice of another subscription");
                assert!(self.client.insert(key(), device.clone()).is_none(), "added twice");
            }
            "DeviceUpdate" => {
                assert_eq!(src, self.subscribed, "a notice of another subscription");
                let before = self.client.insert(key(), device.clone());
                assert!(before.is_some_and(|before| before != *device), "an update without a change");
            }
            "DeviceRemoved" => {
                assert_eq!(src, self.subscribed, "a notice of another subscription");
                let Some(before) = self.client.remove(&key()) else { panic!("removed, but never announced") };
                for member in ["id", "domainId", "product", "version", "type", "pbxActive", "online"] {
                    assert_eq!(device[member], before[member]);
                }
            }
            _ => {}
        }
    }

    pub fn get_devices(&mut self, domains: &[u64], category: Option<u64>, subscribe: bool) {
        self.requests += 1;
        let ids: Vec<_> = domains.iter().map(u64::to_string).collect();
        let category = category.map(category_name).unwrap_or_default();
        let message = json!({"mt": "GetDevices", "src": self.requests.to_string(), "recvUpdates": subscribe,
                             "domainIds": ids.join(","), "categories": category});
        self.filter = Selection::filter(&Object::parse(message.to_string().as_bytes()).unwrap()).unwrap();
        if subscribe {
            self.subscribes.insert(self.requests.to_string());
        }
        self.feed(Event::Text(&message.to_string()));
    }

    pub fn switch(&mut self, on: bool) {
        self.requests += 1;
        let src = self.requests.to_string();
        self.switched.push_back(src.clone());
        self.feed(Event::Text(&json!({"mt": "SetDeviceFiler", "src": src, "recvUpdates": on}).to_string()));
    }

    /// Changes a device; its signal is delivered later.
    pub fn change(&mut self, id: u64, change: u8) {
        let now = self.requests + self.now.0;
        let known = self.devices.contains_key(&id);
        let view = self.devices.entry(id).or_insert_with(|| device(id, id % 3 + 1));
        match change % 5 {
            _ if !known => {}
            0 => view.online = !view.online,
            1 => *view = in_category(view.clone(), if view.category == Some(CategoryId(4)) { 5 } else { 4 }),
            2 => view.domain = view.domain.map(|domain| DomainId(domain.0 % 3 + 1)),
            3 => view.facts.version = now.to_string().into(),
            _ => {
                self.devices.remove(&id);
            }
        }
        let key = DeviceKey::parse(&format!("device-{id}")).unwrap();
        self.signals.push_back(DataChange::Devices(Arc::new([key])));
    }

    /// Access to a domain is given or taken away.
    pub fn change_reach(&mut self, domain: u64) {
        if !self.reach.remove(&domain) {
            self.reach.insert(domain);
        }
        self.signals.push_back(DataChange::Domains);
    }

    pub fn signal(&mut self) {
        let Some(signal) = self.signals.pop_front() else { return };
        let wanted = match signal {
            DataChange::Devices(_) => self.topics.devices.is_some(),
            DataChange::UnassignedChanged => self.topics.unassigned_devices,
            DataChange::Domains => self.topics.domains,
            DataChange::Anything => self.topics != Topics::default(),
        };
        if wanted {
            self.feed(Event::DataChange(signal));
        }
    }

    /// The connection to the other nodes is lost and restored.
    pub fn lose_signals(&mut self) {
        self.signals.clear();
        self.signals.push_back(DataChange::Anything);
    }

    /// The service reads the data of one of the questions; the answer is in flight from now on.
    pub fn read(&mut self, which: usize) {
        if self.asked.is_empty() {
            return;
        }
        let (number, ask) = self.asked.swap_remove(which % self.asked.len());
        let answer = match ask {
            Ask::Domains => Answer::Domains(self.reach.iter().map(|id| domain(*id)).collect()),
            Ask::Look(keys, selection) => {
                let seen = |view: &DeviceView| self.within(view) && selection.takes(view);
                let view = |key: &DeviceKey| self.devices.values().find(|view| view.key == *key && seen(view));
                Answer::Looked(keys.iter().map(|key| (key.clone(), view(key).cloned())).collect())
            }
            Ask::List(selection) => {
                let domains: Vec<_> = self.reach.iter().map(|id| Some(name(*id))).collect();
                self.page(Box::new(DevicePager::new(selection, domains)))
            }
            Ask::More(walk) => self.page(walk),
            other => panic!("{other:?}"),
        };
        self.read.push((number, answer));
    }

    fn within(&self, view: &DeviceView) -> bool {
        view.domain.is_some_and(|domain| self.reach.contains(&domain.0))
    }

    fn page(&self, mut walk: Box<DevicePager>) -> Answer {
        let reads = walk.readings().into_iter().map(|LaneRead { domain, after, .. }| {
            let of = |view: &&DeviceView| view.domain.map(|id| name(id.0)) == domain && view.id > after;
            // Fewer than requested, so that there are several pages.
            let devices: Vec<_> = self.devices.values().filter(of).take(4).cloned().collect();
            let to = devices.last().filter(|_| devices.len() == 4).map(|view| view.id);
            LaneResult { devices, to }
        });
        let reads = reads.collect();
        walk.read(reads);
        let devices = walk.take(5);
        Answer::Page { devices, rest: (!walk.is_over()).then_some(walk) }
    }

    pub fn answer(&mut self, which: usize, well: bool) {
        if self.read.is_empty() {
            return;
        }
        let (number, answer) = self.read.swap_remove(which % self.read.len());
        self.feed(Event::Answered(number, if well { answer } else { Answer::Failed(ApiError::Internal) }));
    }

    pub fn flushed(&mut self) {
        if self.flushing > 0 {
            self.flushing -= 1;
            self.feed(Event::Flushed);
        }
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        if self.session.deadline(&self.settings).is_some_and(|due| due <= self.now) {
            self.feed(Event::Tick);
        }
    }

    /// Nothing changes any more, and everything is delivered.
    pub fn quiet(&mut self) {
        self.switch(true);
        self.settle();
        if self.subscribed.is_none() {
            // Nothing was followed any more.
            self.get_devices(&[], None, true);
            self.settle();
        }
        assert!(self.asked.is_empty() && self.read.is_empty() && self.flushing == 0, "still at work");
    }

    fn settle(&mut self) {
        for _ in 0..12 {
            while !self.signals.is_empty() {
                self.signal();
            }
            for _ in 0..40 {
                self.read(0);
                self.answer(0, true);
                self.flushed();
            }
            self.pass(1_001);
        }
    }

    /// The client has exactly the actual devices.
    pub fn check(&self) {
        let truth = self.devices.values().filter(|view| self.within(view) && self.filter.takes(view));
        let as_sent = |view: &DeviceView| serde_json::from_str(&view.object().text()).unwrap();
        let truth: BTreeMap<String, Value> = truth.map(|view| (view.key.as_str().into(), as_sent(view))).collect();
        assert_eq!(self.client, truth);
    }
}

fn domain(id: u64) -> DomainView {
    DomainView {
        id: DomainId(id),
        name: name(id),
        deploy_admin_passwords: false,
        is_instance_domain: false,
        settings: 0,
        categories: Vec::new(),
    }
}
