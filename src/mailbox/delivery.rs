//! Delivers the notices of one domain to the app connections of this node that receive them
//! (`docs/protocol/devices-api.md` 2.5).
//!
//! A notice goes to one connection (`src/core/policy/mailbox.rs` chooses it), which settles it. A notice that no
//! connection of this node may receive is given back for other nodes. Further connections that asked about the code get
//! a copy, on whatever node they are.
//!
//! Every method returns the requests to the store that follow; the owner performs them
//! ([`crate::mailbox::service::Mailbox::perform`]) and passes the outcome to [`MailboxDelivery::done`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::Recipient;

use crate::connection::messages::AppMessage;
use crate::core::model::device::{Notice, Requester};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{Code, ConnId, DeviceKey, DomainName};
use crate::core::model::timeline::TimelineEvent;
use crate::core::policy::mailbox::{Candidate, Choice, choose};
use crate::core::session::app::event::Delivery;
use crate::mailbox::service::{Mailbox, Outcome, Request, count};
use crate::metrics::{self, Gauge, Held, NoticeEvent};
use crate::store;

/// Notices taken at once.
const AT_ONCE: usize = 256;

/// Most remembered codes whose notices no connection here may receive.
const MAX_UNDELIVERABLE: usize = 10_000;

/// An app connection that receives notices of the domain.
#[derive(Debug)]
pub struct NoticeReceiver {
    /// Its actor.
    pub app: Recipient<AppMessage>,
    /// The names of its log-in.
    pub requester: Requester,
    /// It acts as Users: every notice of the domain may go to it.
    pub acts_as_users: bool,
    /// Codes whose notices it waits for: it has requested them or asked about them.
    pub waits_for: Vec<Code>,
}

struct Receiver {
    app: Recipient<AppMessage>,
    requester: Requester,
    /// Counted, if it acts as Users.
    acts_as_users: Option<Held>,
    /// How many notices were delivered to it and are not settled.
    unsettled: usize,
}

/// The receivers of the notices of a domain on this node, and the notices that were delivered and not settled.
pub struct MailboxDelivery {
    domain: DomainName,
    mailbox: Arc<Mailbox>,
    receivers: HashMap<ConnId, Receiver>,
    /// Connections that requested a code or asked about it.
    waiting: HashMap<Code, Vec<ConnId>>,
    /// Codes with new notices that connections here wait for: copies may be due.
    new_codes: Vec<Code>,
    in_delivery: HashMap<Code, (ConnId, DeviceKey)>,
    /// Codes whose notices no connection here may receive.
    undeliverable: HashSet<Code>,
    /// A waiting connection has ended: notices may be addressed to this node although no receiver is left here.
    orphans: bool,
    taking: bool,
    take_again: bool,
}

impl MailboxDelivery {
    /// Without receivers.
    pub fn new(domain: DomainName, mailbox: Arc<Mailbox>) -> Self {
        Self {
            domain,
            mailbox,
            receivers: HashMap::new(),
            waiting: HashMap::new(),
            new_codes: Vec::new(),
            in_delivery: HashMap::new(),
            undeliverable: HashSet::new(),
            orphans: false,
            taking: false,
            take_again: false,
        }
    }

    /// The actors of all connections that receive notices.
    pub fn receivers(&self) -> impl Iterator<Item = &Recipient<AppMessage>> {
        self.receivers.values().map(|receiver| &receiver.app)
    }

    /// Adds a receiver, or further codes that it waits for.
    #[must_use]
    pub fn register(&mut self, conn: ConnId, new: NoticeReceiver) -> Vec<Request> {
        let NoticeReceiver { app, requester, acts_as_users, waits_for } = new;
        let receiver = self.receivers.entry(conn).or_insert_with(|| Receiver {
            app,
            requester,
            acts_as_users: None,
            unsettled: 0,
        });
        if acts_as_users && receiver.acts_as_users.is_none() {
            receiver.acts_as_users = Some(metrics::hold(Gauge::UsersConnections));
        }
        for code in waits_for {
            let waiting = self.waiting.entry(code).or_default();
            if !waiting.contains(&conn) {
                waiting.push(conn);
            }
        }
        self.undeliverable.clear();
        self.drain()
    }

