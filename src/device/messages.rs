//! Handles the messages that others send to the actor of a device connection (`src/connection/messages.rs`).

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Handler, WrapFuture as _};
use actix_web_actors::ws::WebsocketContext;

use crate::connection::messages::DeviceMessage;
use crate::core::protocol::sysclient::auth::SEED_CHARS;
use crate::core::session::device::event::Event;
use crate::device::actor::{DeviceActor, draw};
use crate::metrics::{self, Counter};
use crate::random;

/// A recheck that failed is tried again after this time.
const RECHECK_AGAIN: Duration = Duration::from_secs(2);

impl Handler<DeviceMessage> for DeviceActor {
    type Result = ();

    fn handle(&mut self, message: DeviceMessage, ctx: &mut Self::Context) {
        match message {
            DeviceMessage::End(close) => self.feed(Event::End(close), ctx),
            DeviceMessage::Finish => self.feed(Event::Stop, ctx),
            DeviceMessage::DomainLost => {
                metrics::count(Counter::DeviceRejoined);
                self.feed(Event::DomainLost, ctx);
            }
            DeviceMessage::Recheck => self.recheck(ctx),
            DeviceMessage::Replan => self.feed(Event::Replan, ctx),
            DeviceMessage::AdminPasswordChanged => self.hand_out_admin_password(ctx),
            DeviceMessage::OpenTunnel { id, request, outputs } => {
                self.tunnel_readers.add(id, outputs);
                self.feed(Event::Open(id, request), ctx);
            }
            DeviceMessage::TunnelTaken(id) => self.feed(Event::Taken(id), ctx),
            DeviceMessage::TunnelPipe(id, bytes) => self.feed(Event::Pipe(id, bytes), ctx),
            DeviceMessage::TunnelAbandoned(id) => {
                self.tunnel_readers.remove(id);
                self.feed(Event::Abandon(id), ctx);
            }
        }
    }
}

impl DeviceActor {
    fn hand_out_admin_password(&self, ctx: &mut WebsocketContext<Self>) {
        let Some((domain, key)) = self.member() else { return };
        let services = Arc::clone(&self.services);
        // The device password is needed again, and an idle member does not keep it.
        let membership = async move { services.registration.membership(&domain, &key).await };
        ctx.spawn(membership.into_actor(self).map(|membership, device, ctx| match membership {
            Ok(Some(membership)) => {
                let seed = random::letters_and_digits(SEED_CHARS).expose().into();
                device.feed(Event::AdminPassword(membership, seed), ctx);
            }
            Ok(None) => {}
            // The device gets it when it logs in again.
            Err(error) => tracing::warn!(%error, "administrative password not sent"),
        }));
    }

    fn recheck(&self, ctx: &mut WebsocketContext<Self>) {
        let Some(key) = self.session.key().cloned() else { return };
        let services = Arc::clone(&self.services);
        let found = async move { services.registration.recheck(&key).await };
        self.wait_for(found, ctx, |device, found, ctx| match found {
            Ok(found) => device.feed(Event::Rechecked(found, draw()), ctx),
            Err(error) => {
                // The order is stored; only this connection has not applied it yet.
                tracing::warn!(%error, "device not looked up after an operator's order; trying again");
                ctx.notify_later(DeviceMessage::Recheck, RECHECK_AGAIN);
            }
        });
    }
}
