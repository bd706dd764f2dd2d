//! What a node knows of the wrong attempts over all nodes.
//!
//! Each node reports its wrong attempts in batches and learns those of the others with the answer. As long as nothing
//! wrong happens here, the store is asked once a minute at most. If the store is away, the node goes by what it knows.

use std::time::Duration;

use crate::core::model::time::Tick;
use crate::core::policy::limits::{PerSecond, Window};

/// How often the number over all is read while decisions are limited, or may soon be.
const WATCHED: Duration = Duration::from_secs(1);

/// How often it is read otherwise, if there are attempts at all.
const IDLE: Duration = Duration::from_secs(60);

/// What a node knows of the wrong attempts at one kind of secret over all nodes.
pub(super) struct OverAll {
    limit: u64,
    /// Wrong attempts that were not reported yet.
    unreported: u32,
    /// Those of this node within the last minute.
    own: Window,
    /// Those of all nodes, when the store was asked last.
    known: u64,
    asked_store: Option<Tick>,
    /// There was an attempt since.
    active: bool,
    /// Decisions of this second while the store is away.
    alone: PerSecond,
}

impl OverAll {
    pub fn new(limit: u64, per_second: u32) -> Self {
        Self {
            limit,
            unreported: 0,
            own: Window::new(limit, Duration::from_secs(60)),
            known: 0,
            asked_store: None,
            active: false,
            alone: PerSecond::new(per_second),
        }
    }

    /// A wrong attempt.
    pub fn count(&mut self, now: Tick) {
        self.unreported = self.unreported.saturating_add(1);
        self.own.count(now);
    }

    /// There was an attempt.
    pub const fn asked(&mut self) {
        self.active = true;
    }

    /// Takes what is to be reported now; `None`: the store need not be asked.
    pub fn report(&mut self, now: Tick) -> Option<u32> {
        let since = self.asked_store.map(|at| now.since(at));
        let watched = self.known.saturating_mul(2) > self.limit;
        let due = match since {
            None => true,
            Some(since) => since >= WATCHED && watched || since >= IDLE && self.active,
        };
        if self.unreported == 0 && !due {
            return None;
        }
        self.asked_store = Some(now);
        self.active = false;
        Some(std::mem::take(&mut self.unreported))
    }

    /// The store has answered a report.
    pub const fn learn(&mut self, known: u64) {
        self.known = known;
    }

    /// The store has not taken a report: the node goes by what it knows, and reports it later.
    pub fn keep(&mut self, wrong: u32, now: Tick) {
        self.unreported = self.unreported.saturating_add(wrong);
        self.known = self.own.events(now);
    }

    /// Whether there were too many.
    pub fn is_exceeded(&self, now: Tick) -> bool {
        self.known.max(self.own.events(now)) > self.limit
    }

    /// Takes up to `want` decisions of this second while the store is away.
    pub fn take_alone(&mut self, want: u32, now: Tick) -> u32 {
        (0..want).map_while(|_| self.alone.take(now).ok()).map(|()| 1).sum()
    }
}
