//! The steps of a device through the gate of registrations: look-up, wait for a permit, claim
//! (`docs/protocol/sysclient.md` section 5).
//!
//! Rank and lane are decided in `src/core/policy/admission/registration.rs`, entry in `src/core/policy/entry.rs`.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, WrapFuture as _};
use actix_web_actors::ws::WebsocketContext;

use crate::admission::controller::{Passage, Permit, Turn};
use crate::core::policy::admission::registration::{Lane, rank_and_lane};
use crate::core::policy::entry::Stage;
use crate::core::policy::places::Standing;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::session::device::event::{Claimed, Event};
use crate::core::session::device::query::Query;
use crate::device::actor::{DeviceActor, draw};
use crate::device::permit::RegistrationPermit;
use crate::device::stage_timer::StageTimer;
use crate::metrics::EntryStage;
use crate::registration::{Claim, ClaimRequest, Known, Later, Offered};

/// Outcome of an identify at the gate.
enum Gated {
    Claimed(Claim, Option<Permit<Lane>>),
    Waits(Arc<Identify>, Turn<Lane>),
}

impl DeviceActor {
    /// Looks the device up and claims for it once it is admitted. Work that continues admitted work never waits.
    pub(super) fn claim(&mut self, identify: Arc<Identify>, stage: Stage, ctx: &mut WebsocketContext<Self>) {
        if let RegistrationPermit::Waiting(waiting) = &mut self.permit {
            // It keeps its place; the latest identify counts.
            *waiting = identify;
            return;
        }
        if self.unassigned.is_some() {
            // The time that a person took to type the code does not count.
            self.stage_timer = StageTimer::start();
        } else {
            self.stage_timer.end_stage(EntryStage::Identify);
        }
        self.permit = RegistrationPermit::None;
        if stage == Stage::Open {
            self.identify = Some(Arc::clone(&identify));
        }
        self.handle.stands(Standing::AwaitsUs);
        if stage != Stage::Open {
            return self.claim_now(identify, stage, ctx);
        }
        let (code, auto) = self.turns(&identify, ctx);
        let latest = Arc::clone(&identify);
        let (services, query) = (Arc::clone(&self.services), self.query.clone());
        let (source, here) = (self.source, self.whereabouts());
        let Some(key) = self.session.key().cloned() else { return };
        let claim = async move {
            let device = match services.registration.look_up(&key).await {
                Ok(device) => device,
                Err(claimed) => return Gated::Claimed(claimed.into(), None),
            };
            let offers_entry = identify.code != OfferedCode::None || query != Query::None;
            let (rank, lane) = rank_and_lane(device.as_ref().map(|device| &device.domain), offers_entry, source);
            match services.admission.registration(rank, &lane) {
                Passage::Now(permit) => {
                    let known = Known::Now(device);
                    let request = ClaimRequest {
                        identify: &identify,
                        stage,
                        query: &query,
                        source,
                        here: &here,
                        known,
                        code,
                        auto,
                    };
                    Gated::Claimed(services.registration.claim(request).await, Some(permit))
                }
                // Its record may have changed while it waited, so it is looked up again.
                Passage::Later(turn) => Gated::Waits(identify, turn),
                Passage::Refused => Gated::Claimed(Claimed::Unavailable.into(), None),
            }
        };
        self.wait_for(claim, ctx, move |device, gated, ctx| match gated {
            Gated::Claimed(claim, permit) => device.claimed(claim, &latest, permit, ctx),
            Gated::Waits(identify, turn) => device.wait_for_turn(identify, turn, ctx),
        });
    }

    /// Messages of the device are read while it waits, so that its place is freed when it disconnects.
    fn wait_for_turn(&mut self, identify: Arc<Identify>, turn: Turn<Lane>, ctx: &mut WebsocketContext<Self>) {
        self.permit = RegistrationPermit::Waiting(identify);
        ctx.spawn(turn.wait().into_actor(self).map(|permit, device: &mut Self, ctx| {
            let before = std::mem::replace(&mut device.permit, RegistrationPermit::None);
            let RegistrationPermit::Waiting(identify) = before else { return };
            let Some(permit) = permit else { return device.claimed(Claimed::Unavailable.into(), &identify, None, ctx) };
            device.permit = RegistrationPermit::Held(permit);
            // Meanwhile an operator may have assigned it to a domain, or it may have entered one on another connection.
            let stage = if device.session.domain().is_some() { Stage::Member } else { Stage::Open };
            device.claim_now(identify, stage, ctx);
        }));
    }

    fn claim_now(&mut self, identify: Arc<Identify>, stage: Stage, ctx: &mut WebsocketContext<Self>) {
        let (code, auto) = self.turns(&identify, ctx);
        let latest = Arc::clone(&identify);
        let (services, query) = (Arc::clone(&self.services), self.query.clone());
        let (source, here) = (self.source, self.whereabouts());
        let claim = async move {
            let known = Known::Unasked;
            let request =
                ClaimRequest { identify: &identify, stage, query: &query, source, here: &here, known, code, auto };
            services.registration.claim(request).await
        };
        self.wait_for(claim, ctx, move |device, claim: Claim, ctx| {
            let permit = device.permit.take();
            device.claimed(claim, &latest, permit, ctx);
        });
    }

    fn claimed(
        &mut self,
        claim: Claim,
        identify: &Arc<Identify>,
        mut permit: Option<Permit<Lane>>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let Claim { claimed, later } = claim;
        if let Some(permit) = permit.as_mut().filter(|_| matches!(claimed, Claimed::Unavailable)) {
            permit.fail();
        }
        self.stage_timer.end_stage(EntryStage::Claim);
        self.handle.stands(Standing::AwaitsPeer);
        self.permit = permit.map_or(RegistrationPermit::None, RegistrationPermit::Held);
        self.feed(Event::Claimed(claimed, draw()), ctx);
        if let Some(Later { offered, waiting }) = later {
            let code = match offered {
                Offered::Code(code) => code,
                Offered::Query | Offered::Port(_) => OfferedCode::None,
            };
            let latest = Identify { code, digest: None, ..(**identify).clone() };
            self.wait_for_decision(offered, Some(Arc::new(latest)), waiting, ctx);
        }
        self.publish_change();
    }

    /// The device has answered its challenge and is admitted at once, before all that wait.
    pub(super) fn readmit(&mut self) {
        self.permit = RegistrationPermit::Held(self.services.admission.readmit());
    }

    /// The store has not accepted the device and is asked again later; the permit is released for others meanwhile.
    pub(super) fn fail_permit(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            permit.fail();
        }
    }

    /// Releases the permit as soon as all remaining work waits for the device itself.
    pub(super) fn release_idle_permit(&mut self) {
        let joins = self.session.domain().is_some() && self.stage_timer.is_running();
        if matches!(self.permit, RegistrationPermit::Held(_)) && !joins {
            self.permit = RegistrationPermit::None;
        }
    }
}
