//! Handles the messages that others send to the actor of an app connection (`src/connection/messages.rs`).

use actix::Handler;

use crate::app_connection::actor::AppActor;
use crate::connection::messages::AppMessage;
use crate::core::session::app::event::Event;

impl Handler<AppMessage> for AppActor {
    type Result = ();

    fn handle(&mut self, message: AppMessage, ctx: &mut Self::Context) {
        match message {
            AppMessage::End(close) => self.feed(Event::End(close), ctx),
            AppMessage::Finish => self.finish(ctx),
            AppMessage::Deliver { domain, deliveries } => self.feed(Event::Deliver(&domain, deliveries), ctx),
            AppMessage::DomainLost(name) => self.rejoin(name, ctx),
            AppMessage::CheckRights => self.check_rights(ctx),
            AppMessage::DataChanged(change) => self.feed(Event::DataChange(change), ctx),
        }
    }
}
