//! How the mailbox of a domain empties into the connections that take its notices (`docs/protocol/devices-api.md` 2.5).
//!
//! A notice goes to whoever requested the code, known by connection or by the names of the log-in; else to a connection that
//! asked about the code, else to one that acts as Users. What nobody here may have is given back for other nodes. It is settled
//! by that one; further connections that asked about the code get a copy, on whatever node they are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Context};
use futures_util::future::join_all;

use crate::app_connection::actor::{AppActor, Deliver};
use crate::core::model::device::{Notice, Requester};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{Code, ConnId, DeviceKey, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::session::app::event::Delivery;
use crate::metrics::{self, Counter, Gauge, Held, NoticeEvent};
use crate::node::Node;
use crate::store::{self, Signal};
use crate::tenant::actor::{DomainActor, Enlist};

/// A notice that a node has taken is its own for this long; longer than settling takes at most.
const LEASE: Duration = Duration::from_secs(60);

/// Notices taken at once.
const AT_ONCE: usize = 256;

/// Codes that nobody here may have are remembered up to this number.
const MAX_PASSED_OVER: usize = 10_000;

struct NoticeReceiver {
    users: Addr<AppActor>,
    requester: Requester,
    /// It acts as Users.
    acts: Option<Held>,
    /// How many notices are on the way to it.
    load: usize,
}

/// Who takes the notices of a domain on this node, and what is on the way.
#[derive(Default)]
pub(crate) struct MailboxDelivery {
    takers: HashMap<ConnId, NoticeReceiver>,
    /// Connections that requested a code or asked about it.
    waiting: HashMap<Code, Vec<ConnId>>,
    /// Codes whose notices are new, for copies.
    told: Vec<Code>,
    on_the_way: HashMap<Code, (ConnId, DeviceKey)>,
    passed_over: HashSet<Code>,
    /// Somebody who waited has gone: notices may be addressed to this node although nobody is here.
    orphans: bool,
    draining: bool,
    again: bool,
}

impl MailboxDelivery {
    pub(crate) fn enlist(&mut self, enlist: Enlist) {
        let Enlist { conn, users, requester, acts, waits_for } = enlist;
        let taker = self.takers.entry(conn).or_insert_with(|| NoticeReceiver { users, requester, acts: None, load: 0 });
        if acts && taker.acts.is_none() {
            taker.acts = Some(metrics::hold(Gauge::UsersConnections));
        }
        for code in waits_for {
            let waiting = self.waiting.entry(code).or_default();
            if !waiting.contains(&conn) {
                waiting.push(conn);
            }
        }
        self.passed_over.clear();
    }

    /// Forgets a connection. Returns what was on the way to it.
    pub(crate) fn resign(&mut self, conn: ConnId) -> Vec<Code> {
        self.takers.remove(&conn);
        self.waiting.retain(|_, waiting| {
            let before = waiting.len();
            waiting.retain(|c| *c != conn);
            self.orphans |= waiting.len() < before;
            !waiting.is_empty()
        });
        let unsettled: Vec<_> =
            self.on_the_way.iter().filter(|(_, (c, _))| *c == conn).map(|(code, _)| *code).collect();
        for code in &unsettled {
            self.on_the_way.remove(code);
        }
        self.passed_over.clear();
        unsettled
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = &Addr<AppActor>> {
        self.takers.values().map(|t| &t.users)
    }

    pub(crate) fn told(&mut self, code: Option<Code>) {
        self.told.extend(code.filter(|code| self.waiting.contains_key(code)));
    }

    /// Those of `codes` that were delivered to `conn` and not only copied to it.
    pub(crate) fn delivered_to(&self, conn: ConnId, codes: Vec<Code>) -> Vec<Code> {
        codes.into_iter().filter(|code| self.on_the_way.get(code).is_some_and(|(c, _)| *c == conn)).collect()
    }

    fn waits(&self, conn: ConnId, code: Code) -> bool {
        self.waiting.get(&code).is_some_and(|waiting| waiting.contains(&conn))
    }

    /// Takes out the connections that wait for a code beside `but`.
    fn others_waiting(&mut self, code: Code, but: Option<ConnId>) -> Vec<ConnId> {
        let Some(waiting) = self.waiting.remove(&code) else { return Vec::new() };
        let (stay, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|conn| Some(*conn) == but);
        if !stay.is_empty() {
            self.waiting.insert(code, stay);
        }
        others
    }

    /// A notice is no longer on the way. Returns the device that it is about.
    fn arrived(&mut self, code: Code) -> Option<DeviceKey> {
        let (conn, key) = self.on_the_way.remove(&code)?;
        if let Some(taker) = self.takers.get_mut(&conn) {
            taker.load -= 1;
        }
        Some(key)
    }

    fn room(&self, window: usize) -> usize {
        self.takers.values().map(|t| window.saturating_sub(t.load)).sum()
    }

    /// The connection that may have a notice now; `Err` if there is one but it has enough to do.
    fn recipient(&self, notice: &Notice, window: usize) -> Result<Option<ConnId>, ()> {
        let rank = |conn: ConnId, taker: &NoticeReceiver| {
            let (theirs, waits) = (taker.requester == notice.requester, self.waits(conn, notice.code));
            (theirs || waits || taker.acts.is_some()).then_some((!theirs, !waits))
        };
        let ranked =
            self.takers.iter().filter_map(|(conn, t)| Some((rank(*conn, t)?, t.load >= window, t.load, conn.0)));
        // The best rank decides; within it the one with the least to do.
        let best = ranked.min_by_key(|(rank, full, load, conn)| (*rank, *full, *load, *conn));
        match best {
            Some((_, false, _, conn)) => Ok(Some(ConnId(conn))),
            Some((_, true, ..)) => Err(()),
            None => Ok(None),
        }
    }
}

type Taken = store::Result<Vec<(Notice, Option<DeviceView>)>>;

impl DomainActor {
    /// Takes what may be delivered here out of the mailbox and hands it over.
    pub(crate) fn drain(&mut self, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        if self.mail.takers.is_empty() && !self.mail.orphans {
            return;
        }
        if self.mail.draining {
            self.mail.again = true;
            return;
        }
        let limit = match self.mail.room(node.tuning.notice_window) {
            0 if !self.mail.takers.is_empty() => return,
            0 => AT_ONCE,
            room => room.min(AT_ONCE),
        };
        if self.mail.passed_over.len() > MAX_PASSED_OVER {
            self.mail.passed_over.clear();
        }
        let skip: Vec<_> = self.mail.on_the_way.keys().chain(&self.mail.passed_over).copied().collect();
        self.mail.draining = true;
        self.mail.again = false;
        let name = self.name.clone();
        self.run(take(node, name, limit, skip), ctx, Self::on_taken);
    }

    fn on_taken(&mut self, taken: Taken, ctx: &mut Context<Self>) {
        self.mail.draining = false;
        let Some(node) = self.node.upgrade() else { return };
        let taken = match taken {
            Ok(taken) => taken,
            // The next look comes by itself.
            Err(error) => return tracing::warn!(%error, domain = %self.name, "mailbox not read"),
        };
        let mut again = self.mail.again;
        let (mut bundles, mut gone, mut back) = (HashMap::<ConnId, Vec<Delivery>>::new(), Vec::new(), Vec::new());
        for (notice, view) in taken {
            let Some(device) = view else {
                // The device has been removed since: there is nothing left to tell.
                gone.push(notice.code);
                continue;
            };
            match self.mail.recipient(&notice, node.tuning.notice_window) {
                Ok(Some(conn)) => {
                    self.mail.on_the_way.insert(notice.code, (conn, notice.device.clone()));
                    if let Some(taker) = self.mail.takers.get_mut(&conn) {
                        taker.load += 1;
                        let sent = TimelineEvent::NoticeSent(taker.requester.app.clone());
                        node.codes.record_event(&self.name, both(notice.code, notice.device), sent);
                    }
                    let delivery = Delivery { code: notice.code, port: notice.port, device };
                    for other in self.mail.others_waiting(notice.code, Some(conn)) {
                        self.copy(other, delivery.clone());
                    }
                    bundles.entry(conn).or_default().push(delivery);
                    again = true;
                }
                Ok(None) => {
                    self.mail.passed_over.insert(notice.code);
                    back.push(notice.code);
                }
                Err(()) => back.push(notice.code),
            }
        }
        for (conn, deliveries) in bundles {
            let Some(users) = self.mail.takers.get(&conn).map(|t| t.users.clone()) else { continue };
            let codes: Vec<_> = deliveries.iter().map(|d| d.code).collect();
            count(NoticeEvent::Delivered, codes.len());
            if users.try_send(Deliver { domain: self.name.clone(), deliveries }).is_err() {
                for code in &codes {
                    self.mail.arrived(*code);
                }
                back.extend(codes);
            }
        }
        if !gone.is_empty() {
            self.settle(gone, ctx);
        }
        if !back.is_empty() {
            self.give_back(back, ctx);
        }
        if again {
            self.drain(ctx);
        } else {
            self.copy_news(ctx);
        }
    }

    /// Codes that were used just now and whose notices went to somebody on another node: who asked about them here gets a copy.
    fn copy_news(&mut self, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        for code in std::mem::take(&mut self.mail.told) {
            if self.mail.on_the_way.contains_key(&code) || !self.mail.waiting.contains_key(&code) {
                continue;
            }
            let (node, name) = (Arc::clone(&node), self.name.clone());
            let look = async move { node.queries.used_by(&name, code).await };
            self.run(look, ctx, |actor, found: store::Result<Option<Delivery>>, _| {
                // A copy that fails is no loss: who asked may ask again.
                let Ok(Some(delivery)) = found else { return };
                for conn in actor.mail.others_waiting(delivery.code, None) {
                    actor.copy(conn, delivery.clone());
                }
            });
        }
    }

    fn copy(&self, conn: ConnId, delivery: Delivery) {
        if let Some(taker) = self.mail.takers.get(&conn) {
            count(NoticeEvent::Copied, 1);
            let _ = taker.users.try_send(Deliver { domain: self.name.clone(), deliveries: vec![delivery] });
        }
    }

    /// Gives taken notices back, and tells the other nodes.
    pub(crate) fn give_back(&mut self, codes: Vec<Code>, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        count(NoticeEvent::Released, codes.len());
        let name = self.name.clone();
        let release = async move {
            if !codes.is_empty() {
                node.store.release(&name, &node.id, &codes).await?;
            }
            node.store.publish(&Signal::Mail { domain: name, code: None }).await
        };
        self.run(release, ctx, |actor, result, ctx| {
            if let Err(error) = result {
                tracing::warn!(%error, domain = %actor.name, "notices not given back; their lease will end");
            }
            actor.drain(ctx);
        });
    }

    /// Takes delivered notices out of the mailbox.
    pub(crate) fn settle(&mut self, codes: Vec<Code>, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        let name = self.name.clone();
        let settle = async move {
            let result = node.store.settle(&name, &codes).await;
            (codes, result)
        };
        self.run(settle, ctx, |actor, (codes, result): (Vec<Code>, store::Result<()>), ctx| {
            let arrived: Vec<_> = codes.iter().filter_map(|code| Some((*code, actor.mail.arrived(*code)?))).collect();
            match result {
                Ok(()) => {
                    count(NoticeEvent::Settled, codes.len());
                    if let Some(node) = actor.node.upgrade() {
                        for (code, device) in arrived {
                            node.codes.record_event(&actor.name, both(code, device), TimelineEvent::NoticeSettled);
                        }
                    }
                    for code in &codes {
                        actor.mail.waiting.remove(code);
                    }
                }
                // They stay in the mailbox and go out once more.
                Err(error) => tracing::warn!(%error, domain = %actor.name, "notices not settled"),
            }
            actor.drain(ctx);
        });
    }

    /// Puts notices into the mailbox whose work takes too long (the order of `docs/protocol/sysclient.md` 5.2 and
    /// `docs/concept.md` section 8 gives way to a person who waits).
    pub(crate) fn deposit_overdue(&mut self, ctx: &mut Context<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        let name = self.name.clone();
        let deposit = async move { node.store.deposit_overdue(&name, node.tuning.notice_after).await };
        self.run(deposit, ctx, |actor, overdue: store::Result<u64>, ctx| match overdue {
            Ok(0) => {}
            Ok(count) => {
                metrics::count_many(Counter::Notice(NoticeEvent::Deposited), count);
                actor.give_back(Vec::new(), ctx);
            }
            Err(error) => tracing::debug!(%error, domain = %actor.name, "overdue notices not looked for"),
        });
    }
}

async fn take(node: Arc<Node>, domain: DomainName, limit: usize, skip: Vec<Code>) -> Taken {
    let notices = node.store.take(&domain, &node.id, LEASE, limit, &skip).await?;
    let views = join_all(notices.iter().map(|notice| node.queries.device_view(&domain, &notice.device))).await;
    notices.into_iter().zip(views).map(|(notice, view)| Ok((notice, view?))).collect()
}

fn both(code: Code, device: DeviceKey) -> Vec<Subject> {
    vec![Subject::Code(code), Subject::Device(device)]
}

fn count(event: NoticeEvent, many: usize) {
    metrics::count_many(Counter::Notice(event), many as u64);
}
