//! The actor of one device connection: carries between the socket, the session and the services.

use std::sync::Arc;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, StreamHandler, WrapFuture as _};
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};

use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::socket::{FragmentJoiner, Incoming, close_frame};
use crate::connection::timer::SessionTimer;
use crate::core::model::ids::{Code, ConnId, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::policy::limits::SourceKey;
use crate::core::policy::log_limiter::LogLimiter;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::auth::SEED_CHARS;
use crate::core::session::device::event::{Action, Event, RandomTexts};
use crate::core::session::device::query::Query;
use crate::core::session::device::session::Session;
use crate::device::stage_timer::StageTimer;
use crate::device::tunnel::TunnelReaders;
use crate::device::unassigned::Waiting;
use crate::metrics::{self, Counter, EntryStage, NoticeEvent, Registration};
use crate::node::Node;
use crate::random;
use crate::store::{Signal, Whereabouts};
use crate::tenant::actor::DomainActor;
use crate::tenant::membership_batch::{self, Join, MembershipChange};
use crate::tenant::registry::UnassignedChanged;

use crate::device::jobs::ProgressSaver;
use crate::device::registration_gate::Admitted;

pub use crate::device::messages::{AdminPasswordChanged, DomainLost, Recheck, Replan};

/// The actor of one device connection.
pub struct DeviceActor {
    pub(super) node: Arc<Node>,
    conn: ConnId,
    pub(super) source: SourceKey,
    pub(super) query: Query,
    pub(super) session: Session,
    line: ConnectionHandle,
    joiner: FragmentJoiner,
    domain: Option<Addr<DomainActor>>,
    pub(super) takers: TunnelReaders,
    pub(super) waiting: Option<Waiting>,
    pub(super) keeping: ProgressSaver,
    alarm: SessionTimer,
    closed: Option<Close>,
    pub(super) admitted: Admitted,
    pub(super) stage_timer: StageTimer,
}

impl DeviceActor {
    /// For a connection that was opened just now.
    pub fn new(node: Arc<Node>, conn: ConnId, source: SourceKey, query: Query, line: ConnectionHandle) -> Self {
        let admitted = Admitted::Expected { _counted: node.governor.expect() };
        Self {
            node,
            conn,
            source,
            query,
            session: Session::new(clock::now()),
            line,
            joiner: FragmentJoiner::default(),
            domain: None,
            takers: TunnelReaders::default(),
            waiting: None,
            keeping: ProgressSaver::default(),
            alarm: SessionTimer::default(),
            closed: None,
            admitted,
            stage_timer: StageTimer::start(),
        }
    }

    pub(super) fn feed(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        if self.waits() && matches!(event, Event::Tick) {
            return;
        }
        let node = Arc::clone(&self.node);
        let settings = &node.tuning.phone;
        let mut actions = Vec::new();
        self.session.on(event, clock::now(), settings, &mut actions);
        for action in actions {
            self.perform(action, ctx);
        }
        if self.session.domain().is_some() {
            // It lets nobody in who is in, and it is the largest thing that an idle member would keep.
            self.query = Query::None;
        }
        self.keep_permit();
        self.keep_unassigned_place(ctx);
        self.keeping.tidy();
        self.set_timer(ctx);
    }

    fn perform(&mut self, action: Action, ctx: &mut WebsocketContext<Self>) {
        match action {
            Action::Send(message) => ctx.binary(message),
            Action::Ping => ctx.ping(b""),
            Action::Close(close) => self.close(close, ctx),
            Action::Claim(identify, stage) => self.claim(identify, stage, ctx),
            Action::Join(name) => self.join(name, ctx),
            Action::Plan(basis) => self.plan(basis, ctx),
            Action::Keep(work) => self.keep(work),
            Action::Note(event) => {
                self.keeping.happened(&event);
                if let Some((domain, key)) = self.session.domain().zip(self.session.key()) {
                    self.node.codes.note(domain, vec![Subject::Device(key.clone())], event);
                }
            }
            Action::Deposit(code) => self.deposit(code, ctx),
            Action::ClaimPort { port, code } => {
                let Some((domain, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else {
                    return;
                };
                let (node, source) = (Arc::clone(&self.node), self.source);
                let claim = async move {
                    let error = node.codes.claim_port(&domain, &key, &port, code, source).await;
                    if error.is_none() {
                        wake(&node, domain, code).await;
                    }
                    error
                };
                self.ask(claim, ctx, |phone, error, ctx| phone.feed(Event::PortClaimed(error), ctx));
            }
            Action::Tunnel(id, output) => self.takers.give(id, output),
            Action::Proved => {
                self.stage_timer.lap(EntryStage::Answer);
                metrics::count(Counter::Registered(Registration::Authenticated));
                self.go_on();
            }
            Action::Confirm(password) => self.aside(|node, domain, key| async move {
                node.codes.confirm(&domain, &key, &password).await;
            }),
            Action::Refresh(facts) => self.aside(|node, domain, key| async move {
                node.codes.refresh(&domain, &key, &facts).await;
                if let Some(domain) = node.domain(&domain).await {
                    membership_batch::tell(&domain, MembershipChange::Changed(key));
                }
            }),
            Action::WrongDigest => {
                metrics::count(Counter::Registered(Registration::WrongDigest));
                if let Some(key) = self.session.key() {
                    tracing::info!(device = %key, "wrong digest");
                    self.node.codes.attempt_limiter().wrong_digest(key, self.source);
                }
            }
            Action::Dropped => metrics::count(Counter::Dropped),
        }
    }

    /// Does something for the device beside the session, which does not wait for it.
    fn aside<F>(&self, act: impl FnOnce(Arc<Node>, DomainName, crate::core::model::ids::DeviceKey) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        if let Some((domain, key)) = self.session.domain().zip(self.session.key()) {
            let begun = self.node.underway.begin();
            let act = act(Arc::clone(&self.node), domain.clone(), key.clone());
            actix_rt::spawn(async move {
                act.await;
                drop(begun);
            });
        }
    }

    /// Asks something; the device is not listened to before the answer.
    pub(super) fn ask<F, R>(
        &self,
        question: F,
        ctx: &mut WebsocketContext<Self>,
        then: impl FnOnce(&mut Self, R, &mut WebsocketContext<Self>) + 'static,
    ) where
        F: Future<Output = R> + 'static,
        R: 'static,
    {
        ctx.wait(question.into_actor(self).map(|answer, phone, ctx| then(phone, answer, ctx)));
    }

    fn join(&mut self, name: DomainName, ctx: &mut WebsocketContext<Self>) {
        // In a storm it is known, and there is nothing to wait for.
        if let Some(domain) = self.node.found.alive(&name) {
            return self.join_at(Some(domain), ctx);
        }
        let node = Arc::clone(&self.node);
        let find = async move { node.domain(&name).await };
        self.ask(find, ctx, Self::join_at);
    }

    fn join_at(&mut self, domain: Option<Addr<DomainActor>>, ctx: &mut WebsocketContext<Self>) {
        // Kept before the answer, so that a connection that ends meanwhile leaves the domain again.
        let before = std::mem::replace(&mut self.domain, domain);
        if let Some(before) = before.filter(|before| self.domain.as_ref() != Some(before)) {
            self.leave(&before);
        }
        let (Some(domain), Some(key)) = (self.domain.clone(), self.session.key().cloned()) else {
            return self.joined(false, ctx);
        };
        membership_batch::tell(&domain, MembershipChange::Join(Join::new(key, self.conn, ctx.address())));
        self.attach(ctx);
    }

    /// Makes it known on all nodes that the member is here.
    fn attach(&self, ctx: &mut WebsocketContext<Self>) {
        let Some((name, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else { return };
        let (node, at) = (Arc::clone(&self.node), self.here());
        let attach = async move {
            match node.store.attach(&name, &key, &at).await {
                Ok(Some(Whereabouts { node: other, conn })) if other != node.id => {
                    let signal = Signal::Evict { domain: name, key, node: other, conn };
                    if let Err(error) = node.store.publish(&signal).await {
                        // The other node compares its members with the store when its line is up again.
                        tracing::warn!(%error, "other node not told to close a replaced connection");
                    }
                    true
                }
                Ok(_) => true,
                Err(error) => {
                    static FAILED: LogLimiter = LogLimiter::new();
                    if let Some(unsaid) = FAILED.due(clock::now()) {
                        tracing::warn!(%error, unsaid, "member not attached; trying again");
                    }
                    false
                }
            }
        };
        self.ask(attach, ctx, Self::joined);
    }

    fn joined(&mut self, joined: bool, ctx: &mut WebsocketContext<Self>) {
        if joined {
            self.changed();
            metrics::count(Counter::Joined);
            self.stage_timer.end();
        } else {
            self.wait_outside();
        }
        self.feed(Event::Joined(joined), ctx);
    }

    fn leave(&self, domain: &Addr<DomainActor>) {
        if let Some(key) = self.session.key() {
            membership_batch::tell(domain, MembershipChange::Leave(key.clone(), self.conn, self.node.underway.begin()));
        }
    }

    fn deposit(&self, code: Code, ctx: &mut WebsocketContext<Self>) {
        let Some((domain, key)) = self.session.domain().cloned().zip(self.session.key().cloned()) else { return };
        let node = Arc::clone(&self.node);
        let deposit = async move {
            match node.store.deposit(&domain, &key).await {
                Ok(new) => {
                    metrics::count_many(Counter::Notice(NoticeEvent::Deposited), u64::from(new));
                    if new {
                        let subjects = vec![Subject::Device(key.clone()), Subject::Code(code)];
                        node.codes.note(&domain, subjects, TimelineEvent::NoticeReady);
                    }
                    wake(&node, domain, Some(code)).await;
                    true
                }
                Err(error) => {
                    tracing::warn!(%error, device = %key, "notice not deposited; trying again");
                    false
                }
            }
        };
        self.ask(deposit, ctx, |phone, done, ctx| phone.feed(Event::Deposited(done), ctx));
    }

    /// An unassigned device takes one of a limited number of places.
    fn keep_unassigned_place(&mut self, ctx: &mut WebsocketContext<Self>) {
        if !self.session.is_unassigned() {
            self.waiting = None;
        } else if self.waiting.is_none()
            && let Some(key) = self.session.key().cloned()
        {
            let Some(place) = self.node.roster.admit_unassigned(self.source) else {
                return self.feed(Event::End(Close::Overload), ctx);
            };
            self.waiting = Some(Waiting::new(place, &self.node, key, self.here(), &ctx.address()));
        }
    }

    pub(super) fn here(&self) -> Whereabouts {
        Whereabouts { node: self.node.id.clone(), conn: self.conn }
    }

    /// The device may look different now to those who see it.
    pub(super) fn changed(&self) {
        match (&self.domain, self.session.key()) {
            (Some(domain), Some(key)) => membership_batch::tell(domain, MembershipChange::Changed(key.clone())),
            _ if self.waiting.is_some() => self.node.registry.do_send(UnassignedChanged),
            _ => {}
        }
    }

    fn set_timer(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.alarm.set(self.session.deadline(&self.node.tuning.phone), ctx, |phone: &mut Self, ctx| {
            phone.alarm.has_rung();
            phone.feed(Event::Tick, ctx);
        });
    }

    fn close(&mut self, close: Close, ctx: &mut WebsocketContext<Self>) {
        self.closed = Some(close);
        ctx.close(Some(close_frame(close)));
        ctx.stop();
    }
}

pub(super) fn draw() -> RandomTexts {
    RandomTexts { challenge: random::digits(10), seed: random::letters_and_digits(SEED_CHARS).expose().into() }
}

async fn wake(node: &Node, domain: DomainName, code: Option<Code>) {
    if let Err(error) = node.store.publish(&Signal::Mail { domain, code }).await {
        // Every node looks into its mailboxes by itself from time to time.
        tracing::warn!(%error, "wake-up not published");
    }
}

impl Actor for DeviceActor {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.node.roster.enrol_phone(self.conn, ctx.address());
        self.set_timer(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        metrics::count(Counter::DeviceClosed(self.closed.or(self.line.fault()).unwrap_or(Close::ByPeer)));
        self.waiting = None;
        if let Some(domain) = &self.domain {
            self.leave(domain);
        }
        self.node.roster.withdraw(self.conn);
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for DeviceActor {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.line) else {
            return self.feed(Event::Heard, ctx);
        };
        match incoming {
            Incoming::Binary(message) => self.feed(Event::Message(&message), ctx),
            Incoming::Ping(payload) => {
                ctx.pong(&payload);
                self.feed(Event::Heard, ctx);
            }
            Incoming::Pong(_) => self.feed(Event::Heard, ctx),
            Incoming::Close => self.feed(Event::End(Close::ByPeer), ctx),
            Incoming::Text(_) => self.feed(Event::End(Close::WrongKind), ctx),
            Incoming::Fault(close) => self.feed(Event::End(close), ctx),
        }
    }
}
