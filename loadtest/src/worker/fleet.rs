//! The devices of a load process: who connects when, and with what result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Registry, Token};
use provbroker::core::model::ids::HardwareId;

use super::device_socket::DeviceSocket;
use super::tls::{Tickets, Tls};
use crate::device::{Device, DeviceProfile, Failure, Peer, ReadOutcome};
use crate::worker_commands::{Group, Outcome, Report, Share, WorkerCommand};
use crate::ws;
use outcome_counts::OutcomeCounts;
use times::{Due, Pass, Run};

mod outcome_counts;
mod times;

/// Size of a read; more than a registration takes.
const READ: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not connected, and not due.
    Away,
    /// Connecting or registering.
    Trying,
    /// Refused or cut; it comes back later.
    Waiting,
    /// Registered.
    Member,
}

/// A device and the state of its current arrival.
struct Slot {
    device: Device,
    group: u16,
    number: usize,
    line: Option<DeviceSocket>,
    phase: Phase,
    /// Intended arrival, and start of the current attempt.
    intended: u64,
    attempt: u64,
    /// The registration of this arrival has been counted.
    counted: bool,
}

/// A group and its results.
struct DeviceGroup {
    group: Group,
    profile: DeviceProfile,
    /// Upgrade requests by domain, then server.
    requests: Vec<Vec<Vec<u8>>>,
    tally: OutcomeCounts,
}

/// The devices of one load process.
pub struct Fleet {
    registry: Registry,
    troops: Vec<DeviceGroup>,
    slots: Vec<Slot>,
    servers: Vec<SocketAddr>,
    tls: Option<Tls>,
    tickets: Arc<Tickets>,
    due: BinaryHeap<Reverse<(u64, usize, Due)>>,
    return_us: u64,
    pass: Option<Pass>,
    run: Option<Run>,
    open: u64,
    members: u64,
    waiting: u64,
    reports: Vec<Report>,
    buffer: Box<[u8]>,
    out: Vec<u8>,
}

