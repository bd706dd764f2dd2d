//! Updates: compares the builds that a device runs with those listed, and decides the next step.
//!
//! ```text
//! differs → Ordered → (restart) → same builds as listed → Done
//!              └ came back with other builds, or not in time → Failed → (back-off) → Ordered …
//! ```
//!
//! In time means within [`RetryPolicy::restart_within`]. After the attempts of [`RetryPolicy::update`] a job is given
//! up for this device; a newer job begins anew.

use std::time::Duration;

use super::builds::{BuildList, is_file_name};
use super::orders::{Occasion, UpdateOrder};
use super::retry::{Next, RetryPolicy, since};
use super::{Job, Task, Update};
use crate::core::model::device::{Device, Facts};
use crate::core::model::ids::JobId;
use crate::core::model::time::UnixMillis;
use crate::core::model::work::{State, Work};
use crate::core::protocol::script::{Command, Script, files};

/// The next step of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do; the remaining work goes on.
    Nothing,
    /// Order the update; the remaining work waits for the restart.
    Order(UpdateOrder),
    /// Wait for this time; the remaining work waits as well.
    Wait(Duration),
    /// Wait for the maintenance hours; the remaining work goes on.
    Later(Duration),
}

/// Advances the latest update job that matches.
pub(super) fn step(
    work: &mut Work,
    device: &Device,
    jobs: &[Job],
    occasion: Occasion,
    now: UnixMillis,
    retry: &RetryPolicy,
) -> Step {
    let latest = latest(device, jobs);
    let job = latest.map(|(job, _)| job);
    // Progress of another job does not count for this one.
    if work.update.as_ref().is_some_and(|progress| progress.job != job) {
        work.update = None;
    }
    let Some((job, update)) = latest else { return Step::Nothing };
    let difference = Difference::between(&device.facts, &update.builds);
    if difference.is_none() {
        if let Some(progress) = work.update.as_mut().filter(|progress| progress.state != State::Done) {
            (progress.state, progress.at) = (State::Done, now);
        }
        return Step::Nothing;
    }
    if let Some(progress) = &mut work.update {
        let waited = since(progress.at, now);
        let back = occasion == Occasion::Registered || waited >= retry.restart_within;
        match progress.state {
            State::Ordered if !back => return Step::Wait(retry.restart_within.saturating_sub(waited)),
            // A device that falls back to its old software after a success counts as failed too, or it would be
            // updated for ever.
            State::Ordered | State::Done => {
                (progress.state, progress.at) = (State::Failed(difference.reason().into()), now);
            }
            State::Failed(_) => {}
        }
    }
    let due = match retry.update().next(work.update.as_ref(), now) {
        Next::Never => return Step::Nothing,
        Next::In(wait) => now + wait,
        Next::Now => now,
    };
    // Maintenance hours protect devices in use: not one whose first work is unfinished, nor one that runs the
    // emergency firmware.
    let any_time = device.pending.is_some() || device.facts.mini;
    let at = if any_time { due } else { update.hours.from(due) };
    if at == now {
        Step::Order(UpdateOrder { job, lines: difference.lines(work.update.is_some()) })
    } else if at == due {
        Step::Wait(since(now, at))
    } else {
        Step::Later(since(now, at))
    }
}

/// The lines of an update, regardless of attempts before; empty if nothing differs.
pub(super) fn preview(device: &Device, jobs: &[Job]) -> Vec<String> {
    let difference = latest(device, jobs).map(|(_, update)| Difference::between(&device.facts, &update.builds));
    difference.filter(|difference| !difference.is_none()).map_or_else(Vec::new, |difference| difference.lines(false))
}

fn latest<'a>(device: &Device, jobs: &'a [Job]) -> Option<(JobId, &'a Update)> {
    // The command lines work only on devices of the vendor.
    let jobs = jobs.iter().filter(|job| job.order.matches(device.category) && !device.facts.other);
    let updates = jobs.filter_map(|job| match &job.order.task {
        Task::Update(update) => Some((job.id, update)),
        Task::Config(_) => None,
    });
    updates.max_by_key(|(job, _)| *job)
}

/// A part to be loaded.
struct Load<'a> {
    /// Build that is running; `None` in the emergency firmware.
    running: Option<String>,
    build: &'a str,
    url: String,
}

