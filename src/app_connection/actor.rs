//! The actor of one app connection: carries between the socket, the session and the services.
//!
//! It performs the actions of the session and decides nothing itself (`docs/protocol/appwebsocket.md`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Handler, Message, StreamHandler,
    WrapFuture as _,
};
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};
use futures_util::stream;

use crate::app_connection::requests::answer;
use crate::app_connection::services::Services;
use crate::app_connection::session_keys::OpenKey;
use crate::attempts::{SecretKind, TryLater};
use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::held_messages::HeldMessages;
use crate::connection::messages::AppMessage;
use crate::connection::socket::{FragmentJoiner, Incoming, close_frame};
use crate::connection::timer::SessionTimer;
use crate::core::model::device::Domain;
use crate::core::model::grant::Grant;
use crate::core::model::ids::{Code, ConnId, DomainId, DomainName, Secret};
use crate::core::policy::limits::SourceKey;
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::close::Close;
use crate::core::session::app::event::{Action, Event, Topics};
use crate::core::session::app::logged_in::FLUSH_AT;
use crate::core::session::app::rights::{Rights, verify_login};
use crate::core::session::app::session::Session;
use crate::mailbox::NoticeReceiver;
use crate::metrics::{self, Counter};
use crate::random;
use crate::tenant::actor::TenantActor;
use crate::tenant::messages::{RegisterReceiver, RemoveReceiver, Settle};
use crate::tenant::subscribers::{Subscribe, Unsubscribe};

/// How the connection is registered with one of its domains as a receiver of notices.
#[derive(Default)]
struct Receiving {
    /// Number of the domain when the connection registered.
    id: Option<DomainId>,
    tenant: Option<Addr<TenantActor>>,
    acts_as_users: bool,
    waits_for: Vec<Code>,
}

/// Takes up the next message that came while a log-in was verified.
#[derive(Message)]
#[rtype(result = "()")]
struct NextHeld;

/// The actor of one app connection.
pub struct AppActor {
    services: Arc<Services>,
    conn: ConnId,
    /// Whose attempts the log-ins are; `None`: a component of this process, which is no stranger.
    source: Option<SourceKey>,
    /// From which address, for the audit log.
    from: Option<IpAddr>,
    session: Session,
    handle: ConnectionHandle,
    joiner: FragmentJoiner,
    /// A log-in is being verified, or waits for that.
    verifying: bool,
    /// What came meanwhile.
    held: HeldMessages,
    receiving: HashMap<DomainName, Receiving>,
    timer: SessionTimer,
    closed: Option<Close>,
    /// Answers and flushes that the session waits for.
    awaited: usize,
    /// It ends as soon as there are none.
    finishing: bool,
    /// What the log-in has proved, and the key that gives browsers access to devices while that holds.
    proved: Option<Proved>,
}

/// What a log-in has proved.
struct Proved {
    /// `None`: the password of the instance, which does not change while the process runs.
    grant: Option<Grant>,
    _key: OpenKey,
}

impl AppActor {
    /// For a connection that was opened just now.
    pub fn new(services: Arc<Services>, conn: ConnId, source: Option<SourceKey>, handle: ConnectionHandle) -> Self {
        let mut entropy = [0; 32];
        random::fill(&mut entropy);
        let session = Session::new(clock::now(), entropy);
        let (joiner, receiving) = (FragmentJoiner::default(), HashMap::new());
        Self {
            services,
            conn,
            source,
            from: None,
            session,
            handle,
            joiner,
            verifying: false,
            held: HeldMessages::default(),
            receiving,
            timer: SessionTimer::default(),
            closed: None,
            awaited: 0,
            finishing: false,
            proved: None,
        }
    }

    /// From which address it was opened.
    #[must_use]
    pub const fn opened_from(mut self, address: Option<IpAddr>) -> Self {
        self.from = address;
        self
    }

