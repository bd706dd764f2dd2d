//! Tells every member of a domain of a change, at a pace: a change of one tenant must not become a storm on the store, or a
//! moment in which nobody else is served.

use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler, Message};

use crate::core::model::ids::DeviceKey;
use crate::device::actor::{AdminPasswordChanged, Replan};
use crate::tenant::actor::DomainActor;

/// Members that are told at once, of each kind of change: two hundred a second.
const AT_ONCE: usize = 10;
/// Between two steps.
const STEP: Duration = Duration::from_millis(50);

/// Who has still to be told.
#[derive(Debug, Default)]
pub(super) struct PacedBroadcast {
    jobs: Vec<DeviceKey>,
    admin_password: Vec<DeviceKey>,
    walking: bool,
}

/// Settings or jobs of the domain have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct TenantChanged {
    /// The administrative password.
    pub admin_password_changed: bool,
    /// The jobs.
    pub jobs_changed: bool,
}

impl Handler<TenantChanged> for DomainActor {
    type Result = ();

    fn handle(&mut self, changed: TenantChanged, ctx: &mut Context<Self>) {
        // Whoever joins from now on has looked at the new state by itself. A second change begins the round anew.
        if changed.jobs_changed {
            self.rounds.jobs = self.keys();
        }
        if changed.admin_password_changed {
            self.rounds.admin_password = self.keys();
        }
        if !self.rounds.walking {
            self.walk(ctx);
        }
    }
}

impl DomainActor {
    fn walk(&mut self, ctx: &mut Context<Self>) {
        for key in next(&mut self.rounds.jobs) {
            if let Some(phone) = self.phone(&key) {
                phone.do_send(Replan);
            }
        }
        for key in next(&mut self.rounds.admin_password) {
            if let Some(phone) = self.phone(&key) {
                phone.do_send(AdminPasswordChanged);
            }
        }
        self.rounds.walking = !(self.rounds.jobs.is_empty() && self.rounds.admin_password.is_empty());
        if self.rounds.walking {
            ctx.run_later(STEP, Self::walk);
        }
    }
}

fn next(round: &mut Vec<DeviceKey>) -> Vec<DeviceKey> {
    let told = round.split_off(round.len().saturating_sub(AT_ONCE));
    if round.is_empty() {
        // A round may be over all the devices of a large tenant.
        *round = Vec::new();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_reaches_everybody_in_small_steps() {
        let all: Vec<_> = (0..=2 * AT_ONCE).map(|n| DeviceKey::parse(&format!("phone-{n}")).unwrap()).collect();
        let mut round = all.clone();
        let mut told = Vec::new();
        let steps: Vec<usize> = std::iter::from_fn(|| {
            let step = next(&mut round);
            told.extend(step.clone());
            (!step.is_empty()).then_some(step.len())
        })
        .collect();
        assert_eq!(steps, [AT_ONCE, AT_ONCE, 1]);
        told.sort();
        let mut all = all;
        all.sort();
        assert_eq!(told, all);
    }
}
