//! Timing of a fleet: arrivals of a run, devices that return or leave, passes before a run, ticks.

use std::cmp::Reverse;

use super::{DeviceGroup, Fleet, OutcomeCounts, Phase};
use crate::record::Latencies;
use crate::worker_commands::{Report, Tick};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The device comes back.
    Return,
    /// The device leaves, if it is still on the attempt started at that time.
    Leave(u64),
}

/// A pass before a run: a bounded number of devices register at a time, the next when one is done.
pub struct Pass {
    pub next: Vec<usize>,
    pub window: usize,
    pub under_way: usize,
}

/// A running run.
pub struct Run {
    pub start: u64,
    pub tick_us: u64,
    /// Times and slots, in descending order.
    pub arrivals: Vec<(u64, usize)>,
    pub interval: Latencies,
    pub ticks: u64,
}

impl Fleet {
    /// Schedules all arrivals and starts the run.
    pub(super) fn start(&mut self, now: u64, tick_us: u64, seed: u64) {
        let mut arrivals = Vec::new();
        for (index, troop) in self.troops.iter_mut().enumerate() {
            troop.tally = OutcomeCounts::default();
            let group = &troop.group;
            // Devices take turns; only slots of this process.
            let mut slots = vec![None; group.devices];
            for (at, slot) in self.slots.iter().enumerate() {
                if usize::from(slot.group) == index && slot.number < group.devices {
                    slots[slot.number] = Some(at);
                }
            }
            let times = group.arrival.schedule(group.arrivals, seed ^ index as u64);
            let mine = times.into_iter().enumerate().filter_map(|(number, time)| {
                let slot = slots.get(number % slots.len().max(1)).copied().flatten()?;
                Some((now + group.after_us + time, slot))
            });
            arrivals.extend(mine);
        }
        // Popped from the end.
        arrivals.sort_by_key(|&(time, _)| Reverse(time));
        self.run = Some(Run { start: now, tick_us, arrivals, interval: Latencies::new(), ticks: 0 });
    }

    /// Starts what is due, at most this many connections; returns when to call again.
    pub fn advance(&mut self, now: u64, mut begin: usize) -> Option<u64> {
        while let Some(&Reverse((time, slot, due))) = self.due.peek()
            && time <= now
            && begin > 0
        {
            self.due.pop();
            match due {
                Due::Return if self.slots[slot].phase == Phase::Waiting => {
                    begin -= 1;
                    self.begin(slot, now);
                }
                Due::Leave(attempt)
                    if self.slots[slot].attempt == attempt && self.slots[slot].phase == Phase::Member =>
                {
                    self.hang_up(slot, Phase::Away);
                }
                _ => {}
            }
        }
        while begin > 0
            && let Some(pass) = &mut self.pass
            && pass.under_way < pass.window
            && let Some(slot) = pass.next.pop()
        {
            begin -= 1;
            pass.under_way += 1;
            self.begin(slot, now);
        }
        if self.pass.as_ref().is_some_and(|pass| pass.under_way == 0 && pass.next.is_empty()) {
            self.pass = None;
            self.reports.push(Report::Done);
        }
        while begin > 0
            && let Some(run) = &mut self.run
            && let Some(&(time, slot)) = run.arrivals.last()
            && time <= now
        {
            run.arrivals.pop();
            begin -= 1;
            self.arrive(slot, time, now);
        }
        self.tick(now);
        let arrival = self.run.as_ref().and_then(|run| Some(run.arrivals.last()?.0));
        let tick = self.run.as_ref().map(|run| run.start + (run.ticks + 1) * run.tick_us);
        let due = self.due.peek().map(|Reverse((time, ..))| *time);
        let pass = self.pass.as_ref().filter(|pass| pass.under_way < pass.window && !pass.next.is_empty());
        [arrival, tick, due, pass.map(|_| now)].into_iter().flatten().min()
    }

    fn arrive(&mut self, slot: usize, intended: u64, now: u64) {
        let counts = &mut self.troops[usize::from(self.slots[slot].group)].tally.counts;
        counts.arrivals += 1;
        if self.slots[slot].phase != Phase::Away {
            counts.busy += 1;
            return;
        }
        self.slots[slot].intended = intended;
        self.slots[slot].counted = false;
        self.begin(slot, now);
    }

    fn tick(&mut self, now: u64) {
        let Some(run) = &mut self.run else { return };
        while now >= run.start + (run.ticks + 1) * run.tick_us {
            let sum = |of: fn(&DeviceGroup) -> u64| self.troops.iter().map(of).sum();
            self.reports.push(Report::Tick(Tick {
                number: run.ticks,
                registered: sum(|troop| troop.tally.counts.registered),
                failed: sum(|troop| troop.tally.counts.failed),
                open: self.open,
                members: self.members,
                waiting: self.waiting,
                to_come: run.arrivals.len() as u64,
                latencies: run.interval.sparse(),
            }));
            run.interval.clear();
            run.ticks += 1;
        }
    }
}
