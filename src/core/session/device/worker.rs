//! Carries out what is planned for one member: lines through the tunnel, one after another
//! (`docs/protocol/sysclient.md` 5.2).
//!
//! A part is a list of lines that belong together. When all of them were accepted, or one was not, the progress is changed and
//! a new plan is asked for; so the order of the parts is the plan's, and a cut anywhere leaves nothing to be cleaned up.

use std::collections::VecDeque;

use super::event::{Output, TunnelRequest};
use crate::core::model::device::{Device, Facts};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::{ConfigFailure, TimelineEvent};
use crate::core::model::work::{State, Work};
use crate::core::policy::jobs::plan::{ConfigOrder, ItemOrder, Plan, UpdateOrder};
use crate::core::protocol::script::encode::command_path;
use crate::core::protocol::script::{Command, Script};

/// A member with work in hand, and its record as long as there is any.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) device: Box<Device>,
    /// The time of day when the plan was made.
    now: UnixMillis,
    part: Part,
    lines: VecDeque<String>,
    /// The status of the line that is under way, as soon as it is known.
    status: Option<u16>,
    /// How much of its answer has come.
    read: usize,
    /// The clean-up is owed.
    clean_up: bool,
}

#[derive(Debug)]
enum Part {
    /// Nothing is under way.
    Idle,
    Update(UpdateOrder),
    /// What is being sent, what has been accepted, and what is left.
    Config {
        current: ConfigOrder,
        accepted: Vec<ConfigOrder>,
        rest: VecDeque<ConfigOrder>,
    },
    /// The configurations of these kinds are being put into effect.
    Commit(Vec<ConfigOrder>),
    CleanUp,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this line.
    Line(TunnelRequest),
    /// A part is over: keep the progress, and plan anew.
    Replan,
}

impl Worker {
    /// With the progress that the plan goes on from in the record.
    pub(super) const fn new(device: Box<Device>, clean_up: bool, now: UnixMillis) -> Self {
        Self { device, now, part: Part::Idle, lines: VecDeque::new(), status: None, read: 0, clean_up }
    }

    /// What has come out since `known` by making the plan.
    pub(super) fn news(&self, known: &Work) -> Option<TimelineEvent> {
        let Device { work: Work { update, .. }, facts, .. } = &*self.device;
        let before = known.update.as_ref().map(|update| &update.state);
        match update.as_ref().map(|update| &update.state).filter(|state| Some(*state) != before)? {
            State::Done => Some(TimelineEvent::Updated(running(facts))),
            State::Failed(why) => Some(TimelineEvent::UpdateFailed(why.clone())),
            State::Ordered => None,
        }
    }

    /// An item is on its way to a device that takes items.
    pub(super) fn delivered(&mut self, order: &ItemOrder) {
        self.device.work.item_sent(order, self.now);
    }

    /// Whether lines are under way.
    pub(super) const fn is_busy(&self) -> bool {
        !matches!(self.part, Part::Idle)
    }

    /// Begins with what a plan says for now; `None` if it has no lines for now.
    pub(super) fn begin(&mut self, plan: &mut Plan) -> Option<Next> {
        if let Some(order) = plan.update.take() {
            // Counted before it is sent, because its answer may be lost in the restart.
            self.device.work.update_ordered(&order, self.now);
            self.lines = order.lines.iter().cloned().collect();
            self.part = Part::Update(order);
            return Some(self.go_on(&mut Vec::new()));
        }
        if plan.update_open || plan.configs.is_empty() {
            return None;
        }
        self.next_config(Vec::new(), std::mem::take(&mut plan.configs).into());
        Some(self.go_on(&mut Vec::new()))
    }

    /// Begins with the clean-up, if it is owed.
    pub(super) fn begin_clean_up(&mut self) -> Option<Next> {
        if !std::mem::take(&mut self.clean_up) {
            return None;
        }
        self.lines = lines_of(&Script::clean_up().0);
        self.part = Part::CleanUp;
        Some(self.go_on(&mut Vec::new()))
    }

    /// So many more bytes of the answer have come; how many it is in all.
    pub(super) fn read(&mut self, bytes: usize) -> usize {
        self.read += bytes;
        self.read
    }

