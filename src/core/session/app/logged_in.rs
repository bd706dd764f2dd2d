//! A connection after the log-in: its requests, their answers in order, and its notices.
//!
//! Long output is sent in pieces: after [`FLUSH_AT`] bytes it pauses until the client has taken them. So for a client
//! that reads slowly a page of a list or some notices are held here, never a whole list.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::core::model::ids::{Code, DomainName, Secret};
use crate::core::model::time::Tick;
use crate::core::policy::limits::PerSecond;
use crate::core::protocol::appws::call::{Call, PbxInfo};
use crate::core::protocol::appws::list::Part;
use crate::core::protocol::appws::message::{ApiError, Request};
use crate::core::protocol::appws::objects::DeviceObject;
use crate::core::protocol::appws::select::Selection;
use crate::core::protocol::appws::{answers, build, passthrough};

use super::event::{Action, Answer, Ask, DataChange, Delivery, Settings, Topics};
use super::replies::{listed, reply};
use super::rights::Rights;
use super::settling::Settling;
use super::slots::{List, Slot, Slots, Step, Then, Work};
use super::subscription::Subscription;
use super::subscriptions::Subscriptions;

/// After this many bytes, long output pauses until the client has taken them.
pub const FLUSH_AT: usize = 64 * 1024;

/// A connection after the log-in.
#[derive(Debug)]
pub(super) struct LoggedIn {
    pub(super) rights: Rights,
    key: Secret,
    acting: Vec<DomainName>,
    slots: Slots,
    next: u64,
    /// Codes that the client waits for, with the `src` of the request.
    pub(super) waiting: HashMap<Code, Waiting>,
    pub(super) settling: Settling,
    requests: PerSecond,
    codes: PerSecond,
    subscriptions: Subscriptions,
    topics: Topics,
    /// Notices of subscriptions that may be sent.
    notices: VecDeque<String>,
    /// Bytes sent since the last [`Event::Flushed`].
    sent: usize,
    flushing: bool,
    /// What a telephone exchange has reported of itself.
    pub(super) pbx: Option<Box<PbxInfo>>,
}

/// The last request for a code or its device. The notice has its members.
#[derive(Debug)]
pub(super) struct Waiting {
    src: Option<Box<str>>,
    api: Option<Box<str>>,
}

pub(super) fn check_build(request: &Request, url: &str, settings: &Settings) -> String {
    let current = build::check_build(url, &settings.build_mark, &settings.domain, &settings.instance);
    answers::check_build(request, current.as_deref())
}

