//! A connection that is to end as soon as what is under way on it is finished, because the server stops.

use std::time::Duration;

use super::Session;
use crate::core::model::time::Tick;
use crate::core::protocol::close::Close;
use crate::core::session::device::event::Action;
use crate::core::session::device::state::State;

/// Devices answer a challenge within this time or not at all; a stop waits no longer for it.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

impl Session {
    /// Ends the connection if that has been asked for and cuts nothing off: no registration, no lines of a part, no request of
    /// others, no deposit.
    pub(super) fn stop_if_idle(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if self.stopping && !self.asking && !self.is_busy(now) {
            self.close(Close::Stopping, actions);
        }
    }

    fn is_busy(&self, now: Tick) -> bool {
        match &self.state {
            State::New | State::Unassigned => false,
            State::Challenged(challenged) => challenged.open && now.since(challenged.since) < ANSWERED_WITHIN,
            State::Member(member) => member.is_busy() || member.deposit_at.is_some() || member.tunnels.is_busy(),
            // There is nothing to end.
            State::Closed => true,
        }
    }
}
