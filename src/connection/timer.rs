//! The one timer of a connection: fires at the earliest time that its session has asked for.

use std::time::Duration;

use actix::{Actor, AsyncContext, SpawnHandle};

use crate::clock;
use crate::core::model::time::Tick;

/// A timer that is moved forward when something is due earlier. One that is due later is set when it has fired.
#[derive(Debug, Default)]
pub struct SessionTimer(Option<(Tick, SpawnHandle)>);

impl SessionTimer {
    /// Fires at `due` at the latest. `fire` has to call [`SessionTimer::has_fired`].
    pub fn set<A>(&mut self, due: Tick, ctx: &mut A::Context, fire: fn(&mut A, &mut A::Context))
    where
        A: Actor,
        A::Context: AsyncContext<A>,
    {
        if let Some((set, handle)) = self.0 {
            if set <= due {
                return;
            }
            ctx.cancel_future(handle);
        }
        let wait = due.since(clock::now()).max(Duration::from_millis(1));
        self.0 = Some((due, ctx.run_later(wait, fire)));
    }

    /// It may be set again.
    pub fn has_fired(&mut self) {
        self.0 = None;
    }
}
