//! The actor of one device connection: carries between the socket, the session and the services.
//!
//! It performs the actions of the session and decides nothing itself (`docs/protocol/sysclient.md`).

use std::sync::Arc;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, StreamHandler, WrapFuture as _};
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};

use crate::clock;
use crate::connection::handle::ConnectionHandle;
use crate::connection::messages::DeviceRecipient;
use crate::connection::socket::{FragmentJoiner, Incoming, close_frame};
use crate::connection::timer::SessionTimer;
use crate::core::model::ids::{Code, ConnId, DeviceKey, DomainName};
use crate::core::model::timeline::Subject;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::log_limiter::LogLimiter;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::admin::Identify;
use crate::core::protocol::sysclient::auth::SEED_CHARS;
use crate::core::session::device::event::{Action, Event, RandomTexts};
use crate::core::session::device::query::Query;
use crate::core::session::device::session::Session;
use crate::device::permit::RegistrationPermit;
use crate::device::progress_saver::ProgressSaver;
use crate::device::services::Services;
use crate::device::stage_timer::StageTimer;
use crate::device::tunnel::TunnelReaders;
use crate::device::unassigned::UnassignedDevice;
use crate::device::waiting_offer::WaitingOffer;
use crate::metrics::{self, Counter, EntryStage, Registration};
use crate::random;
use crate::registration::{Offered, PortOutcome};
use crate::store::{Signal, Whereabouts};
use crate::tenant::actor::TenantActor;
use crate::tenant::membership_batch;
use crate::tenant::messages::{Join, MembershipChange};

/// The actor of one device connection.
pub struct DeviceActor {
    pub(super) services: Arc<Services>,
    conn: ConnId,
    pub(super) source: SourceKey,
    pub(super) query: Query,
    pub(super) session: Session,
    /// Its last identify, until it is a member.
    pub(super) identify: Option<Arc<Identify>>,
    pub(super) handle: ConnectionHandle,
    joiner: FragmentJoiner,
    /// The recipient by which others reach this actor; shared by all of them. Set when it starts.
    recipient: Option<DeviceRecipient>,
    tenant: Option<Addr<TenantActor>>,
    pub(super) tunnel_readers: TunnelReaders,
    pub(super) unassigned: Option<UnassignedDevice>,
    pub(super) progress: ProgressSaver,
    timer: SessionTimer,
    closed: Option<Close>,
    pub(super) permit: RegistrationPermit,
    pub(super) waiting_offer: Option<Box<WaitingOffer>>,
    pub(super) stage_timer: StageTimer,
}

impl DeviceActor {
    /// For a connection that was opened just now.
    pub fn new(
        services: Arc<Services>,
        conn: ConnId,
        source: SourceKey,
        query: Query,
        handle: ConnectionHandle,
    ) -> Self {
        let permit = RegistrationPermit::Expected { _counted: services.admission.expect_registration() };
        Self {
            services,
            conn,
            source,
            query,
            session: Session::new(clock::now()),
            identify: None,
            handle,
            joiner: FragmentJoiner::default(),
            recipient: None,
            tenant: None,
            tunnel_readers: TunnelReaders::default(),
            unassigned: None,
            progress: ProgressSaver::default(),
            timer: SessionTimer::default(),
            closed: None,
            permit,
            waiting_offer: None,
            stage_timer: StageTimer::start(),
        }
    }

    pub(super) fn feed(&mut self, event: Event<'_>, ctx: &mut WebsocketContext<Self>) {
        if self.permit.is_waiting() && matches!(event, Event::Tick) {
            return;
        }
        let services = Arc::clone(&self.services);
        let mut actions = Vec::new();
        self.session.on(event, clock::now(), &services.session, &mut actions);
        for action in actions {
            self.perform(action, ctx);
        }
        if self.session.domain().is_some() && self.waiting_offer.is_none() {
            // A member does not need it any more, and it is the largest part of the state of an idle member.
            self.query = Query::None;
            self.identify = None;
            self.handle.prove();
        }
        self.release_idle_permit();
        self.update_unassigned(ctx);
        self.progress.release_finished();
        self.set_timer(ctx);
        if self.waiting_offer.is_some() {
            self.use_turn(ctx);
        }
    }