    pub(super) fn feed(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        let services = Arc::clone(&self.services);
        let mut actions = Vec::new();
        // Whatever has happened, it must not be the last thing that an ended right was good for.
        let event = if self.is_withdrawn() { Event::End(Close::Withdrawn) } else { event };
        self.session.on(event, clock::now(), &services.session, &mut actions);
        for action in actions {
            self.perform(action, ctx);
        }
        self.set_timer(ctx);
    }

    /// Whether what the log-in has proved does not hold any more.
    fn is_withdrawn(&self) -> bool {
        self.proved.as_ref().is_some_and(|proved| !self.services.tenants.holds(proved.grant.as_ref()))
    }

    /// Ends the connection if its right has ended, and takes no more notices of domains that it reaches no more.
    pub(super) fn check_rights(&mut self, ctx: &mut WebsocketContext<Self>) {
        let Some(proved) = &self.proved else { return };
        if self.is_withdrawn() {
            return self.feed(Event::End(Close::Withdrawn), ctx);
        }
        let (tenants, conn) = (&self.services.tenants, self.conn);
        self.receiving.retain(|name, receiving| {
            let grant = proved.grant.as_ref();
            // The instance, with which an administrator is registered, need not be a domain.
            let stays = grant.is_none() || receiving.id.is_none_or(|id| tenants.reaches(grant, name, id));
            if let Some(tenant) = receiving.tenant.as_ref().filter(|_| !stays) {
                tenant.do_send(RemoveReceiver(conn));
            }
            stays
        });
    }

    /// Has [`Self::check_rights`] called after each change that can end a right.
    fn watch_rights(&self, ctx: &mut WebsocketContext<Self>) {
        let changes = stream::unfold(self.services.tenants.rights_changed(), |mut changes| async move {
            changes.changed().await.ok()?;
            Some((AppMessage::CheckRights, changes))
        });
        ctx.add_message_stream(changes);
        // For a change between the comparison of the password and now.
        ctx.notify(AppMessage::CheckRights);
    }

    /// Passes an awaited answer to the session.
    fn feed_awaited(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        self.awaited -= 1;
        self.feed(event, ctx);
        self.finish_if_idle(ctx);
    }