    /// Something of the answer to the line that is under way. `None` while the answer goes on.
    pub(super) fn on(&mut self, output: &Output, happened: &mut Vec<TimelineEvent>) -> Option<Next> {
        let failed = match output {
            Output::Head(head) => {
                self.status = Some(head.status);
                return None;
            }
            Output::Body(_) | Output::Sent => return None,
            Output::Done if self.status == Some(200) => return Some(self.go_on(happened)),
            Output::Done => format!("the device answered with status {}", self.status.unwrap_or_default()),
            Output::Failed(failure) | Output::Abort(failure) => failure.to_string(),
            Output::Refused(_) => "the device cannot be reached".into(),
        };
        Some(self.fail(&failed, happened))
    }

    /// The next line, or what follows the last one.
    fn go_on(&mut self, happened: &mut Vec<TimelineEvent>) -> Next {
        (self.status, self.read) = (None, 0);
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Next::Line(TunnelRequest::get(&command_path(&line)));
            }
            match std::mem::replace(&mut self.part, Part::Idle) {
                Part::Idle => return Next::Replan,
                Part::Update(order) => {
                    happened.push(TimelineEvent::UpdateOrdered(ordered(&order)));
                    return Next::Replan;
                }
                Part::Config { current, mut accepted, rest } => {
                    accepted.push(current);
                    self.next_config(accepted, rest);
                }
                Part::Commit(orders) => {
                    for order in orders {
                        happened.push(TimelineEvent::Configured(order.kind.name().into()));
                        self.device.work.configured(&order, self.now);
                    }
                    return Next::Replan;
                }
                Part::CleanUp => {
                    happened.push(TimelineEvent::CleanedUp);
                    self.device.work.cleaned(self.now);
                    return Next::Replan;
                }
            }
        }
    }

    fn next_config(&mut self, accepted: Vec<ConfigOrder>, mut rest: VecDeque<ConfigOrder>) {
        if let Some(mut current) = rest.pop_front() {
            self.lines = std::mem::take(&mut current.lines).into();
            self.part = Part::Config { current, accepted, rest };
        } else {
            self.lines = lines_of(&[Command::ConfigWrite, Command::ConfigActivate]);
            self.part = Part::Commit(accepted);
        }
    }

    fn fail(&mut self, why: &str, happened: &mut Vec<TimelineEvent>) -> Next {
        self.lines.clear();
        let mut config_failed = |worker: &mut Self, order: &ConfigOrder| {
            happened.push(TimelineEvent::ConfigFailed(ConfigFailure::new(order.kind, why)));
            worker.device.work.config_failed(order, why, worker.now);
        };
        match std::mem::replace(&mut self.part, Part::Idle) {
            Part::Idle => {}
            Part::Update(_) => {
                happened.push(TimelineEvent::UpdateFailed(why.into()));
                self.device.work.update_failed(why, self.now);
            }
            Part::Config { current, accepted, rest } => {
                config_failed(self, &current);
                if !accepted.is_empty() || !rest.is_empty() {
                    self.next_config(accepted, rest);
                    return self.go_on(happened);
                }
            }
            Part::Commit(orders) => {
                for order in &orders {
                    config_failed(self, order);
                }
            }
            Part::CleanUp => self.device.work.clean_up_failed(why, self.now),
        }
        Next::Replan
    }
}

fn lines_of(commands: &[Command]) -> VecDeque<String> {
    commands.iter().map(ToString::to_string).collect()
}

/// The builds that a device says it runs.
fn running(facts: &Facts) -> Box<str> {
    [&facts.fw_build, &facts.bc_build].into_iter().flatten().map(|build| &**build).collect::<Vec<_>>().join("/").into()
}

/// What an order loads, and in which build: `prot 136044, boot 136044`.
fn ordered(order: &UpdateOrder) -> Box<str> {
    let loads = order.lines.iter().filter_map(|line| line.strip_prefix("mod cmd UP0 "));
    let loads = loads.filter_map(|load| Some(format!("{} {}", load.split(' ').next()?, load.rsplit(' ').next()?)));
    loads.collect::<Vec<_>>().join(", ").into()
}
