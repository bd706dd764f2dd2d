//! What a member requests and the work done for it: lines, tunnels, ports (`docs/protocol/sysclient.md` 5.2, 7 and
//! 3.5).

use std::time::Duration;

use super::Session;
use crate::core::model::device::Facts;
use crate::core::model::time::Tick;
use crate::core::policy::entry::Stage;
use crate::core::policy::jobs::plan::{ItemOrder, Plan};
use crate::core::protocol::sysclient::admin::OfferedCode;
use crate::core::protocol::sysclient::config::ConfigItem;
use crate::core::protocol::sysclient::frame::FromServer;
use crate::core::session::device::event::{
    Action, Basis, Output, Planned, Settings, TunnelId, TunnelRefused, TunnelRequest,
};
use crate::core::session::device::state::{Member, State};
use crate::core::session::device::worker::{Next, Worker};

/// Wait before a failed store operation is repeated.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Wait before joining is repeated; shorter, because no work can be done for the device before.
const JOIN_RETRY: Duration = Duration::from_millis(500);

/// Longest answer to a line that is read, in bytes; the rest is ignored.
const ANSWER_MAX: usize = 64 * 1024;

/// Requests for ports that may be queued behind the one whose decision waits.
const PORTS: usize = 8;

/// The error of a port whose code was not looked at.
const TRY_LATER: &str = "try again later";

impl Session {
    pub(super) fn on_joined(&mut self, joined: bool, now: Tick, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        if !joined {
            // It has proved its identity. If the connection were closed, it would have to do so again, just when the
            // load is high.
            member.join_at = Some(now + JOIN_RETRY);
            return;
        }
        match member.waiting_identify.take() {
            Some(identify) => actions.push(Action::Claim(identify.into(), Stage::Member)),
            None if !member.planned => member.plan(actions),
            None => {}
        }
    }

    pub(super) fn on_replan(&mut self, actions: &mut Vec<Action>) {
        // While lines are under way no plan is needed: a new one is made after them.
        if let State::Member(member) = &mut self.state
            && member.planned
            && !member.is_busy()
        {
            actions.push(Action::Plan(Basis::Store(None)));
        }
    }

    /// With new facts, for example after an update outside of a job, the plan may change.
    pub(super) fn on_new_facts(&mut self, facts: Box<Facts>, actions: &mut Vec<Action>) {
        if let State::Member(member) = &mut self.state
            && member.planned
            && !member.is_busy()
        {
            actions.push(Action::Plan(Basis::Store(Some(facts))));
        }
    }

    pub(super) fn on_planned(&mut self, planned: Planned, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        let (mut device, mut plan, seeds, time) = match planned {
            Planned::Work { device, plan, seeds, now } => (device, plan, seeds, now),
            Planned::Gone => return,
            Planned::Unavailable => {
                member.replan_at = Some(now + STORE_RETRY);
                return;
            }
        };
        member.replan_at = plan.recheck_after.map(|wait| now + wait);
        let known = std::mem::replace(&mut device.work, std::mem::take(&mut plan.work));
        let mut worker = Worker::new(device, plan.clean_up, time);
        actions.extend(worker.event_since(&known).map(Action::Note));
        if member.other {
            let items = std::mem::take(&mut plan.items).into_iter().zip(seeds);
            member.send_items(items, &mut worker, actions);
        }
        let next = worker.begin(&mut plan);
        // Progress of an earlier entry is ignored when it is read, so empty progress need not be stored.
        if worker.device.work != known && !worker.device.work.is_empty() {
            actions.push(Action::Keep(Box::new(worker.device.work.clone())));
        }
        member.worker = Some(Box::new(worker));
        match next {
            Some(next) => self.perform(next, now, settings, actions),
            None => self.finish(&plan, now, settings, actions),
        }
    }

    /// No update or configuration can be done now: deposit the notice or clean up.
    fn finish(&mut self, plan: &Plan, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        if plan.update_open || plan.config_open {
            member.worker = None;
        } else if let Some(code) = member.pending_notice {
            actions.push(Action::Deposit(code));
        } else {
            self.clean_up(now, settings, actions);
        }
    }

    /// The clean-up, the last part of the work.
    fn clean_up(&mut self, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        let next = member.worker.as_mut().and_then(|worker| worker.begin_clean_up());
        match next {
            Some(next) => self.perform(next, now, settings, actions),
            None => member.worker = None,
        }
    }

    pub(super) fn on_deposited(&mut self, done: bool, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        if done {
            member.pending_notice = None;
            self.clean_up(now, settings, actions);
        } else {
            member.deposit_at = Some(now + STORE_RETRY);
        }
    }