impl Load<'_> {
    /// Whether the device may have loaded this build before, so that its variable may still name it.
    fn is_older(&self) -> bool {
        let number = |text: &str| text.parse::<u64>().ok();
        self.running.as_deref().is_none_or(|running| number(self.build) < number(running))
    }

    fn order(&self) -> (&str, &str) {
        (&self.url, self.build)
    }
}

/// The parts to be loaded because another build is running. A lower build number in the list is loaded too.
struct Difference<'a> {
    firmware: Option<Load<'a>>,
    boot_code: Option<Load<'a>>,
}

impl<'a> Difference<'a> {
    fn between(facts: &Facts, builds: &'a BuildList) -> Self {
        let Some(build) = builds.find(&facts.product) else { return Self { firmware: None, boot_code: None } };
        let (firmware, boot_code) = running(facts);
        let url = |listed: Option<&str>, said: Option<&str>, standard: fn(&str) -> String| {
            let name = listed.or(said.filter(|name| is_file_name(name)));
            builds.url(&name.map_or_else(|| standard(&facts.product), ToOwned::to_owned))
        };
        // The emergency firmware may report the number of the firmware that it replaces, so that number is ignored.
        let load_firmware = build
            .firmware
            .as_deref()
            .filter(|wanted| facts.mini || firmware.as_deref().is_some_and(|running| running != *wanted));
        let load_boot_code = build.bootcode.as_deref().filter(|wanted| {
            let has_boot_code = &*facts.platform != "VA";
            has_boot_code && boot_code.as_deref().is_some_and(|running| running != *wanted)
        });
        Self {
            firmware: load_firmware.map(|wanted| Load {
                running: firmware.clone().filter(|_| !facts.mini),
                build: wanted,
                url: url(build.firmware_file.as_deref(), facts.fw.as_deref(), files::firmware),
            }),
            boot_code: load_boot_code.map(|wanted| Load {
                running: boot_code.clone(),
                build: wanted,
                url: url(build.bootcode_file.as_deref(), facts.bc.as_deref(), files::boot_code),
            }),
        }
    }

    const fn is_none(&self) -> bool {
        self.firmware.is_none() && self.boot_code.is_none()
    }

    /// The lines; `again`: an earlier attempt has changed nothing. The device compares the serial with a variable
    /// before it checks the running build (`docs/protocol/update-script.md` 3.3), so a variable that may wrongly match
    /// is deleted first.
    fn lines(&self, again: bool) -> Vec<String> {
        let parts = [("UPDATE/PROT", &self.firmware), ("UPDATE/BOOT", &self.boot_code)];
        let stale = parts.into_iter().filter(|(_, load)| load.as_ref().is_some_and(|load| again || load.is_older()));
        let forget = stale.map(|(name, _)| Command::VarsDel { name: name.into() });
        let update = Script::update(self.firmware.as_ref().map(Load::order), self.boot_code.as_ref().map(Load::order));
        forget.chain(update.0).map(|command| command.to_string()).collect()
    }

    /// Which builds run instead of the listed ones, for an operator.
    fn reason(&self) -> String {
        let parts = [("firmware", &self.firmware), ("boot code", &self.boot_code)];
        let parts = parts.into_iter().filter_map(|(what, load)| {
            let load = load.as_ref()?;
            let running = load.running.as_deref().unwrap_or("the emergency firmware");
            Some(format!("{what} {running} instead of {}", load.build))
        });
        format!("still running: {}", parts.collect::<Vec<_>>().join(", "))
    }
}

/// The build numbers of firmware and boot code. If the device does not report them, they are taken from the brackets
/// of the version (`docs/protocol/sysclient.md` 3.1): `13r3 sr9 [13.6012/136012/300]`. Unknown and 0 give `None`.
fn running(facts: &Facts) -> (Option<String>, Option<String>) {
    let inside =
        facts.version.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inside, _)| inside);
    let mut parts = inside.split('/').map(build_number);
    let [firmware, boot_code] = [parts.next().flatten(), parts.next().flatten()];
    let named = |member: &Option<Box<str>>| member.as_deref().and_then(build_number);
    (named(&facts.fw_build).or(firmware), named(&facts.bc_build).or(boot_code))
}

/// `13.6012` → `136012`.
fn build_number(text: &str) -> Option<String> {
    let number = text.trim().replace('.', "");
    let is_number = number.bytes().all(|b| b.is_ascii_digit()) && number.bytes().any(|b| b != b'0');
    is_number.then_some(number)
}

#[cfg(test)]
mod tests;
