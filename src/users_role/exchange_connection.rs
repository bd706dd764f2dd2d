//! The actor of a connection that an exchange, or a user of it, has opened to the Users instance
//! (`docs/protocol/pbx.md` 1.1): carries between the socket, the inbound session and the client of that exchange.
//!
//! It stands with the Users role and must not know Devices: what it uses of the node is in [`ExchangeServices`].

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, StreamHandler, WrapFuture as _};
use actix_web_actors::ws::{self, CloseCode, CloseReason, ProtocolError, WebsocketContext};
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::socket::{Bounds, FragmentJoiner, Incoming, close_frame};
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::protocol::close::Close;
use crate::core::session::exchange::inbound::{InboundAction, InboundSession, LOGIN_TIME};
use crate::lifecycle::Shutdown;
use crate::metrics::{self, Counter};
use crate::random;
use crate::users_role::backend::exchange::{InboundRegistry, Link, LinkCommand};

/// A little after the time for the log-in, so that it is over by then.
const LOGIN_OVER: Duration = LOGIN_TIME.saturating_add(Duration::from_millis(10));

/// What the connection of an exchange uses of the node.
#[derive(Clone)]
pub struct ExchangeServices {
    /// Socket of the connection.
    pub bounds: Bounds,
    /// Longest message before the log-in, in bytes.
    pub longest_before: usize,
    /// Longest message after the log-in, in bytes.
    pub longest_after: usize,
    /// Counts a failed log-in of this source.
    pub on_failed_login: Arc<dyn Fn(SourceKey) + Send + Sync>,
}

/// The actor of one connection.
pub(crate) struct Exchange {
    services: ExchangeServices,
    switchboard: InboundRegistry,
    source: SourceKey,
    session: InboundSession,
    handle: ConnectionHandle,
    joiner: FragmentJoiner,
    shutdown: Shutdown,
    /// Set if this is the connection of an exchange in use.
    link: Option<Link>,
    closed: Option<Close>,
}

/// A command of the client of the exchange; `None`: the client is gone.
struct FromClient(Option<LinkCommand>);

impl Exchange {
    /// For a connection that was opened just now.
    pub(crate) fn new(
        services: ExchangeServices,
        switchboard: InboundRegistry,
        source: SourceKey,
        handle: ConnectionHandle,
        shutdown: Shutdown,
    ) -> Self {
        let mut entropy = [0; 32];
        random::fill(&mut entropy);
        let session = InboundSession::new(clock::now(), entropy);
        let joiner = FragmentJoiner::default();
        Self { services, switchboard, source, session, handle, joiner, shutdown, link: None, closed: None }
    }

    fn text(&mut self, text: String, ctx: &mut WebsocketContext<Self>) {
        let mut actions = Vec::new();
        self.session.on_text(&text, clock::now(), self.switchboard.settings(), &mut actions);
        let mut forward = false;
        for action in actions {
            forward |= action == InboundAction::Forward;
            self.perform(action, ctx);
        }
        if forward
            && let Some(link) = &self.link
            && !link.text(text)
        {
            self.close(Close::Overload, ctx);
        }
    }

    fn perform(&mut self, action: InboundAction, ctx: &mut WebsocketContext<Self>) {
        match action {
            InboundAction::Send(text) => ctx.text(text),
            InboundAction::Close(close) => self.close(close, ctx),
            InboundAction::LoginFailed => {
                tracing::info!("log-in at the Users instance failed");
                (self.services.on_failed_login)(self.source);
            }
            InboundAction::LoggedIn => {
                metrics::count(Counter::LogIn);
                self.handle.allow(self.services.longest_after);
            }
            InboundAction::Attached(info) => self.attach(&info, ctx),
            InboundAction::Forged => {
                tracing::warn!("a client that claims to be an exchange has logged in under another name; ignored");
            }
            InboundAction::Forward => {}
        }
    }

    fn attach(&mut self, info: &PbxInfo, ctx: &mut WebsocketContext<Self>) {
        let Some((link, commands)) = self.switchboard.attach(info) else {
            tracing::info!("an exchange has connected that is not the one in use; the connection stays open, unused");
            self.link = None;
            return;
        };
        self.link = Some(link);
        let from_client = unfold(Some(commands), |commands: Option<mpsc::Receiver<LinkCommand>>| async move {
            let mut commands = commands?;
            let command = commands.recv().await;
            // Nothing follows on this link.
            let last = matches!(command, None | Some(LinkCommand::Replaced));
            Some((FromClient(command), (!last).then_some(commands)))
        });
        ctx.add_stream(from_client);
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
            exchange.session.timer(clock::now(), &mut actions);
            for action in actions {
                exchange.perform(action, ctx);
            }
        });
        let shutdown = self.shutdown.clone();
        let draining = async move { shutdown.draining().await }.into_actor(self);
        ctx.spawn(draining.map(|(), exchange, ctx| exchange.close(Close::Stopping, ctx)));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        metrics::count(Counter::AppClosed(self.closed.or(self.handle.fault()).unwrap_or(Close::ByPeer)));
    }
}

impl StreamHandler<FromClient> for Exchange {
    fn handle(&mut self, FromClient(command): FromClient, ctx: &mut Self::Context) {
        match command {
            Some(LinkCommand::Text(text)) => ctx.text(text),
            Some(LinkCommand::Close(code)) => {
                ctx.close(Some(CloseReason { code: CloseCode::from(code), description: None }));
                ctx.stop();
            }
            // The connection stays; it is used again when it announces itself again.
            Some(LinkCommand::Replaced) => {}
            None => self.close(Close::Overload, ctx),
        }
    }

    /// The connection outlives the commands of its client.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for Exchange {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.handle) else { return };
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