    fn perform(&mut self, next: Next, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        match next {
            Next::Line(request) => {
                member.lines += 1;
                let id = TunnelId::own(member.lines);
                member.line = Some(id);
                if let Err(refused) = member.tunnels.open(id, request, settings.max_tunnels, now, actions) {
                    actions.push(Action::Tunnel(id, Output::Refused(refused)));
                }
            }
            Next::Replan => {
                member.line = None;
                if let Some(worker) = member.worker.take() {
                    actions.push(Action::Keep(Box::new(worker.device.work.clone())));
                    actions.push(Action::Plan(Basis::Record(worker.device)));
                }
            }
        }
    }

    /// Removes the output of the session's own tunnels from `actions` and handles it.
    pub(super) fn handle_own_tunnels(&mut self, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        while let Some(at) = actions.iter().position(Action::is_of_own_line) {
            let Action::Tunnel(id, mut output) = actions.remove(at) else { return };
            let State::Member(member) = &mut self.state else { continue };
            let Some(worker) = member.worker.as_mut().filter(|_| member.line == Some(id)) else { continue };
            if let Output::Body(bytes) = &output {
                if worker.read(bytes.len()) <= ANSWER_MAX {
                    member.tunnels.taken(id, now, actions);
                } else {
                    member.tunnels.abandon(id, now, actions);
                    output = Output::Done;
                }
            }
            let mut events = Vec::new();
            let next = worker.on(&output, &mut events);
            actions.extend(events.into_iter().map(Action::Note));
            if let Some(next) = next {
                self.perform(next, now, settings, actions);
            }
        }
    }

    pub(super) fn open_tunnel(
        &mut self,
        id: TunnelId,
        request: TunnelRequest,
        now: Tick,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let opened = match &mut self.state {
            State::Member(member) if !self.stopping => {
                member.tunnels.open(id, request, settings.max_tunnels, now, actions)
            }
            _ => Err(TunnelRefused::NotMember),
        };
        if let Err(refused) = opened {
            actions.push(Action::Tunnel(id, Output::Refused(refused)));
        }
    }

    pub(super) fn on_provision(&mut self, port: Box<str>, code: &OfferedCode, actions: &mut Vec<Action>) {
        let refusal = match &self.state {
            State::Member(member) if member.fxs => None,
            State::Member(_) => Some("no such port"),
            _ => Some("not in a domain"),
        };
        if let Some(error) = refusal {
            actions.push(Action::Send(FromServer::ProvisionResult { error: Some(error.into()) }.encode()));
            return;
        }
        let code = match code {
            OfferedCode::Code(code) => Some(*code),
            OfferedCode::None | OfferedCode::Malformed => None,
        };
        self.ports.push_back((port, code));
        if self.ports.len() > PORTS + 1 {
            actions.push(Action::DropPort);
            self.on_port_claimed(Some(TRY_LATER), actions);
        } else if self.ports.len() == 1 {
            self.claim_port(actions);
        }
    }

    /// Claims the oldest port that waits.
    pub(super) fn claim_port(&self, actions: &mut Vec<Action>) {
        if let Some((port, code)) = self.ports.front() {
            actions.push(Action::ClaimPort { port: port.clone(), code: *code });
        }
    }

    /// Sends the result of the oldest port, and claims the next one.
    pub(super) fn on_port_claimed(&mut self, error: Option<&'static str>, actions: &mut Vec<Action>) {
        actions.push(Action::Send(FromServer::ProvisionResult { error: error.map(Into::into) }.encode()));
        self.ports.pop_front();
        self.claim_port(actions);
    }
}

impl Member {
    /// The first batch has every configuration that applies, the last of them marked `last`; later only changed ones are
    /// sent (`docs/protocol/sysclient.md` 3.6).
    fn send_items(
        &mut self,
        items: impl Iterator<Item = (ItemOrder, Box<str>)>,
        worker: &mut Worker,
        actions: &mut Vec<Action>,
    ) {
        let first = !std::mem::replace(&mut self.items_sent, true);
        let mut out = Vec::new();
        for (order, seed) in items {
            if order.changed {
                worker.delivered(&order);
            }
            if order.changed || first {
                out.push(Some(ConfigItem::seal(&order.config, &seed, &worker.device.password)));
            }
        }
        if first && out.is_empty() {
            out.push(None);
        }
        let last = out.len();
        let messages = (1..).zip(out).map(|(n, item)| FromServer::Configuration { item, last: first && n == last });
        actions.extend(messages.map(|message| Action::Send(message.encode())));
    }
}
