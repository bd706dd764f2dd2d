//! The actor of one app connection: carries between the socket, the session and the services.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Handler, Message, StreamHandler,
    WrapFuture as _,
};
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};

use crate::app_connection::requests::answer;
use crate::app_connection::session_keys::OpenKey;
use crate::app_connection::subscribers::{DataChanged, Subscribe, Unsubscribe};
use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::socket::{FragmentJoiner, Incoming, close_frame};
use crate::connection::table::{End, Finish};
use crate::connection::timer::SessionTimer;
use crate::core::model::ids::{Code, ConnId, DomainName, Secret};
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::close::Close;
use crate::core::session::app::event::{Action, Delivery, Event, Topics};
use crate::core::session::app::logged_in::FLUSH_AT;
use crate::core::session::app::rights::{Rights, verify_login};
use crate::core::session::app::session::Session;
use crate::metrics::{self, Counter};
use crate::node::Node;
use crate::random;
use crate::tenant::actor::{DomainActor, Enlist, Resign, Settle};

/// What the connection is in one of its domains.
#[derive(Default)]
struct Standing {
    domain: Option<Addr<DomainActor>>,
    acts: bool,
    waits_for: Vec<Code>,
}

/// The actor of one app connection.
pub struct AppActor {
    node: Arc<Node>,
    conn: ConnId,
    source: SourceKey,
    session: Session,
    line: ConnectionHandle,
    joiner: FragmentJoiner,
    standings: HashMap<DomainName, Standing>,
    alarm: SessionTimer,
    closed: Option<Close>,
    /// Questions and flushes that the session waits for.
    awaited: usize,
    /// It ends as soon as there are none.
    finishing: bool,
    /// Opens devices for browsers for as long as this connection lives.
    key: Option<OpenKey>,
}

impl AppActor {
    /// For a connection that was opened just now.
    pub fn new(node: Arc<Node>, conn: ConnId, source: SourceKey, line: ConnectionHandle) -> Self {
        let mut entropy = [0; 32];
        random::fill(&mut entropy);
        let session = Session::new(clock::now(), entropy);
        let (joiner, standings) = (FragmentJoiner::default(), HashMap::new());
        Self {
            node,
            conn,
            source,
            session,
            line,
            joiner,
            standings,
            alarm: SessionTimer::default(),
            closed: None,
            awaited: 0,
            finishing: false,
            key: None,
        }
    }

    fn feed(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        let node = Arc::clone(&self.node);
        let mut actions = Vec::new();
        self.session.on(event, clock::now(), &node.app_settings, &mut actions);
        for action in actions {
            self.perform(action, ctx);
        }
        self.set_timer(ctx);
    }

    /// The session hears what it has waited for.
    fn feed_awaited(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        self.awaited -= 1;
        self.feed(event, ctx);
        self.finish_if_idle(ctx);
    }

    /// Ends the connection if that has been asked for and no answer is owed. Notices that the client has not acknowledged go
    /// to another connection.
    fn finish_if_idle(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.finishing && self.awaited == 0 {
            self.feed(Event::End(Close::Stopping), ctx);
        }
    }

    fn perform(&mut self, action: Action, ctx: &mut WebsocketContext<Self>) {
        match action {
            Action::Send(text) => {
                // Long ones go one after another, each when the one before has left.
                if text.len() >= FLUSH_AT {
                    self.line.pace(text.len());
                }
                ctx.text(text);
            }
            Action::Flush => {
                let emptied = self.line.emptied().into_actor(self);
                self.awaited += 1;
                ctx.spawn(emptied.map(|(), users, ctx| users.feed_awaited(Event::Flushed, ctx)));
            }
            Action::Follow(topics) => self.follow(topics, ctx),
            Action::Ping(payload) => ctx.ping(&payload),
            Action::Close(close) => self.close(close, ctx),
            Action::Verify(login, challenge) => self.verify(login, challenge, ctx),
            Action::LoginFailed => {
                tracing::info!("log-in failed");
                self.node.codes.attempt_limiter().failed_login(self.source);
            }
            Action::Enlist(rights) => {
                metrics::count(Counter::LogIn);
                tracing::info!(domain = %rights.domain, app = ?rights.requester.app, admin = rights.admin, "logged in");
                self.line.allow(self.node.app_settings.longest_after);
                self.enlist(rights.domain, |_| {}, ctx);
            }
            Action::Ask(number, ask) => {
                let Some(rights) = self.session.rights().cloned() else { return };
                let answer = answer(Arc::clone(&self.node), rights, ask).into_actor(self);
                self.awaited += 1;
                ctx.spawn(
                    answer.map(move |answer, users, ctx| users.feed_awaited(Event::Answered(number, answer), ctx)),
                );
            }
            Action::Act(domain) => self.enlist(domain, |standing| standing.acts = true, ctx),
            Action::Await(domain, code) => self.enlist(domain, |standing| standing.waits_for.push(code), ctx),
            Action::Settle(domain, codes) => {
                if let Some(standing) = self.standings.get_mut(&domain) {
                    standing.waits_for.retain(|code| !codes.contains(code));
                    if let Some(domain) = &standing.domain {
                        domain.do_send(Settle(self.conn, codes));
                    }
                }
            }
        }
    }