    /// Removes a receiver; notices that it has not settled may go to another one.
    #[must_use]
    pub fn remove(&mut self, conn: ConnId) -> Vec<Request> {
        self.receivers.remove(&conn);
        self.waiting.retain(|_, waiting| {
            let before = waiting.len();
            waiting.retain(|c| *c != conn);
            self.orphans |= waiting.len() < before;
            !waiting.is_empty()
        });
        let unsettled: Vec<_> =
            self.in_delivery.iter().filter(|(_, (c, _))| *c == conn).map(|(code, _)| *code).collect();
        for code in &unsettled {
            self.in_delivery.remove(code);
        }
        self.undeliverable.clear();
        vec![release(unsettled)]
    }

    /// A connection has processed the notices of these codes. Those that were only copied to it are not settled by it.
    #[must_use]
    pub fn settle(&self, conn: ConnId, codes: Vec<Code>) -> Vec<Request> {
        let delivered = |code: &Code| self.in_delivery.get(code).is_some_and(|(c, _)| *c == conn);
        vec![Request::Settle(codes.into_iter().filter(delivered).collect())]
    }

    /// There may be notices in the mailbox; that of this code is new.
    #[must_use]
    pub fn wake(&mut self, code: Option<Code>) -> Vec<Request> {
        self.new_codes.extend(code.filter(|code| self.waiting.contains_key(code)));
        self.drain()
    }

    /// Takes the notices that may be delivered here out of the mailbox.
    #[must_use]
    pub fn drain(&mut self) -> Vec<Request> {
        if self.receivers.is_empty() && !self.orphans {
            return Vec::new();
        }
        if self.taking {
            self.take_again = true;
            return Vec::new();
        }
        let limit = match self.room() {
            0 if !self.receivers.is_empty() => return Vec::new(),
            0 => AT_ONCE,
            room => room.min(AT_ONCE),
        };
        if self.undeliverable.len() > MAX_UNDELIVERABLE {
            self.undeliverable.clear();
        }
        let skip = self.in_delivery.keys().chain(&self.undeliverable).copied().collect();
        self.taking = true;
        self.take_again = false;
        vec![Request::Take { limit, skip }]
    }

    /// A request has been performed.
    #[must_use]
    pub fn done(&mut self, outcome: Outcome) -> Vec<Request> {
        match outcome {
            Outcome::Taken(taken) => self.on_taken(taken),
            Outcome::LookedUp(found) => {
                // A failed copy is no loss: the client may ask again.
                if let Ok(Some(delivery)) = found {
                    for conn in self.others_waiting(delivery.code, None) {
                        self.copy(conn, (*delivery).clone());
                    }
                }
                Vec::new()
            }
            Outcome::Settled(codes, result) => self.on_settled(&codes, result),
            Outcome::Released(result) => {
                if let Err(error) = result {
                    tracing::warn!(%error, domain = %self.domain, "notices not given back; their lease will end");
                }
                self.drain()
            }
            Outcome::Deposited(Ok(0)) => Vec::new(),
            Outcome::Deposited(Ok(many)) => {
                count(NoticeEvent::Deposited, many);
                vec![release(Vec::new())]
            }
            Outcome::Deposited(Err(error)) => {
                tracing::debug!(%error, domain = %self.domain, "overdue notices not read");
                Vec::new()
            }
        }
    }

