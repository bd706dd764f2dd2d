//! The actor of a connection that a PBX, or a user of it, has opened to the Users instance (`pbx.md` 1.1): carries between the
//! socket, the door and the client of that PBX.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, StreamHandler, WrapFuture as _};
use actix_web_actors::ws::{self, CloseCode, CloseReason, ProtocolError, WebsocketContext};
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use crate::actors::line::Line;
use crate::actors::node::Node;
use crate::actors::socket::{Incoming, Joiner, close_frame};
use crate::clock;
use crate::core::appws::call::PbxInfo;
use crate::core::close::Close;
use crate::core::limits::SourceKey;
use crate::core::pbx::door::{Door, DoorAction, LOGIN_TIME};
use crate::lifecycle::Shutdown;
use crate::metrics::{self, Counter};
use crate::people::backend::pbx::{Link, LinkOrder, Switchboard};
use crate::random;

/// A little after the time for the log-in, so that it is over by then.
const LOGIN_OVER: Duration = LOGIN_TIME.saturating_add(Duration::from_millis(10));

/// The actor of one connection.
pub(super) struct Exchange {
    node: Arc<Node>,
    switchboard: Switchboard,
    source: SourceKey,
    door: Door,
    line: Line,
    joiner: Joiner,
    shutdown: Shutdown,
    /// Set if this is the connection of a PBX that counts.
    link: Option<Link>,
    closed: Option<Close>,
}

/// What the client of the PBX wants; `None`: it is gone.
struct Wanted(Option<LinkOrder>);

impl Exchange {
    /// For a connection that was opened just now.
    pub(super) fn new(
        node: Arc<Node>,
        switchboard: Switchboard,
        source: SourceKey,
        line: Line,
        shutdown: Shutdown,
    ) -> Self {
        let mut entropy = [0; 32];
        random::fill(&mut entropy);
        let door = Door::new(clock::now(), entropy);
        let joiner = Joiner::default();
        Self { node, switchboard, source, door, line, joiner, shutdown, link: None, closed: None }
    }

    fn text(&mut self, text: String, ctx: &mut WebsocketContext<Self>) {
        let mut actions = Vec::new();
        self.door.on_text(&text, clock::now(), self.switchboard.door(), &mut actions);
        let mut forward = false;
        for action in actions {
            forward |= action == DoorAction::Forward;
            self.perform(action, ctx);
        }
        if forward
            && let Some(link) = &self.link
            && !link.text(text)
        {
            self.close(Close::Overload, ctx);
        }
    }

    fn perform(&mut self, action: DoorAction, ctx: &mut WebsocketContext<Self>) {
        match action {
            DoorAction::Send(text) => ctx.text(text),
            DoorAction::Close(close) => self.close(close, ctx),
            DoorAction::LoginFailed => {
                tracing::info!("log-in at the Users instance failed");
                self.node.codes.ledger().failed_login(self.source);
            }
            DoorAction::LoggedIn => {
                metrics::count(Counter::LogIn);
                self.line.allow(self.node.app_settings.longest_after);
            }
            DoorAction::Attached(info) => self.attach(&info, ctx),
            DoorAction::Forged => tracing::warn!("what calls itself a PBX has logged in under another name; ignored"),
            DoorAction::Forward => {}
        }
    }

    fn attach(&mut self, info: &PbxInfo, ctx: &mut WebsocketContext<Self>) {
        let Some((link, orders)) = self.switchboard.attach(info) else {
            tracing::info!("a PBX has connected that is not the one that counts; kept open, without use");
            self.link = None;
            return;
        };
        self.link = Some(link);
        let wanted = unfold(Some(orders), |orders: Option<mpsc::Receiver<LinkOrder>>| async move {
            let mut orders = orders?;
            let order = orders.recv().await;
            // After this one nothing of this link counts here any more.
            let last = matches!(order, None | Some(LinkOrder::Replaced));
            Some((Wanted(order), (!last).then_some(orders)))
        });
        ctx.add_stream(wanted);
    }

    fn close(&mut self, close: Close, ctx: &mut WebsocketContext<Self>) {
        self.closed = Some(close);
        ctx.close(Some(close_frame(close)));
        ctx.stop();
    }
}

impl Actor for Exchange {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(LOGIN_OVER, |exchange, ctx| {
            let mut actions = Vec::new();
            exchange.door.timer(clock::now(), &mut actions);
            for action in actions {
                exchange.perform(action, ctx);
            }
        });
        let shutdown = self.shutdown.clone();
        let draining = async move { shutdown.draining().await }.into_actor(self);
        ctx.spawn(draining.map(|(), exchange, ctx| exchange.close(Close::Stopping, ctx)));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        metrics::count(Counter::AppClosed(self.closed.or(self.line.fault()).unwrap_or(Close::ByPeer)));
    }
}

impl StreamHandler<Wanted> for Exchange {
    fn handle(&mut self, Wanted(order): Wanted, ctx: &mut Self::Context) {
        match order {
            Some(LinkOrder::Text(text)) => ctx.text(text),
            Some(LinkOrder::Close(code)) => {
                ctx.close(Some(CloseReason { code: CloseCode::from(code), description: None }));
                ctx.stop();
            }
            // The connection stays; if it says again what it is, it counts again.
            Some(LinkOrder::Replaced) => {}
            None => self.close(Close::Overload, ctx),
        }
    }

    /// The connection outlives what the client of the PBX had to say.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for Exchange {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.line) else { return };
        match incoming {
            Incoming::Text(text) => self.text(text, ctx),
            Incoming::Pong(_) => {}
            Incoming::Ping(payload) => ctx.pong(&payload),
            Incoming::Close => self.close(Close::ByPeer, ctx),
            Incoming::Binary(_) => self.close(Close::WrongKind, ctx),
            Incoming::Fault(close) => self.close(close, ctx),
        }
    }
}