    fn perform(&mut self, action: Action, ctx: &mut WebsocketContext<Self>) {
        match action {
            Action::Send(message) => ctx.binary(message),
            Action::Ping => ctx.ping(b""),
            Action::Close(close) => self.close(close, ctx),
            Action::Claim(identify, stage) => self.claim(identify, stage, ctx),
            Action::Join(name) => self.join(name, ctx),
            Action::Plan(basis) => self.plan(basis, ctx),
            Action::Keep(work) => {
                if let Some((domain, key)) = self.member() {
                    self.progress.save(&self.services, domain, key, work);
                }
            }
            Action::Note(event) => {
                self.progress.count(&event);
                if let Some((domain, key)) = self.session.domain().zip(self.session.key()) {
                    self.services.registration.record_event(domain, vec![Subject::Device(key.clone())], event);
                }
            }
            Action::Deposit(code) => self.deposit(code, ctx),
            Action::ClaimPort { port, code } => {
                self.claim_port(port, code, ctx);
            }
            Action::Tunnel(id, output) => self.tunnel_readers.pass_on(id, output),
            Action::Proved => {
                self.stage_timer.end_stage(EntryStage::Answer);
                metrics::count(Counter::Registered(Registration::Authenticated));
                if let Some(key) = self.session.key() {
                    self.services.registration.attempts().right_digest(key, self.source);
                }
                self.readmit();
            }
            Action::Confirm(password) => self.run_beside(|services, domain, key| async move {
                services.registration.confirm(&domain, &key, &password).await;
            }),
            Action::DropPort => self.drop_port(ctx),
            Action::Refresh(facts) => {
                self.note_facts(&facts);
                self.run_beside(|services, domain, key| async move {
                    services.registration.refresh(&domain, &key, &facts).await;
                    if let Some(tenant) = services.directory.find(&domain).await {
                        membership_batch::send(&tenant, MembershipChange::Changed(key));
                    }
                });
            }
            Action::WrongDigest => {
                metrics::count(Counter::Registered(Registration::WrongDigest));
                if let Some(key) = self.session.key() {
                    tracing::info!(device = %key, "wrong digest");
                    self.services.registration.attempts().wrong_digest(key, self.source);
                }
            }
            Action::Dropped => metrics::count(Counter::Dropped),
        }
    }

    /// Claims a port in a task of its own: whoever leaves before the answer is counted too.
    fn claim_port(&mut self, port: Box<str>, code: Option<Code>, ctx: &mut WebsocketContext<Self>) {
        let Some((domain, key)) = self.member() else { return };
        let (services, source, turn) = (Arc::clone(&self.services), self.source, self.turn_of_port());
        let claim = actix_rt::spawn(async move {
            let outcome = services.registration.claim_port(&domain, &key, &port, code, turn, source).await;
            if matches!(outcome, PortOutcome::Decided(None)) {
                services.mailbox.wake(domain, code).await;
            }
            outcome
        });
        self.wait_for(claim, ctx, move |device, outcome, ctx| match outcome {
            Ok(PortOutcome::Decided(error)) => device.feed(Event::PortClaimed(error), ctx),
            Ok(PortOutcome::Later(waiting)) => {
                device.wait_for_decision(Offered::Port(code), None, waiting, ctx);
                device.feed(Event::PortWaits, ctx);
            }
            Err(_) => device.feed(Event::PortClaimed(Some("try again later")), ctx),
        });
    }

    /// The domain and the key of a device that belongs to a domain.
    pub(super) fn member(&self) -> Option<(DomainName, DeviceKey)> {
        self.session.domain().cloned().zip(self.session.key().cloned())
    }

    /// Runs something for a member beside the session, which does not wait for it.
    fn run_beside<F>(&self, run: impl FnOnce(Arc<Services>, DomainName, DeviceKey) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        if let Some((domain, key)) = self.member() {
            let in_flight = self.services.in_flight.begin();
            let run = run(Arc::clone(&self.services), domain, key);
            actix_rt::spawn(async move {
                run.await;
                drop(in_flight);
            });
        }
    }

    /// Awaits a future; no messages of the device are read before it resolves.
    pub(super) fn wait_for<F, R>(
        &self,
        awaited: F,
        ctx: &mut WebsocketContext<Self>,
        then: impl FnOnce(&mut Self, R, &mut WebsocketContext<Self>) + 'static,
    ) where
        F: Future<Output = R> + 'static,
        R: 'static,
    {
        ctx.wait(awaited.into_actor(self).map(|result, device, ctx| then(device, result, ctx)));
    }

    fn join(&mut self, name: DomainName, ctx: &mut WebsocketContext<Self>) {
        // In a storm the actor is already known, so there is nothing to wait for.
        if let Some(tenant) = self.services.directory.alive(&name) {
            return self.join_at(Some(tenant), ctx);
        }
        let services = Arc::clone(&self.services);
        let find = async move { services.directory.find(&name).await };
        self.wait_for(find, ctx, Self::join_at);
    }

