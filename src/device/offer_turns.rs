//! The offer of a device whose decision waits (`docs/protocol/sysclient.md` 9.1): at most one on a connection. It delays
//! nothing but the decision on itself, and ends with the connection.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, WrapFuture as _};
use actix_web_actors::ws::WebsocketContext;

use crate::attempts::{Attempt, TryLater, Waiting};
use crate::clock::Stopwatch;
use crate::core::model::device::Facts;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::session::device::event::Event;
use crate::device::actor::DeviceActor;
use crate::device::waiting_offer::WaitingOffer;
use crate::metrics::{self, Timer};
use crate::registration::{Offered, Turn};

impl DeviceActor {
    /// Whether the code and the query of an identify may be decided now. Another code takes the place of one that
    /// waits.
    pub(super) fn turns(&mut self, identify: &Arc<Identify>, ctx: &mut WebsocketContext<Self>) -> (Turn, Turn) {
        let Some(waiting) = &mut self.waiting_offer else { return (Turn::Ask, Turn::Ask) };
        match waiting.offered {
            Offered::Code(code) if identify.code == code => {
                if let Some(attempt) = waiting.attempt.take() {
                    self.waiting_offer = None;
                    return (Turn::Come(attempt), Turn::Ask);
                }
                waiting.identify = Some(Arc::clone(identify));
                (Turn::Waits, Turn::Waits)
            }
            Offered::Code(code) if identify.code == OfferedCode::None => {
                waiting.identify = Some(Arc::new(Identify { code, digest: None, ..(**identify).clone() }));
                (Turn::Ask, Turn::Waits)
            }
            Offered::Code(_) => {
                self.give_up_offer(ctx);
                (Turn::Ask, Turn::Ask)
            }
            Offered::Query => {
                if let Some(attempt) = waiting.attempt.take() {
                    self.waiting_offer = None;
                    return (Turn::Ask, Turn::Come(attempt));
                }
                waiting.identify =
                    Some(Arc::new(Identify { code: OfferedCode::None, digest: None, ..(**identify).clone() }));
                (Turn::Ask, Turn::Waits)
            }
            Offered::Port(_) => (Turn::Ask, Turn::Ask),
        }
    }

    /// Whether the code of a port may be decided now.
    pub(super) fn turn_of_port(&mut self) -> Turn {
        let attempt = match &mut self.waiting_offer {
            Some(waiting) if matches!(waiting.offered, Offered::Port(_)) => waiting.attempt.take(),
            _ => None,
        };
        match attempt {
            Some(attempt) => {
                self.waiting_offer = None;
                Turn::Come(attempt)
            }
            None => Turn::Ask,
        }
    }

    /// The decision on an offer waits. It takes the place of another one.
    pub(super) fn wait_for_decision(
        &mut self,
        offered: Offered,
        identify: Option<Arc<Identify>>,
        waiting: Waiting,
        ctx: &mut WebsocketContext<Self>,
    ) {
        self.give_up_offer(ctx);
        let task = ctx.spawn(waiting.turn().into_actor(self).map(Self::on_turn));
        self.waiting_offer = Some(Box::new(WaitingOffer {
            offered,
            identify,
            attempt: None,
            told: false,
            task,
            since: Stopwatch::start(),
        }));
    }

    fn on_turn(turn: Result<Attempt, TryLater>, device: &mut Self, ctx: &mut WebsocketContext<Self>) {
        let Some(waiting) = &mut device.waiting_offer else { return };
        metrics::observe(Timer::DecisionWait, waiting.since.elapsed());
        match turn {
            Ok(attempt) => waiting.attempt = Some(attempt),
            Err(_) => {
                let dropped = device.waiting_offer.take().map(|waiting| waiting.offered);
                if matches!(dropped, Some(Offered::Port(_))) {
                    device.feed(Event::PortClaimed(Some("try again later")), ctx);
                }
            }
        }
        device.use_turn(ctx);
    }

    /// Has the session claim again if the turn of its offer has come.
    pub(super) fn use_turn(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.session.is_asking() || self.permit.is_waiting() {
            return;
        }
        let come = self.waiting_offer.as_mut().filter(|waiting| waiting.attempt.is_some() && !waiting.told);
        let Some(waiting) = come else { return };
        waiting.told = true;
        match waiting.identify.clone() {
            Some(identify) => self.feed(Event::OfferDue(identify), ctx),
            None => self.feed(Event::PortDue, ctx),
        }
        // A session that does not claim now keeps the offer for later and asks anew then, or it has ended.
        self.waiting_offer.take_if(|waiting| waiting.told);
    }

    /// The port whose decision waits was dropped for a newer one; it does not count.
    pub(super) fn drop_port(&mut self, ctx: &mut WebsocketContext<Self>) {
        if let Some(waiting) = self.waiting_offer.take_if(|waiting| matches!(waiting.offered, Offered::Port(_))) {
            ctx.cancel_future(waiting.task);
        }
    }

    /// The offer that waits is not decided any more, because another one has taken its place.
    fn give_up_offer(&mut self, ctx: &mut WebsocketContext<Self>) {
        let Some(waiting) = self.waiting_offer.take() else { return };
        ctx.cancel_future(waiting.task);
        if let Some(key) = self.session.key() {
            self.services.registration.give_up(&waiting.offered, key, self.source);
        }
        if matches!(waiting.offered, Offered::Port(_)) {
            self.feed(Event::PortClaimed(Some("try again later")), ctx);
        }
    }

    /// The device has reported other facts while its offer waits.
    pub(super) fn note_facts(&mut self, facts: &Facts) {
        if let Some(identify) = self.waiting_offer.as_mut().and_then(|waiting| waiting.identify.as_mut()) {
            *identify = Arc::new(Identify { facts: facts.clone(), ..(**identify).clone() });
        }
    }
}
