//! The way of a device through the gate of registrations: look-up, turn, claim.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, WrapFuture as _};
use actix_web_actors::ws::WebsocketContext;

use crate::admission::controller::{Expected, Lane, Passage, Permit, Turn};
use crate::core::policy::admission::queue::Rank;
use crate::core::policy::entry::Stage;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::session::device::event::{Claimed, Event};
use crate::core::session::device::query::Query;
use crate::device::actor::{DeviceActor, draw};
use crate::device::stage_timer::StageTimer;
use crate::metrics::EntryStage;
use crate::registration::{ClaimRequest, Known};

/// How far a device has come through the gate.
pub(super) enum Admitted {
    /// It has not said yet who it is.
    Expected { _counted: Expected },
    /// Nothing of it is under way.
    No,
    /// It waits, with its latest identify.
    Waits(Arc<Identify>),
    /// It has a permit; released when it is challenged, a member, or recorded as unassigned.
    Yes(Permit<Lane>),
}

/// What became of an identify at the gate.
enum Gated {
    Claimed(Claimed, Option<Permit<Lane>>),
    Waits(Arc<Identify>, Turn<Lane>),
}

impl DeviceActor {
    /// Looks the device up and lets it in if it may, once it is its turn. What continues admitted work never waits.
    pub(super) fn claim(&mut self, identify: Arc<Identify>, stage: Stage, ctx: &mut WebsocketContext<Self>) {
        if let Admitted::Waits(waiting) = &mut self.admitted {
            // It keeps its place; the latest identify counts.
            *waiting = identify;
            return;
        }
        if self.waiting.is_some() {
            // How long a person took to type the code is no time of ours.
            self.stage_timer = StageTimer::start();
        } else {
            self.stage_timer.lap(EntryStage::Identify);
        }
        self.admitted = Admitted::No;
        if stage != Stage::Open {
            return self.claim_now(identify, stage, ctx);
        }
        let (node, query, source, here) = (Arc::clone(&self.node), self.query.clone(), self.source, self.here());
        let Some(key) = self.session.key().cloned() else { return };
        let claim = async move {
            let device = match node.codes.look_up(&key).await {
                Ok(device) => device,
                Err(claimed) => return Gated::Claimed(claimed, None),
            };
            let (rank, lane) = match &device {
                Some(device) => (Rank::Known, Lane::Domain(device.domain.clone())),
                None if brings_something(&identify, &query) => (Rank::Entering, Lane::Source(source)),
                None => (Rank::Other, Lane::Source(source)),
            };
            match node.governor.registration(rank, &lane) {
                Passage::Now(permit) => {
                    let known = Known::Now(device);
                    let request =
                        ClaimRequest { identify: &identify, stage, query: &query, source, here: &here, known };
                    Gated::Claimed(node.codes.claim(request).await, Some(permit))
                }
                // Until then it may have become another one: it is looked up again.
                Passage::Later(turn) => Gated::Waits(identify, turn),
                Passage::Refused => Gated::Claimed(Claimed::Unavailable, None),
            }
        };
        self.ask(claim, ctx, |phone, gated, ctx| match gated {
            Gated::Claimed(claimed, permit) => phone.claimed(claimed, permit, ctx),
            Gated::Waits(identify, turn) => phone.wait_for(identify, turn, ctx),
        });
    }

    /// The device is listened to while it waits: when it goes away, its place is free.
    fn wait_for(&mut self, identify: Arc<Identify>, turn: Turn<Lane>, ctx: &mut WebsocketContext<Self>) {
        self.admitted = Admitted::Waits(identify);
        ctx.spawn(turn.come().into_actor(self).map(|permit, phone: &mut Self, ctx| {
            let Admitted::Waits(identify) = std::mem::replace(&mut phone.admitted, Admitted::No) else { return };
            let Some(permit) = permit else { return phone.claimed(Claimed::Unavailable, None, ctx) };
            phone.admitted = Admitted::Yes(permit);
            // An operator may have put it into a domain meanwhile, or it into one by itself on another connection.
            let stage = if phone.session.domain().is_some() { Stage::Member } else { Stage::Open };
            phone.claim_now(identify, stage, ctx);
        }));
    }

    fn claim_now(&self, identify: Arc<Identify>, stage: Stage, ctx: &mut WebsocketContext<Self>) {
        let node = Arc::clone(&self.node);
        let (query, source) = (self.query.clone(), self.source);
        let here = self.here();
        let claim = async move {
            let known = Known::Unasked;
            let request = ClaimRequest { identify: &identify, stage, query: &query, source, here: &here, known };
            node.codes.claim(request).await
        };
        self.ask(claim, ctx, |phone, claimed: Claimed, ctx| {
            let permit = match std::mem::replace(&mut phone.admitted, Admitted::No) {
                Admitted::Yes(permit) => Some(permit),
                Admitted::Expected { .. } | Admitted::No | Admitted::Waits(_) => None,
            };
            phone.claimed(claimed, permit, ctx);
        });
    }

    fn claimed(&mut self, claimed: Claimed, mut permit: Option<Permit<Lane>>, ctx: &mut WebsocketContext<Self>) {
        if let Some(permit) = permit.as_mut().filter(|_| matches!(claimed, Claimed::Unavailable)) {
            permit.fail();
        }
        self.stage_timer.lap(EntryStage::Claim);
        self.admitted = permit.map_or(Admitted::No, Admitted::Yes);
        self.feed(Event::Claimed(claimed, draw()), ctx);
        self.changed();
    }

    /// The device has answered its challenge.
    pub(super) fn go_on(&mut self) {
        self.admitted = Admitted::Yes(self.node.governor.go_on());
    }

    /// The store has not taken the device in and is asked again later; others need the permit meanwhile.
    pub(super) fn wait_outside(&mut self) {
        if let Admitted::Yes(mut permit) = std::mem::replace(&mut self.admitted, Admitted::No) {
            permit.fail();
        }
    }

    /// A permit is kept only as long as there is something to do for the device that does not wait for the device itself.
    pub(super) fn keep_permit(&mut self) {
        let joins = self.session.domain().is_some() && self.stage_timer.are_running();
        if matches!(self.admitted, Admitted::Yes(_)) && !joins {
            self.admitted = Admitted::No;
        }
    }

    /// Whether it waits at the gate; its own times stand still meanwhile.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.admitted, Admitted::Waits(_))
    }
}

/// Whether it may enter a domain by itself.
fn brings_something(identify: &Identify, query: &Query) -> bool {
    identify.code != OfferedCode::None || *query != Query::None
}
