//! `PbxAdminApi` of the simulated exchange (`docs/protocol/pbx.md` section 2).

use std::time::Duration;

use super::machine::{Action, ConnId, ExchangeSim};
use super::objects::{ExchangeObject, json_of, quoted};
use super::switches::Cut;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::message::Request;
use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::entry::{DeviceEntry, hardware_key};

const HIDDEN: [&str; 5] = ["sreg", "mr", "voip", "gk-id", "prim"];
const PAGE: usize = 20;
const NONE: Duration = Duration::ZERO;

impl ExchangeSim {
    pub(super) fn admin(&mut self, id: ConnId, request: &Request, text: &str, now: Tick, actions: &mut Vec<Action>) {
        let body = &request.body;
        match &*request.mt {
            "SearchUsers" => {
                let users = self.page(body.str("cn").unwrap_or_default(), body.bool("includeMatch") == Some(true));
                self.answer(id, request, &format!(r#""user":[{}]"#, users.join(",")), NONE, now);
            }
            "GetObject" => {
                let rest = self.find(body).map(|object| self.shown(object));
                self.found(id, request, rest, now);
            }
            "UpdateObject" => self.update(id, request, text, now, actions),
            "GetAppObjects" => {
                let apps: Vec<String> = self.apps.iter().map(app).collect();
                self.answer(id, request, &format!(r#""objects":[{}]"#, apps.join(",")), NONE, now);
            }
            "GetRegs" => {
                let rest = self.find(body).map(|object| self.registrations(object, now));
                self.found(id, request, rest, now);
            }
            "GetPbxConfig" => {
                let rest = format!(r#""loc":{}"#, quoted(&self.identity.pbx));
                self.answer(id, request, &rest, NONE, now);
            }
            "MonitorConfig" => {
                self.answer(id, request, "", NONE, now);
                let src = request.src.as_deref().map(|src| format!(r#","src":{}"#, quoted(src))).unwrap_or_default();
                let (domain, pbx) = (quoted(&self.identity.domain), quoted(&self.identity.pbx));
                let info = format!(
                    r#"{{"mt":"MonitorConfigInfo","api":"PbxAdminApi"{src},"domain":{domain},"pbx":{pbx},"dns":"pbx.example.com"}}"#
                );
                self.schedule(id, info, NONE, now);
            }
            _ => self.answer(id, request, r#""error":3,"errorText":"unknown""#, NONE, now),
        }
    }

    fn find(&self, body: &Object<'_>) -> Option<&ExchangeObject> {
        match (body.str("guid"), body.str("cn")) {
            (Some(guid), _) => self.objects.get(guid),
            (None, Some(name)) => self.objects.called(name),
            (None, None) => None,
        }
    }

    fn found(&mut self, id: ConnId, request: &Request, rest: Option<String>, now: Tick) {
        let rest = match rest {
            Some(rest) => rest,
            None if self.switches.unknown_is_error => r#""error":1,"errorText":"no such object""#.into(),
            None => String::new(),
        };
        self.answer(id, request, &rest, NONE, now);
    }

    fn page(&self, name: &str, include_match: bool) -> Vec<String> {
        let from = if self.switches.repeat_page { "" } else { name };
        let behind = self.objects.from_name(from).filter(|object| object.is_user());
        let behind = behind.filter(|object| include_match || from.is_empty() || *object.text("cn") != *from);
        let user = |object: &ExchangeObject| {
            let text = |name: &str| quoted(&object.text(name));
            let guid = quoted(&object.guid);
            let (cn, dn, h323) = (text("cn"), text("dn"), text("h323"));
            json_of([("cn", &*cn), ("dn", &*dn), ("guid", &*guid), ("h323", &*h323)])
        };
        behind.take(PAGE).map(user).collect()
    }

    /// The members of an object as `GetObject` shows them.
    fn shown(&self, object: &ExchangeObject) -> String {
        let guid = quoted(&object.guid);
        let devices = if self.switches.hide { without_hidden(&object.devices()) } else { String::new() };
        let members = object.members.iter().map(|(name, json)| {
            let json = if self.switches.hide && &**name == "devices" { devices.as_str() } else { &**json };
            (&**name, json)
        });
        let all = json_of([("guid", guid.as_str())].into_iter().chain(members).chain([("pwd", "\"0011223344\"")]));
        // Without the braces.
        all[1..all.len() - 1].into()
    }

    fn registrations(&self, object: &ExchangeObject, now: Tick) -> String {
        let mut regs: Vec<String> = Vec::new();
        if self.switches.strange_registrations {
            regs.push(r#"{"hw":"00-90-33-FF-FF-FF","addr":"192.0.2.99"}"#.into());
        }
        for entry in object.devices() {
            let key = (object.guid.clone(), hardware_key(entry.hw()));
            let since = self.entered_at.get(&key).copied();
            let is_there = self.switches.registered_after.zip(since).is_some_and(|(after, since)| since + after <= now);
            if is_there {
                let hw = if self.switches.strange_registrations { spelt(entry.hw()) } else { entry.hw().into() };
                regs.push(format!(r#"{{"hw":{},"addr":"192.0.2.17"}}"#, quoted(&hw)));
            }
        }
        format!(r#""cn":{},"regs":[{}]"#, quoted(&object.text("cn")), regs.join(","))
    }

    fn update(&mut self, id: ConnId, request: &Request, text: &str, now: Tick, actions: &mut Vec<Action>) {
        self.observed.updates.push(text.into());
        if self.switches.cut == Some(Cut::Before) {
            self.switches.cut = None;
            return self.cut(id, actions);
        }
        let delay = self.switches.update_delay.max(self.switches.delay);
        self.updates_open.push_back(now + delay);
        // Excludes those whose answer is sent at this very moment.
        let open = self.updates_open.iter().filter(|until| **until > now).count().max(1);
        self.observed.most_updates = self.observed.most_updates.max(open);
        if let Some((left, error)) = &mut self.switches.refuse
            && *left > 0
        {
            *left -= 1;
            let rest = format!(r#""error":{error},"errorText":"refused""#);
            return self.answer(id, request, &rest, delay, now);
        }
        let creates = self.switches.create_instead > 0;
        self.switches.create_instead = self.switches.create_instead.saturating_sub(1);
        let created_before = self.observed.created;
        let guid = match (request.body.str("guid"), request.body.str("cn")) {
            _ if creates => Some(self.create()),
            (None, _) => Some(self.create()),
            (Some("*"), Some(name)) => self.objects.called(name).map(|object| object.guid.clone()),
            (Some("?"), Some(name)) => {
                let known = self.objects.called(name).map(|object| object.guid.clone());
                Some(known.unwrap_or_else(|| self.create()))
            }
            (Some(guid), _) => self.objects.get(guid).map(|object| object.guid.clone()),
        };
        let Some(guid) = guid else { return self.found(id, request, None, now) };
        self.apply(&guid, &request.body, now);
        if self.switches.cut == Some(Cut::After) {
            self.switches.cut = None;
            return self.cut(id, actions);
        }
        let is_named = self.observed.created > created_before || self.switches.name_updated;
        let rest = if is_named { format!(r#""guid":{}"#, quoted(&guid)) } else { String::new() };
        self.answer(id, request, &rest, delay, now);
        let by = if self.switches.echo { None } else { Some(id) };
        self.notify_sessions(&guid, "ReplicateUpdate", by, now);
    }

    fn create(&mut self) -> Box<str> {
        self.observed.created += 1;
        let guid = self.draw_guid();
        self.objects.put(ExchangeObject { guid: guid.clone(), members: Vec::new() });
        guid
    }

    /// Sets the members that are present.
    pub(super) fn apply(&mut self, guid: &str, body: &Object<'_>, now: Tick) {
        let Some(mut object) = self.objects.get(guid).cloned() else { return };
        self.before = object.devices();
        for (name, value) in body.members().filter(|(name, _)| !matches!(*name, "mt" | "api" | "src" | "guid")) {
            if name == "devices" && *value == Value::Null {
                continue;
            }
            object.set(name, value);
        }
        for entry in object.devices().iter().filter(|entry| !self.before.iter().any(|old| old.is(entry.hw()))) {
            let key = (object.guid.clone(), hardware_key(entry.hw()));
            *self.observed.entered.entry(key.clone()).or_default() += 1;
            self.entered_at.insert(key, now);
        }
        self.objects.put(object);
    }
}

fn app((name, kind): &(Box<str>, Option<Box<str>>)) -> String {
    let quoted_name = quoted(name);
    let mut members = vec![("title", quoted_name.clone()), ("app", quoted_name.clone()), ("sip", quoted_name)];
    members.extend(kind.as_ref().map(|kind| ("deviceapp", quoted(kind))));
    json_of(members.iter().map(|(name, json)| (*name, json.as_str())))
}

fn without_hidden(entries: &[DeviceEntry]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| match Object::parse(entry.json().as_bytes()) {
            Ok(object) => {
                let members: Vec<(&str, String)> = object
                    .members()
                    .filter(|(name, _)| !HIDDEN.contains(name))
                    .map(|(name, value)| (name, value.canonical()))
                    .collect();
                json_of(members.iter().map(|(name, json)| (*name, json.as_str())))
            }
            Err(_) => entry.json().into(),
        })
        .collect();
    format!("[{}]", entries.join(","))
}

/// A MAC address with capitals and hyphens.
fn spelt(hw: &str) -> String {
    let key = hardware_key(hw).to_uppercase();
    if key.len() != 12 || !key.is_ascii() {
        return hw.into();
    }
    let pairs: Vec<&str> = (0..6).map(|n| &key[n * 2..n * 2 + 2]).collect();
    pairs.join("-")
}
