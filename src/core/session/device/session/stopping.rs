//! Closes a connection when the server stops, as soon as nothing is under way on it.

use std::time::Duration;

use super::Session;
use crate::core::model::time::Tick;
use crate::core::protocol::close::Close;
use crate::core::session::device::event::Action;
use crate::core::session::device::state::State;

/// Devices answer a challenge within this time or not at all; a stop does not wait longer for the answer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

impl Session {
    /// Closes the connection if the server stops and nothing is interrupted by that: no registration, no lines of a
    /// part, no request of others, no deposit.
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
            // Nothing is left to be closed.
            State::Closed => true,
        }
    }
}
