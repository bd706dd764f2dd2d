//! Writing through the table, only where the interface for single objects is missing
//! (`docs/protocol/pbx.md` section 3).

use std::time::Duration;

use super::Exchange;
use super::orders::{JobId, Stage};
use crate::core::model::time::Tick;
use crate::core::session::exchange::client::order_steps::soon;
use crate::core::session::exchange::event::{Action, Ended, Failed, Outcome, Why};
use crate::core::session::exchange::object::LONGEST_MESSAGE;
use crate::core::session::exchange::request;
use crate::core::session::exchange::write_round::{Aim, Plan};

/// How long to wait before it is written again.
const AGAIN: Duration = Duration::from_secs(300);
/// How often it is written again.
const REPEATS: u8 = 3;

impl Exchange {
    /// Sends the last row of the user with the longer array.
    pub(super) fn write_table(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let flags = self.settings.flags.clone();
        let Some(job) = self.jobs.get(id) else { return };
        let (user, hw, change) = (job.order.user.clone(), job.order.hw.clone(), job.order.change.clone());
        let Some(row) = self.mirror.row(&user) else {
            return self.finish(id, Outcome::Ended(Ended::UserDeleted), now, actions);
        };
        let plan = Aim { hw: &hw, change: &change, restored: &[] }.plan(&row.devices, None, &flags);
        let devices = match plan {
            Plan::Nothing => {
                let wrote = job.wrote;
                return self.finish(id, Outcome::Done { wrote }, now, actions);
            }
            Plan::TooMany => return self.finish(id, Outcome::Failed(Failed::TooManyDevices), now, actions),
            Plan::Write(devices) => devices,
        };
        let (Some(whole), Some(mark)) = (row.whole_with(&devices), self.pass.mark()) else {
            return self.finish(id, soon(Why::Busy), now, actions);
        };
        let text = request::write_row(mark, &whole);
        if text.len() > LONGEST_MESSAGE {
            return self.finish(id, Outcome::Failed(Failed::TooLong), now, actions);
        }
        actions.push(Action::Send(text));
        if let Some(job) = self.jobs.get(id) {
            job.wrote = true;
        }
        self.jobs.set(id, Stage::ThroughTable(now + AGAIN));
    }

    /// No row has shown it in time. Whether the PBX sends our own change back is not known, so a new pass is looked at too.
    pub(super) fn not_seen(&mut self, id: JobId, now: Tick, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(id) else { return };
        job.rounds += 1;
        if job.rounds > REPEATS {
            return self.finish(id, Outcome::Failed(Failed::NotSeen), now, actions);
        }
        job.stage = Stage::Preparing;
        // The order goes on when the pass is whole: if that shows the entry, nothing is written again.
        self.pass_again();
    }
}