    /// Ends the connection if that has been asked for and no answer is owed. Notices that the client has not
    /// acknowledged go to another connection.
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
                    self.handle.exempt(text.len());
                }
                ctx.text(text);
            }
            Action::Flush => {
                let flushed = self.handle.flushed().into_actor(self);
                self.awaited += 1;
                ctx.spawn(flushed.map(|(), app, ctx| app.feed_awaited(Event::Flushed, ctx)));
            }
            Action::Follow(topics) => self.follow(topics, ctx),
            Action::Ping(payload) => ctx.ping(&payload),
            // One client hands the payload to its JSON decoder.
            Action::KeepAlive => ctx.ping(b"{}"),
            Action::Close(close) => self.close(close, ctx),
            Action::Verify(login, challenge) => self.verify(login, challenge, ctx),
            Action::LoginFailed => tracing::info!("log-in failed"),
            Action::Enlist(rights) => {
                metrics::count(Counter::LogIn);
                tracing::info!(domain = %rights.domain, app = ?rights.requester.app, admin = rights.admin, "logged in");
                self.handle.allow(self.services.session.longest_after);
                self.watch_rights(ctx);
                self.handle.prove();
                self.register(rights.domain, |_| {}, ctx);
            }
            Action::Ask(number, ask) => {
                let Some(rights) = self.session.rights().cloned() else { return };
                let answer = answer(Arc::clone(&self.services), rights, self.from, ask).into_actor(self);
                self.awaited += 1;
                ctx.spawn(answer.map(move |answer, app, ctx| app.feed_awaited(Event::Answered(number, answer), ctx)));
            }
            Action::Act(domain) => self.register(domain, |receiving| receiving.acts_as_users = true, ctx),
            Action::Await(domain, code) => self.register(domain, |receiving| receiving.waits_for.push(code), ctx),
            Action::Settle(domain, codes) => {
                if let Some(receiving) = self.receiving.get_mut(&domain) {
                    receiving.waits_for.retain(|code| !codes.contains(code));
                    if let Some(tenant) = &receiving.tenant {
                        tenant.do_send(Settle(self.conn, codes));
                    }
                }
            }
        }
    }

    /// Later requests are not read before the subscription is registered.
    fn follow(&self, Topics { devices, unassigned_devices, domains }: Topics, ctx: &mut WebsocketContext<Self>) {
        let Some(rights) = self.session.rights() else { return };
        let devices_of =
            devices.map(|selection| self.services.queries.domains_of(rights, &selection)).unwrap_or_default();
        let app = ctx.address().recipient();
        let subscription = Subscribe { conn: self.conn, app, devices_of, unassigned_devices, domains };
        let subscribed = self.services.directory.subscribe(subscription);
        ctx.wait(subscribed.into_actor(self).map(|subscribed, app, ctx| {
            if !subscribed {
                app.feed(Event::End(Close::Stopping), ctx);
            }
        }));
    }

    /// Verifies a log-in, as soon as attempts at this domain from this source may be decided. When the connection ends
    /// meanwhile, the attempt is given up with it and not counted.
    fn verify(&mut self, login: Box<Login>, challenge: Box<str>, ctx: &mut WebsocketContext<Self>) {
        self.verifying = true;
        let (services, source) = (Arc::clone(&self.services), self.source);
        let verify = async move {
            let name = DomainName::parse(&login.domain).ok();
            let who = name.as_ref().map_or(&*login.domain, DomainName::as_str);
            let attempt = match source {
                Some(source) => Some(services.attempts.reserve(SecretKind::AppLogIn, Some(who), source).await?),
                None => None,
            };
            let check = |domain: Option<&Domain>| {
                let rights = verify_login(&login, &challenge, &services.instance, domain)?;
                let grant = domain.filter(|_| !rights.admin).map(Grant::by_password);
                Some((rights, grant))
            };
            let verified = services.tenants.check_secret(name.as_ref(), check).await;
            // Without the store the password was not compared with what is valid now, so nothing is counted.
            match (attempt, &verified) {
                (Some(attempt), Ok(Some(_))) => attempt.right(),
                (Some(attempt), Ok(None)) => attempt.wrong(),
                _ => {}
            }
            let Some((rights, grant)) = verified.ok().flatten() else { return Ok(None) };
            if let Some(grant) = &grant {
                // The password may have been changed at another node just now.
                let _ = services.tenants.refresh_one(&grant.domain).await;
            }
            Ok::<_, TryLater>(services.tenants.holds(grant.as_ref()).then_some((rights, grant)))
        };
        ctx.spawn(verify.into_actor(self).map(|verified, app, ctx| app.verified(verified, ctx)));
    }

    fn verified(
        &mut self,
        verified: Result<Option<(Rights, Option<Grant>)>, TryLater>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        self.verifying = false;
        let Ok(proved) = verified else {
            return self.feed(Event::End(Close::Overload), ctx);
        };
        let key = Secret::new(random::guid());
        let rights = proved.map(|(rights, grant)| {
            let open = self.services.keys.insert(&key, grant.clone());
            self.proved = Some(Proved { grant, _key: open });
            Box::new(rights)
        });
        self.feed(Event::Verified(rights, key), ctx);
        ctx.notify(NextHeld);
    }

    /// Handles a text message, or keeps it until the log-in before it is verified.
    fn text(&mut self, text: String, ctx: &mut WebsocketContext<Self>) {
        if !self.verifying && self.held.is_empty() {
            self.feed(Event::Text(&text), ctx);
        } else if self.held.push(text, self.services.session.longest_before).is_err() {
            self.feed(Event::End(Close::TooMany), ctx);
        }
    }

    /// Registers the connection with a domain as a receiver of notices, or changes what it receives.
    fn register(&mut self, name: DomainName, change: impl FnOnce(&mut Receiving), ctx: &mut WebsocketContext<Self>) {
        let receiving = self.receiving.entry(name.clone()).or_default();
        let known_codes = receiving.waits_for.len();
        change(receiving);
        if receiving.tenant.is_some() {
            // The tenant knows the older codes already.
            let new_codes = receiving.waits_for[known_codes..].to_vec();
            return self.send_registration(&name, new_codes, ctx);
        }
        let services = Arc::clone(&self.services);
        let find = async move { (services.directory.find(&name).await, name) };
        ctx.wait(find.into_actor(self).map(|(tenant, name), app, ctx| {
            let id = app.services.tenants.number(&name);
            let Some(receiving) = app.receiving.get_mut(&name) else { return };
            (receiving.tenant, receiving.id) = (tenant, id);
            let codes = receiving.waits_for.clone();
            app.send_registration(&name, codes, ctx);
        }));
    }

    fn send_registration(&self, name: &DomainName, waits_for: Vec<Code>, ctx: &mut WebsocketContext<Self>) {
        let Some((receiving, rights)) = self.receiving.get(name).zip(self.session.rights()) else { return };
        if let Some(tenant) = &receiving.tenant {
            let (requester, app) = (rights.requester.clone(), ctx.address().recipient());
            let acts_as_users = receiving.acts_as_users;
            tenant.do_send(RegisterReceiver(self.conn, NoticeReceiver { app, requester, acts_as_users, waits_for }));
        }
    }

    /// The actor of a tenant is gone; a new one takes its place.
    pub(super) fn rejoin(&mut self, name: DomainName, ctx: &mut WebsocketContext<Self>) {
        if let Some(receiving) = self.receiving.get_mut(&name) {
            receiving.tenant = None;
            self.register(name, |_| {}, ctx);
        }
    }

    /// Ends the connection as soon as no answer is owed.
    pub(super) fn finish(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.finishing = true;
        self.finish_if_idle(ctx);
    }

    fn set_timer(&mut self, ctx: &mut WebsocketContext<Self>) {
        let Some(due) = self.session.deadline(&self.services.session) else { return };
        self.timer.set(due, ctx, |app: &mut Self, ctx| {
            app.timer.has_fired();
            app.feed(Event::Tick, ctx);
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
        self.services.connections.register_app(self.conn, ctx.address().recipient());
        self.set_timer(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.services.directory.unsubscribe(Unsubscribe(self.conn));
        metrics::count(Counter::AppClosed(self.closed.or(self.handle.fault()).unwrap_or(Close::ByPeer)));
        for tenant in self.receiving.values().filter_map(|receiving| receiving.tenant.as_ref()) {
            tenant.do_send(RemoveReceiver(self.conn));
        }
        self.services.connections.remove(self.conn);
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for AppActor {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.handle) else { return };
        match incoming {
            Incoming::Text(text) => self.text(text, ctx),
            Incoming::Pong(payload) => self.feed(Event::Pong(&payload), ctx),
            Incoming::Ping(payload) => ctx.pong(&payload),
            Incoming::Close => self.feed(Event::End(Close::ByPeer), ctx),
            Incoming::Binary(_) => self.feed(Event::End(Close::WrongKind), ctx),
            Incoming::Fault(close) => self.feed(Event::End(close), ctx),
        }
    }
}

impl Handler<NextHeld> for AppActor {
    type Result = ();

    /// One at a time: a message may make the actor wait, and the next one must not overtake that.
    fn handle(&mut self, _: NextHeld, ctx: &mut Self::Context) {
        if self.verifying {
            return;
        }
        if let Some(text) = self.held.pop() {
            self.feed(Event::Text(&text), ctx);
            ctx.notify(NextHeld);
        }
    }
}
