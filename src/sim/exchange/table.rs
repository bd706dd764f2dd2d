//! `PbxTableUsers` of the simulated exchange (`docs/protocol/pbx.md` section 3).

use std::time::Duration;

use super::machine::{Action, ConnId, ExchangeSim, Session};
use super::objects::{ExchangeObject, json_of, quoted};
use crate::core::model::time::Tick;
use crate::core::protocol::appws::message::Request;

/// A request for more types than this makes it restart.
const MAX_TYPES: usize = 20;
const OFFERED: [&str; 11] = ["guid", "h323", "cn", "dn", "e164", "loc", "node", "config", "apps", "pseudo", "devices"];

impl ExchangeSim {
    pub(super) fn table(&mut self, id: ConnId, request: &Request, now: Tick, actions: &mut Vec<Action>) {
        match &*request.mt {
            "ReplicateStart" => {
                if request.body.array("pseudo").is_some_and(|types| types.len() > MAX_TYPES) {
                    return self.restart(now, actions);
                }
                let asked = request.body.object("columns");
                let lacks = self.switches.lacks.as_deref();
                let has = |name: &&&str| asked.is_some_and(|asked| asked.has(name)) && Some(**name) != lacks;
                let columns: Vec<Box<str>> = OFFERED.iter().filter(has).map(|&name| name.into()).collect();
                let form: Vec<String> = columns.iter().map(|name| format!("{}:{{}}", quoted(name))).collect();
                let session =
                    Session { mark: Some(request.src.clone().unwrap_or_default()), columns, ..Session::default() };
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.session = session;
                }
                self.answer(id, request, &format!(r#""columns":{{{}}}"#, form.join(",")), Duration::ZERO, now);
            }
            "ReplicateNext" => self.next_row(id, request, now),
            "ReplicateUpdate" => {
                let Some(columns) = request.body.object("columns") else { return };
                let Some(guid) = columns.str("guid").map(Box::<str>::from) else { return };
                self.apply(&guid, columns, now);
                let by = if self.switches.echo { None } else { Some(id) };
                self.notify_sessions(&guid, "ReplicateUpdate", by, now);
            }
            _ => {}
        }
    }

    fn next_row(&mut self, id: ConnId, request: &Request, now: Tick) {
        let Some(conn) = self.conns.get(&id) else { return };
        let mut after = conn.session.last.clone();
        let row = loop {
            match self.objects.after(after.as_deref()) {
                Some(object) if object.is_user() => break Some(object),
                Some(object) => after = Some(object.guid.clone()),
                None => break None,
            }
        };
        let row = row.map(|object| (object.guid.clone(), row_of(object, &conn.session.columns)));
        let rest = match (&row, self.switches.end_is_empty_row) {
            (Some((_, row)), _) => format!(r#""columns":{row}"#),
            (None, true) => r#""columns":{}"#.into(),
            (None, false) => String::new(),
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.session.done = row.is_none();
            conn.session.last = row.map(|(guid, _)| guid);
        }
        self.answer(id, request, &rest, Duration::ZERO, now);
    }

    /// Notifies every replicating session except that of `by` of a change.
    pub(super) fn notify_sessions(&mut self, guid: &str, mt: &str, by: Option<ConnId>, now: Tick) {
        let sessions: Vec<(ConnId, Box<str>, Vec<Box<str>>)> = self
            .conns
            .iter()
            .filter(|(id, conn)| conn.inside && Some(**id) != by)
            .filter_map(|(id, conn)| Some((*id, conn.session.mark.clone()?, conn.session.columns.clone())))
            .collect();
        for (id, mark, columns) in sessions {
            let row = match self.objects.get(guid) {
                Some(object) if object.is_user() => row_of(object, &columns),
                Some(_) => continue,
                None => format!(r#"{{"guid":{}}}"#, quoted(guid)),
            };
            let mark = quoted(&mark);
            let text = format!(r#"{{"mt":"{mt}","api":"PbxTableUsers","src":{mark},"columns":{row}}}"#);
            self.schedule(id, text, Duration::ZERO, now);
        }
    }
}

/// A row: the full object, without false booleans and empty arrays.
fn row_of(object: &ExchangeObject, columns: &[Box<str>]) -> String {
    let guid = quoted(&object.guid);
    let members = object.members.iter().map(|(name, json)| (&**name, &**json));
    let members = members.filter(|(name, json)| {
        columns.iter().any(|column| **column == **name) && !matches!(*json, "false" | "[]") && *name != "pseudo"
    });
    json_of([("guid", guid.as_str())].into_iter().chain(members))
}