impl LoggedIn {
    pub(super) fn new(rights: Rights, key: Secret, settings: &Settings) -> Self {
        Self {
            rights,
            key,
            acting: Vec::new(),
            slots: Slots::default(),
            next: 0,
            waiting: HashMap::new(),
            settling: Settling::new(settings.patience),
            requests: PerSecond::new(settings.requests_per_second),
            codes: PerSecond::new(settings.codes_per_second),
            subscriptions: Subscriptions::default(),
            topics: Topics::default(),
            notices: VecDeque::new(),
            sent: 0,
            flushing: false,
            pbx: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        let subscriptions = self.subscriptions.deadline().filter(|_| self.may_read());
        [self.settling.deadline(), subscriptions].into_iter().flatten().min()
    }

    /// Handles a request. Returns whether more answers wait than allowed: the client sends requests without reading.
    pub(super) fn on_call(
        &mut self,
        request: Request,
        call: Result<Call, ApiError>,
        now: Tick,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) -> bool {
        let call = match call {
            Ok(Call::Ignored) => return false,
            // A notice, not a request: no answer.
            Ok(Call::PbxInfo(info)) => {
                self.pbx = Some(Box::new(info));
                return false;
            }
            Ok(Call::KeepAlive) => {
                actions.push(Action::Send(answers::keep_alive(&request)));
                return false;
            }
            call => call,
        };
        if call.as_ref().is_ok_and(Call::acts_as_users) {
            self.act(self.rights.domain.clone(), actions);
        }
        let allowed = match &call {
            Ok(Call::GetProvisioningCode { .. }) => self.codes.take(now).is_ok(),
            _ => self.requests.take(now).is_ok(),
        };
        let begun = match call {
            _ if !allowed => Err(ApiError::TooManyRequests),
            Ok(call) => self.begin(&request, call, settings),
            Err(error) => Err(error),
        };
        let (work, ask) = begun.unwrap_or_else(|error| (Work::text(request.error(error)), None));
        self.next += 1;
        let number = self.next;
        actions.extend(ask.map(|ask| Action::Ask(number, ask)));
        let lane = if &*request.mt == "HttpGet" { &mut self.slots.aside } else { &mut self.slots.line };
        lane.push_back(Slot { number, request, work });
        self.pump(now, actions);
        self.flushing && self.slots.are_too_many()
    }

    /// The work for a request, and the question that it needs.
    fn begin(&self, request: &Request, call: Call, settings: &Settings) -> Result<(Work, Option<Ask>), ApiError> {
        let list = |array, selection: Box<Selection>, subscribe| {
            let (selection, part) = (Arc::from(selection), Part::new(array));
            let list = List { selection, subscribe, part, full: VecDeque::new(), step: Step::Begin };
            Ok((Work::List(Box::new(list)), None))
        };
        let ask = match call {
            Call::GetLoginInfo => {
                return Ok((Work::text(answers::login_info(request, &self.key, self.rights.admin)), None));
            }
            Call::GetUserInfo => {
                let text = answers::user_info(request, &self.key, &settings.release, self.rights.admin);
                return Ok((Work::text(text), None));
            }
            Call::CheckBuild { url } => return Ok((Work::text(check_build(request, &url, settings)), None)),
            Call::AppInfo { app } => {
                return Ok((Work::text(answers::app_info(request, &app, settings.announces_search)), None));
            }
            Call::GetProvisioningCategories { domain, device_type } => Ask::Categories { domain, device_type },
            Call::GetProvisioningCode { domain, category, sip, rollout, administrative } => {
                Ask::Code { domain, category, sip, rollout, administrative }
            }
            Call::GetProvisionedDevice { domain, code } => Ask::Device { domain, code },
            Call::GetDevicesOfTypes { array, selection } => return list(array, selection, None),
            Call::GetDevices { mut filter, subscribe } => {
                // For all others there are no devices without a domain.
                filter.unassigned &= self.rights.admin;
                return list("devices", filter, Some(subscribe));
            }
            Call::GetDevice(device) => Ask::Named(device),
            Call::GetDevicePhones(device) => Ask::Ports(device),
            Call::RemoveDevicePhone { .. } if !self.rights.may_change() => return Err(ApiError::NotAllowed),
            Call::RemoveDevicePhone { device, port } => Ask::RemovePort { device, port },
            Call::HttpGet { uri } => {
                let meant = passthrough::read(&uri, &settings.passthrough, &self.key);
                let (device, target) = meant.ok_or(ApiError::BadRequest)?;
                if self.slots.fetches() >= settings.fetches {
                    return Err(ApiError::TooManyRequests);
                }
                Ask::Fetch { device, target }
            }
            Call::Search(search) => return Ok((Work::Search(search), None)),
            Call::GetDomains { .. } => Ask::Domains,
            Call::GetDeviceConfigs { domain, .. } => Ask::DeviceConfigs { domain },
            Call::GetDeviceConfig { domain, id } => Ask::DeviceConfig { domain, id },
            Call::GetUnassignedDevicesCount { .. } => Ask::Unassigned,
            Call::SetDeviceFilter { subscribe } => {
                let texts = VecDeque::from([answers::done(request)]);
                return Ok((Work::Ready(texts, Then::SwitchDevices(subscribe)), None));
            }
            Call::AppChallenge
            | Call::AppLogin(_)
            | Call::KeepAlive
            | Call::PbxInfo(_)
            | Call::Ignored
            | Call::Unknown => return Err(ApiError::UnknownMessage),
        };
        Ok((Work::Asked, Some(ask)))
    }

    fn act(&mut self, domain: DomainName, actions: &mut Vec<Action>) {
        if self.rights.takes_for_others() && !self.acting.contains(&domain) {
            self.acting.push(domain.clone());
            actions.push(Action::Act(domain));
        }
    }

    pub(super) fn on_answer(
        &mut self,
        number: u64,
        answer: Answer,
        now: Tick,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let mut acts_in = None;
        match self.subscriptions.on_answer(number, answer, now) {
            Ok((notices, domains_differ)) => {
                self.notices.extend(notices);
                self.follow(domains_differ, actions);
            }
            Err(answer) => {
                let Some(slot) = self.slots.find(number) else { return };
                match &mut slot.work {
                    Work::Asked => {
                        let session_key = &self.rights.session_key;
                        (slot.work, acts_in) =
                            reply(&slot.request, answer, &settings.passthrough, &self.key, session_key);
                    }
                    Work::List(_) => self.on_page(number, answer, settings, actions),
                    // Not asked yet, or already answered.
                    Work::Search(_) | Work::Ready(..) => {}
                }
            }
        }
        self.pump(now, actions);
        if let Some(name) = acts_in {
            self.act(name, actions);
        }
    }

    /// A page of the list at the head.
    fn on_page(&mut self, number: u64, answer: Answer, settings: &Settings, actions: &mut Vec<Action>) {
        let Some(Slot { request, work, .. }) = self.slots.find(number) else { return };
        let Work::List(list) = work else { return };
        let Answer::Page { devices, rest } = answer else {
            let error = if let Answer::Failed(error) = answer { error } else { ApiError::Internal };
            let subscribed = list.subscribe == Some(true);
            *work = Work::text(request.error(error));
            if subscribed {
                // There is no list that notices could follow.
                self.subscriptions.follow_devices(None);
                self.follow(false, actions);
            }
            return;
        };
        for view in &devices {
            let text = match list.subscribe {
                Some(_) => DeviceObject::new(view).text(),
                None => listed(view, &list.selection, &settings.passthrough, &self.key).text(),
            };
            if let (Some(true), Some(subscription)) = (list.subscribe, &mut self.subscriptions.devices) {
                subscription.listed(view, &text);
            }
            list.full.extend(list.part.add(request, &text));
        }
        if let Some(walk) = rest {
            list.step = Step::Rest(walk);
            return;
        }
        list.full.push_back(list.part.finish(request));
        let then = if list.subscribe == Some(true) { Then::Listed } else { Then::Nothing };
        *work = Work::Ready(std::mem::take(&mut list.full), then);
    }

    /// Returns whether more data waits for the client than allowed.
    pub(super) fn on_change(&mut self, change: DataChange, now: Tick, actions: &mut Vec<Action>) -> bool {
        self.subscriptions.on_change(change);
        self.pump(now, actions);
        self.subscriptions.is_overfull()
    }

    pub(super) fn on_flushed(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.flushing = false;
        self.pump(now, actions);
    }

    fn may_read(&self) -> bool {
        !self.flushing && self.notices.is_empty()
    }

    /// Sends what may be sent and asks the questions that are due.
    pub(super) fn pump(&mut self, now: Tick, actions: &mut Vec<Action>) {
        while !self.flushing {
            // Notices first: those of an old filter must not follow the result of a new one.
            if let Some(notice) = self.notices.pop_front() {
                self.send(notice, true, actions);
            } else if let Some(Slot { work: Work::Ready(texts, _), .. }) = self.slots.take_aside() {
                for text in texts {
                    self.send(text, false, actions);
                }
            } else if !self.step(actions) {
                break;
            }
        }
        while self.may_read() {
            let Some(ask) = self.subscriptions.next(self.next + 1, now) else { return };
            self.next += 1;
            actions.push(Action::Ask(self.next, ask));
        }
    }

    /// Sends a text. Lists and notices are `paced`: they go out no faster than the client takes them. Short answers
    /// are bounded by the send queue of the socket, which closes for a client that does not read.
    fn send(&mut self, text: String, paced: bool, actions: &mut Vec<Action>) {
        self.sent += if paced || text.len() >= FLUSH_AT { text.len() } else { 0 };
        actions.push(Action::Send(text));
        if self.sent >= FLUSH_AT {
            (self.sent, self.flushing) = (0, true);
            actions.push(Action::Flush);
        }
    }

    /// Advances the answer at the head; false if it has to wait.
    fn step(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(Slot { request, work, .. }) = self.slots.line.front_mut() else { return false };
        let paced = matches!(work, Work::List(_));
        let text = match work {
            Work::Asked => return false,
            Work::Search(_) => {
                if let Work::Search(search) = std::mem::replace(work, Work::Asked) {
                    let number = self.slots.line.front().map_or(0, |slot| slot.number);
                    actions.push(Action::Ask(number, Ask::Search(search)));
                }
                return false;
            }
            Work::Ready(texts, _) => texts.pop_front(),
            Work::List(list) => {
                let text = list.full.pop_front();
                if text.is_none() {
                    let ask = match std::mem::replace(&mut list.step, Step::Reading) {
                        Step::Begin => {
                            let selection = Arc::clone(&list.selection);
                            if let Some(subscribe) = list.subscribe {
                                let subscription =
                                    subscribe.then(|| Subscription::new(Arc::clone(&selection), request.src.clone()));
                                self.subscriptions.follow_devices(subscription);
                                self.follow(false, actions);
                            }
                            Ask::List(selection)
                        }
                        Step::Rest(walk) => Ask::More(walk),
                        Step::Reading => return false,
                    };
                    let number = self.slots.line.front().map_or(0, |slot| slot.number);
                    actions.push(Action::Ask(number, ask));
                    return false;
                }
                text
            }
        };
        match text {
            Some(text) => self.send(text, paced, actions),
            None => {
                if let Some(Slot { request, work: Work::Ready(_, then), .. }) = self.slots.line.pop_front() {
                    self.follow_up(request, then, actions);
                }
            }
        }
        true
    }

    /// Performs what follows an answer that was sent.
    fn follow_up(&mut self, request: Request, then: Then, actions: &mut Vec<Action>) {
        let subscribes = request.body.bool("recvUpdates").unwrap_or(false);
        match then {
            Then::Nothing => return,
            Then::Await(domain, code) => {
                self.waiting.insert(code, Waiting { src: request.src, api: request.api });
                return actions.push(Action::Await(domain, code));
            }
            Then::Listed => {
                if let Some(devices) = &mut self.subscriptions.devices {
                    devices.go_live();
                }
            }
            Then::SwitchDevices(on) => {
                if let Some(devices) = &mut self.subscriptions.devices {
                    devices.switch(on);
                }
            }
            Then::Domains(told) => self.subscriptions.follow_domains(subscribes.then_some(told), request.src),
            Then::Configs(domain, told) => {
                self.subscriptions.follow_configs(subscribes.then_some((domain, told)), request.src);
            }
            Then::Count(told) => self.subscriptions.follow_count(subscribes.then_some(told), request.src),
        }
        self.follow(false, actions);
    }

    /// Announces the topics, if they have changed or if `anew` is set.
    fn follow(&mut self, anew: bool, actions: &mut Vec<Action>) {
        let topics = self.subscriptions.topics();
        if anew || topics != self.topics {
            self.topics = topics.clone();
            actions.push(Action::Follow(topics));
        }
    }

    pub(super) fn deliver(
        &mut self,
        domain: &DomainName,
        deliveries: &[Delivery],
        now: Tick,
        actions: &mut Vec<Action>,
    ) {
        for Delivery { code, port, device } in deliveries {
            let asked = self.waiting.get(code);
            let src = asked.and_then(|asked| asked.src.as_deref());
            let api = asked.and_then(|asked| asked.api.as_deref());
            let text = answers::device_provisioned(src, api, code, port.as_deref(), &device.object());
            actions.push(Action::Send(text));
        }
        let codes = deliveries.iter().map(|d| d.code).collect();
        actions.push(Action::Ping(self.settling.written(domain.clone(), codes, now)));
    }
}
