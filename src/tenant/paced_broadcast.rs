//! Notifies the members of a domain of a change at a bounded rate, so that a change neither causes a storm on the store
//! nor blocks the work for other tenants.
//!
//! It returns the members to notify next; the actor of the tenant sends the messages and sets the timer.

use std::time::Duration;

use crate::connection::messages::DeviceMessage;
use crate::core::model::ids::DeviceKey;
use crate::tenant::messages::TenantChanged;

/// Members that are notified in one step, for each kind of change: two hundred a second.
const AT_ONCE: usize = 10;
/// Between two steps.
pub(super) const STEP: Duration = Duration::from_millis(50);

/// Members that are still to be notified.
#[derive(Debug, Default)]
pub(super) struct PacedBroadcast {
    jobs: Vec<DeviceKey>,
    admin_password: Vec<DeviceKey>,
    running: bool,
}

impl PacedBroadcast {
    /// Starts to notify the members of a change; a second change of the same kind starts anew. True if the steps have
    /// to be started.
    pub fn begin(&mut self, changed: TenantChanged, members: impl Fn() -> Vec<DeviceKey>) -> bool {
        // Members that join later have read the new state already.
        if changed.jobs {
            self.jobs = members();
        }
        if changed.admin_password {
            self.admin_password = members();
        }
        !std::mem::replace(&mut self.running, true)
    }

    /// Takes one step: which members to notify of what. If [`Self::is_running`] afterwards, the next step follows after
    /// [`STEP`].
    pub fn step(&mut self) -> Vec<(DeviceKey, DeviceMessage)> {
        let jobs = next(&mut self.jobs).into_iter().map(|key| (key, DeviceMessage::Replan));
        let passwords =
            next(&mut self.admin_password).into_iter().map(|key| (key, DeviceMessage::AdminPasswordChanged));
        let step = jobs.chain(passwords).collect();
        self.running = !(self.jobs.is_empty() && self.admin_password.is_empty());
        step
    }

    /// Whether members are still to be notified.
    pub const fn is_running(&self) -> bool {
        self.running
    }
}

fn next(members: &mut Vec<DeviceKey>) -> Vec<DeviceKey> {
    let step = members.split_off(members.len().saturating_sub(AT_ONCE));
    if members.is_empty() {
        // It may have held all the devices of a large tenant.
        *members = Vec::new();
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_reaches_everybody_in_small_steps() {
        let all: Vec<_> = (0..=2 * AT_ONCE).map(|n| DeviceKey::parse(&format!("phone-{n}")).unwrap()).collect();
        let mut members = all.clone();
        let mut reached = Vec::new();
        let steps: Vec<usize> = std::iter::from_fn(|| {
            let step = next(&mut members);
            reached.extend(step.clone());
            (!step.is_empty()).then_some(step.len())
        })
        .collect();
        assert_eq!(steps, [AT_ONCE, AT_ONCE, 1]);
        reached.sort();
        let mut all = all;
        all.sort();
        assert_eq!(reached, all);
    }

    #[test]
    fn a_second_change_joins_the_steps_that_run() {
        let members = || vec![DeviceKey::parse("phone").unwrap()];
        let mut broadcast = PacedBroadcast::default();
        assert!(broadcast.begin(TenantChanged { jobs: true, admin_password: false }, members));
        assert!(!broadcast.begin(TenantChanged { jobs: false, admin_password: true }, members));
        let step = broadcast.step();
        assert!(matches!(step[..], [(_, DeviceMessage::Replan), (_, DeviceMessage::AdminPasswordChanged)]));
        assert!(!broadcast.is_running());
        assert!(broadcast.begin(TenantChanged { jobs: true, admin_password: false }, members));
    }
}
