//! What others tell the actor of a device connection: the roster, takers of tunnels, its domain, operators.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Handler, Message, WrapFuture as _};

use crate::connection::table::{End, Finish};
use crate::core::protocol::sysclient::auth::SEED_CHARS;
use crate::core::session::device::event::Event;
use crate::device::actor::{DeviceActor, draw};
use crate::device::tunnel::{FromTunnelReader, OpenTunnel};
use crate::metrics::{self, Counter};
use crate::random;

impl Handler<End> for DeviceActor {
    type Result = ();

    fn handle(&mut self, End(close): End, ctx: &mut Self::Context) {
        self.feed(Event::End(close), ctx);
    }
}

impl Handler<Finish> for DeviceActor {
    type Result = ();

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        self.feed(Event::Stop, ctx);
    }
}

impl Handler<OpenTunnel> for DeviceActor {
    type Result = ();

    fn handle(&mut self, OpenTunnel { id, request, outputs }: OpenTunnel, ctx: &mut Self::Context) {
        self.takers.add(id, outputs);
        self.feed(Event::Open(id, request), ctx);
    }
}

impl Handler<FromTunnelReader> for DeviceActor {
    type Result = ();

    fn handle(&mut self, says: FromTunnelReader, ctx: &mut Self::Context) {
        match says {
            FromTunnelReader::Taken(id) => self.feed(Event::Taken(id), ctx),
            FromTunnelReader::Pipe(id, bytes) => self.feed(Event::Pipe(id, bytes), ctx),
            FromTunnelReader::Abandon(id) => {
                self.takers.remove(id);
                self.feed(Event::Abandon(id), ctx);
            }
        }
    }
}

/// The jobs of the domain have changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Replan;

impl Handler<Replan> for DeviceActor {
    type Result = ();

    fn handle(&mut self, _: Replan, ctx: &mut Self::Context) {
        self.feed(Event::Replan, ctx);
    }
}

/// The administrative password of the domain has changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AdminPasswordChanged;

impl Handler<AdminPasswordChanged> for DeviceActor {
    type Result = ();

    fn handle(&mut self, _: AdminPasswordChanged, ctx: &mut Self::Context) {
        let Some((domain, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else { return };
        let node = Arc::clone(&self.node);
        // The device password is needed again, and an idle member does not keep it.
        let look = async move { node.codes.membership(&domain, &key).await };
        ctx.spawn(look.into_actor(self).map(|membership, phone, ctx| match membership {
            Ok(Some(membership)) => {
                let seed = random::letters_and_digits(SEED_CHARS).expose().into();
                phone.feed(Event::AdminPassword(membership, seed), ctx);
            }
            Ok(None) => {}
            // The device gets it when it logs in again.
            Err(error) => tracing::warn!(%error, "administrative password not handed out"),
        }));
    }
}

/// The actor of the domain is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DomainLost;

impl Handler<DomainLost> for DeviceActor {
    type Result = ();

    fn handle(&mut self, _: DomainLost, ctx: &mut Self::Context) {
        metrics::count(Counter::DeviceRejoined);
        self.feed(Event::DomainLost, ctx);
    }
}

/// An operator may have changed whom the device belongs to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck;

/// A recheck that failed is tried again after this time.
const RECHECK_AGAIN: Duration = Duration::from_secs(2);

impl Handler<Recheck> for DeviceActor {
    type Result = ();

    fn handle(&mut self, _: Recheck, ctx: &mut Self::Context) {
        let Some(key) = self.session.key().cloned() else { return };
        let node = Arc::clone(&self.node);
        let look = async move { node.codes.recheck(&key).await };
        self.ask(look, ctx, |phone, found, ctx| match found {
            Ok(found) => phone.feed(Event::Rechecked(found, draw()), ctx),
            Err(error) => {
                // The order stands; only this connection does not know it yet.
                tracing::warn!(%error, "device not looked up after an operator's order; trying again");
                ctx.notify_later(Recheck, RECHECK_AGAIN);
            }
        });
    }
}
