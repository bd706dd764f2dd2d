//! Finds the first reason why a device or a code is blocked, with a sentence for operators.
//!
//! Works on records, plan and timeline that the caller has read; it must not read a store itself. The order of the
//! reasons is that of the work (`docs/protocol/sysclient.md` 5.2).

pub use crate::core::model::blocked_reason::{BlockedReason, Reason};
use crate::core::model::device::{CodeState, Device, IssuedCode};
use crate::core::model::timeline::{Step, TimelineEvent};
use crate::core::model::work::{Progress, State};
use crate::core::policy::jobs::plan::Plan;

// Callers return its result, which has to be an option.
#[allow(clippy::unnecessary_wraps)]
fn blocked(reason: Reason, text: impl Into<String>) -> Option<BlockedReason> {
    Some(BlockedReason { reason, text: text.into() })
}

/// The current state of a device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceNow<'a> {
    /// Its record.
    pub device: &'a Device,
    /// Whether it is connected.
    pub online: bool,
    /// Its plan: what there is to do for it.
    pub plan: &'a Plan,
    /// Its timeline.
    pub steps: &'a [Step],
}

/// Why a device is blocked; `None` if there is nothing left to do. The first unfinished step in the order of the work
/// counts (`docs/protocol/sysclient.md` 5.2), because the later ones wait for it.
pub fn of_device(now: &DeviceNow<'_>) -> Option<BlockedReason> {
    let DeviceNow { device, online, plan, steps } = *now;
    if device.tentative && !online {
        let text = "the device has been let in, but it has never come back with the password that it was given";
        return blocked(Reason::PasswordTentative, text);
    }
    of_update(plan).or_else(|| of_configuration(plan)).or_else(|| of_notice(steps)).or_else(|| {
        if !online {
            return blocked(Reason::Offline, "the device is not connected");
        }
        let refused = matches!(steps.last(), Some(Step { event: TimelineEvent::OtherDomain, .. }));
        let text = "the device has brought a code of another domain; it stays in this one until it is taken out of it";
        refused.then(|| blocked(Reason::OtherDomain, text)).flatten()
    })
}

fn of_update(plan: &Plan) -> Option<BlockedReason> {
    if !plan.update_open {
        return None;
    }
    match &plan.work.update {
        Some(Progress { state: State::Ordered, .. }) => {
            blocked(Reason::UpdateNotSeen, "software was ordered, and the device has not come back with it yet")
        }
        Some(Progress { state: State::Failed(why), attempts, .. }) => {
            blocked(Reason::UpdateFailed, format!("the update has failed {attempts} times; the last time: {why}"))
        }
        _ if plan.update.is_none() => blocked(Reason::WaitsForHours, "the update waits for the maintenance hours"),
        _ => None,
    }
}

fn of_configuration(plan: &Plan) -> Option<BlockedReason> {
    let failed = plan.work.configs.iter().find_map(|config| match &config.progress.state {
        State::Failed(why) => Some((config.kind, why)),
        State::Ordered | State::Done => None,
    });
    if let Some((kind, why)) = failed {
        return blocked(Reason::ConfigurationFailed, format!("configuration {kind:?} could not be sent: {why}"));
    }
    match &plan.work.clean_up {
        Some(Progress { state: State::Failed(why), .. }) => {
            blocked(Reason::CleanUpFailed, format!("the clean-up lines could not be run: {why}"))
        }
        _ => None,
    }
}

fn of_notice(steps: &[Step]) -> Option<BlockedReason> {
    steps.iter().rev().find_map(|step| match &step.event {
        TimelineEvent::NoticeReady => {
            let text = "the notice waits in the mailbox: no connection that acts as Users has taken it";
            Some(blocked(Reason::NoticeWaits, text))
        }
        TimelineEvent::NoticeSent(app) => {
            Some(blocked(Reason::NoticeUnsettled, format!("the notice was sent to {app}, which has not confirmed it")))
        }
        TimelineEvent::NoticeSettled => Some(None),
        _ => None,
    })?
}

/// Why a code is blocked. `code` is its record, which is deleted when its validity ends; `device` is the device that
/// has used it, if that is still in the domain.
pub fn of_code(code: Option<&IssuedCode>, steps: &[Step], device: Option<&DeviceNow<'_>>) -> Option<BlockedReason> {
    match code.map(|code| &code.state) {
        None if steps.iter().any(|step| step.event == TimelineEvent::Revoked) => {
            blocked(Reason::CodeRevoked, "the code was revoked")
        }
        // The record of a used code outlives the timeline, so this code was not used.
        None => blocked(Reason::CodeExpired, "the time of the code is over, and no device has used it"),
        Some(CodeState::Open) if steps.iter().any(|step| step.event == TimelineEvent::OtherDomain) => blocked(
            Reason::OtherDomain,
            "a device has brought the code but belongs to another domain; that one has to take it out first",
        ),
        Some(CodeState::Open) if steps.iter().any(|step| step.event == TimelineEvent::Found) => blocked(
            Reason::CodeNotUsed,
            "the directory has told a phone where to go with the code, and the phone has not come yet",
        ),
        Some(CodeState::Open) => blocked(Reason::CodeNotUsed, "no device has used the code yet"),
        Some(CodeState::Lent { site }) => blocked(
            Reason::CodeNotUsed,
            format!("the code is lent to the site {site}; whether a device has used it is known with its results"),
        ),
        Some(CodeState::Used { by, .. }) => match device {
            Some(device) => of_device(device),
            None => {
                blocked(Reason::DeviceGone, format!("device {by} has used the code and is not in the domain any more"))
            }
        },
    }
}

#[cfg(test)]
#[path = "blocked_reason_tests.rs"]
mod tests;
