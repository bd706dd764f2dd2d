//! The passes that fill the mirror (`docs/protocol/pbx.md` section 3): start, row by row, end, and the notices after
//! it.

use std::collections::BTreeSet;

use super::{ExchangeClient, Grant};
use crate::core::model::time::Tick;
use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::event::{Action, Report};
use crate::core::session::exchange::guid::Guid;
use crate::core::session::exchange::message::failure;
use crate::core::session::exchange::mirror::{Row, State as Trust};
use crate::core::session::exchange::request::{self, NEEDED};
use crate::core::session::exchange::settings::ANSWER_TIME;

/// State of a pass.
#[derive(Debug)]
pub(super) enum Pass {
    /// No pass on this connection, or not yet.
    None,
    /// Starts at this time.
    Due(Tick),
    /// `ReplicateStart` has been sent.
    Starting { mark: Box<str>, since: Tick },
    /// Rows arrive; `since` is when the last was requested, `None` while the next waits for the limit of requests in
    /// flight.
    Walking { mark: Box<str>, since: Option<Tick>, seen: BTreeSet<Guid> },
    /// The pass is complete; notices arrive.
    Live { mark: Box<str> },
    /// The table lacks required columns.
    Useless,
}

impl Pass {
    /// Requests in flight.
    pub(super) const fn in_flight(&self) -> usize {
        match self {
            Self::Starting { .. } | Self::Walking { since: Some(_), .. } => 1,
            _ => 0,
        }
    }

    pub(super) fn wake(&self) -> Option<Tick> {
        match self {
            Self::Due(at) => Some(*at),
            Self::Starting { since, .. } | Self::Walking { since: Some(since), .. } => Some(*since + ANSWER_TIME),
            _ => None,
        }
    }

    /// The mark to write rows with.
    pub(super) fn mark(&self) -> Option<&str> {
        match self {
            Self::Walking { mark, .. } | Self::Live { mark } => Some(mark),
            _ => None,
        }
    }
}

impl ExchangeClient {
    /// Schedules a new pass as soon as the back-off allows.
    pub(super) fn schedule_pass(&mut self) {
        if self.mirror.state() == Trust::Complete {
            self.mirror.trust(Trust::Stale);
        }
        self.pass = Pass::Due(self.backoff.free_at());
    }

    pub(super) fn pass_timer(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let (Pass::Starting { since, .. } | Pass::Walking { since: Some(since), .. }) = &self.pass else { return };
        if now.since(*since) < ANSWER_TIME {
            return;
        }
        if self.table == Grant::Unknown {
            // The interface was never announced and does not answer.
            self.no_table(now, actions);
        } else {
            self.unanswered += 1;
            self.schedule_pass();
        }
    }

    fn no_table(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.table = Grant::No;
        self.pass = Pass::Useless;
        self.granted(now, actions);
    }

    /// Sends the next message of the pass.
    pub(super) fn pump_pass(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if self.requests.in_flight() >= self.settings.in_flight.max(1) {
            return;
        }
        match &mut self.pass {
            Pass::Due(at) if *at <= now => {
                self.backoff.note(now);
                let mark = self.requests.pass_mark();
                actions.push(Action::Send(request::start(&mark, self.admin == Grant::No)));
                self.pass = Pass::Starting { mark, since: now };
            }
            Pass::Walking { mark, since: since @ None, .. } => {
                *since = Some(now);
                actions.push(Action::Send(request::next(mark)));
            }
            _ => {}
        }
    }

    /// Handles a message of the table.
    pub(super) fn table_message(&mut self, mt: &str, message: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        match mt {
            "ReplicateStartResult" => self.started(message, now, actions),
            "ReplicateNextResult" => self.next_row(message, now, actions),
            "ReplicateAdd" | "ReplicateUpdate" => self.row(message.object("columns"), now, actions),
            "ReplicateDel" => {
                let guid = message.object("columns").and_then(|row| Guid::parse(row.str("guid")?).ok());
                if let Some(guid) = guid
                    && self.mirror.remove(&guid)
                {
                    self.deleted(guid, actions);
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, message: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        let Pass::Starting { mark, .. } = &self.pass else { return };
        if message.str("src") != Some(&**mark) {
            return;
        }
        self.unanswered = 0;
        if let Some(error) = failure(message) {
            actions.push(Action::Report(Report::Error("ReplicateStart", error)));
            return if self.table == Grant::Unknown { self.no_table(now, actions) } else { self.schedule_pass() };
        }
        let offered = message.object("columns");
        let lacks = NEEDED.into_iter().find(|name| !offered.is_some_and(|columns| columns.has(name)));
        if let Some(name) = lacks {
            actions.push(Action::Report(Report::TableLacks(name)));
            return self.no_table(now, actions);
        }
        self.table = Grant::Yes;
        self.pass = Pass::Walking { mark: mark.clone(), since: None, seen: BTreeSet::new() };
        self.retry_waiting(now, actions);
    }

    fn next_row(&mut self, message: &Object<'_>, now: Tick, actions: &mut Vec<Action>) {
        let Pass::Walking { mark, since, seen } = &mut self.pass else { return };
        if message.str("src") != Some(&**mark) || since.is_none() {
            return;
        }
        self.unanswered = 0;
        if let Some(error) = failure(message) {
            actions.push(Action::Report(Report::Error("ReplicateNext", error)));
            return self.schedule_pass();
        }
        // Two forms mark the end of a pass: no row, and a row without a GUID.
        let columns = message.object("columns").filter(|row| !matches!(row.get("guid"), None | Some(Value::Null)));
        if columns.is_some() {
            *since = None;
            return self.row(columns, now, actions);
        }
        let (mark, seen) = (mark.clone(), std::mem::take(seen));
        self.pass = Pass::Live { mark };
        for gone in self.mirror.sweep(&seen) {
            self.deleted(gone, actions);
        }
        self.mirror.trust(Trust::Complete);
        self.backoff.passed();
        self.retry_waiting(now, actions);
    }

    fn row(&mut self, columns: Option<&Object<'_>>, now: Tick, actions: &mut Vec<Action>) {
        let Some(row) = columns.and_then(|columns| Row::read(columns, self.admin == Grant::No)) else {
            actions.push(Action::Report(Report::Malformed("a row without a GUID")));
            return;
        };
        if let Pass::Walking { seen, .. } = &mut self.pass {
            seen.insert(row.guid.clone());
        }
        self.note_row(&row, now, actions);
        if !self.mirror.put(row) {
            actions.push(Action::Report(Report::TooManyUsers));
        }
    }
}