    fn join_at(&mut self, tenant: Option<Addr<TenantActor>>, ctx: &mut WebsocketContext<Self>) {
        // Kept before the answer, so that a connection that ends meanwhile leaves the domain again.
        let before = std::mem::replace(&mut self.tenant, tenant);
        if let Some(before) = before.filter(|before| self.tenant.as_ref() != Some(before)) {
            self.leave(&before);
        }
        let (Some(tenant), Some(key)) = (self.tenant.clone(), self.session.key().cloned()) else {
            return self.joined(false, ctx);
        };
        let join = Join::new(key, self.conn, self.recipient(ctx));
        membership_batch::send(&tenant, MembershipChange::Join(join));
        self.attach(ctx);
    }

    /// Announces on all nodes that the member is connected here.
    fn attach(&self, ctx: &mut WebsocketContext<Self>) {
        let Some((name, key)) = self.member() else { return };
        let (services, at) = (Arc::clone(&self.services), self.whereabouts());
        let attach = async move {
            match services.store.attach(&name, &key, &at).await {
                Ok(Some(Whereabouts { node: other, conn })) if other != services.node => {
                    let signal = Signal::Evict { domain: name, key, node: other, conn };
                    if let Err(error) = services.store.publish(&signal).await {
                        // The other node compares its members with the store when its connection to the bus is up
                        // again.
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
        self.wait_for(attach, ctx, Self::joined);
    }

    fn joined(&mut self, joined: bool, ctx: &mut WebsocketContext<Self>) {
        if joined {
            self.publish_change();
            metrics::count(Counter::Joined);
            self.stage_timer.finish();
        } else {
            self.fail_permit();
        }
        self.feed(Event::Joined(joined), ctx);
    }

    fn leave(&self, tenant: &Addr<TenantActor>) {
        if let Some(key) = self.session.key() {
            let in_flight = self.services.in_flight.begin();
            membership_batch::send(tenant, MembershipChange::Leave(key.clone(), self.conn, in_flight));
        }
    }

    fn deposit(&self, code: Code, ctx: &mut WebsocketContext<Self>) {
        let Some((domain, key)) = self.member() else { return };
        let services = Arc::clone(&self.services);
        let deposit = async move { services.mailbox.deposit(domain, &key, code).await };
        self.wait_for(deposit, ctx, |device, done, ctx| device.feed(Event::Deposited(done), ctx));
    }

    /// An unassigned device takes one of a limited number of places.
    fn update_unassigned(&mut self, ctx: &mut WebsocketContext<Self>) {
        if !self.session.is_unassigned() {
            self.unassigned = None;
        } else if self.unassigned.is_none()
            && let Some(key) = self.session.key().cloned()
        {
            let Some(slot) = self.services.connections.admit_unassigned(self.source) else {
                return self.feed(Event::End(Close::Overload), ctx);
            };
            let recipient = self.recipient(ctx);
            let stranger = (key, self.identify.clone(), self.source);
            self.unassigned = Some(UnassignedDevice::new(slot, &self.services, stranger, self.conn, &recipient));
        }
    }

    pub(super) fn whereabouts(&self) -> Whereabouts {
        self.services.whereabouts(self.conn)
    }

    fn recipient(&mut self, ctx: &WebsocketContext<Self>) -> DeviceRecipient {
        Arc::clone(self.recipient.get_or_insert_with(|| Arc::new(ctx.address().recipient())))
    }

    /// What clients see of the device may have changed.
    pub(super) fn publish_change(&self) {
        match (&self.tenant, self.session.key()) {
            (Some(tenant), Some(key)) => membership_batch::send(tenant, MembershipChange::Changed(key.clone())),
            _ if self.unassigned.is_some() => self.services.directory.unassigned_changed(),
            _ => {}
        }
    }

    fn set_timer(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.timer.set(self.session.deadline(&self.services.session), ctx, |device: &mut Self, ctx| {
            device.timer.has_fired();
            device.feed(Event::Tick, ctx);
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

impl Actor for DeviceActor {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let recipient = self.recipient(ctx);
        self.services.connections.register_device(self.conn, recipient);
        self.set_timer(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        metrics::count(Counter::DeviceClosed(self.closed.or(self.handle.fault()).unwrap_or(Close::ByPeer)));
        self.unassigned = None;
        if let Some(tenant) = &self.tenant {
            self.leave(tenant);
        }
        self.services.connections.remove(self.conn);
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for DeviceActor {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        let Some(incoming) = self.joiner.take(item, &self.handle) else {
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