    fn on_taken(&mut self, taken: store::Result<Vec<(Notice, Option<DeviceView>)>>) -> Vec<Request> {
        self.taking = false;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // The mailbox is read again at the next check.
                tracing::warn!(%error, domain = %self.domain, "mailbox not read");
                return Vec::new();
            }
        };
        let mut again = self.take_again;
        let (mut bundles, mut gone, mut back) = (HashMap::<ConnId, Vec<Delivery>>::new(), Vec::new(), Vec::new());
        for (notice, view) in taken {
            let Some(device) = view else {
                // The device has been removed since: nobody needs the notice any more.
                gone.push(notice.code);
                continue;
            };
            match self.choose(&notice) {
                Choice::Deliver(conn) => {
                    self.in_delivery.insert(notice.code, (conn, notice.device.clone()));
                    if let Some(receiver) = self.receivers.get_mut(&conn) {
                        receiver.unsettled += 1;
                        let sent = TimelineEvent::NoticeSent(receiver.requester.app.clone());
                        self.mailbox.note(&self.domain, notice.code, notice.device, sent);
                    }
                    let delivery = Delivery { code: notice.code, port: notice.port, device };
                    for other in self.others_waiting(notice.code, Some(conn)) {
                        self.copy(other, delivery.clone());
                    }
                    bundles.entry(conn).or_default().push(delivery);
                    again = true;
                }
                Choice::Nobody => {
                    self.undeliverable.insert(notice.code);
                    back.push(notice.code);
                }
                Choice::Busy => back.push(notice.code),
            }
        }
        for (conn, deliveries) in bundles {
            let Some(app) = self.receivers.get(&conn).map(|receiver| receiver.app.clone()) else { continue };
            let codes: Vec<_> = deliveries.iter().map(|d| d.code).collect();
            count(NoticeEvent::Delivered, codes.len() as u64);
            if app.try_send(AppMessage::Deliver { domain: self.domain.clone(), deliveries }).is_err() {
                for code in &codes {
                    self.end_delivery(*code);
                }
                back.extend(codes);
            }
        }
        let mut requests = Vec::new();
        if !gone.is_empty() {
            requests.push(Request::Settle(gone));
        }
        if !back.is_empty() {
            requests.push(release(back));
        }
        requests.extend(if again { self.drain() } else { self.copies_due() });
        requests
    }

    fn on_settled(&mut self, codes: &[Code], result: store::Result<()>) -> Vec<Request> {
        let delivered: Vec<_> = codes.iter().filter_map(|code| Some((*code, self.end_delivery(*code)?))).collect();
        match result {
            Ok(()) => {
                count(NoticeEvent::Settled, codes.len() as u64);
                for (code, device) in delivered {
                    self.mailbox.note(&self.domain, code, device, TimelineEvent::NoticeSettled);
                }
                for code in codes {
                    self.waiting.remove(code);
                }
            }
            // They stay in the mailbox and are delivered again.
            Err(error) => tracing::warn!(%error, domain = %self.domain, "notices not settled"),
        }
        self.drain()
    }

    /// Codes that were used just now and whose notices went to another node: connections here that asked about them get
    /// a copy.
    fn copies_due(&mut self) -> Vec<Request> {
        let new_codes = std::mem::take(&mut self.new_codes);
        let due = |code: &Code| !self.in_delivery.contains_key(code) && self.waiting.contains_key(code);
        new_codes.into_iter().filter(due).map(Request::LookUp).collect()
    }

    fn copy(&self, conn: ConnId, delivery: Delivery) {
        if let Some(receiver) = self.receivers.get(&conn) {
            count(NoticeEvent::Copied, 1);
            let _ =
                receiver.app.try_send(AppMessage::Deliver { domain: self.domain.clone(), deliveries: vec![delivery] });
        }
    }

    fn choose(&self, notice: &Notice) -> Choice {
        let waiting = self.waiting.get(&notice.code);
        let candidates = self.receivers.iter().map(|(conn, receiver)| Candidate {
            conn: *conn,
            same_login: receiver.requester == notice.requester,
            asked: waiting.is_some_and(|waiting| waiting.contains(conn)),
            acts_as_users: receiver.acts_as_users.is_some(),
            unsettled: receiver.unsettled,
        });
        choose(candidates, self.mailbox.window())
    }

    /// Removes the connections that wait for a code, except `but`.
    fn others_waiting(&mut self, code: Code, but: Option<ConnId>) -> Vec<ConnId> {
        let Some(waiting) = self.waiting.remove(&code) else { return Vec::new() };
        let (stay, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|conn| Some(*conn) == but);
        if !stay.is_empty() {
            self.waiting.insert(code, stay);
        }
        others
    }

    /// Removes a notice from those in flight. Returns its device.
    fn end_delivery(&mut self, code: Code) -> Option<DeviceKey> {
        let (conn, key) = self.in_delivery.remove(&code)?;
        if let Some(receiver) = self.receivers.get_mut(&conn) {
            receiver.unsettled -= 1;
        }
        Some(key)
    }

    /// How many notices the connections may still receive.
    fn room(&self) -> usize {
        let window = self.mailbox.window();
        self.receivers.values().map(|receiver| window.saturating_sub(receiver.unsettled)).sum()
    }
}

fn release(codes: Vec<Code>) -> Request {
    count(NoticeEvent::Released, codes.len() as u64);
    Request::Release(codes)
}