impl Fleet {
    /// No devices yet.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            troops: Vec::new(),
            slots: Vec::new(),
            servers: Vec::new(),
            tls: None,
            tickets: Arc::default(),
            due: BinaryHeap::new(),
            return_us: 2_000_000,
            pass: None,
            run: None,
            open: 0,
            members: 0,
            waiting: 0,
            reports: Vec::new(),
            buffer: vec![0; READ].into(),
            out: Vec::new(),
        }
    }

    /// Executes a command. Results that take time are returned by [`Self::reports`].
    pub fn execute(&mut self, order: WorkerCommand, now: u64) -> anyhow::Result<Option<Report>> {
        match order {
            WorkerCommand::Play { run, groups } => self.play(run, groups)?,
            WorkerCommand::SetServers { servers, floor, tls } => {
                // Tickets are valid only for the configuration they were issued with.
                if self.tls.as_ref().map(Tls::order) != tls.as_ref() {
                    self.tls = tls.map(|order| Tls::new(order, &self.tickets)).transpose()?;
                }
                self.servers = servers;
                let peer = if floor { Peer::Floor } else { Peer::Broker };
                for troop in &mut self.troops {
                    troop.profile.peer = peer;
                    let request = |path: &String, server: &SocketAddr| ws::upgrade_request(&server.to_string(), path);
                    let of = |path| self.servers.iter().map(|server| request(path, server)).collect();
                    troop.requests = troop.group.paths.iter().map(of).collect();
                }
            }
            WorkerCommand::Enter { window } => {
                self.tickets.gather(true);
                let all = (0..self.slots.len()).rev().collect();
                self.pass = Some(Pass { next: all, window, under_way: 0 });
                return Ok(None);
            }
            WorkerCommand::WarmUp { window } => {
                self.tickets.gather(false);
                let additional = |slot: &usize| self.is_additional(*slot);
                let next = (0..self.slots.len()).filter(additional).collect();
                self.pass = Some(Pass { next, window, under_way: 0 });
                return Ok(None);
            }
            WorkerCommand::Go { return_us, tick_us, seed } => {
                self.return_us = return_us;
                self.start(now, tick_us, seed);
                return Ok(None);
            }
            WorkerCommand::ReportOutcome => return Ok(Some(Report::Outcome(self.outcome()))),
            WorkerCommand::Leave => {
                self.run = None;
                self.due.clear();
                (0..self.slots.len()).for_each(|slot| self.hang_up(slot, Phase::Away));
            }
        }
        Ok(Some(Report::Done))
    }

    fn play(&mut self, run: u64, groups: Vec<(Group, Option<Share>)>) -> anyhow::Result<()> {
        for (index, (group, share)) in groups.into_iter().enumerate() {
            let own = share.map(|share| (share.first..group.devices + group.warm_up).step_by(share.step.max(1)));
            let race = group.devices.checked_div(group.codes.len()).unwrap_or(1).max(1);
            for number in own.into_iter().flatten() {
                let id = HardwareId::parse(&format!("load-{run:x}-{index}-{number}"))?;
                let device = Device::new(id, group.codes.get(number / race).copied());
                let (line, phase, group) = (None, Phase::Away, u16::try_from(index)?);
                self.slots.push(Slot { device, group, number, line, phase, intended: 0, attempt: 0, counted: false });
            }
            let profile = DeviceProfile::new(Peer::Broker, group.admin_password.clone());
            self.troops.push(DeviceGroup { group, profile, requests: Vec::new(), tally: OutcomeCounts::default() });
        }
        Ok(())
    }

    fn is_additional(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        slot.number >= self.troops[usize::from(slot.group)].group.devices
    }

    fn begin(&mut self, at: usize, now: u64) {
        let slot = &mut self.slots[at];
        let troop = &mut self.troops[usize::from(slot.group)];
        troop.tally.counts.attempts += 1;
        self.waiting -= u64::from(slot.phase == Phase::Waiting);
        (slot.attempt, slot.phase) = (now, Phase::Trying);
        let server = slot.number % self.servers.len().max(1);
        let request = &troop.requests[slot.number % troop.requests.len().max(1)][server];
        let source = troop.group.sources.map(|(first, last)| spread(slot.number, first, last));
        slot.device.connected();
        self.open += 1;
        let tls = self.tls.as_ref().map(Tls::connection).transpose().map_err(io::Error::other);
        let line =
            tls.and_then(|tls| DeviceSocket::connect(self.servers[server], source, tls, &self.registry, Token(at)));
        match line.and_then(|mut line| line.send(request).map(|()| line)) {
            Ok(line) => slot.line = Some(line),
            Err(error) => self.fail(at, broken(&error), now),
        }
    }

    /// Handles a socket event.
    pub fn ready(&mut self, at: usize, readable: bool, writable: bool, over: bool, now: u64) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        // The event of a connection that was dropped meanwhile.
        let Some(line) = &mut slot.line else { return };
        if writable && let Err(error) = line.flush() {
            return self.fail(at, broken(&error), now);
        }
        if readable && let Err(failure) = self.read(at, over, now) {
            self.fail(at, failure, now);
        }
    }

    fn read(&mut self, at: usize, over: bool, now: u64) -> Result<(), Failure> {
        loop {
            let slot = &mut self.slots[at];
            let Some(line) = &mut slot.line else { return Ok(()) };
            let length = match line.read(&mut self.buffer).map_err(|error| broken(&error))? {
                None => return Ok(()),
                Some(0) => return Err(Failure::Ended),
                Some(length) => length,
            };
            self.out.clear();
            let profile = &self.troops[usize::from(slot.group)].profile;
            let outcome = slot.device.receive(profile, &self.buffer[..length], &mut self.out)?;
            if !self.out.is_empty() {
                line.send(&self.out).map_err(|error| broken(&error))?;
            }
            // Another event announces the rest, unless the end was announced already.
            let drained = line.is_drained_by(length, self.buffer.len()) && !over;
            if outcome == ReadOutcome::Registered {
                self.registered(at, now);
            }
            if drained {
                return Ok(());
            }
        }
    }

    fn registered(&mut self, at: usize, now: u64) {
        if let Some(pass) = &mut self.pass {
            pass.under_way -= 1;
            self.members += 1;
            self.slots[at].phase = Phase::Member;
            return self.hang_up(at, Phase::Away);
        }
        let slot = &mut self.slots[at];
        slot.phase = Phase::Member;
        self.members += 1;
        let troop = &mut self.troops[usize::from(slot.group)];
        let Some(run) = &mut self.run else { return };
        troop.tally.counts.last_us = now - run.start;
        troop.tally.admitted.record(now.saturating_sub(slot.attempt));
        if slot.counted {
            troop.tally.counts.again += 1;
        } else {
            slot.counted = true;
            troop.tally.counts.registered += 1;
            troop.tally.counts.resumed += u64::from(slot.line.as_ref().is_some_and(DeviceSocket::is_resumed));
            let latency = now.saturating_sub(slot.intended);
            troop.tally.latencies.record(latency);
            run.interval.record(latency);
        }
        if let Some(stay) = troop.group.stay_us {
            self.due.push(Reverse((now + stay, at, Due::Leave(slot.attempt))));
        }
    }

    fn fail(&mut self, at: usize, failure: Failure, now: u64) {
        let member = self.slots[at].phase == Phase::Member;
        self.troops[usize::from(self.slots[at].group)].tally.failed(failure, member);
        self.hang_up(at, Phase::Waiting);
        self.due.push(Reverse((now + self.return_us, at, Due::Return)));
    }

    fn hang_up(&mut self, at: usize, phase: Phase) {
        let slot = &mut self.slots[at];
        self.members -= u64::from(slot.phase == Phase::Member);
        self.open -= u64::from(matches!(slot.phase, Phase::Member | Phase::Trying));
        self.waiting -= u64::from(slot.phase == Phase::Waiting);
        self.waiting += u64::from(phase == Phase::Waiting);
        (slot.line, slot.phase) = (None, phase);
    }

    /// Takes the reports since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    fn outcome(&self) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = self.troops.iter().map(|troop| troop.tally.outcome()).collect();
        for slot in &self.slots {
            let outcome = &mut outcomes[usize::from(slot.group)];
            outcome.members += u64::from(slot.phase == Phase::Member);
            outcome.lost += u64::from(matches!(slot.phase, Phase::Trying | Phase::Waiting));
            outcome
                .entered
                .extend(slot.device.code_of_entry().map(|code| (code, slot.device.id().as_str().to_owned())));
        }
        outcomes
    }
}

/// Last octet of the source address of a device.
fn spread(number: usize, first: u8, last: u8) -> u8 {
    let width = usize::from(last.saturating_sub(first)) + 1;
    u8::try_from(usize::from(first) + number % width).unwrap_or(last)
}

fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::TimedOut | ErrorKind::AddrNotAvailable => Failure::Refused,
        ErrorKind::InvalidData => Failure::Wrong("TLS fails"),
        _ => Failure::Ended,
    }
}
