//! The queue of requests of one connection: `src` marks, time-outs, and the limits on requests in flight and per
//! second (`docs/protocol/pbx.md` 1.3 and 6).
//!
//! It does not know what the requests are for; answers are returned with their owner.

use std::collections::{BTreeMap, VecDeque};

use super::object::Unsendable;
use super::request::{Class, Request};
use super::settings::{ANSWER_TIME, Settings, UPDATE_TIME};
use crate::core::model::time::Tick;
use crate::core::session::exchange::rate::RateWindow;

#[derive(Debug)]
struct InFlight<O> {
    owner: O,
    mt: &'static str,
    class: Class,
    until: Tick,
}

/// The requests of one connection, each with its owner.
#[derive(Debug)]
pub(super) struct RequestQueue<O> {
    /// Never reused; continues across connections.
    last_src: u64,
    in_flight: BTreeMap<u64, InFlight<O>>,
    /// Requests of the holder of the write slot; sent first.
    urgent: VecDeque<(Request, O)>,
    waiting: VecDeque<(Request, O)>,
    updates: RateWindow,
    others: RateWindow,
}

impl<O: Copy> RequestQueue<O> {
    pub(super) fn new() -> Self {
        Self {
            last_src: 0,
            in_flight: BTreeMap::new(),
            urgent: VecDeque::new(),
            waiting: VecDeque::new(),
            updates: RateWindow::default(),
            others: RateWindow::default(),
        }
    }

    /// Queues a request.
    pub(super) fn ask(&mut self, request: Request, owner: O, urgent: bool) {
        let queue = if urgent { &mut self.urgent } else { &mut self.waiting };
        queue.push_back((request, owner));
    }

    /// A mark for a pass of the mirror.
    pub(super) fn pass_mark(&mut self) -> Box<str> {
        self.last_src += 1;
        format!("r{}", self.last_src).into()
    }

    /// Earliest time of the next request of a class by its rate limit.
    fn free_at(&self, class: Class, settings: &Settings) -> Tick {
        match class {
            Class::Update => self.updates.free_at(settings.updates_per_second),
            Class::Search | Class::Other => self.others.free_at(settings.requests_per_second),
        }
    }

    /// Whether the limits on requests in flight allow one of a class; `beside` is what the mirror has in flight.
    fn has_room(&self, class: Class, beside: usize, settings: &Settings) -> bool {
        let one = |class: Class| !self.in_flight.values().any(|sent| sent.class == class);
        self.in_flight.len() + beside < settings.in_flight.max(1)
            && match class {
                Class::Update | Class::Search => one(class),
                Class::Other => true,
            }
    }

    /// Takes the next request that may be sent, as text; or its owner, if it must not be sent.
    pub(super) fn next(
        &mut self,
        now: Tick,
        beside: usize,
        settings: &Settings,
    ) -> Option<Result<String, (O, Unsendable)>> {
        let (urgent, at) = self.sendable(now, beside, settings)?;
        let queue = if urgent { &mut self.urgent } else { &mut self.waiting };
        let (request, owner) = queue.remove(at)?;
        let (mt, class) = (request.mt(), request.class());
        self.last_src += 1;
        let text = match request.write(self.last_src, now) {
            Ok(text) => text,
            Err(why) => return Some(Err((owner, why))),
        };
        let (rate, time) = match class {
            Class::Update => (&mut self.updates, UPDATE_TIME),
            Class::Search | Class::Other => (&mut self.others, ANSWER_TIME),
        };
        rate.note(now);
        self.in_flight.insert(self.last_src, InFlight { owner, mt, class, until: now + time });
        Some(Ok(text))
    }

    fn sendable(&self, now: Tick, beside: usize, settings: &Settings) -> Option<(bool, usize)> {
        let may = |class: Class| self.has_room(class, beside, settings) && self.free_at(class, settings) <= now;
        // The first of each class decides for the whole class.
        let may = [Class::Update, Class::Search, Class::Other].map(|class| (class, may(class)));
        if !may.iter().any(|(_, may)| *may) {
            return None;
        }
        let may_go = |(request, _): &(Request, O)| may.contains(&(request.class(), true));
        if let Some(at) = self.urgent.iter().position(may_go) {
            return Some((true, at));
        }
        self.waiting.iter().position(may_go).map(|at| (false, at))
    }

    /// Takes the owner of the request that an answer belongs to; the message type must match too.
    pub(super) fn answered(&mut self, src: Option<&str>, mt: &str) -> Option<O> {
        let src = src?.parse().ok()?;
        let sent = self.in_flight.get(&src)?;
        if mt.strip_suffix("Result") != Some(sent.mt) {
            return None;
        }
        self.in_flight.remove(&src).map(|sent| sent.owner)
    }

    /// Takes the owner of a request that has timed out.
    pub(super) fn overdue(&mut self, now: Tick) -> Option<O> {
        let src = *self.in_flight.iter().find(|(_, sent)| sent.until <= now)?.0;
        self.in_flight.remove(&src).map(|sent| sent.owner)
    }

    /// The connection has ended: drops all pending and queued requests.
    pub(super) fn end(&mut self) {
        self.in_flight.clear();
        self.urgent.clear();
        self.waiting.clear();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Earliest time at which a request times out or may be sent.
    pub(super) fn wake(&self, beside: usize, settings: &Settings) -> Option<Tick> {
        let overdue = self.in_flight.values().map(|sent| sent.until).min();
        let classes = [Class::Update, Class::Search, Class::Other].into_iter().filter(|&class| {
            let waits = |(request, _): &(Request, O)| request.class() == class;
            self.has_room(class, beside, settings) && (self.urgent.iter().any(waits) || self.waiting.iter().any(waits))
        });
        let free = classes.map(|class| self.free_at(class, settings)).min();
        overdue.into_iter().chain(free).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::session::exchange::guid::Guid;

    fn guid() -> Guid {
        Guid::parse("a41c7e0b93d2460f8b5e17c2d9604f3a").unwrap()
    }

    #[test]
    fn four_in_flight_one_search_and_answers_to_their_owners() {
        let settings = Settings::default();
        let mut requests = RequestQueue::new();
        for owner in 0..2 {
            requests.ask(Request::Search("".into()), owner, false);
        }
        for owner in 2..8 {
            requests.ask(Request::Object(guid()), owner, owner == 7);
        }
        let mut sent = Vec::new();
        while let Some(text) = requests.next(Tick(0), 1, &settings) {
            sent.push(text.unwrap());
        }
        assert_eq!(sent.len(), 3, "one of the requests in flight is the mirror's");
        assert!(sent[0].contains("GetObject") && sent[1].contains("SearchUsers") && sent[2].contains("GetObject"));
        assert_eq!(requests.answered(Some("1"), "SearchUsersResult"), None, "another kind");
        assert_eq!(requests.answered(Some("1"), "GetObjectResult"), Some(7));
        assert_eq!(requests.answered(Some("1"), "GetObjectResult"), None, "answered before");
        assert_eq!(requests.overdue(Tick(9_999)), None);
        assert_eq!(requests.overdue(Tick(10_000)), Some(0));
        assert_eq!(requests.in_flight(), 1);
    }
}
