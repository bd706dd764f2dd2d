//! The actor of a connection that an exchange, or a user of it, has opened to the Users instance
//! (`docs/protocol/pbx.md` 1.1). Moves messages between the socket, the inbound session and the client of that
//! exchange.
//!
//! It belongs to the Users role and must not know Devices: what it uses of the node is in [`ExchangeServices`].

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, StreamHandler, WrapFuture as _};
use actix_web_actors::ws::{self, CloseCode, CloseReason, ProtocolError, WebsocketContext};
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use crate::attempts::{AttemptService, SecretKind, TryLater};
use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::held_messages::HeldMessages;
use crate::connection::socket::{Bounds, FragmentJoiner, Incoming, close_frame};
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::close::Close;
use crate::core::session::exchange::inbound::{InboundAction, InboundSession, LOGIN_TIME, right_password};
use crate::lifecycle::Shutdown;
use crate::metrics::{self, Counter};
use crate::random;
use crate::users_role::backend::exchange::{ConnectionCommand, InboundConnection, InboundRegistry};

/// Checked slightly after the log-in limit, so that it has passed.
const LOGIN_OVER: Duration = LOGIN_TIME.saturating_add(Duration::from_millis(10));

/// What the connection of an exchange uses of the node.
#[derive(Clone)]
pub struct ExchangeServices {
    /// Limits of the socket.
    pub bounds: Bounds,
    /// Longest message before the log-in, in bytes.
    pub longest_before: usize,
    /// Longest message after the log-in, in bytes.
    pub longest_after: usize,
    /// Decides when a log-in may be verified.
    pub attempts: Arc<AttemptService>,
}

/// The actor of one connection.
pub(crate) struct ExchangeConnection {
    services: ExchangeServices,
    registry: InboundRegistry,
    source: SourceKey,
    session: InboundSession,
    handle: ConnectionHandle,
    joiner: FragmentJoiner,
    /// A log-in is being verified, or waits for that.
    verifying: bool,
    /// What came meanwhile.
    held: HeldMessages,
    shutdown: Shutdown,
    /// Set if this is the current connection of a configured exchange.
    attached: Option<InboundConnection>,
    closed: Option<Close>,
}

/// A command of the client of the exchange; `None`: the client is gone.
struct FromClient(Option<ConnectionCommand>);

impl ExchangeConnection {
    /// An actor for a connection that has just been opened.
    pub(crate) fn new(
        services: ExchangeServices,
        registry: InboundRegistry,
        source: SourceKey,
        handle: ConnectionHandle,
        shutdown: Shutdown,
    ) -> Self {
        let mut entropy = [0; 32];
        random::fill(&mut entropy);
        let session = InboundSession::new(clock::now(), entropy);
        let joiner = FragmentJoiner::default();
        let (verifying, held) = (false, HeldMessages::default());
        Self {
            services,
            registry,
            source,
            session,
            handle,
            joiner,
            verifying,
            held,
            shutdown,
            attached: None,
            closed: None,
        }
    }

    /// Handles a text message, or keeps it until the log-in before it is verified.
    fn text(&mut self, text: String, ctx: &mut WebsocketContext<Self>) {
        if !self.verifying {
            self.handle_text(text, ctx);
        } else if self.held.push(text, self.services.longest_before).is_err() {
            self.close(Close::TooMany, ctx);
        }
    }

    fn handle_text(&mut self, text: String, ctx: &mut WebsocketContext<Self>) {
        let mut actions = Vec::new();
        self.session.on_text(&text, clock::now(), self.registry.settings(), &mut actions);
        let mut forward = false;
        for action in actions {
            forward |= action == InboundAction::Forward;
            self.perform(action, ctx);
        }
        if forward
            && let Some(attached) = &self.attached
            && !attached.text(text)
        {
            self.close(Close::Overload, ctx);
        }
    }

    /// Verifies a log-in, as soon as attempts under this name from this source may be decided. When the connection
    /// ends meanwhile, the attempt is given up with it and not counted.
    fn verify(&mut self, login: Box<Login>, challenge: Box<str>, ctx: &mut WebsocketContext<Self>) {
        self.verifying = true;
        let (attempts, registry, source) = (Arc::clone(&self.services.attempts), self.registry.clone(), self.source);
        let verify = async move {
            // The names that decide which password it has to be.
            let who = login.domain.to_ascii_lowercase();
            let attempt = attempts.reserve(SecretKind::ExchangeLogIn, Some(&who), source).await?;
            let right = right_password(&login, &challenge, registry.settings());
            if right {
                attempt.right();
            } else {
                attempt.wrong();
            }
            Ok::<_, TryLater>(right)
        };
        ctx.spawn(verify.into_actor(self).map(|verified, exchange, ctx| exchange.verified(verified, ctx)));
    }

    fn verified(&mut self, verified: Result<bool, TryLater>, ctx: &mut WebsocketContext<Self>) {
        self.verifying = false;
        let Ok(right) = verified else {
            return self.close(Close::Overload, ctx);
        };
        let mut actions = Vec::new();
        self.session.verified(right, clock::now(), self.registry.settings(), &mut actions);
        for action in actions {
            self.perform(action, ctx);
        }
        while !self.verifying
            && let Some(text) = self.held.pop()
        {
            self.handle_text(text, ctx);
        }
    }

    fn perform(&mut self, action: InboundAction, ctx: &mut WebsocketContext<Self>) {
        match action {
            InboundAction::Send(text) => ctx.text(text),
            InboundAction::Close(close) => self.close(close, ctx),
            InboundAction::Verify(login, challenge) => self.verify(login, challenge, ctx),
            InboundAction::LoginFailed => tracing::info!("log-in at the Users instance failed"),
            InboundAction::LoggedIn => {
                metrics::count(Counter::LogIn);
                self.handle.allow(self.services.longest_after);
                self.handle.prove();
            }
            InboundAction::Attached(info) => self.attach(&info, ctx),
            InboundAction::Forged => {
                tracing::warn!("a client that claims to be an exchange has logged in under another name; ignored");
            }
            InboundAction::Forward => {}
        }
    }

    fn attach(&mut self, info: &PbxInfo, ctx: &mut WebsocketContext<Self>) {
        let Some((attached, commands)) = self.registry.attach(info) else {
            tracing::info!("an exchange has connected that is not the one in use; the connection stays open, unused");
            self.attached = None;
            return;
        };
        self.attached = Some(attached);
        let from_client = unfold(Some(commands), |commands: Option<mpsc::Receiver<ConnectionCommand>>| async move {
            let mut commands = commands?;
            let command = commands.recv().await;
            // Nothing follows on this connection.
            let last = matches!(command, None | Some(ConnectionCommand::Replaced));
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

impl Actor for ExchangeConnection {
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

impl StreamHandler<FromClient> for ExchangeConnection {
    fn handle(&mut self, FromClient(command): FromClient, ctx: &mut Self::Context) {
        match command {
            Some(ConnectionCommand::Text(text)) => ctx.text(text),
            Some(ConnectionCommand::Close(code)) => {
                ctx.close(Some(CloseReason { code: CloseCode::from(code), description: None }));
                ctx.stop();
            }
            // The connection stays open; another `PbxInfo` makes it current again.
            Some(ConnectionCommand::Replaced) => {}
            None => self.close(Close::Overload, ctx),
        }
    }

    /// The connection outlives the commands of its client.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for ExchangeConnection {
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
