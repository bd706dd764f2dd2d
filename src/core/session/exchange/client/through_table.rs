//! Writing through the table, only where the interface for single objects is missing
//! (`docs/protocol/pbx.md` section 3).

use std::time::Duration;

use super::ExchangeClient;
use super::orders::{ActiveOrderId, Stage};
use crate::core::model::time::Tick;
use crate::core::session::exchange::client::order_steps::retry_soon;
use crate::core::session::exchange::event::{Action, ObsoleteReason, OrderFailure, Outcome, RetryReason};
use crate::core::session::exchange::object::LONGEST_MESSAGE;
use crate::core::session::exchange::request;
use crate::core::session::exchange::write_round::{Plan, RoundGoal};

/// Wait before the row is written again.
const AGAIN: Duration = Duration::from_secs(300);
/// Number of repetitions.
const REPEATS: u8 = 3;

impl ExchangeClient {
    /// Sends the last known row of the user with the new array of devices.
    pub(super) fn write_table(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let flags = self.settings.flags.clone();
        let Some(active) = self.active_orders.get(id) else { return };
        let (user, hw, change) = (active.order.user.clone(), active.order.hw.clone(), active.order.change.clone());
        let Some(row) = self.mirror.row(&user) else {
            return self.finish(id, Outcome::Obsolete(ObsoleteReason::UserDeleted), now, actions);
        };
        let plan = RoundGoal { hw: &hw, change: &change, restored: &[] }.plan(&row.devices, None, &flags);
        let devices = match plan {
            Plan::Nothing => {
                let wrote = active.wrote;
                return self.finish(id, Outcome::Done { wrote }, now, actions);
            }
            Plan::TooMany => return self.finish(id, Outcome::Failed(OrderFailure::TooManyDevices), now, actions),
            Plan::Write(devices) => devices,
        };
        let (Some(full_row), Some(mark)) = (row.full_row_with(&devices), self.pass.mark()) else {
            return self.finish(id, retry_soon(RetryReason::Busy), now, actions);
        };
        let text = request::write_row(mark, &full_row);
        if text.len() > LONGEST_MESSAGE {
            return self.finish(id, Outcome::Failed(OrderFailure::TooLong), now, actions);
        }
        actions.push(Action::Send(text));
        if let Some(active) = self.active_orders.get(id) {
            active.wrote = true;
        }
        self.active_orders.set(id, Stage::ThroughTable(now + AGAIN));
    }

    /// No row has shown the change in time. Some exchanges may not send our own change back, so a new pass checks it.
    pub(super) fn not_seen(&mut self, id: ActiveOrderId, now: Tick, actions: &mut Vec<Action>) {
        let Some(active) = self.active_orders.get(id) else { return };
        active.rounds += 1;
        if active.rounds > REPEATS {
            return self.finish(id, Outcome::Failed(OrderFailure::NotSeen), now, actions);
        }
        active.stage = Stage::Preparing;
        // The order continues when the pass is complete; if that shows the entry, nothing is written again.
        self.schedule_pass();
    }
}