    /// Nothing that is asked from now on is read before the registry knows.
    fn follow(&self, Topics { devices, unassigned_devices, domains }: Topics, ctx: &mut WebsocketContext<Self>) {
        let Some(rights) = self.session.rights() else { return };
        let devices_of = devices.map(|selection| self.node.codes.domains_of(rights, &selection)).unwrap_or_default();
        let users = ctx.address().recipient();
        let watch =
            self.node.registry.send(Subscribe { conn: self.conn, users, devices_of, unassigned_devices, domains });
        ctx.wait(watch.into_actor(self).map(|known, users, ctx| {
            if known.is_err() {
                users.feed(Event::End(Close::Stopping), ctx);
            }
        }));
    }

    fn verify(&self, login: Box<Login>, challenge: Box<str>, ctx: &mut WebsocketContext<Self>) {
        let node = Arc::clone(&self.node);
        let verify = async move {
            let domain = match DomainName::parse(&login.domain) {
                // A store that is away fails the log-in of a domain, never lets it pass.
                Ok(name) => node.tenants.find(&name).await.ok().flatten(),
                Err(_) => None,
            };
            verify_login(&login, &challenge, &node.instance, domain.as_deref())
        };
        ctx.wait(verify.into_actor(self).map(|rights: Option<Rights>, users, ctx| {
            let key = Secret::new(random::guid());
            users.key = rights.as_ref().map(|rights| users.node.keys.insert(&key, rights));
            users.feed(Event::Verified(rights.map(Box::new), key), ctx);
        }));
    }

    /// Changes the standing in a domain and tells its actor.
    fn enlist(&mut self, name: DomainName, change: impl FnOnce(&mut Standing), ctx: &mut WebsocketContext<Self>) {
        let standing = self.standings.entry(name.clone()).or_default();
        let known_codes = standing.waits_for.len();
        change(standing);
        if standing.domain.is_some() {
            // The actor knows the older codes already.
            let news = standing.waits_for[known_codes..].to_vec();
            return self.tell(&name, news, ctx);
        }
        let node = Arc::clone(&self.node);
        let find = async move { (node.domain(&name).await, name) };
        ctx.wait(find.into_actor(self).map(|(domain, name), users, ctx| {
            let Some(standing) = users.standings.get_mut(&name) else { return };
            standing.domain = domain;
            let codes = standing.waits_for.clone();
            users.tell(&name, codes, ctx);
        }));
    }

    fn tell(&self, name: &DomainName, waits_for: Vec<Code>, ctx: &mut WebsocketContext<Self>) {
        let Some((standing, rights)) = self.standings.get(name).zip(self.session.rights()) else { return };
        if let Some(domain) = &standing.domain {
            let (requester, users) = (rights.requester.clone(), ctx.address());
            domain.do_send(Enlist { conn: self.conn, users, requester, acts: standing.acts, waits_for });
        }
    }

    fn set_timer(&mut self, ctx: &mut WebsocketContext<Self>) {
        let Some(due) = self.session.deadline(&self.node.app_settings) else { return };
        self.alarm.set(due, ctx, |users: &mut Self, ctx| {
            users.alarm.has_rung();
            users.feed(Event::Tick, ctx);
        });
    }

    fn close(&mut self, close: Close, ctx: &mut WebsocketContext<Self>) {
        self.closed = Some(close);
        ctx.close(Some(close_frame(close)));
        ctx.stop();
    }
}

impl Actor for AppActor {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.node.roster.enrol(self.conn, ctx.address());
        self.set_timer(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.node.registry.do_send(Unsubscribe(self.conn));
        metrics::count(Counter::AppClosed(self.closed.or(self.line.fault()).unwrap_or(Close::ByPeer)));
        for domain in self.standings.values().filter_map(|s| s.domain.as_ref()) {
            domain.do_send(Resign(self.conn));
        }
        self.node.roster.withdraw(self.conn);
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for AppActor {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.line) else { return };
        match incoming {
            Incoming::Text(text) => self.feed(Event::Text(&text), ctx),
            Incoming::Pong(payload) => self.feed(Event::Pong(&payload), ctx),
            Incoming::Ping(payload) => ctx.pong(&payload),
            Incoming::Close => self.feed(Event::End(Close::ByPeer), ctx),
            Incoming::Binary(_) => self.feed(Event::End(Close::WrongKind), ctx),
            Incoming::Fault(close) => self.feed(Event::End(close), ctx),
        }
    }
}

impl Handler<End> for AppActor {
    type Result = ();

    fn handle(&mut self, End(close): End, ctx: &mut Self::Context) {
        self.feed(Event::End(close), ctx);
    }
}

impl Handler<Finish> for AppActor {
    type Result = ();

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        self.finishing = true;
        self.finish_if_idle(ctx);
    }
}

impl Handler<DataChanged> for AppActor {
    type Result = ();

    fn handle(&mut self, DataChanged(news): DataChanged, ctx: &mut Self::Context) {
        self.feed(Event::DataChange(news), ctx);
    }
}

/// Notices from the mailbox of a domain.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// The domain.
    pub domain: DomainName,
    /// The notices with their devices.
    pub deliveries: Vec<Delivery>,
}

impl Handler<Deliver> for AppActor {
    type Result = ();

    fn handle(&mut self, Deliver { domain, deliveries }: Deliver, ctx: &mut Self::Context) {
        self.feed(Event::Deliver(&domain, deliveries), ctx);
    }
}

/// The actor of this domain is gone; a new one takes its place.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reenlist(pub DomainName);

impl Handler<Reenlist> for AppActor {
    type Result = ();

    fn handle(&mut self, Reenlist(name): Reenlist, ctx: &mut Self::Context) {
        if let Some(standing) = self.standings.get_mut(&name) {
            standing.domain = None;
            self.enlist(name, |_| {}, ctx);
        }
    }
}
